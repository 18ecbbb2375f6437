"""The examples in the documentation of the API, run on a mount."""

import asyncio
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import eventfs
import eventfs.client
from tests.mounts import Mount

MODULES = [
    eventfs,
    *(
        importlib.import_module(f"eventfs.client.{module.name}")
        for module in pkgutil.iter_modules(eventfs.client.__path__)
    ),
]

#: Those that show how something is used.
WITH_EXAMPLES = {"eventfs", "aio", "message", "names", "queue"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_examples_are_true(module: ModuleType, mount: Mount) -> None:
    names = {name: getattr(eventfs, name) for name in eventfs.__all__}
    globals_ = {**vars(module), **names, "root": mount.path, "asyncio": asyncio, "Path": Path}
    results = doctest.testmod(module, globs=globals_)
    assert results.failed == 0
    assert bool(results.attempted) == (module.__name__.split(".")[-1] in WITH_EXAMPLES)


def methods(kind: type[Any]) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [eventfs.Queue, eventfs.AsyncQueue])
def test_each_method_is_documented(kind: type[Any]) -> None:
    for name, method in methods(kind).items():
        assert inspect.getdoc(method), name


def test_both_kinds_of_queues_have_the_same_methods_and_arguments() -> None:
    plain, by_loop = methods(eventfs.Queue), methods(eventfs.AsyncQueue)
    assert plain.keys() == by_loop.keys()
    for name, method in plain.items():
        if callable(method):
            mine = list(inspect.signature(method).parameters.values())
            theirs = list(inspect.signature(by_loop[name]).parameters.values())
            assert [(p.name, p.kind, p.default) for p in mine] == [
                (p.name, p.kind, p.default) for p in theirs
            ], name


def test_what_may_wait_is_a_coroutine_in_one_of_them() -> None:
    waiting = {
        name
        for name, method in methods(eventfs.AsyncQueue).items()
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    }
    assert waiting == {
        "cast",
        "receive",
        "receive_each",
        "receive_lines",
        "send",
        "send_lines",
        "wait_empty",
    }
