"""The directories on which the checks run, and handles in them."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mounts import mounted_tmpfs


@pytest.fixture(scope="session")
def tmpfs(public_path: Path) -> Iterator[Path]:
    """A filesystem of the kernel's own, against which the checks are checked."""
    with mounted_tmpfs(public_path / "tmpfs", "size=100m") as path:
        yield path


@pytest.fixture(params=["queue", "tmpfs"])
def directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty directory of the filesystem, and of the reference."""
    if request.param == "queue":
        yield request.getfixturevalue("queue")
        return
    path = request.getfixturevalue("tmpfs") / "directory"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def open_directory(directory: Path) -> Path:
    """A directory in which everybody may make files."""
    directory.chmod(0o777)
    return directory


@pytest.fixture
def fd(directory: Path) -> Iterator[int]:
    """A handle on an empty file called `file`, for reading and writing."""
    fd = os.open(directory / "file", os.O_CREAT | os.O_RDWR, 0o644)
    yield fd
    os.close(fd)


@pytest.fixture
def handle() -> Iterator[Callable[..., int]]:
    """Open files, and close them at the test's end; arguments are those of os.open."""
    handles: list[int] = []

    def handle(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
        handles.append(os.open(path, flags, mode))
        return handles[-1]

    yield handle
    for opened in handles:
        os.close(opened)


@pytest.fixture
def writer(directory: Path, handle: Callable[..., int]) -> int:
    """The handle that has created `file`, for writing only, and has written `begin`."""
    fd = handle(directory / "file", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"begin")
    return fd
