"""Fixtures for tests of mounts that commit messages at close."""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.mount.commit.writers import Write, Writer
from tests.mounts import Mount, mounted

_numbers = count()


@pytest.fixture(scope="session")
def closing_mount(public_path: Path) -> Iterator[Mount]:
    """One mount for all tests that leave no traces in it, for all users."""
    with mounted(public_path / "closing", "-o", "allow_other,commit=close") as mount:
        yield mount


@pytest.fixture
def root(closing_mount: Mount) -> Path:
    """The root of the mount."""
    return closing_mount.path


@pytest.fixture
def queue(root: Path) -> Iterator[Path]:
    """An empty queue; its owner is the process that runs the tests."""
    path = root / f"queue-{next(_numbers)}"
    path.mkdir()
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def write(queue: Path) -> Iterator[Write]:
    """Start processes that write a message and do as they are told; they are gone at the end."""
    writers: list[Writer] = []

    def write(then: str = "", *, begin: str = "begin()") -> Writer:
        writers.append(Writer(queue, begin, then))
        return writers[-1]

    yield write
    for writer in writers:
        writer.close()


@pytest.fixture
def message(queue: Path) -> Iterator[int]:
    """A message of this process that is written and not closed."""
    fd = os.open(queue / "message", os.O_CREAT | os.O_EXCL | os.O_RDWR)
    os.write(fd, b"text")
    yield fd
    os.close(fd)
