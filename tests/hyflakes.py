"""pyflakes for Hy: checks the tree that Hy compiles a file to. Also a command: python tests/hyflakes.py FILE…

Hy finds a forgotten `require`, a misspelt name or an argument list in an old style only when the line runs, and some never.
"""

import ast
import re
import sys
import types
from pathlib import Path

import hy
from hy.compiler import hy_compile
from hy.errors import HyError
from pyflakes import messages
from pyflakes.checker import Checker


class _Checker(Checker):
    """pyflakes, for a language in which a string in an annotation is a value: (one-of "cpu" "cuda")."""

    def handleStringAnnotation(self, *arguments, **keywords):
        pass


def module_name(path):
    """The dotted name that a file is imported by: src/nanogpt_hy/config.hy -> nanogpt_hy.config."""
    parts = path.with_suffix("").parts
    if "src" in parts:
        parts = parts[len(parts) - parts[::-1].index("src"):]
    else:
        parts = parts[-1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def compiled(path, name):
    """The file's tree, its macros expanded as they are when it is imported."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    module.__package__ = name if path.stem == "__init__" else name.rpartition(".")[0]
    forms = hy.read_many(path.read_text(encoding="utf-8"), filename=str(path), skip_shebang=True)
    return hy_compile(forms, module, import_stdlib=False)


def in_hy(text):
    """pyflakes' words with Hy's names: hyx_… back to what was written."""
    return re.sub(r"\bhyx_\w+", lambda found: hy.unmangle(found[0]), text)


def _wrong_nodes(tree):
    """What Python accepts and nobody means: (line, words)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and "Xampersand" in node.arg:
            yield node.lineno, f"{hy.unmangle(node.arg)} is an old lambda-list keyword: write * [name default], #* or #**"
        elif isinstance(node, ast.Subscript):
            if any(isinstance(part, ast.Attribute) and part.attr == "Keyword" for part in ast.walk(node.slice)):
                yield node.lineno, "a :keyword as an index: a computed bound is written (: a b)"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if re.search(r"X\w+X", node.name) and node.name.startswith("hyx_"):
                yield node.lineno, f"{hy.unmangle(node.name)} has a mangled name in Python: letters, digits, hyphens only"
            only = node.body[0] if len(node.body) == 1 else None
            if isinstance(only, ast.Return) and isinstance(only.value, ast.Constant) and isinstance(only.value.value, str):
                yield node.lineno, f"{hy.unmangle(node.name)} returns its only string: that is no docstring"


def check(path, name=None):
    """One line for each problem of the file at `path`; [] where there is none."""
    path = Path(path)
    try:
        tree = compiled(path, name or module_name(path))
    except (HyError, SyntaxError) as error:
        return [f"{path}:{getattr(error, 'lineno', None) or 1}: {error}"]
    found = [(line, words) for line, words in _wrong_nodes(tree)]
    for message in _Checker(tree, str(path), builtins={"hy"}).messages:
        words = message.message % message.message_args
        own_temporary = "'_hy_" in words                  # the compiler's, not the author's
        contents_page = path.stem == "__init__" and isinstance(message, messages.UnusedImport)
        if not own_temporary and not contents_page:
            found.append((message.lineno, in_hy(words)))
    return [f"{path}:{line}: {words}" for line, words in sorted(set(found))]


if __name__ == "__main__":
    problems = [line for argument in sys.argv[1:] for line in check(argument)]
    print("\n".join(problems) or "ok")
    sys.exit(bool(problems))
