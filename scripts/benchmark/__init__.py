"""What scripts/bench runs: nanogpt-hy and its peers, timed in turn."""

import hy  # noqa: F401  -- from here on Python imports .hy files
