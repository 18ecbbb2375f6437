"""The time that inodes get: the kernel's of its last tick, as on Linux's own filesystems."""

from time import clock_gettime_ns
from typing import Final

#: linux/time.h
_CLOCK_REALTIME_COARSE: Final = 5

# What is Final mypyc doesn't look up again.
_gettime_ns: Final = clock_gettime_ns


def clock_ns() -> int:
    """Return the time in nanoseconds since the epoch."""
    return _gettime_ns(_CLOCK_REALTIME_COARSE)
