"""Users, and directories made alike in eventfs and in tmpfs."""

import os
import signal
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import errorcode
from pathlib import Path
from typing import Any, NamedTuple

from tests.mount.calls import check, libc
from tests.mount.processes import Forked

#: Whose the queues are, a member of their group, others, and the group.
OWNER, MEMBER, STRANGER, OTHER, GROUP = 10_001, 10_002, 10_003, 10_004, 10_010

#: linux/capability.h and linux/prctl.h
CAP_FOWNER, CAP_FSETID = 3, 4
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS = 1, 8

#: A time that nothing has by itself, in nanoseconds.
GIVEN_NS = 10**18

ENDS = ("head", "tail")


class User(NamedTuple):
    """A user whose own group has the same number; *capabilities* None are all that root has."""

    uid: int
    groups: tuple[int, ...] = ()
    capabilities: tuple[int, ...] | None = ()


ROOT = User(0, capabilities=None)

USERS = {
    "owner": User(OWNER),
    "group member": User(MEMBER, (GROUP,)),
    "stranger": User(STRANGER),
    "stranger with CAP_FOWNER": User(STRANGER, capabilities=(CAP_FOWNER,)),
    "root": ROOT,
    "root without capabilities": User(0),
}


class Place(NamedTuple):
    """A queue, or a directory like it, with one `message` to which `head` and `tail` lead."""

    path: Path
    is_queue: bool

    @property
    def message(self) -> Path:
        return self.path / "message"

    @property
    def head(self) -> Path:
        return self.path / "head"

    @property
    def elsewhere(self) -> Path:
        """A directory beside it in which everybody may make files, with the user's `source`."""
        return self.path.parent / "elsewhere"

    def behind(self, end: str) -> Path:
        """Return what to unlink to pop: *end* itself, or the file that it leads to."""
        return self.path / end if self.is_queue else self.message


def make_place(path: Path, mode: int, message_mode: int = 0o644, message_uid: int = OWNER) -> Place:
    """Make a directory of OWNER's and GROUP's with a message, both with an attribute."""
    path.mkdir()
    make_file(path / "message", message_mode, message_uid, GROUP)
    is_queue = (path / "head").is_symlink()
    if not is_queue:
        for end in ENDS:
            (path / end).symlink_to("message")
            os.lchown(path / end, OWNER, GROUP)
    os.setxattr(path, "user.colour", b"red")
    os.chown(path, OWNER, GROUP)
    path.chmod(mode)
    return Place(path, is_queue)


def make_file(path: Path, mode: int, uid: int, gid: int) -> None:
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(fd, b"text")
    os.setxattr(fd, "user.colour", b"green")
    os.fchown(fd, uid, gid)
    os.fchmod(fd, mode)
    os.close(fd)


def make_elsewhere(root: Path, uid: int) -> None:
    path = root / "elsewhere"
    path.mkdir()
    make_file(path / "source", 0o644, uid, uid)
    path.chmod(0o777)


def state(path: Path) -> dict[str, Any]:
    """Return all that an operation may change in a file, or in a directory and what is in it."""
    status = path.lstat()
    found: dict[str, Any] = {
        "mode": stat.filemode(status.st_mode),
        "owners": (status.st_uid, status.st_gid),
        "xattrs": {name: os.getxattr(path, name) for name in sorted(os.listxattr(path))},
        "times given": (status.st_atime_ns == GIVEN_NS, status.st_mtime_ns == GIVEN_NS),
    }
    if path.is_dir():
        found["entries"] = {
            name: state(path / name) for name in sorted(os.listdir(path)) if name not in ENDS
        }
    else:
        found["links"], found["size"] = status.st_nlink, status.st_size
        found["content"] = path.read_bytes()
    return found


def answer(call: Callable[..., object], *arguments: object) -> object:
    """Return what a call returns, or the name of its errno."""
    try:
        return call(*arguments)
    except OSError as error:
        return errorcode[error.errno or 0]


@contextmanager
def done_by(user: User, function: Callable[[], object]) -> Iterator[Any]:
    """Call *function* as a user, in a process that lives until the end; give what it returned."""

    def run() -> object:
        become(user)
        return function()

    child = Forked(run)
    try:
        yield child.result()
    finally:
        child.end()


def become(user: User) -> None:
    """Become a user; there is no way back."""
    os.setgroups(user.groups)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setresgid(user.uid, user.uid, user.uid)
    os.setresuid(user.uid, user.uid, user.uid)
    if user.capabilities is not None:
        bits = sum(1 << capability for capability in user.capabilities)
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        # Effective, permitted and inheritable, of the lower and the higher 32.
        check(libc.capset(header, struct.pack("6I", bits, bits, 0, 0, 0, 0)))
    # A new user takes that back; the parent's death must still be this process's.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def differences(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    """Return what differs, by name."""
    assert one.keys() == other.keys()
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}
