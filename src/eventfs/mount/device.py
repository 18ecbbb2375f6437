"""The system calls of each request, none of which waits.

In C (`_device.c`) they save a tenth of a port's time; here is the same for where that wasn't
compiled.
"""

import os
import select

from eventfs.mount import wire

try:
    from eventfs.mount._device import answer, readable, receive
except ImportError:
    #: Larger answers aren't copied behind their headers.
    _SMALL_BYTES = 65_536

    #: Made once: that takes longer than to ask.
    _polls: dict[int, select.poll] = {}

    def receive(fd: int, buffer: bytearray, /) -> wire.Header | None:
        """Read a request and return its header; None where there is none (OSError)."""
        try:
            os.readv(fd, (buffer,))
        except BlockingIOError:
            return None
        header: wire.Header = wire.IN_HEADER.unpack_from(buffer)
        return header

    def answer(fd: int, number: int, error: int, body: bytes | memoryview, /) -> None:
        """Answer the request with this number, if somebody still waits for that (OSError).

        With an errno, or 0 and a body.
        """
        header = wire.OUT_HEADER.pack(wire.OUT_HEADER.size + len(body), -error, number)
        try:  # contextlib.suppress would take as long as the call
            if len(body) <= _SMALL_BYTES:
                os.write(fd, header + body)
            else:
                os.writev(fd, (header, body))
        except FileNotFoundError:
            return

    def readable(fd: int, /) -> bool:
        """Tell whether a descriptor polls as readable."""
        poll = _polls.get(fd)
        if poll is None:
            poll = _polls[fd] = select.poll()
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))


__all__ = ["answer", "readable", "receive"]
