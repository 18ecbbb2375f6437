"""What starts after wait() has returned never finds the queue."""

import os
import signal
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.daemon import IN_USE
from tests.mount.making import STICKY, is_gone
from tests.mount.processes import Forked
from tests.mounts import Mount


def warm(path: Path) -> None:
    """Let the kernel learn all it can of a queue."""
    (path / "message").write_text("text")
    for name in os.listdir(path):
        (path / name).stat()
        (path / name).lstat()
    (path / "head").read_text()
    os.listxattr(path)


def make_again(path: Path) -> None:
    """Make the queue again, and report that it could be made as a lookup does."""
    path.mkdir()
    assert os.listdir(path) == []
    path.rmdir()
    raise FileNotFoundError(ENOENT, "made again")


def search(path: Path) -> None:
    """Look for the queue in the root's listing."""
    if path.name not in os.listdir(path.parent):
        raise FileNotFoundError(ENOENT, "not listed")


def ask_access(path: Path) -> None:
    if not os.access(path, os.F_OK):
        raise FileNotFoundError(ENOENT, "no access")


FIRST: dict[str, Callable[[Path], object]] = {
    "stat": os.stat,
    "lstat": os.lstat,
    "access": ask_access,
    "mkdir": make_again,
    "rmdir": os.rmdir,
    "listdir": os.listdir,
    "search": search,
    "stat message": lambda path: os.stat(path / "message"),
    "open message": lambda path: os.open(path / "message", os.O_RDONLY),
    "create": lambda path: os.open(path / "new", os.O_CREAT | os.O_WRONLY),
    "create message": lambda path: os.open(path / "message", os.O_CREAT | os.O_WRONLY),
    "readlink": lambda path: os.readlink(path / "head"),
    "open head": lambda path: os.open(path / "head", os.O_RDONLY),
    "unlink": lambda path: os.unlink(path / "head"),
    "chmod": lambda path: path.chmod(0o700),
    "getxattr": lambda path: os.getxattr(path, STICKY),
    "setxattr": lambda path: os.setxattr(path, STICKY, b""),
}


@pytest.mark.parametrize("call", FIRST.values(), ids=FIRST.keys())
def test_what_starts_after_wait_never_finds_the_queue(
    path: Path, call: Callable[[Path], object]
) -> None:
    for _ in range(15):
        owner = Forked(path.mkdir)
        try:
            owner.result()
            warm(path)
        finally:
            owner.end()
        with refused(ENOENT):
            call(path)


def test_what_starts_after_wait_never_finds_a_message_through_a_handle(mount: Mount) -> None:
    path = mount.path / "fated"
    mount.expected.append(IN_USE)
    for _ in range(15):
        owner = Forked(path.mkdir)
        try:
            owner.result()
            warm(path)
            directory = os.open(path, os.O_RDONLY)
        finally:
            owner.end()
        try:
            for name in ("message", "head"):
                with refused(ENOENT):
                    os.stat(name, dir_fd=directory)
        finally:
            os.close(directory)


def test_what_starts_after_the_last_wait_finds_none_of_many_queues(root: Path) -> None:
    for _ in range(5):
        paths = [root / f"fated-{number}" for number in range(20)]
        owners = [Forked(path.mkdir) for path in paths]
        try:
            for owner, path in zip(owners, paths, strict=True):
                owner.result()
                warm(path)
            for owner in owners:
                os.kill(owner.pid, signal.SIGKILL)
        finally:
            for owner in owners:
                owner.end()
        assert [path for path in paths if not is_gone(path)] == []
