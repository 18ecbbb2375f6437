"""What is open of a queue: its directory, and its ports when they are needed."""

import os
import resource
from contextlib import suppress
from types import TracebackType
from typing import Self

from eventfs.client import directory
from eventfs.client.directory import LINES, PIPE
from eventfs.client.errors import translated

#: The largest message that a port takes, in bytes; a larger one goes by way of a file.
PORT_BYTES = 255 * 4096

#: What a port is read with at first, and at most: the kernel hands over no more with one call. It
#: pins all pages of a buffer: a message of 100 bytes takes 30 µs with 4 KiB, 36 with 64 KiB, and
#: 750 with 1 MiB.
_FIRST_READ_BYTES = 4096
CHEAP_READ_BYTES = 1 << 16
MAX_READ_BYTES = 1 << 20

#: Instead of a descriptor.
CLOSED = -1


class Handles:
    """A queue that is open; closed at the end of a `with` statement, or by `close`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the queue at *path* (NoSuchQueue, NotEventfs, AccessDenied, DaemonDied)."""
        self._directory = self._pipe = self._lines = CLOSED
        # Kept until the object is closed, whichever thread was first to open it.
        self._ports: dict[str, int] = {}
        self._path = os.fspath(path)
        # Where it is also when the process goes elsewhere.
        self._absolute_path = os.path.abspath(self._path)
        self._read_bytes = _FIRST_READ_BYTES
        self._read_lines_bytes = CHEAP_READ_BYTES
        self._write_bytes = _whole_write_bytes()
        self._directory = directory.opened(self._path)

    def close(self) -> None:
        """Close what is open of the queue; the queue itself stays."""
        opened = (self._directory, *self._ports.values())
        self._directory = self._pipe = self._lines = CLOSED
        self._ports = {}
        for descriptor in opened:
            if descriptor != CLOSED:
                # A dead daemon's ports are closed all the same.
                with suppress(OSError):
                    os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    @property
    def path(self) -> str:
        """The path as it was given."""
        return self._path

    @property
    def name(self) -> str:
        """The queue's name in the path; follow it by that."""
        return os.path.basename(self._absolute_path)

    def fileno(self) -> int:
        """Return the port's descriptor, to wait with others in a poll of your own.

        It is readable when there is a message, writable when the limits have room for one, and
        hangs up when the queue vanishes. Raises AccessDenied where one may only look.
        """
        if self._pipe == CLOSED:
            self._open_pipe()
        return self._pipe

    # Ports are opened when they are first needed: who may only look can't open them.

    def _open_pipe(self) -> None:
        self._pipe = self._open_port(PIPE)

    def _lines_port(self) -> int:
        if self._lines == CLOSED:
            self._lines = self._open_port(LINES)
        return self._lines

    def _open_port(self, name: str) -> int:
        with translated(self._path):
            port = directory.open_port(self._directory, name, self._path)
        kept = self._ports.setdefault(name, port)
        if kept != port:  # another thread was faster
            os.close(port)
        return kept


def _whole_write_bytes() -> int:
    """Return how much goes through a port with one write, whole or not at all."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return PORT_BYTES if soft == resource.RLIM_INFINITY else min(PORT_BYTES, soft)
