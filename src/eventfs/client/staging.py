"""Where a message is written before anybody sees it: a queue of the sender's own, beside others.

A process has one for each mount, made when it is first needed. eventfs removes it, with whatever is
half written, when the process dies. (That's later than one might think if the process becomes
another program by exec, and never too early.)
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from eventfs.client.errors import AccessDenied, QueueError, translated
from eventfs.client.names import fresh_name


class _Places:
    """The names of a process's staging queues, by mount."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.lock = threading.Lock()


_places = _Places()


def _after_fork() -> None:
    # A parent's queues aren't a child's: they end with the parent.
    global _places  # noqa: PLW0603  # a process has one
    _places = _Places()


os.register_at_fork(after_in_child=_after_fork)


class Staged:
    """A message that is whole, and that nobody else sees yet."""

    def __init__(self, parent: int, path: str) -> None:
        self._parent = parent
        self._path = path

    def link(self, directory: int, name: str) -> None:
        """Add it to a queue (OSError; EXDEV where the two are on different mounts)."""
        os.link(self._path, name, src_dir_fd=self._parent, dst_dir_fd=directory)

    def open(self) -> int:
        """Open it for reading."""
        return os.open(self._path, os.O_RDONLY, dir_fd=self._parent)


class Room:
    """The place for a message beside a queue: first it is found, then the message is written."""

    def __init__(self, parent: int, path: str, file: int, queue: str) -> None:
        self._queue = queue
        self._parent = parent
        self._path = path
        self._file = file
        #: How many bytes have been written, or tried to be.
        self.size = 0

    def write(self, pieces: Iterable[bytes | memoryview]) -> Staged:
        """Write the message (QueueError; and what the pieces' own source raises)."""
        for piece in pieces:
            self.size += len(piece)
            left = memoryview(piece)
            with translated(self._queue):
                while left:
                    left = left[os.write(self._file, left) :]
        return Staged(self._parent, self._path)


@contextmanager
def room_beside(directory: int, queue: str) -> Iterator[Room]:
    """Make room for a message for a queue; at the end it has no name here any more.

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
                    "no queue of the sender's own can be made beside it, for a message that large",
                    queue,
                    "send less at once, or where all of the mount can be seen",
                )
            path, file = _created(parent, device, queue)
        try:
            yield Room(parent, path, file, queue)
        finally:
            # Where this fails, it is gone, or goes with our queue.
            with suppress(OSError):
                os.unlink(path, dir_fd=parent)
            with suppress(OSError):
                os.close(file)
    finally:
        os.close(parent)


def _created(parent: int, device: int, queue: str) -> tuple[str, int]:
    """Create a file in our queue: return its path from *parent*, and a descriptor."""
    place = _place(parent, device, queue)
    try:
        return _create_in(place, parent)
    except (FileNotFoundError, PermissionError):
        # Somebody removed our queue, or we aren't the user any more who made it.
        with _places.lock:
            if _places.names.get(device) == place:
                del _places.names[device]
    return _create_in(_place(parent, device, queue), parent)


def _create_in(place: str, parent: int) -> tuple[str, int]:
    path = f"{place}/{fresh_name()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return path, os.open(path, flags, 0o666, dir_fd=parent)


def _place(parent: int, device: int, queue: str) -> str:
    """Return the name of our queue in the root of a mount; make it where there is none."""
    with _places.lock:
        if device not in _places.names:
            # The dot hides it from people who list what is there.
            name = f".staging-{fresh_name()}"
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except PermissionError as error:
                raise AccessDenied(
                    error.errno or errno.EPERM,
                    "no queue of the sender's own may be made beside it, for a message that large",
                    queue,
                    "send less at once, or have the root's mode allow it; in a container eventfs"
                    " must run in its parent pid namespace",
                ) from error
            _places.names[device] = name
        return _places.names[device]
