"""`Queue`: a queue for a program that waits by sleeping."""

import select
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from eventfs.client import casting
from eventfs.client.base import BaseQueue
from eventfs.client.claiming import ClaimedMessage
from eventfs.client.deadline import Deadline
from eventfs.client.errors import QueueEmpty
from eventfs.client.message import Content, Message
from eventfs.client.waiting import empty, not_empty, pauses


class Queue(BaseQueue):
    """An open queue.

    Threads may share one, and so may a parent and its forked children. `close()` it or use it in a
    `with` statement. Times are in seconds, sizes in bytes.

    >>> with Queue.create(root / "tasks") as queue:
    ...     queue.send(b"first")
    ...     queue.send(b"second")
    ...     len(queue)
    ...     queue.receive().content
    ...     queue.peek().content
    2
    b'first'
    b'second'

    All methods raise QueueVanished when the queue has gone, DaemonDied when its eventfs has ended,
    AccessDenied where the caller has no right to do that, and what they name themselves.
    """

    def send(self, content: Content) -> None:
        """Add a message, whole or not at all; when this returns it is in.

        Content is bytes, or a file open for reading, which is read from where it is to its end. Up
        to 1,044,480 bytes it takes one request. What is larger is written in a queue of this
        process's own beside this one, which the root's mode must allow and which counts as one of
        the user's queues, and then linked. Such a message can be read by those whom this process's
        umask lets.

        Raises QueueFull; MessageTooLarge where it wouldn't fit an empty queue either.
        """
        self._put(content)

    def send_lines(self, lines: Iterable[bytes]) -> int:
        r"""Add a message for each line, many with each request; return how many.

        Raises ValueError for a line with a newline in it, and MessageTooLarge for one of more than
        1,044,479 bytes, before anything is sent. Raises QueueFull where a limit stops them, with
        the number of those that are in as its `sent`.

        >>> with Queue.create(root / "numbers") as queue:
        ...     queue.send_lines([b"1", b"2", b"3"])
        ...     queue.receive_lines()
        3
        [b'1', b'2', b'3']
        """
        return self._put_lines(lines)

    def receive(self, timeout: float | None = None, *, details: bool = False) -> Message:
        """Take the oldest message; no other receiver gets it.

        Wait for one for *timeout* seconds, None is for ever, 0 not at all; raise QueueEmpty if none
        came. The message has only its content, unless *details* are asked for.

        >>> with Queue.create(root / "answers") as queue:
        ...     try:
        ...         queue.receive(timeout=0)
        ...     except QueueEmpty as error:
        ...         print(str(error).removeprefix(str(root)))
        /answers: no message
        """
        deadline: Deadline | None = None
        while True:
            message = self._take_details() if details else self._take()
            if message is not None:
                return message
            deadline = deadline or Deadline(timeout)
            self._wait(deadline)

    def receive_lines(self, timeout: float | None = None) -> list[bytes]:
        """Take as many messages as there are in one read, at least one, as lines.

        Wait as `receive` does. A message with a newline in it can't be told from two.
        """
        deadline = Deadline(timeout)
        while True:
            lines = self._take_lines()
            if lines is not None:
                return lines
            self._wait(deadline)

    def receive_each(self, timeout: float | None = None) -> Iterator[Message]:
        """Take messages as they come, until none came for *timeout* seconds.

        >>> with Queue.create(root / "work") as queue:
        ...     queue.send(b"this")
        ...     queue.send(b"that")
        ...     [message.content for message in queue.receive_each(timeout=0)]
        [b'this', b'that']
        """
        while True:
            try:
                message = self.receive(timeout)
            except QueueEmpty:
                return
            yield message

    @contextmanager
    def claim(
        self, timeout: float | None = None, *, lease: float | None = None
    ) -> Iterator[ClaimedMessage]:
        """Take the oldest message on loan, for the body of a `with` statement.

        Wait as `receive` does. At the end of the body the message is done. If the body raises, it
        is given back at once, to its old place in the queue; so it is when this process dies,
        however it dies, or closes this object. Until then nobody else gets it. With a *lease* that
        is also over after so many seconds, counted from here or from the last `touch`: against a
        worker that hangs.

        Who claimed it is to have done the work by then: what was done is done again. LeaseExpired
        is raised at the body's end if the message was given back meanwhile.

        It is moved into a queue of this process's own beside this one, which the root's mode must
        allow, and which counts as one of the user's queues, as the message does as one of the
        user's. A forked child that leaves the body leaves the message to its parent.

        >>> with Queue.create(root / "errands") as queue:
        ...     queue.send(b"to the bank")
        ...     try:
        ...         with queue.claim() as message:
        ...             raise RuntimeError("it is closed")
        ...     except RuntimeError:
        ...         len(queue)
        ...     with queue.claim() as message:
        ...         message.content, message.attempts
        ...     len(queue)
        1
        (b'to the bank', 1)
        0
        """
        deadline = Deadline(timeout)
        with self._claiming(lease) as claim:
            while (message := claim.take()) is None:
                self._wait(deadline)
            yield message

    def wait_empty(self, timeout: float | None = None) -> None:
        """Wait until all messages have been taken; raise QueueNotEmpty if they weren't in time.

        What is claimed isn't taken until it is done: it may come back.

        Nothing tells of it, so this looks again and again: after a millisecond at first, after 50
        in the end.
        """
        deadline = Deadline(timeout)
        for pause_s in pauses():
            count = self._outstanding()
            if not count:
                return
            if deadline.is_past():
                raise not_empty(self._path, count, timeout)
            time.sleep(deadline.at_most(pause_s))

    @staticmethod
    def cast(queues: Iterable["Queue"], content: Content) -> None:
        """Add one message to many queues of a mount: it is stored once, and linked into each.

        Raises CastIncomplete, with an error for each queue that didn't get it; the others did.

        >>> with Queue.create(root / "ann") as ann, Queue.create(root / "ben") as ben:
        ...     Queue.cast([ann, ben], b"hello, all")
        ...     ann.receive().content, ben.receive().content
        (b'hello, all', b'hello, all')
        """
        casting.cast(queues, content)

    def _wait(self, deadline: Deadline) -> None:
        """Sleep until there may be a message, or raise QueueEmpty."""
        # A poll object is one thread's at a time.
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        while not deadline.is_past():
            if poll.poll(deadline.left_ms()):
                return
        raise empty(self._path, deadline.timeout_s)
