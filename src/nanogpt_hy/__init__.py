"""nanogpt-hy: a GPT, built step by step in Hy."""

import importlib

import hy  # noqa: F401  -- from here on Python imports .hy files

__version__ = "0.1.0"
