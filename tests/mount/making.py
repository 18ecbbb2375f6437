"""Ways to make names, and to see which there are."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

#: With it, a queue outlives its owner.
STICKY = "user.eventfs_sticky"

Call = Callable[[Path], object]


def fill(queue: Path, *names: str) -> None:
    """Make messages that contain their own names."""
    for name in names:
        (queue / name).write_text(name)


def listed(directory: Path) -> list[str]:
    """List a directory in its own order."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def messages(queue: Path) -> list[str]:
    """List a queue's messages in order."""
    return [name for name in listed(queue) if name not in ("head", "tail")]


def is_gone(path: Path) -> bool:
    """Tell whether a queue is gone, by a single stat."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    return False


def open_with(path: Path, flags: int) -> None:
    os.close(os.open(path, flags, 0o644))


def link_from_elsewhere(path: Path) -> None:
    """Link a message to *path* from a queue that is made for it."""
    other = path.parent.parent / f"{path.parent.name}-other"
    if path.parent.is_mount():
        other = path.parent / "link-source"
    other.mkdir()
    try:
        fill(other, "message")
        os.link(other / "message", path)
    finally:
        (other / "message").unlink()
        other.rmdir()


#: Every way to make a regular file.
MAKE_FILE: dict[str, Call] = {
    "O_CREAT": lambda path: open_with(path, os.O_CREAT | os.O_WRONLY),
    "O_CREAT, read only": lambda path: open_with(path, os.O_CREAT | os.O_RDONLY),
    "O_EXCL": lambda path: open_with(path, os.O_CREAT | os.O_EXCL | os.O_RDWR),
    "mknod": lambda path: os.mknod(path, stat.S_IFREG | 0o644),
    "link": link_from_elsewhere,
}

#: Every way to make something that isn't one.
MAKE_OTHER: dict[str, Call] = {
    "symlink": lambda path: os.symlink("target", path),
    "fifo": os.mkfifo,
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o644),
    "character device": lambda path: os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3)),
    "block device": lambda path: os.mknod(path, stat.S_IFBLK | 0o644, os.makedev(7, 0)),
}

#: Every way to make a name. The ones that give EEXIST where it is taken:
MAKE_NEW = {**MAKE_FILE, **MAKE_OTHER, "mkdir": os.mkdir}
del MAKE_NEW["O_CREAT"], MAKE_NEW["O_CREAT, read only"]


def each(calls: dict[str, Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", calls.values(), ids=calls.keys())


ends = pytest.mark.parametrize("end", ["head", "tail"])
