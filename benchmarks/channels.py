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

    def put_many(self, messages: list[bytes]) -> None:
        """Add messages with as few calls as can be: here, one by one."""
        for message in messages:
            self.put(message)

    def take_many(self, count: int) -> list[bytes]:
        """Take at least one of *count* messages that are there, all that one call gives."""
        return [self.take() for _ in range(count)]

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


class Pipe(Channel):
    """A queue's `.pipe`, where a system call is a message."""

    name = ".pipe"

    def __init__(self, where: str) -> None:
        self.queue = where
        self._fd = os.open(f"{where}/{self.name}", os.O_RDWR)

    def put(self, message: bytes) -> None:
        """Write."""
        os.write(self._fd, message)

    def take(self) -> bytes:
        """Read."""
        return self._read(4096)  # the kernel makes all of the buffer's pages ready each time

    def fileno(self) -> int:
        """Return what can be polled."""
        return self._fd

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def _read(self, most_bytes: int) -> bytes:
        found = os.read(self._fd, most_bytes)
        if not found:
            raise FileNotFoundError
        return found


class Lines(Pipe):
    """A queue's `.lines`, where a system call is as many messages as fit."""

    name = ".lines"

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self._read_ahead: list[bytes] = []

    def put(self, message: bytes) -> None:
        """Write a line."""
        self.put_many([message])

    def take(self) -> bytes:
        """Take what was read; read, where that is used up."""
        if not self._read_ahead:
            self._read_ahead = self.take_many(1)[::-1]
        return self._read_ahead.pop()

    def put_many(self, messages: list[bytes]) -> None:
        """Join, write."""
        lines = b"\n".join([*messages, b""])
        if os.write(self._fd, lines) < len(lines):
            raise BlockingIOError("it takes no more")

    def take_many(self, count: int) -> list[bytes]:
        """Read, split."""
        del count
        messages = self._read(1 << 20).split(b"\n")
        messages.pop()  # behind the last newline
        return messages


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
    """A persist-queue, in files or in SQLite.

    With *batches*, SQLite forgets messages as files do: when it is told that they are done.
    """

    def __init__(self, where: str, *, sqlite: bool, batches: bool) -> None:
        module = importlib.import_module("persistqueue")
        Path(where).mkdir(exist_ok=True)
        self._queue = (
            module.SQLiteQueue(where, auto_commit=not batches)
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

    def take_many(self, count: int) -> list[bytes]:
        """Get, and say once that all are done."""
        messages = [self._queue.get(block=False) for _ in range(count)]
        self._queue.task_done()
        return messages


class Lite(Channel):
    """A litequeue, a file for each queue."""

    #: How many messages that are done it keeps, at most: they take memory.
    _DONE = 10

    def __init__(self, where: str, *, sleeps: bool) -> None:
        self._queue = importlib.import_module("litequeue").LiteQueue(where)
        self._sleeps = sleeps
        self._done = 0

    def put(self, message: bytes) -> None:
        """Put."""
        self._queue.put(message)

    def take(self) -> bytes:
        """Pop, and say that it is done."""
        popped = self._queue.pop()
        if popped is None:
            raise FileNotFoundError
        self._queue.done(popped.message_id)
        self._done += 1
        if self._done == self._DONE:
            self._queue.prune()
            self._done = 0
        message: bytes = popped.data
        return message

    def put_many(self, messages: list[bytes]) -> None:
        """Put in one transaction."""
        with self._queue.transaction():
            super().put_many(messages)

    def take_many(self, count: int) -> list[bytes]:
        """Pop each, which is a transaction of its own; say in one that all are done."""
        popped = [self._queue.pop() for _ in range(count)]
        with self._queue.transaction():
            for message in popped:
                self._queue.done(message.message_id)
            self._queue.prune()
        return [message.data for message in popped]

    def pause(self) -> None:
        """Poll: it can't wait. To look keeps nobody off, where to pop would."""
        while self._queue.empty():
            if self._sleeps:
                time.sleep(0.001)

    def close(self) -> None:
        """Close the connection."""
        self._queue.close()


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

    def put_many(self, messages: list[bytes]) -> None:
        """RPUSH with many values."""
        self.redis.rpush(self.name, *messages)

    def take_many(self, count: int) -> list[bytes]:
        """LPOP with a count."""
        messages: list[bytes] = self.redis.lpop(self.name, count)
        return messages


def _names(end: str = "") -> Iterator[str]:
    """Return names, each greater than all before."""
    return (f"{number}{end}" for number in itertools.count(time.monotonic_ns()))


def opened(task: dict[str, Any], name: str) -> Channel:
    """Open a queue, of which the peers say what it is and where; `close_all` closes it.

    Where the task names a port, queues that have such are opened at that one.
    """
    channel = _opened(task, name)
    _open.append(channel)
    return channel


def close_all() -> None:
    """Close all channels."""
    while _open:
        _open.pop().close()


def _opened(task: dict[str, Any], name: str) -> Channel:
    where, size, sleeps = task["where"], task["size"], task.get("sleeps", False)
    path, port = f"{where}/{name}", task.get("port")
    batches = port == Lines.name
    of_queues: dict[str | None, Callable[[], Channel]] = {
        None: lambda: Files(path, size, head=True, sleeps=sleeps),
        Pipe.name: lambda: Pipe(path),
        Lines.name: lambda: Lines(path),
    }
    kinds: dict[str, Callable[[], Channel]] = {
        "queues": of_queues[port],
        "directory": lambda: Files(path, size, head=False, sleeps=sleeps),
        "posix": lambda: Posix(f"{where}{name}"),
        "dirq": lambda: Dirq(path, sleeps=sleeps),
        "file": lambda: Persist(path, sqlite=False, batches=batches),
        "sqlite": lambda: Persist(path, sqlite=True, batches=batches),
        "litequeue": lambda: Lite(path, sleeps=sleeps),
        "redis": lambda: Redis(where, name),
    }
    return kinds[task["kind"]]()


def sender(original: Channel, many: list[Channel]) -> Callable[[bytes], None]:
    """Return the best that the peer has to send one message to many queues.

    From then on queues whose ports were opened follow the original.
    """

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

    if isinstance(original, Pipe):
        os.setxattr(original.queue, "user.eventfs_keep", b"no")
        for queue in many:
            assert isinstance(queue, Pipe)
            os.setxattr(queue.queue, "user.eventfs_follow", Path(original.queue).name.encode())
        return original.put
    names = _names()
    queues = [queue.fd for queue in many if isinstance(queue, Files)]
    if queues:
        return by_links
    return by_pipeline if isinstance(original, Redis) else by_copies
