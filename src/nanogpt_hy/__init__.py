"""nanogpt-hy: a GPT, built step by step in Hy."""

import importlib

import hy  # noqa: F401  -- from here on Python imports .hy files

__version__ = "0.1.0"


def load_ipython_extension(shell):
    """`%load_ext nanogpt_hy` in IPython or Jupyter: `%%hy` cells, with the project's macros."""
    from nanogpt_hy.lab.lisp.workbench import load_magics
    load_magics(shell)
