"""What the checks share.

The checks in this folder are black-box: they hold in any directory. So each runs on a queue, and on
tmpfs, which checks the check. In listings `head` and `tail` are passed over: that a queue shows
them is the one difference.
"""

import mmap
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.mounts import wait_until

PAGE = mmap.PAGESIZE

#: linux/time.h: the clock that stamps files on tmpfs. It moves every few milliseconds.
CLOCK_REALTIME_COARSE = 5

#: More than the kernel sends in one request (1 MiB), and no multiple of anything.
BIG = 3_000_017


def names(directory: Path) -> set[str]:
    return set(os.listdir(directory)) - {"head", "tail"}


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311  # data, no secret


def set_old(path: Path) -> None:
    """Give a file times that any change will differ from."""
    os.utime(path, (1, 1))


def moved(before: os.stat_result, after: os.stat_result) -> set[str]:
    """Tell which times have changed."""
    return {
        time
        for time in ("atime", "mtime", "ctime")
        if getattr(before, f"st_{time}_ns") != getattr(after, f"st_{time}_ns")
    }


def tick() -> None:
    """Wait until the kernel's coarse clock, which stamps files on tmpfs, has moved."""
    start = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    wait_until(lambda: time.clock_gettime_ns(CLOCK_REALTIME_COARSE) > start, "the clock to move")


def changes(directory: Path, change: Callable[[], object], name: str = "file") -> set[str]:
    """Return the times that *change* moves."""
    tick()
    before = (directory / name).stat()
    change()
    return moved(before, (directory / name).stat())
