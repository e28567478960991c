"""python -m nanogpt_hy: the command line."""

import sys

from nanogpt_hy.cli import main

if __name__ == "__main__":
    sys.exit(main())
