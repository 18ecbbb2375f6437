"""How a program uses a queue's ports."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EAGAIN
from pathlib import Path

from tests.mount.calls import refused

#: The largest message that goes through a port.
MAX_BYTES = 255 * 4096

MIB = 1 << 20

FOLLOW, FOLLOWERS = "user.eventfs_follow", "user.eventfs_followers"
DROPPED, KEEP = "user.eventfs_dropped", "user.eventfs_keep"


@contextmanager
def opened(queue: Path, flags: int, name: str = ".pipe") -> Iterator[int]:
    """Open a port for a while."""
    fd = os.open(queue / name, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def put(queue: Path, *contents: bytes, name: str = ".pipe") -> None:
    """Write each content with one call."""
    with opened(queue, os.O_WRONLY, name) as fd:
        for content in contents:
            assert os.write(fd, content) == len(content)


def take(queue: Path, size: int = MIB, name: str = ".pipe") -> bytes:
    """Read with one call; EAGAIN where nothing is there."""
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK, name) as fd:
        return os.read(fd, size)


def take_all(queue: Path) -> list[bytes]:
    """Take message by message until none is there."""
    taken = []
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK) as fd, refused(EAGAIN):
        while True:
            taken.append(os.read(fd, MIB))
    return taken
