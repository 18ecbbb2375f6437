"""Fixtures for the tests of eventq."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.eventq.running import Running
from tests.mounts import Mount, wait_until

_numbers = itertools.count()

Start = Callable[..., Running]


@pytest.fixture
def root(shared_mount: Mount) -> Path:
    """The root of a mount for all users."""
    return shared_mount.path


@pytest.fixture
def make(root: Path) -> Iterator[Callable[[], Path]]:
    """Make queues that are gone at the test's end."""
    made: list[Path] = []

    def make() -> Path:
        made.append(root / f"made-{next(_numbers)}")
        made[-1].mkdir()
        return made[-1]

    yield make
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def path(root: Path) -> Iterator[Path]:
    """Where a queue may be made."""
    path = root / f"new-{next(_numbers)}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def begin() -> Iterator[Start]:
    """Start commands that are gone at the test's end; arguments are those of `Running`."""
    running: list[Running] = []

    def begin(*arguments: str | Path, **keywords: object) -> Running:
        running.append(Running(*arguments, **keywords))  # type: ignore[arg-type]
        return running[-1]

    yield begin
    for one in running:
        one.close()


@pytest.fixture
def begin_waiting(begin: Start) -> Start:
    """Start commands as `begin` does, and return when they sleep in poll."""

    def begin_waiting(*arguments: str | Path) -> Running:
        one = begin(*arguments)
        wait_until(one.is_waiting, "the command to be waiting")
        assert one.process.poll() is None, one.end()
        return one

    return begin_waiting
