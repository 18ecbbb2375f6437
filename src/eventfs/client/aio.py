"""`AsyncQueue`: a queue for a program that waits in asyncio's event loop."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from eventfs.client import casting
from eventfs.client.base import BaseQueue
from eventfs.client.claiming import ClaimedMessage
from eventfs.client.deadline import Deadline
from eventfs.client.errors import QueueEmpty
from eventfs.client.message import Content, Message
from eventfs.client.waiting import empty, not_empty, pauses


class AsyncQueue(BaseQueue):
    """An open queue, used by the tasks of an event loop.

    It has the methods of `Queue`; those that may wait are coroutines. The loop watches the port's
    descriptor: no thread is started, however many queues are waited on. Several tasks may wait on
    one object, but of one loop at a time. What is cancelled has taken no message.

    Only waiting gives way to other tasks. A request takes some 20 microseconds, so sending a large
    file holds up the loop as long as writing one does: a millisecond or so for each MiB.

    >>> async def ask():
    ...     with AsyncQueue.create(root / "questions") as queue:
    ...         waiting = asyncio.create_task(queue.receive(timeout=5))
    ...         await queue.send(b"which?")
    ...         return await waiting
    >>> asyncio.run(ask()).content
    b'which?'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Those who wait, in order. While there are any, their loop watches the port.
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._watched: tuple[asyncio.AbstractEventLoop, int] | None = None
        super().__init__(path)

    def close(self) -> None:
        """Close it as `Queue` does; who waits on this object is told."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        self._unwatch()
        super().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def send(self, content: Content) -> None:
        """See `Queue.send`."""
        self._put(content)

    async def send_lines(self, lines: Iterable[bytes]) -> int:
        """See `Queue.send_lines`."""
        return self._put_lines(lines)

    async def receive(self, timeout: float | None = None, *, details: bool = False) -> Message:
        """See `Queue.receive`."""
        deadline = Deadline(timeout)
        while True:
            message = self._take_details() if details else self._take()
            if message is not None:
                return message
            await self._wait(deadline)

    async def receive_lines(self, timeout: float | None = None) -> list[bytes]:
        """See `Queue.receive_lines`."""
        deadline = Deadline(timeout)
        while True:
            lines = self._take_lines()
            if lines is not None:
                return lines
            await self._wait(deadline)

    async def receive_each(self, timeout: float | None = None) -> AsyncIterator[Message]:
        """See `Queue.receive_each`."""
        while True:
            try:
                message = await self.receive(timeout)
            except QueueEmpty:
                return
            yield message

    @asynccontextmanager
    async def claim(
        self, timeout: float | None = None, *, lease: float | None = None
    ) -> AsyncIterator[ClaimedMessage]:
        """See `Queue.claim`; this is for `async with`, and gives back when it is cancelled."""
        deadline = Deadline(timeout)
        with self._claiming(lease) as claim:
            while (message := claim.take()) is None:
                await self._wait(deadline)
            yield message

    async def wait_empty(self, timeout: float | None = None) -> None:
        """See `Queue.wait_empty`."""
        deadline = Deadline(timeout)
        for pause_s in pauses():
            count = self._outstanding()
            if not count:
                return
            if deadline.is_past():
                raise not_empty(self._path, count, timeout)
            await asyncio.sleep(deadline.at_most(pause_s))

    @staticmethod
    async def cast(queues: Iterable["AsyncQueue"], content: Content) -> None:
        """See `Queue.cast`."""
        casting.cast(queues, content)

    async def _wait(self, deadline: Deadline) -> None:
        """Wait until there may be a message, or raise QueueEmpty."""
        left_s = deadline.left_s()
        if left_s == 0:
            raise empty(self._path, deadline.timeout_s)
        self._watch()
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(left_s):
                await waiter
        except TimeoutError:
            raise empty(self._path, deadline.timeout_s) from None
        finally:
            # If it was woken and cancelled at once, the loop wakes the next one: as long as there
            # is a message and somebody who waits, it finds the port ready.
            with suppress(ValueError):
                self._waiters.remove(waiter)
            if not self._waiters:
                self._unwatch()

    def _watch(self) -> None:
        """Have the loop watch the port."""
        loop = asyncio.get_running_loop()
        if self._watched is None:
            port = self.fileno()
            loop.add_reader(port, self._wake_next)
            self._watched = loop, port
        elif self._watched[0] is not loop:
            raise RuntimeError(f"{self!r} is being waited on in another event loop")

    def _unwatch(self) -> None:
        if self._watched is not None:
            loop, port = self._watched
            self._watched = None
            if not loop.is_closed():
                loop.remove_reader(port)

    def _wake_next(self) -> None:
        """Wake who has waited longest; the next one's turn is when this is called again."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
