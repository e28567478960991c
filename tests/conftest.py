"""Lets pytest read tests written in Hy, explain their failed asserts, and be strict where it must be."""

import importlib.util
import os
import subprocess
import sys
import types
from fnmatch import fnmatch
from pathlib import Path

import hy  # noqa: F401  -- from here on Python imports .hy files
import pytest
from _pytest.assertion import rewrite
from hy.compiler import hy_compile

# With this set, Hy compiles every file again in every process: here, and in those that tests start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# In CI a test that skips has shown nothing, so it counts as failed.
STRICT = os.environ.get("CI", "").lower() not in {"", "0", "false"}


# --- Hy files as tests -------------------------------------------------------------------------------------------

# pytest rewrites the asserts of a test file on its way in, and reads the file as Python to do so. This is the one
# place where it does; for .hy the tree comes from Hy's compiler, and the rest is pytest's own.
_rewrite_python = rewrite._rewrite_test


def _rewrite_test(path, config):
    if path.suffix != ".hy":
        return _rewrite_python(path, config)
    source = path.read_bytes()
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    forms = hy.read_many(source.decode(), filename=str(path), skip_shebang=True)
    tree = hy_compile(forms, module)
    rewrite.rewrite_asserts(tree, source, str(path), config)
    return importlib.util.source_hash(source), compile(tree, str(path), "exec", dont_inherit=True)


rewrite._rewrite_test = _rewrite_test


def pytest_collect_file(file_path, parent):
    patterns = parent.config.getini("python_files")
    if file_path.suffix == ".hy" and any(fnmatch(file_path.name, pattern) for pattern in patterns):
        return pytest.Module.from_parent(parent, path=file_path)


# --- What may be left out ----------------------------------------------------------------------------------------

_notes = []
_left_out = []      # tests that need a GPU; with xdist their number comes from a worker


@pytest.hookimpl(trylast=True)      # of those that were asked for: -m and -k have chosen before
def pytest_collection_modifyitems(config, items):
    """Leaves out the tests that need a GPU where there is none."""
    on_gpu = [item for item in items if item.get_closest_marker("cuda")]
    if not on_gpu:
        return
    import torch      # only now: it takes two seconds
    if not torch.cuda.is_available():
        items[:] = [item for item in items if item not in on_gpu]
        config.hook.pytest_deselected(items=on_gpu)
        _left_out[:] = [item.nodeid for item in on_gpu]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """With xdist: all workers have left out the same ones."""
    _left_out[:] = getattr(node, "workeroutput", {}).get("left_out", _left_out)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Says how many tests were left out; having asked for no others is no mistake: then all is well."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = _left_out
    if _left_out:
        _notes.append(f"{len(_left_out)} tests need an NVIDIA GPU and there is none here: left out")
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if STRICT and skipped:
        _notes.append(f"{skipped} skipped, and with CI set that is a failure (pytest -rs names them)")
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for note in _notes:
        terminalreporter.write_line(note, yellow=True)


# --- Fixtures ----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def root():
    """The project's folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shakespeare(root):
    """The path of tiny Shakespeare: the variable TINY_SHAKESPEARE, or what scripts/fetch_shakespeare put into data/."""
    named = os.environ.get("TINY_SHAKESPEARE")
    path = Path(named) if named else root / "data" / "tinyshakespeare.txt"
    if named and not path.is_file():
        pytest.fail(f"TINY_SHAKESPEARE names {path}, and there is no such file")
    if not path.is_file():
        pytest.skip("needs tiny Shakespeare: run scripts/fetch_shakespeare, or set TINY_SHAKESPEARE to its path")
    return path.resolve()


@pytest.fixture
def cli(tmp_path):
    """The command line as a process of its own, in an empty folder: `(cli "sample" "--seed" 1)`.

    Gives the CompletedProcess with its text; `:input` is what it reads, `:env` adds to its environment.
    """
    def run(*arguments, input=None, timeout=300, env=None):
        return subprocess.run([sys.executable, "-m", "nanogpt_hy", *map(str, arguments)],
                              cwd=tmp_path, env={**os.environ, **(env or {})}, input=input or "",
                              capture_output=True, text=True, encoding="utf-8", timeout=timeout)
    return run


@pytest.fixture
def can_compile():
    """`(can-compile "cpu")` skips a test where torch.compile lacks a compiler for that device, or Python's headers."""
    import torch
    from nanogpt_hy.lab.training.compiling import lacking

    def check(device):
        lack = lacking(torch.device(device))
        if lack:
            pytest.skip(f"compiles: {lack}")
    return check
