"""The rules are reached without a kernel, a clock, files or threads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import eventfs.queues

MODULES = sorted(Path(eventfs.queues.__path__[0]).glob("*.py"))

# What the rules may import besides each other: data structures and names, nothing that acts.
ALLOWED = {
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "enum",
    "itertools",
    "operator",
    "stat",
    "struct",
    "typing",
}

# Python itself has os and time loaded at all times. So it is the import statement that refuses, and
# only where a module of the rules executes it.
BLOCK = f"""
import builtins, importlib, importlib.util, pkgutil, sys

really_import = builtins.__import__

def import_if_allowed(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {{}}).get("__name__") or ""
    if importer.startswith("eventfs.queues"):
        target = importlib.util.resolve_name("." * level + name, globals["__package__"])
        if target not in {ALLOWED!r} and not target.startswith("eventfs.queues"):
            raise ImportError(f"{{importer}} imports {{target}}")
    return really_import(name, globals, locals, fromlist, level)

builtins.__import__ = import_if_allowed
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter, after BLOCK."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK + program], check=False, capture_output=True, text=True
    )


def test_the_rules_import_nothing_that_acts() -> None:
    done = run("""
import eventfs.queues
for module in pkgutil.iter_modules(eventfs.queues.__path__):
    importlib.import_module("eventfs.queues." + module.name)
    print(module.name)
foreign = {"trio", "psutil", "eventfs.mount", "eventfs.commands"} & sys.modules.keys()
assert not foreign, foreign
""")
    assert done.stderr == ""
    assert done.stdout.split() == [path.stem for path in MODULES if path.stem != "__init__"]


@pytest.mark.parametrize(
    "statement",
    [
        "import os",
        "import time",
        "from threading import Lock",
        "import psutil",
        "from eventfs import mount",
        "from ..mount import errnos",
        "import importlib",
    ],
)
def test_the_block_would_notice(statement: str) -> None:
    globals_ = {"__name__": "eventfs.queues.intruder", "__package__": "eventfs.queues"}
    done = run(f"import eventfs.queues; exec({statement!r}, {globals_!r})")
    assert "ImportError: eventfs.queues.intruder imports" in done.stderr


def is_for_types(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_rules_import_where_everybody_sees_it_and_use_no_builtin_that_acts(path: Path) -> None:
    # An import inside a function would be executed only when the function is.
    module = ast.parse(path.read_text())
    types = [node for node in module.body if isinstance(node, ast.If) and is_for_types(node)]
    shown = [*module.body, *(node for block in types for node in block.body)]
    top_level = {node for node in shown if isinstance(node, ast.Import | ast.ImportFrom)}
    for node in ast.walk(module):
        assert not isinstance(node, ast.Import | ast.ImportFrom) or node in top_level
        if isinstance(node, ast.Name):
            assert node.id not in {"open", "print", "input", "exec", "eval", "__import__"}
