"""Messages by their names: what a port doesn't tell or doesn't hand over.

Errors are the system calls' own; FileNotFoundError means that the queue has vanished.
"""

import errno
import os

from eventfs.client.directory import HEAD, has_vanished
from eventfs.client.message import Message

#: So much of a message is read with one call.
_READ_BYTES = 1 << 20

#: Somebody else was faster. The second: so much faster that the kernel has given up looking.
GONE = (errno.ENOENT, errno.ESTALE)


def put_empty(directory: int, name: str) -> None:
    """Add a message of no bytes, which is whole when its name is there."""
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory))


def take_oldest(directory: int) -> Message | None:
    """Take the oldest message; None where there is none.

    Just one of all competing consumers gets it: who unlinks `head` after having opened it, in the
    same thread, unlinks what was opened or is told that somebody else was faster.
    """
    while (message := look_at_oldest(directory)) is not None:
        try:
            os.unlink(HEAD, dir_fd=directory)
        except OSError as error:
            if error.errno not in GONE:
                raise
            continue
        return message
    return None


def look_at_oldest(directory: int) -> Message | None:
    """Read the oldest message, and leave it there; None where there is none."""
    while (name := oldest_name(directory)) is not None:
        try:
            # The link itself is opened, since eventfs remembers who came by it. The name may lead
            # elsewhere by now; inode numbers are never used twice, so they tell.
            message = _read(directory, HEAD, name)
        except OSError as error:
            if error.errno not in GONE:
                raise
            continue
        if message is not None:
            return message
    return None


def oldest_name(directory: int) -> str | None:
    """Return the oldest message's name; None where there is none."""
    try:
        return os.readlink(HEAD, dir_fd=directory)
    except OSError as error:
        if error.errno not in GONE or has_vanished(directory):
            raise
        return None


def look_at(directory: int, name: str) -> Message | None:
    """Read a message, and leave it there; None if it has gone."""
    try:
        return _read(directory, name, name)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return None


def _read(directory: int, opened: str, name: str) -> Message | None:
    """Read what is *opened*, if it is also called *name*."""
    file = os.open(opened, os.O_RDONLY, dir_fd=directory)
    try:
        about = os.fstat(file)
        if opened != name:
            named = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if named.st_ino != about.st_ino:
                return None
        pieces = iter(lambda: os.read(file, _READ_BYTES), b"")
        return Message(b"".join(pieces), name, about.st_uid, about.st_mtime)
    finally:
        os.close(file)
