"""Fixtures for the tests of the client."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventfs import Queue, QueueError
from tests.mount.processes import Fork, Forked
from tests.mounts import Mount, mounted

_numbers = itertools.count()


@pytest.fixture(scope="session")
def client_mount(public_path: Path) -> Iterator[Mount]:
    """A mount for all users, where the client may leave its own queues."""
    with mounted(public_path / "client", "-o", "allow_other") as mount:
        yield mount


@pytest.fixture
def root(client_mount: Mount) -> Path:
    """The root of the mount."""
    return client_mount.path


@pytest.fixture
def path(root: Path) -> Iterator[Path]:
    """Where a queue may be made; it is gone at the test's end."""
    path = root / f"queue-{next(_numbers)}"
    yield path
    try:
        Queue(path).remove()
    except QueueError:
        assert not path.exists()


@pytest.fixture
def queue(path: Path) -> Iterator[Queue]:
    """An empty queue of this process."""
    with Queue.create(path) as queue:
        yield queue


@pytest.fixture
def other(root: Path) -> Iterator[Queue]:
    """Another one."""
    with Queue.create(root / f"other-{next(_numbers)}") as queue:
        yield queue
        queue.remove()


@pytest.fixture
def fated(root: Path, fork: Fork) -> tuple[Queue, Forked]:
    """A queue that vanishes when its owner is ended."""
    path = root / f"fated-{next(_numbers)}"
    owner = fork(path.mkdir)
    return Queue(path), owner
