"""Runs one command, as nanogpt-hy or python -m nanogpt_hy: an exit code, and one line on errors."""

import os
import sys

from hy.errors import HyMacroExpansionError

from nanogpt_hy.errors import UserError, out_of_memory


def without_bare_ckpt(arguments):
    """`--ckpt` with nothing behind it means the newest run, as leaving it out does."""
    following = [*arguments[1:], "--"]
    return [a for a, b in zip(arguments, following) if not (a == "--ckpt" and b.startswith("-"))]


def settle_streams():
    """Have all three standard streams, of which the writing ones take any character."""
    for name, mode in [("stdin", "r"), ("stdout", "w"), ("stderr", "w")]:
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    for stream in [sys.stdout, sys.stderr]:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("COLUMNS", "") in ["0", "1"]:
        del os.environ["COLUMNS"]      # rich would lay out no tables, or for ever


def silence(stream):
    """Let nothing more be written to STREAM, not even what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def interrupted(error):
    """Whether Ctrl-C is behind an error: Hy makes others of it while it compiles."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def one_line(text):
    """TEXT without what would break the line or steer a terminal: such characters are escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def voice():
    """As whom to name what went wrong; None where another process does that for all."""
    if "RANK" not in os.environ:
        return "nanogpt-hy"
    from nanogpt_hy.lab.training.launch import voice

    return voice()


def main(arguments=None):
    """Run one command: 0 when done, 1 when the work failed, 2 when the request was wrong."""
    settle_streams()
    arguments = without_bare_ckpt(sys.argv[1:] if arguments is None else arguments)
    CycloptsError = ()      # nothing is one, until it is loaded
    try:
        # In here, since Ctrl-C may come while they are read.
        from cyclopts import CycloptsError

        from nanogpt_hy.cli import app
        from nanogpt_hy.complaints import complaint

        if "RANK" in os.environ:
            from nanogpt_hy.lab.training.launch import check_command

            check_command(arguments)
        status = app(arguments, exit_on_error=False, print_error=False,
                     result_action="return_value")
        sys.stdout.flush()
        return status or 0
    except (KeyboardInterrupt, HyMacroExpansionError) as error:
        if not interrupted(error):
            raise
        message, status = "interrupted", 130
    except CycloptsError as error:
        message, status = complaint(error), 2
    except UserError as error:
        message, status = str(error), error.exit_code
    except BrokenPipeError:
        # Whoever read our output has had enough. Nothing may be written at exit either.
        silence(sys.stdout)
        return 0
    except OSError as error:
        why, status = error.strerror or error, 1
        if error.filename is None:
            silence(sys.stdout)
            message = f"the output cannot be written ({why}): send it to another place"
        else:
            message = f"{error.filename} cannot be read or written ({why}): check the permissions"
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        message, status = ("there is not enough memory: use a smaller --batch-size, --block-size, "
                           "--n-layer or --n-embd, or a --tokenizer of fewer tokens", 1)
    if name := voice():
        print(f"{name}: {one_line(message)}", file=sys.stderr, flush=True)
    if "RANK" in os.environ:
        # Gloo's threads abort a process that ends in order while they still wait for another.
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
