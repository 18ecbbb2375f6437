"""A queue's directory: found by its path, and used by a handle from then on.

A handle goes on meaning the same queue, also when its owner dies and another queue gets the name.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from eventfs.client.errors import NoSuchQueue, NotEventfs, translated

#: A queue's ports: a message a call, and a message a line.
PIPE = ".pipe"
LINES = ".lines"

#: The links to the oldest and the newest message.
HEAD = "head"
TAIL = "tail"

#: A queue's own limit.
MAX_BYTES = "user.eventfs_max_bytes"


def opened(path: str) -> int:
    """Return a handle to names in a queue (NoSuchQueue, NotEventfs, AccessDenied, DaemonDied)."""
    with translated(path, NoSuchQueue):
        directory = os.open(path, os.O_PATH | os.O_DIRECTORY)
        try:
            _check_port(directory, path)
        except BaseException:
            os.close(directory)
            raise
    return directory


def open_port(directory: int, name: str, path: str) -> int:
    """Open a port for both ways, and not to wait."""
    port = os.open(name, os.O_RDWR | os.O_NONBLOCK, dir_fd=directory)
    try:
        os.lseek(port, 0, os.SEEK_CUR)
    except OSError as error:
        if error.errno == errno.ESPIPE:
            return port
        os.close(port)
        raise
    # Somebody's file that happens to be called so.
    os.close(port)
    raise _no_queue(path)


@contextmanager
def readable(directory: int) -> Iterator[int]:
    """Open a queue for a while to list it and to get at its attributes.

    FileNotFoundError means that it has vanished.
    """
    handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
    try:
        yield handle
    finally:
        os.close(handle)


def names(directory: int) -> list[str]:
    """Return the names of all messages, in the order in which they arrived."""
    with readable(directory) as handle:
        return [name for name in os.listdir(handle) if name not in (HEAD, TAIL)]


def attribute(handle: int, name: str) -> str | None:
    """Return an attribute's value; None where there is none."""
    try:
        return os.fsdecode(os.getxattr(handle, name))
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def has_vanished(directory: int) -> bool:
    """Tell whether the queue has vanished since it was opened."""
    try:
        with readable(directory):
            return False
    except FileNotFoundError:
        return True
    except PermissionError:
        # Then the kernel can tell, if a moment later.
        return os.fstat(directory).st_nlink == 0


def limit_bytes(directory: int) -> int:
    """Return how large a message could be if nothing else were there, as far as it is known.

    statfs(2) tells limits in blocks, so it may be almost a block more than the limit is.
    """
    room = os.statvfs(directory)
    limit = (room.f_blocks + 1) * room.f_frsize - 1
    # Who may only write isn't told of the queue's own.
    with suppress(PermissionError), readable(directory) as handle:
        own = attribute(handle, MAX_BYTES)
        return limit if own is None else min(limit, int(own))
    return limit


def _check_port(directory: int, path: str) -> None:
    try:
        port = os.stat(PIPE, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        if has_vanished(directory):
            raise
        raise _no_queue(path) from None
    if not stat.S_ISREG(port.st_mode) or port.st_size:
        raise _no_queue(path)


def _no_queue(path: str) -> NotEventfs:
    return NotEventfs(
        errno.ENOTSUP,
        "it is no queue of an eventfs mount",
        path,
        "name a directory that was made in a mount of eventfs",
    )
