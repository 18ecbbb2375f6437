"""The system calls of each request, none of which waits.

In C (`_device.c`) they take half the time; here is the same for where that wasn't compiled.
"""

import contextlib
import os
import select

from eventfs.mount import wire

try:
    from eventfs.mount._device import answer, readable, receive
except ImportError:

    def receive(fd: int, buffer: bytearray, /) -> wire.Header | None:
        """Read a request and return its header; None where there is none (OSError)."""
        try:
            os.readv(fd, (buffer,))
        except BlockingIOError:
            return None
        header: wire.Header = wire.IN_HEADER.unpack_from(buffer)
        return header

    def answer(fd: int, number: int, body: bytes | memoryview, /) -> None:
        """Answer the request with this number, if somebody still waits for that (OSError)."""
        header = wire.OUT_HEADER.pack(wire.OUT_HEADER.size + len(body), 0, number)
        with contextlib.suppress(FileNotFoundError):
            os.writev(fd, (header, body))

    def readable(fd: int, /) -> bool:
        """Tell whether a descriptor polls as readable."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))


__all__ = ["answer", "readable", "receive"]
