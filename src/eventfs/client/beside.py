"""A queue of this process's own, beside another in its mount.

eventfs removes it, whatever is in it then, when the process dies. (That's later than one might
think if the process becomes another program by exec, and never too early.)
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from eventfs.client.errors import AccessDenied, QueueError, translated
from eventfs.client.names import fresh_name


class Purpose(NamedTuple):
    """What a queue of one's own is for."""

    name: str
    """The first part of its name."""
    who: str
    """Who needs it, and..."""
    reason: str
    """... for what, as is said where it can't be made."""
    instead: str
    """What to do without it."""


@contextmanager
def parent_of(directory: int, queue: str, purpose: Purpose) -> Iterator[tuple[int, int]]:
    """Open what a queue is in: return a handle to the mount's root, and the mount's number.

    QueueError with EXDEV where only that queue is to be seen, and not what is beside it.
    """
    # By the kernel's `..`: the path may lead through links, or be the queue's mountpoint.
    with translated(queue):
        parent = os.open("..", os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
    try:
        with translated(queue):
            device = os.stat(parent).st_dev
            if device != os.stat(directory).st_dev:
                raise QueueError(
                    errno.EXDEV,
                    f"no queue of the {purpose.who}'s own can be made beside it, {purpose.reason}",
                    queue,
                    f"{purpose.instead}, or where all of the mount can be seen",
                )
        yield parent, device
    finally:
        os.close(parent)


def make(parent: int, queue: str, purpose: Purpose) -> str:
    """Make a queue in the root of a mount that is nobody else's, and return its name (OSError)."""
    # The dot hides it from people who list what is there.
    name = f".{purpose.name}-{fresh_name()}"
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except PermissionError as error:
        raise AccessDenied(
            error.errno or errno.EPERM,
            f"no queue of the {purpose.who}'s own may be made beside it, {purpose.reason}",
            queue,
            f"{purpose.instead}, or have the root's mode allow it; in a container eventfs must run"
            " in its parent pid namespace",
        ) from error
    return name
