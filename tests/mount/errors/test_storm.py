"""A storm of calls gives no error but those of the man pages, and leaves nothing."""

import os
import random
from collections import Counter
from collections.abc import Callable
from errno import (
    EEXIST,
    EIDRM,
    EINVAL,
    EMSGSIZE,
    ENODATA,
    ENOENT,
    ENOTEMPTY,
    EPERM,
    ESPIPE,
    errorcode,
)
from pathlib import Path

import pytest

from tests.mount.daemon import wait_until_empty
from tests.mount.processes import Forked, in_child
from tests.mounts import Mount

QUEUES = ("one", "two", "three")
MESSAGES = ("a", "b", "c", "head", "tail", ".pipe")

#: How many system calls each process makes: some seconds' worth.
STORM = 2_500


class Storm:
    """A process that does anything to a few queues."""

    def __init__(self, root: Path, seed: int) -> None:
        """Start with nothing open."""
        self.root = root
        self.random = random.Random(seed)  # noqa: S311  # no secret
        self.handles: list[int] = []
        #: Each call, and the errors that its man page lists and this use of it may give; a port's
        #: are among them (EMSGSIZE, EIDRM, ESPIPE).
        self.calls: dict[Callable[[], object], set[int]] = {
            self.mkdir: {EEXIST},
            self.rmdir: {ENOENT, ENOTEMPTY},
            self.own_briefly: {EEXIST},
            self.create: {ENOENT, EPERM, EIDRM},
            self.create_exclusively: {ENOENT, EPERM, EEXIST},
            self.mknod: {ENOENT, EPERM, EEXIST},
            self.link: {ENOENT, EPERM, EEXIST},
            self.unlink: {ENOENT, EPERM},
            self.pop: {ENOENT},
            self.read: {ENOENT, EMSGSIZE, EIDRM},
            self.stat: {ENOENT},
            self.lstat: {ENOENT},
            self.readlink: {ENOENT, EINVAL},
            self.truncate: {ENOENT, EPERM},
            self.list_queue: {ENOENT},
            self.list_root: set(),
            self.walk: {ENOENT},
            self.set_sticky: {ENOENT},
            self.unset_sticky: {ENOENT, ENODATA},
            self.chmod: {ENOENT},
            self.chown: {ENOENT},
            self.symlink: {ENOENT, EPERM, EEXIST},
            self.rename: {ENOENT, EPERM},
            self.hold: {ENOENT},
            self.use_handle: {ESPIPE},
            self.statvfs: set(),
        }

    def run(self) -> dict[str, int]:
        """Make the calls; return how often each had which unexpected error."""
        unexpected: Counter[str] = Counter()
        calls = list(self.calls)
        for _ in range(STORM):
            call = self.random.choice(calls)
            try:
                call()
            except OSError as error:
                number = error.errno or 0
                if number not in self.calls[call]:
                    unexpected[f"{call.__name__}: {errorcode[number]}"] += 1
        return dict(unexpected)

    def queue(self) -> Path:
        return self.root / self.random.choice(QUEUES)

    def message(self) -> Path:
        return self.queue() / self.random.choice(MESSAGES)

    def mkdir(self) -> None:
        self.queue().mkdir()

    def rmdir(self) -> None:
        self.queue().rmdir()

    def own_briefly(self) -> None:
        in_child(self.queue().mkdir)

    def create(self) -> None:
        fd = os.open(self.message(), os.O_CREAT | os.O_RDWR)
        try:
            os.write(fd, b"x" * self.random.randrange(5_000))
        finally:
            os.close(fd)

    def create_exclusively(self) -> None:
        os.close(os.open(self.message(), os.O_CREAT | os.O_EXCL | os.O_WRONLY))

    def mknod(self) -> None:
        os.mknod(self.message())

    def link(self) -> None:
        os.link(self.message(), self.message())

    def unlink(self) -> None:
        self.message().unlink()

    def pop(self) -> None:
        head = self.queue() / "head"
        self.read_some(head)
        head.unlink()

    def read(self) -> None:
        self.read_some(self.message())

    @staticmethod
    def read_some(message: Path) -> None:
        with message.open("rb", buffering=0) as file:
            file.read(10_000)

    def stat(self) -> None:
        self.message().stat()

    def lstat(self) -> None:
        self.message().lstat()

    def readlink(self) -> None:
        self.message().readlink()

    def truncate(self) -> None:
        os.truncate(self.message(), self.random.choice((0, 10, 2**40)))

    def list_queue(self) -> None:
        os.listdir(self.queue())

    def list_root(self) -> None:
        os.listdir(self.root)

    def walk(self) -> None:
        with os.scandir(self.queue()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)

    def set_sticky(self) -> None:
        os.setxattr(self.queue(), "user.eventfs_sticky", b"")

    def unset_sticky(self) -> None:
        os.removexattr(self.queue(), "user.eventfs_sticky")

    def chmod(self) -> None:
        self.queue().chmod(self.random.choice((0o777, 0o1777)))

    def chown(self) -> None:
        os.chown(self.queue(), self.random.choice((0, 1)), -1)

    def symlink(self) -> None:
        os.symlink("target", self.message())

    def rename(self) -> None:
        self.message().rename(self.message())

    def hold(self) -> None:
        if len(self.handles) > 5:
            os.close(self.handles.pop(self.random.randrange(5)))
        self.handles.append(os.open(self.message(), os.O_RDWR))

    def use_handle(self) -> None:
        if self.handles:
            fd = self.random.choice(self.handles)
            os.fstat(fd)
            os.pread(fd, 100, self.random.randrange(10_000))
            os.pwrite(fd, b"y", self.random.randrange(10_000))

    def statvfs(self) -> None:
        os.statvfs(self.root)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_calls_gives_no_error_but_those_of_the_man_pages_and_leaves_nothing(
    mount: Mount, seed: int
) -> None:
    workers = [Forked(Storm(mount.path, seed * 10 + number).run) for number in range(4)]
    try:
        unexpected = [worker.result() for worker in workers]
    finally:
        for worker in workers:
            worker.end()
    assert unexpected == [{}] * 4
    for sticky in os.listdir(mount.path):
        os.removexattr(mount.path / sticky, "user.eventfs_sticky")
    assert os.listdir(mount.path) == []
    wait_until_empty(mount)
