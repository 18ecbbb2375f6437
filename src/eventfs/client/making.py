"""Queues come and go."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from eventfs.client import directory, rules
from eventfs.client.errors import AccessDenied, NoSuchQueue, QueueError, translated
from eventfs.client.stat import KEEP, OWNER, STICKY


def make(path: str, mode: int) -> None:
    """Make the directory."""
    with translated(path, NoSuchQueue):
        try:
            os.mkdir(path, mode)
        except PermissionError as error:
            raise AccessDenied(
                error.errno or errno.EPERM,
                "it may not be made there",
                path,
                "queues don't nest; and eventfs must run in a container's parent pid namespace",
            ) from error


@contextmanager
def undone_on_failure(path: str) -> Iterator[None]:
    """Remove the directory again if what is done with it fails."""
    try:
        yield
    except BaseException as error:
        # If somebody else has, what is there by now would be another.
        if not (isinstance(error, NoSuchQueue) and error.queue == path):
            with suppress(OSError):
                os.rmdir(path)
        raise


def set_attributes(
    path: str,
    *,
    sticky: bool,
    owner: int | None,
    topic: bool,
    options: Mapping[str, rules.Value | None],
) -> None:
    """Make a new queue what it is to be; the owner last, who may be dead already."""
    with translated(path, NoSuchQueue):
        for name, value in options.items():
            if value is not None:
                rules.set_rule(path, path, name, value)
        if topic:
            os.setxattr(path, KEEP, b"no")
        if sticky:
            os.setxattr(path, STICKY, b"")
        if owner is not None:
            _hand_over(path, owner)


def _hand_over(path: str, owner: int) -> None:
    try:
        os.setxattr(path, OWNER, b"%d" % owner)
    except OSError as error:
        number = error.errno or errno.EIO
        if number == errno.EPERM:
            raise AccessDenied(
                number,
                f"process {owner} is another user's",
                path,
                "name a process of the queue's user, or be root",
            ) from error
        if number == errno.ESRCH:
            raise QueueError(
                number, f"there is no process {owner}", path, "name one that lives"
            ) from error
        raise


def remove(handle: int, path: str, take_some: Callable[[], bool]) -> None:
    """Remove the queue at *path* with its messages.

    *take_some* takes many of them in a fast way, and tells whether there were any. After each time
    the queue may be empty for a moment, even if others go on sending.
    """
    while True:
        # First, so that nothing is taken where this isn't allowed anyway.
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        else:
            return
        if not take_some():
            for name in directory.names(handle):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=handle)
