"""The peers' queues as a client sees them: what putting, taking and waiting means for each."""

import ctypes
import importlib
import itertools
import os
import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_IN_CREATE = 0x100

_open: list["Channel"] = []


class Channel(ABC):
    """One end of a queue. `take` raises FileNotFoundError where there is nothing, or no more."""

    @abstractmethod
    def put(self, message: bytes) -> None:
        """Add a message."""

    @abstractmethod
    def take(self) -> bytes:
        """Take the oldest message."""

    def take_waiting(self) -> bytes:
        """Take the oldest message as soon as there is one."""
        while True:
            try:
                return self.take()
            except FileNotFoundError:
                self.pause()

    def pause(self) -> None:  # noqa: B027  # an answer that most have
        """Do what is best before trying again: here, nothing."""

    def close(self) -> None:  # noqa: B027  # as above
        """Give back what Python doesn't give back by itself."""


class Files(Channel):
    """A directory whose files are messages: eventfs, floor.c, or tmpfs, which has no head.

    With *sleeps*, one who waits sleeps until inotify tells of a new name; else it tries again.
    """

    def __init__(self, where: str, size: int, *, head: bool, sleeps: bool) -> None:
        self.fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
        self._size = size
        self._head = head
        self._names = _names(f"-{os.getpid()}")
        self._listed: list[str] = []
        self._events = self._watch(where) if sleeps else None

    def put(self, message: bytes) -> None:
        """Create, write, close."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        file = os.open(next(self._names), flags, 0o600, dir_fd=self.fd)
        os.write(file, message)
        os.close(file)

    def take(self) -> bytes:
        """Open the oldest, read, close, unlink."""
        name = "head" if self._head else self._oldest()
        file = os.open(name, os.O_RDONLY, dir_fd=self.fd)
        message = os.read(file, self._size)
        while len(message) < self._size:  # it shows before it has been written
            message += os.read(file, self._size - len(message))
        os.close(file)
        os.unlink(name, dir_fd=self.fd)
        return message

    def _oldest(self) -> str:
        if not self._listed:
            self._listed = sorted(os.listdir(self.fd), reverse=True)  # noqa: PTH208  # a descriptor
            if not self._listed:
                raise FileNotFoundError
        return self._listed.pop()

    def pause(self) -> None:
        """Sleep only if the queue is empty: who lost a race for a message tries again at once."""
        if (
            self._events is not None
            and self._is_empty()
            and select.select([self._events], [], [], 0.1)[0]
        ):
            os.read(self._events, 65536)

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.fd)
        if self._events is not None:
            os.close(self._events)

    def _is_empty(self) -> bool:
        if not self._head:
            return not self._listed and not os.listdir(self.fd)  # noqa: PTH208  # a descriptor
        try:
            os.readlink("head", dir_fd=self.fd)
        except FileNotFoundError:
            return True
        return False

    @staticmethod
    def _watch(where: str) -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        events: int = libc.inotify_init1(os.O_CLOEXEC)
        if events < 0 or libc.inotify_add_watch(events, os.fsencode(where), _IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), "no inotify")
        return events


class Posix(Channel):
    """A POSIX message queue."""

    def __init__(self, name: str) -> None:
        self._queue = importlib.import_module("posix_ipc").MessageQueue(name)

    def put(self, message: bytes) -> None:
        """Send; wait, if need be."""
        self._queue.send(message)

    def take(self) -> bytes:
        """Wait, if need be."""
        message: bytes = self._queue.receive()[0]
        return message

    def close(self) -> None:
        """Close it."""
        self._queue.close()


class Dirq(Channel):
    """A dirq simple queue."""

    def __init__(self, where: str, *, sleeps: bool) -> None:
        self._queue = importlib.import_module("dirq.QueueSimple").QueueSimple(where)
        self._sleeps = sleeps

    def put(self, message: bytes) -> None:
        """Add to the newest directory."""
        self._queue.add(message)

    def take(self) -> bytes:
        """Lock, get, remove; list again where the last listing is used up."""
        name = self._queue.next() or self._queue.first()
        while name and not self._queue.lock(name):
            name = self._queue.next()
        if not name:
            raise FileNotFoundError
        message: bytes = self._queue.get(name)
        self._queue.remove(name)
        return message

    def pause(self) -> None:
        """Poll: dirq can't wait."""
        if self._sleeps:
            time.sleep(0.001)


class Persist(Channel):
    """A persist-queue, in files or in SQLite."""

    def __init__(self, where: str, *, sqlite: bool) -> None:
        module = importlib.import_module("persistqueue")
        Path(where).mkdir(exist_ok=True)
        self._queue = (
            module.SQLiteQueue(where, auto_commit=True)
            if sqlite
            else module.Queue(where, tempdir=where)
        )

    def put(self, message: bytes) -> None:
        """Put."""
        self._queue.put(message)

    def take(self) -> bytes:
        """Get, and say that it is done, which is what makes it durable."""
        message: bytes = self._queue.get(block=False)
        self._queue.task_done()
        return message


class Redis(Channel):
    """A Redis list."""

    def __init__(self, port: str, name: str) -> None:
        self.redis: Any = importlib.import_module("redis").Redis(port=int(port))
        self.name = name

    def put(self, message: bytes) -> None:
        """RPUSH."""
        self.redis.rpush(self.name, message)

    def take(self) -> bytes:
        """LPOP."""
        message: bytes = self.redis.lpop(self.name)
        return message

    def take_waiting(self) -> bytes:
        """BLPOP."""
        message: bytes = self.redis.blpop(self.name)[1]
        return message


def _names(end: str = "") -> Iterator[str]:
    """Return names, each greater than all before."""
    return (f"{number}{end}" for number in itertools.count(time.monotonic_ns()))


def opened(task: dict[str, Any], name: str) -> Channel:
    """Open a queue, of which the peers say what it is and where; `close_all` closes it."""
    channel = _opened(task, name)
    _open.append(channel)
    return channel


def close_all() -> None:
    """Close all channels."""
    while _open:
        _open.pop().close()


def _opened(task: dict[str, Any], name: str) -> Channel:
    kind, where, sleeps = task["kind"], task["where"], task.get("sleeps", False)
    if kind in {"queues", "directory"}:
        return Files(f"{where}/{name}", task["size"], head=kind == "queues", sleeps=sleeps)
    if kind == "dirq":
        return Dirq(f"{where}/{name}", sleeps=sleeps)
    if kind == "posix":
        return Posix(f"{where}{name}")
    if kind == "redis":
        return Redis(where, name)
    return Persist(f"{where}/{name}", sqlite=kind == "sqlite")


def sender(original: Channel, many: list[Channel]) -> Callable[[bytes], None]:
    """Return the best that the peer has to send one message to many queues."""

    def by_links(message: bytes) -> None:
        assert isinstance(original, Files)
        name = next(names)
        file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=original.fd)
        os.write(file, message)
        os.close(file)
        for queue in queues:
            os.link(name, name, src_dir_fd=original.fd, dst_dir_fd=queue)
        os.unlink(name, dir_fd=original.fd)

    def by_pipeline(message: bytes) -> None:
        assert isinstance(original, Redis)
        pipeline = original.redis.pipeline(transaction=False)
        for number in range(1, len(many) + 1):
            pipeline.rpush(f"q{number}", message)
        pipeline.execute()

    def by_copies(message: bytes) -> None:
        for queue in many:
            queue.put(message)

    names = _names()
    queues = [queue.fd for queue in many if isinstance(queue, Files)]
    if queues:
        return by_links
    return by_pipeline if isinstance(original, Redis) else by_copies
