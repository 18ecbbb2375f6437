"""Fixtures for tests of the mount."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.processes import Fork, Forked
from tests.mounts import Mount


@pytest.fixture
def fork() -> Iterator[Fork]:
    """Fork processes that are gone at the test's end; arguments are those of `Forked`.

    The function has been called when this returns, and has raised nothing.
    """
    children: list[Forked] = []

    def fork(function: Callable[[], object], uid: int = 0) -> Forked:
        children.append(Forked(function, uid))
        children[-1].result()
        return children[-1]

    yield fork
    for child in children:
        child.end()


@pytest.fixture
def root(shared_mount: Mount) -> Path:
    """The root of the shared mount."""
    return shared_mount.path


@pytest.fixture
def path(root: Path) -> Path:
    """Where a queue is to be made by somebody who dies before the test ends."""
    return root / "fated"


@pytest.fixture
def other_queue(root: Path, fork: Fork) -> Path:
    """A queue of another process."""
    path = root / "other-queue"
    fork(path.mkdir)
    return path
