"""What starts after wait() has returned never finds the queue."""

import os
import signal
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.making import STICKY, is_gone
from tests.mount.processes import Forked, wait_until_blocked
from tests.mounts import Child, Mount, wait_until

#: More owners than are dealt with before the next request.
MANY = 200

#: Makes a queue with a message in each of many processes, in order; kills all on a line of input.
MANY_OWNERS = f"""
import os, signal, sys
made, tell = os.pipe()
owners = []
for number in range({MANY}):
    owner = os.fork()
    if owner == 0:
        os.mkdir(f"{{sys.argv[1]}}/fated-{{number}}")
        os.close(os.open(f"{{sys.argv[1]}}/fated-{{number}}/message", os.O_CREAT))
        os.write(tell, b".")
        signal.pause()
    owners.append(owner)
    os.read(made, 1)
print("made", flush=True)
sys.stdin.readline()
for owner in owners:
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
print("dead", flush=True)
"""


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


@pytest.mark.parametrize("call", FIRST.values(), ids=FIRST.keys())
def test_nor_does_a_request_that_is_answered_before_all_deaths_are_dealt_with(
    mount: Mount, start: Callable[..., Child], call: Callable[[Path], object]
) -> None:
    before = mount.inodes()
    owners = start(MANY_OWNERS, mount.path)
    assert owners.line == "made"
    last = mount.path / f"fated-{MANY - 1}"
    assert owners.process.stdin is not None
    os.kill(mount.pid, signal.SIGSTOP)
    try:
        owners.process.stdin.write(b"kill\n")
        assert owners.read_line() == "dead"
        client = Forked(lambda: call(last))
        wait_until_blocked(client.pid)
    finally:
        os.kill(mount.pid, signal.SIGCONT)
    try:
        with refused(ENOENT):
            client.result()
    finally:
        client.end()
    wait_until(lambda: mount.inodes() == before, "the memory of all queues to be free")
    assert os.listdir(mount.path) == []
