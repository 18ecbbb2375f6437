"""inotify(7), as far as tests need it."""

import ctypes
import os
import select
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.mount.calls import check, libc

#: How long an event may take, in seconds: a thousand times as long as it does.
DEADLINE_S = 5

#: sys/inotify.h
NAMES = {
    0x2: "IN_MODIFY",
    0x4: "IN_ATTRIB",
    0x8: "IN_CLOSE_WRITE",
    0x40: "IN_MOVED_FROM",
    0x80: "IN_MOVED_TO",
    0x100: "IN_CREATE",
    0x200: "IN_DELETE",
    0x400: "IN_DELETE_SELF",
    0x8000: "IN_IGNORED",
}
ALL = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400


class Event(NamedTuple):
    """What happened, and to which name in the watched directory."""

    what: str
    name: str = ""


class Watch:
    """A watch on one file or directory."""

    def __init__(self, path: Path, mask: int = ALL) -> None:
        """Start watching."""
        self._fd = check(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        check(libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def events(self) -> list[Event]:
        """Return what has happened since the last call."""
        try:
            said = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return []
        events = []
        at = 0
        while at < len(said):
            # struct inotify_event
            _, mask, _, length = struct.unpack_from("=iIII", said, at)
            name = said[at + 16 : at + 16 + length].rstrip(b"\0")
            events.append(Event(NAMES[mask & 0xFFFF], os.fsdecode(name)))
            at += 16 + length
        return events

    def events_until(self, last: str) -> list[Event]:
        """Wait for an event of the kind *last*; return what came up to it."""
        events: list[Event] = []
        end = time.monotonic() + DEADLINE_S
        while last not in [event.what for event in events]:
            left = end - time.monotonic()
            assert left > 0, f"no {last}, only {events}"
            select.select([self._fd], [], [], left)
            events += self.events()
        return events
