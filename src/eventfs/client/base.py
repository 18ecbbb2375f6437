"""What both kinds of queue objects do: all that doesn't wait."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Self

from eventfs.client import classic, directory, lines, making, staging
from eventfs.client import content as contents
from eventfs.client.claiming import Claim, LeaseQueues
from eventfs.client.errors import (
    MessageTooLarge,
    NoSuchQueue,
    QueueError,
    QueueFull,
    meaning_of,
    translated,
)
from eventfs.client.handles import CHEAP_READ_BYTES, CLOSED, MAX_READ_BYTES, Handles
from eventfs.client.message import Content, Message
from eventfs.client.names import fresh_name
from eventfs.client.stat import FOLLOW, LENT, MESSAGES, QueueStat, count, stat_of

#: A buffer that was too small grows by this factor, since each try costs a request; and shrinks by
#: it again when it was too large.
_GROWTH = 4


class BaseQueue(Handles):
    """A queue that is open, and can be asked for all that needs no waiting."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._lease_queues = LeaseQueues()
        super().__init__(path)

    def close(self) -> None:
        """Give back what is claimed, and close what is open; the queue itself stays."""
        self._lease_queues.close()
        super().close()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a queue: the same as calling the class."""
        return cls(path)

    @classmethod
    def create(  # noqa: PLR0913  # by name, and each says something of its own
        cls,
        path: str | os.PathLike[str],
        *,
        sticky: bool = False,
        mode: int = 0o777,
        exist_ok: bool = False,
        owner: int | None = None,
        topic: bool = False,
        max_messages: int | None = None,
        max_bytes: int | None = None,
        overflow: str | None = None,
        ttl: float | None = None,
        max_attempts: int | None = None,
        dead_letter: "BaseQueue | str | None" = None,
        lease: float | None = None,
    ) -> Self:
        """Make a queue and open it.

        It vanishes when this process dies, or the process with the id *owner* where that is given;
        if *sticky*, it stays. *mode* are its permission bits, less the umask. A *topic* keeps
        nothing and only passes on to its followers. With *exist_ok* one that is there already is
        opened as it is.

        It has room for *max_messages*, and for *max_bytes* of all messages together. Where it is
        full, *overflow* "reject" refuses more (QueueFull) and "drop-oldest" makes room. After *ttl*
        seconds a message is removed. A message that was claimed *max_attempts* times in vain goes
        to the queue *dead_letter* of the same mount, or is dropped. With a *lease* it is a queue to
        move messages into by hand, as `claim` does: they return after so many seconds, or with inf
        at its end. None leaves each as it is without.

        Raises QueueExists, NotEventfs, AccessDenied, QueueFull (by the limit of queues),
        DaemonDied, NoSuchQueue where there isn't even the directory that it is to be in or there is
        no *dead_letter*, and QueueError for what can't be. Nothing is left behind then.
        """
        name = os.fspath(path)
        options = {
            "max_messages": max_messages,
            "max_bytes": max_bytes,
            "overflow": overflow,
            "ttl": ttl,
            "max_attempts": max_attempts,
            "dead_letter": None if dead_letter is None else _name_of(dead_letter),
            "lease": lease,
        }
        while True:
            try:
                making.make(name, mode)
            except FileExistsError:
                if not exist_ok:
                    raise
                # It may vanish before it is open.
                try:
                    return cls(name)
                except NoSuchQueue:
                    if os.path.islink(name):  # ... and leads nowhere
                        raise
                continue
            with making.undone_on_failure(name):
                queue = cls(name)
                try:
                    making.set_attributes(
                        name, sticky=sticky, owner=owner, topic=topic, options=options
                    )
                except BaseException:
                    queue.close()
                    raise
                return queue

    # What is there

    def peek(self) -> Message | None:
        """Return the oldest message with all details, and leave it there; None if there is none."""
        with translated(self._path):
            return classic.look_at_oldest(self._directory)

    def __iter__(self) -> Iterator[Message]:
        """Look at all messages in order, with all details, and leave them there.

        What arrives later isn't among them, and what is taken meanwhile is left out.
        """
        with translated(self._path):
            names = directory.names(self._directory)
        for name in names:
            with translated(self._path):
                message = classic.look_at(self._directory, name)
            if message is not None:
                yield message

    def __len__(self) -> int:
        """Return how many messages there are."""
        with translated(self._path), directory.readable(self._directory) as handle:
            return count(handle, MESSAGES)

    def _outstanding(self) -> int:
        """Return how many messages there are or may come back."""
        with translated(self._path), directory.readable(self._directory) as handle:
            # Twice, since one may be claimed, or come back, between two questions.
            before, here, after = (count(handle, name) for name in (LENT, MESSAGES, LENT))
            return here + max(before, after)

    def stat(self) -> QueueStat:
        """Return all that the queue tells about itself; it takes the right to read it."""
        with translated(self._path):
            return stat_of(self._directory)

    # What changes the queue itself

    def follow(self, *sources: "BaseQueue | str") -> None:
        """Let all that arrives in other queues of the mount arrive here too; none: nothing more.

        Sources are queues or their names. It takes the right to read and search them
        (AccessDenied). Raises NoSuchQueue where one isn't there, and QueueError where a message
        would come back to where it has been.
        """
        names = [_name_of(source) for source in sources]
        value = os.fsencode("/".join(names))
        with translated(self._path), directory.readable(self._directory) as handle:
            try:
                os.setxattr(handle, FOLLOW, value)
            except FileNotFoundError as error:
                what = f"there is no such queue to follow: {' or '.join(names)}"
                remedy = "make it in the same mount first"
                raise NoSuchQueue(errno.ENOENT, what, self._path, remedy) from error

    def remove(self) -> None:
        """Remove the queue with its messages, and close it.

        Raises AccessDenied, and QueueVanished where it has gone already.
        """
        with translated(self._path):
            if directory.has_vanished(self._directory):
                raise FileNotFoundError(errno.ENOENT, "")
            making.remove(self._directory, os.path.realpath(self._absolute_path), self._take_some)
        self.close()

    def _take_some(self) -> bool:
        """Take what a read gives, and tell whether it gave any; not what one may not take so."""
        with suppress(QueueError):
            return self._take_lines() is not None
        return False

    # Sending

    def _put(self, content: Content) -> None:
        """Add a message, whole or not at all."""
        if self._pipe == CLOSED:
            self._open_pipe()
        if type(content) is not bytes:
            within = contents.within(content, self._write_bytes)
            if not isinstance(within, bytes):
                self._put_large(within)
                return
            content = within
        size = len(content)
        if not 0 < size <= self._write_bytes:
            self._put_otherwise(content)
            return
        try:
            written = os.write(self._pipe, content)
        except OSError as error:
            raise self._refusal(error, size) from error
        if written != size:
            raise self._cut(written, size)

    def _put_otherwise(self, content: bytes) -> None:
        if content:
            self._put_large([content])
            return
        # A write of no bytes reaches nobody.
        with translated(self._path):
            classic.put_empty(self._directory, fresh_name())

    def _put_large(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Write a message where nobody sees it, and add it when it is whole."""
        with self._room() as room:
            try:
                staged = room.write(pieces)
            except QueueError as error:
                raise self._refusal(error, room.size) from error
            self._add(staged, room.size)

    def _room(self) -> AbstractContextManager[staging.Room]:
        return staging.room_beside(self._directory, self._path)

    def _add(self, staged: staging.Staged, size: int) -> None:
        """Add a message of *size* bytes that is whole already."""
        try:
            staged.link(self._directory, fresh_name())
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise self._refusal(error, size) from error
        else:
            return
        # It was written for a queue of another mount.
        with os.fdopen(staged.open(), "rb") as file:
            self._put(file)

    def _put_lines(self, lines_: Iterable[bytes]) -> int:
        """Add a message for each line; return how many."""
        all_lines = list(lines_)
        longest = max(map(len, all_lines), default=0)
        if longest >= self._write_bytes:
            what = f"{longest} bytes are too many for a line, which has {self._write_bytes - 1}"
            raise MessageTooLarge(errno.EMSGSIZE, what, self._path, "send it as a message")
        port = self._lines_port()
        sent = 0
        for batch in lines.batches(all_lines, self._write_bytes):
            left = batch
            while left:
                try:
                    written = os.write(port, left)
                except OSError as error:
                    refusal = self._refusal(error, left.index(b"\n"))
                    refusal.sent = sent
                    raise refusal from error
                sent += left.count(b"\n", 0, written)
                left = left[written:]
        return sent

    def _refusal(self, error: OSError, size: int) -> QueueError:
        """Say why a message of *size* bytes isn't in."""
        refusal = meaning_of(error, self._path)
        if isinstance(refusal, QueueFull):
            with translated(self._path):
                limit = directory.limit_bytes(self._directory)
            if size > limit:
                number = refusal.errno or errno.EDQUOT
                what = f"the message has {size} bytes or more, and the limit is {limit}"
                return MessageTooLarge(number, what, self._path, "have the limits raised")
        return refusal

    def _cut(self, written: int, size: int) -> QueueError:
        what = f"the system has cut a message of {size} bytes to {written}"
        return QueueError(errno.EIO, what, self._path, "see whether RLIMIT_FSIZE was changed")

    # Taking

    def _claiming(self, lease_s: float | None) -> Claim:
        """Return what takes a message on loan, for the body of a `with` statement."""
        return Claim(self, self._lease_queues, lease_s)

    def _take(self) -> Message | None:
        """Take the oldest message through the port; None where there is none."""
        if self._pipe == CLOSED:
            self._open_pipe()
        while True:
            size = self._read_bytes
            try:
                content = os.read(self._pipe, size)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise meaning_of(error, self._path) from error
            else:
                if size > CHEAP_READ_BYTES:
                    self._read_bytes = _next_size(size, content)
                return Message(content)
            if size >= MAX_READ_BYTES:
                message = self._take_details()
                return message and Message(message.content)
            self._read_bytes = size * _GROWTH

    def _take_details(self) -> Message | None:
        """Take the oldest message by its name; None where there is none."""
        with translated(self._path):
            return classic.take_oldest(self._directory)

    def _take_lines(self) -> list[bytes] | None:
        """Take as many messages as one read gives; None where there is none."""
        port = self._lines_port()
        while True:
            size = self._read_lines_bytes
            try:
                data = os.read(port, size)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise meaning_of(error, self._path) from error
            else:
                if size > CHEAP_READ_BYTES:
                    self._read_lines_bytes = _next_size(size, data)
                return lines.split(data)
            if size >= MAX_READ_BYTES:
                message = self._take_details()
                return message and [message.content]
            self._read_lines_bytes = size * _GROWTH


def _name_of(queue: BaseQueue | str) -> str:
    """Return a queue's name in its mount (ValueError)."""
    if isinstance(queue, BaseQueue):
        return os.path.basename(os.path.realpath(queue._absolute_path))
    if not queue or "/" in queue:
        raise ValueError(f"{queue!r} is no name of a queue")
    return queue


def _next_size(size: int, content: bytes) -> int:
    """Return with how large a buffer to read after one of *size* bytes has brought this."""
    return size // _GROWTH if len(content) * _GROWTH <= size else size
