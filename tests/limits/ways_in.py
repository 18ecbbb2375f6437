"""Every way to take something that is limited, and what each limit means for it."""

import os
import struct
from collections.abc import Callable
from errno import EDQUOT
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.limits.users import FREE, as_root
from tests.mount.calls import refused
from tests.mount.making import MAKE_FILE, Call
from tests.mounts import wait_until

#: What an extended attribute is charged besides its name and value.
ATTRIBUTE = 128

#: An access control list that says more than a mode does: user::rwx, user:20000:r, group::r,
#: mask::r, other::r (linux/posix_acl_xattr.h).
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [(1, 7, 2**32 - 1), (2, 4, FREE)] + [(tag, 4, 2**32 - 1) for tag in (4, 16, 32)]
)


def give_away(path: Path) -> Path:
    with as_root():
        os.chown(path, 0, 0)
    return path


def get_back(path: Path) -> None:
    me = os.geteuid(), os.getegid()
    with as_root():
        os.chown(path, *me)


def leave_to_others(path: Path) -> Path:
    """Give a file to another group of ours."""
    os.chown(path, -1, FREE)
    return path


def take_for_group(path: Path) -> None:
    os.chown(path, -1, os.getegid())


# Ways to take a queue or a name


class Way(NamedTuple):
    """A way to take one of something, to give it back, and what must be there before."""

    take: Call
    give: Call
    before: Call = lambda _: None


def _make_and_leave(path: Path) -> None:
    path.mkdir()
    leave_to_others(path)


def _make_as_root(path: Path) -> None:
    with as_root():
        path.mkdir()


QUEUES = {
    "mkdir": Way(os.mkdir, os.rmdir),
    "chown": Way(get_back, give_away, _make_as_root),
}
QUEUES_OF_GROUP = {"chgrp": Way(take_for_group, leave_to_others, _make_and_leave)}

#: In a queue in which there is a message called `source`.
NAMES = {
    name: Way(make, os.unlink)
    for name, make in {
        **MAKE_FILE,
        "link": lambda path: os.link(path.with_name("source"), path),
    }.items()
}


# Ways to take bytes: for a message of ten


class Bytes(NamedTuple):
    """A way to take bytes: with what `before` returns `take` takes *cost* of them."""

    cost: int
    take: Callable[[Any], object]
    before: Callable[[Path], Any] = lambda path: os.open(path, os.O_RDWR)
    #: Whether they are really stored; a hole only counts for its user.
    stored: bool = True


DATA = b"x" * 15


def _write(fd: int) -> int:
    return os.write(fd, DATA)


def _opened(flags: int) -> Callable[[Path], int]:
    return lambda path: os.open(path, os.O_RDWR | flags)


def _opened_and_unlinked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR)
    path.unlink()
    return fd


def _send(fd: int) -> None:
    source = os.memfd_create("source")
    os.write(source, DATA)
    assert os.sendfile(fd, source, 0, len(DATA)) == len(DATA)


def _splice(fd: int) -> None:
    reader, writer = os.pipe()
    os.write(writer, DATA)
    assert os.splice(reader, fd, len(DATA)) == len(DATA)


def _set_attribute(path: Path) -> None:
    os.setxattr(path, "user.a", b"1234")


def _with_short_attribute(path: Path) -> Path:
    os.setxattr(path, "user.a", b"1")
    return path


def _second_queue(path: Path) -> Path:
    """Return a queue with an attribute."""
    queue = path.parent.with_name(f"{path.parent.name}-second")
    queue.mkdir()
    _set_attribute(queue)
    return queue


_ATTRIBUTE_COST = len("user.a") + 4 + ATTRIBUTE

BYTES = {
    "write": Bytes(5, _write),
    "write to a new message": Bytes(
        15, _write, lambda path: os.open(path.with_name("new"), os.O_CREAT | os.O_WRONLY)
    ),
    "O_APPEND": Bytes(15, _write, _opened(os.O_APPEND)),
    "O_TRUNC, then write": Bytes(15, _write, _opened(os.O_TRUNC)),
    "pwrite behind a hole": Bytes(35, lambda fd: os.pwrite(fd, DATA, 30)),
    "writev": Bytes(5, lambda fd: os.writev(fd, [DATA[:8], DATA[8:]])),
    "sendfile": Bytes(5, _send),
    "copy_file_range": Bytes(10, lambda fd: os.copy_file_range(fd, fd, 10, 0, 10)),
    "splice": Bytes(5, _splice),
    "truncate": Bytes(5, lambda path: os.truncate(path, 15), lambda path: path, stored=False),
    "ftruncate": Bytes(5, lambda fd: os.ftruncate(fd, 15), stored=False),
    "ftruncate after unlink": Bytes(
        5, lambda fd: os.ftruncate(fd, 15), _opened_and_unlinked, stored=False
    ),
    "write after unlink": Bytes(5, _write, _opened_and_unlinked),
    "posix_fallocate": Bytes(5, lambda fd: os.posix_fallocate(fd, 0, 15)),
    "setxattr": Bytes(_ATTRIBUTE_COST, _set_attribute, lambda path: path),
    "fsetxattr": Bytes(_ATTRIBUTE_COST, _set_attribute),
    "setxattr of a queue": Bytes(_ATTRIBUTE_COST, _set_attribute, lambda path: path.parent),
    "a longer attribute": Bytes(3, _set_attribute, _with_short_attribute),
    "an access control list": Bytes(
        len("system.posix_acl_access") + len(ACL) + ATTRIBUTE,
        lambda path: os.setxattr(path, "system.posix_acl_access", ACL),
        lambda path: path,
    ),
    "a list to be inherited": Bytes(
        len("system.posix_acl_default") + len(ACL) + ATTRIBUTE,
        lambda path: os.setxattr(path, "system.posix_acl_default", ACL),
        lambda path: path.parent,
    ),
    "chown": Bytes(10, get_back, give_away, stored=False),
    "chown of a queue": Bytes(
        _ATTRIBUTE_COST, get_back, lambda path: give_away(_second_queue(path)), stored=False
    ),
}
BYTES_OF_GROUP = {
    "chgrp": Bytes(10, take_for_group, leave_to_others),
    "chgrp of a queue": Bytes(
        _ATTRIBUTE_COST, take_for_group, lambda path: leave_to_others(_second_queue(path))
    ),
}


# What a limit means. These are called in a process of the limited user.


def check_counted(way: Way, places: list[Path], error: int) -> None:
    """Check that all *places* but the last can be taken, and what one more is answered."""
    *fitting, more = places
    for place in places:
        way.before(place)
    for place in fitting:
        way.take(place)
    refused_unchanged(lambda: way.take(more), error, more.parent)
    way.give(fitting[0])
    if error == EDQUOT:
        way.take(more)
    else:
        # The mount has room again when the kernel has forgotten what is gone.
        wait_until(lambda: succeeds(lambda: way.take(more), error), "room in the mount")
    refused_unchanged(lambda: way.take(fitting[0]), error, more.parent)


def check_names(way: Way, queue: Path, limit: int, error: int) -> None:
    """Check that *queue*, which is made for it, takes *limit* names."""
    queue.mkdir()
    (queue / "source").touch()
    check_counted(way, [queue / f"{number}" for number in range(limit)], error)


def check_bytes(way: Bytes, queue: Path, limit: int, error: int) -> None:
    """Check that a way takes just what it costs of *limit* bytes, to the last one."""
    queue.mkdir()
    ballast, message = queue / "ballast", queue / "message"
    assert fill(ballast, error) == limit
    os.truncate(ballast, 0)
    message.write_bytes(b"0123456789")
    target = way.before(message)
    fd = target if isinstance(target, int) else None
    room = fill(ballast, error)
    os.truncate(ballast, room - way.cost + 1)
    refused_unchanged(lambda: way.take(target), error, queue.parent, fd)
    os.truncate(ballast, room - way.cost)
    way.take(target)
    refused_unchanged(lambda: append(ballast, 1), error, queue.parent, fd)


def fill(path: Path, error: int = EDQUOT) -> int:
    """Make a file of less than 4 KiB as large as it may be; return its size."""
    path.touch()
    for count in (1 << bit for bit in reversed(range(12))):
        succeeds(partial(append, path, count), error)
    return path.stat().st_size


def append(path: Path, count: int) -> None:
    with path.open("ab") as file:
        file.write(b"." * count)


def succeeds(call: Callable[[], object], error: int) -> bool:
    """Tell whether a call isn't answered *error*."""
    try:
        call()
    except OSError as refusal:
        if refusal.errno != error:
            raise
        return False
    return True


def refused_unchanged(
    call: Callable[[], object], error: int, directory: Path, fd: int | None = None
) -> None:
    """Check that a call is refused and leaves all as it was."""
    before = state(directory), fd and opened_state(fd)
    with refused(error):
        call()
    assert (state(directory), fd and opened_state(fd)) == before, "it has changed something"


def state(path: Path) -> object:
    """Return all that can be seen at and below a path, but when it was read."""
    if path.is_symlink():
        return os.readlink(path)
    if path.is_dir():
        content: object = [(name, state(path / name)) for name in os.listdir(path)]
    elif os.access(path, os.R_OK):
        content = path.read_bytes()
    else:
        content = None
    xattrs = [(name, os.getxattr(path, name)) for name in os.listxattr(path)]
    return _but_atime(path.stat()), xattrs, content


def opened_state(fd: int) -> object:
    content = Path(f"/proc/self/fd/{fd}").read_bytes()  # the handle may be for writing only
    return _but_atime(os.fstat(fd)), os.lseek(fd, 0, os.SEEK_CUR), os.listxattr(fd), content


def _but_atime(stat: os.stat_result) -> dict[str, int]:
    names = ("mode", "ino", "nlink", "uid", "gid", "size", "blocks", "mtime_ns", "ctime_ns")
    return {name: getattr(stat, f"st_{name}") for name in names}
