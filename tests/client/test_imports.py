"""The client needs the standard library only, and loads what takes time when it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import eventfs
import eventfs.client

MODULES = [
    Path(eventfs.__path__[0]) / "__init__.py",
    *Path(eventfs.client.__path__[0]).glob("*.py"),
]


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a statement loads into a fresh interpreter."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*sys.modules - before)"
    program = program.replace("sys.modules - before", "set(sys.modules) - before")
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def unwanted(modules: set[str]) -> set[str]:
    packages = {"pyfuse3", "trio", "psutil", "rich", "inotify_simple"}
    parts = ("eventfs.mount", "eventfs.queues", "eventfs.commands", "eventfs.config")
    return {
        name for name in modules if name.partition(".")[0] in packages or name.startswith(parts)
    }


@pytest.mark.parametrize(
    "statement",
    ["import eventfs", "from eventfs import Queue", "from eventfs import QueueError, Message"],
)
def test_neither_the_daemon_nor_asyncio_is_loaded(statement: str) -> None:
    modules = loaded_by(statement)
    assert "eventfs.client.errors" in modules
    assert not unwanted(modules)
    assert "asyncio" not in modules


def test_asyncio_is_loaded_with_the_queue_that_needs_it() -> None:
    modules = loaded_by("from eventfs import AsyncQueue")
    assert "asyncio" in modules
    assert not unwanted(modules)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_all_that_is_imported_is_of_the_client_or_pythons_own(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            names = [node.module or ""]
        else:
            continue
        for name in names:
            package = name.partition(".")[0]
            assert name.startswith("eventfs.client") or package in sys.stdlib_module_names
            assert package != "asyncio" or path.stem == "aio"


@pytest.mark.parametrize("name", eventfs.__all__)
def test_all_names_are_there(name: str) -> None:
    assert getattr(eventfs, name).__name__ == name
    assert getattr(eventfs, name).__doc__


def test_no_others_are() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Que'"):
        eventfs.Que  # noqa: B018
