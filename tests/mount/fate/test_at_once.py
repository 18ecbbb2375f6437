"""What starts after wait() has returned never finds the queue."""

import os
import signal
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.daemon import IN_USE, Mounter
from tests.mount.making import STICKY, is_gone
from tests.mount.processes import Fork, Forked, wait_until_blocked
from tests.mounts import Mount, wait_until


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


#: Lets the daemon wait between learning that there is a request and reading it, as long as the
#: file argv[-1]/../hold exists; while it waits, there is argv[-1]/../held too.
HOLD = """
import pathlib, sys, time
from eventfs.mount.reader import Reader
wait_readable = Reader.wait_readable
directory = pathlib.Path(sys.argv[-1]).parent
async def wait_and_hold(self, fd):
    await wait_readable(self, fd)
    if (directory / "hold").exists():
        (directory / "held").touch()
        while (directory / "hold").exists():
            time.sleep(0.001)
Reader.wait_readable = wait_and_hold
"""


def test_a_request_that_came_after_a_death_is_not_read_before_it(
    mounter: Mounter, tmp_path: Path, fork: Fork
) -> None:
    """The daemon is told of a request that is then withdrawn: it reads another, newer one."""
    path = mounter("-o", "allow_other", program=HOLD).path / "fated"
    owner = fork(path.mkdir)
    path.stat()  # else the kernel asks for the root's attributes before it asks for the name
    (tmp_path / "hold").touch()
    withdrawn = Forked(lambda: os.stat(path))
    asking = None
    try:
        wait_until((tmp_path / "held").exists, "the daemon to be held")
        withdrawn.end()
        owner.end()
        asking = Forked(lambda: os.stat(path))
        wait_until_blocked(asking.pid)
        (tmp_path / "hold").unlink()
        with refused(ENOENT):
            asking.result()
    finally:
        (tmp_path / "hold").unlink(missing_ok=True)
        withdrawn.end()
        if asking is not None:
            asking.end()
