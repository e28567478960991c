"""python -m benchmark, with scripts/ on the path."""

import sys

from benchmark.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
