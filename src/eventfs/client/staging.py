"""Where a message is written before anybody sees it: a queue of the sender's own, beside others.

A process has one for each mount, made when it is first needed. It vanishes with the process, and so
does whatever is half written.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from eventfs.client import beside
from eventfs.client.errors import translated
from eventfs.client.names import fresh_name

_STAGING = beside.Purpose(
    name="staging",
    who="sender",
    reason="for a message that large",
    instead="send less at once",
)


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
    with beside.parent_of(directory, queue, _STAGING) as (parent, device):
        with translated(queue):
            path, file = _created(parent, device, queue)
        try:
            yield Room(parent, path, file, queue)
        finally:
            # Where this fails, it is gone, or goes with our queue.
            with suppress(OSError):
                os.unlink(path, dir_fd=parent)
            with suppress(OSError):
                os.close(file)


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
            _places.names[device] = beside.make(parent, queue, _STAGING)
        return _places.names[device]
