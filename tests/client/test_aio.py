"""`AsyncQueue`: an event loop waits, no thread does, and what is cancelled loses nothing."""

import asyncio
import io
import os
import resource
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from eventfs import (
    AsyncQueue,
    CastIncomplete,
    DaemonDied,
    Message,
    Queue,
    QueueEmpty,
    QueueError,
    QueueNotEmpty,
    QueueVanished,
)
from tests.client.test_errors import Doomed
from tests.client.test_errors import doomed as doomed  # noqa: PLC0414  # a fixture
from tests.mount.processes import Forked
from tests.mounts import DEADLINE_S, Mount

MIB = 1 << 20


def run(main: Coroutine[Any, Any, object]) -> None:
    """Run a test in an event loop, which then has nothing left to watch or to do."""

    async def checked() -> None:
        await asyncio.wait_for(main, DEADLINE_S * 3)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        loop: Any = asyncio.get_running_loop()
        # Its own means to wake itself is all that it watches.
        assert len(loop._selector.get_map()) == 1

    asyncio.run(checked())


@pytest.fixture
def queue(path: Path) -> Iterator[AsyncQueue]:
    """An empty queue of this process."""
    with AsyncQueue.create(path) as queue:
        yield queue


async def waiting(queue: AsyncQueue, count: int = 1) -> None:
    """Wait until so many tasks wait for a message."""
    end = time.monotonic() + DEADLINE_S
    while len(queue._waiters) != count:
        assert time.monotonic() < end
        await asyncio.sleep(0)


def test_what_is_sent_is_received(queue: AsyncQueue) -> None:
    async def main() -> None:
        contents = [b"small", b"", b"x" * 2 * MIB]
        for content in contents:
            await queue.send(content)
        await queue.send(io.BytesIO(b"file"))
        assert queue.peek() is not None
        assert len(queue) == 4
        assert [message.content for message in queue] == [*contents, b"file"]
        assert [(await queue.receive(0)).content for _ in range(4)] == [*contents, b"file"]
        assert await queue.send_lines([b"one", b"two"]) == 2
        message = await queue.receive(details=True)
        assert (message.content, message.uid) == (b"one", os.getuid())
        assert await queue.receive_lines() == [b"two"]

    run(main())


@pytest.mark.parametrize(
    "receive",
    [
        lambda queue, timeout: queue.receive(timeout),
        lambda queue, timeout: queue.receive(timeout, details=True),
        lambda queue, timeout: queue.receive_lines(timeout),
    ],
)
def test_nothing_comes_in_time(
    queue: AsyncQueue, receive: Callable[[AsyncQueue, float], Awaitable[object]]
) -> None:
    async def main() -> None:
        with pytest.raises(QueueEmpty, match=r"no message$"):
            await receive(queue, 0)
        start = time.monotonic()
        with pytest.raises(QueueEmpty, match=r"no message within 0\.05 s$"):
            await receive(queue, 0.05)
        assert time.monotonic() - start >= 0.045

    run(main())


def test_who_waits_is_woken_and_others_go_on_meanwhile(queue: AsyncQueue) -> None:
    async def main() -> None:
        task = asyncio.create_task(queue.receive())
        await waiting(queue)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        await queue.send(b"message")
        assert (await task).content == b"message"

    run(main())


def test_each_message_comes_until_none_comes_in_time(queue: AsyncQueue) -> None:
    async def main() -> None:
        taken = []
        await queue.send(b"0")
        async for message in queue.receive_each(timeout=0.02):
            taken.append(message.content)
            if len(taken) < 3:
                await queue.send(b"%d" % len(taken))
        assert taken == [b"0", b"1", b"2"]

    run(main())


def test_several_tasks_wait_on_one_object(queue: AsyncQueue) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(queue.receive()) for _ in range(50)]
        await waiting(queue, 50)
        for number in range(50):
            await queue.send(b"%d" % number)
        # Who has waited longest is first.
        assert [(await task).content for task in tasks] == [b"%d" % n for n in range(50)]

    run(main())


def test_several_objects_and_processes_take_each_message_once(queue: AsyncQueue) -> None:
    def take() -> list[bytes]:
        async def take_all() -> list[bytes]:
            with AsyncQueue(queue.path) as mine:
                taken: list[bytes] = []

                async def take_some(*, details: bool) -> None:
                    while True:
                        message = await mine.receive(details=details)
                        if message.content == b"end":
                            await mine.send(b"end")
                            return
                        taken.append(message.content)

                await asyncio.gather(*(take_some(details=n == 0) for n in range(3)))
                return taken

        return asyncio.run(take_all())

    children = [Forked(take) for _ in range(3)]
    try:
        with Queue(queue.path) as sender:
            for number in range(1000):
                sender.send(b"%d" % number)
            sender.send(b"end")
        taken = [message for child in children for message in child.result()]
    finally:
        for child in children:
            child.end()
    assert sorted(taken) == sorted(b"%d" % number for number in range(1000))


def test_what_arrives_between_looking_and_waiting_is_found(
    queue: AsyncQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 rounds in which the message comes after the look and before the wait."""
    sender = Queue(queue.path)
    watch = AsyncQueue._watch

    def send_and_watch(self: AsyncQueue) -> None:
        sender.send(b"message")
        watch(self)

    monkeypatch.setattr(AsyncQueue, "_watch", send_and_watch)

    async def main() -> None:
        for _ in range(1000):
            assert (await queue.receive(DEADLINE_S)).content == b"message"

    run(main())


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Two for each of a thousand queues are more than processes may have by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
def test_a_thousand_queues_are_waited_on_by_one_thread(mount: Mount) -> None:
    queues = [AsyncQueue.create(mount.path / str(number)) for number in range(1000)]
    threads = threading.active_count()

    async def main() -> None:
        tasks = [asyncio.create_task(queue.receive()) for queue in queues]
        for queue in queues:
            await waiting(queue)
        for number in range(0, 1000, 2):
            await queues[number].send(b"%d" % number)
            assert (await tasks[number]).content == b"%d" % number
        assert threading.active_count() == threads
        assert sum(task.done() for task in tasks) == 500
        await asyncio.gather(*(queue.send(b"end") for queue in queues[1::2]))
        assert {(await task).content for task in tasks[1::2]} == {b"end"}

    run(main())
    for queue in queues:
        queue.close()


def test_a_cancelled_receive_has_taken_nothing(queue: AsyncQueue) -> None:
    """1,000 rounds: the message comes before, while, and after the task is told to end."""

    async def main() -> None:
        taken = 0
        for number in range(1000):
            task = asyncio.create_task(queue.receive())
            if number % 5:
                await waiting(queue)
            if number % 3 != 1:
                await queue.send(b"message")
            # How far the news comes before the task is cancelled.
            for _ in range(number % 4):
                await asyncio.sleep(0)
            task.cancel()
            if number % 3 == 1:
                await queue.send(b"message")
            try:
                await task
                taken += 1
            except asyncio.CancelledError:
                await queue.receive(0)  # it is still there
            assert not queue._waiters
        assert 0 < taken < 1000
        with pytest.raises(QueueEmpty):
            await queue.receive(0)

    run(main())


def test_nor_has_one_that_others_time_out(queue: AsyncQueue) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.receive(), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await queue.receive()
        await queue.send(b"message")
        assert (await queue.receive(0)).content == b"message"

    run(main())


def test_a_wake_up_of_who_is_cancelled_is_anothers(queue: AsyncQueue) -> None:
    async def main() -> None:
        for _ in range(100):
            first = asyncio.create_task(queue.receive())
            await waiting(queue)
            second = asyncio.create_task(queue.receive())
            await waiting(queue, 2)
            await queue.send(b"message")
            await waiting(queue, 1)
            first.cancel()
            done, _ = await asyncio.wait({first, second}, timeout=DEADLINE_S)
            assert done
            if not first.cancelled():
                await queue.send(b"message")
            assert (await second).content == b"message"
            await asyncio.gather(first, return_exceptions=True)

    run(main())


def test_a_claimed_message_is_done_or_given_back(queue: AsyncQueue) -> None:
    async def main() -> None:
        await queue.send(b"message")
        with pytest.raises(ZeroDivisionError):
            async with queue.claim():
                raise ZeroDivisionError
        async with queue.claim(timeout=0) as message:
            assert (message.content, message.attempts) == (b"message", 1)
            message.touch()
            assert queue.stat().lent == 1
            with pytest.raises(QueueEmpty, match=r"no message within 0\.01 s$"):
                async with queue.claim(0.01):
                    raise AssertionError
        assert (len(queue), queue.stat().lent) == (0, 0)

    run(main())


def test_what_is_cancelled_gives_its_message_back(queue: AsyncQueue) -> None:
    async def work() -> None:
        async with queue.claim():
            await asyncio.Event().wait()

    async def main() -> None:
        await queue.send(b"message")
        task = asyncio.create_task(work())
        while len(queue):  # noqa: ASYNC110  # it takes what is there without waiting
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with queue.claim(0) as message:
            assert message.attempts == 1
            task = asyncio.create_task(work())
            await waiting(queue)
            task.cancel()  # who has nothing yet
            with pytest.raises(asyncio.CancelledError):
                await task
        assert queue.stat().lent == 0

    run(main())


def test_many_tasks_claim_by_one_object(queue: AsyncQueue) -> None:
    taken: list[int] = []

    async def work() -> None:
        while len(taken) < 100:
            with suppress(ZeroDivisionError, QueueEmpty):
                async with queue.claim(0.05) as message:
                    await asyncio.sleep(0)
                    if message.attempts == 0:
                        raise ZeroDivisionError
                    taken.append(int(message.content))

    async def main() -> None:
        tasks = [asyncio.create_task(work()) for _ in range(10)]
        await waiting(queue, 10)
        for number in range(100):
            await queue.send(b"%d" % number)
        await asyncio.gather(*tasks)
        assert sorted(taken) == [*range(100)]

    run(main())


def test_who_waits_for_a_claim_is_woken_by_a_killed_worker(queue: AsyncQueue) -> None:
    def hold() -> None:
        claims.enter_context(Queue(queue.path).claim(0))

    claims = ExitStack()

    async def main() -> None:
        await queue.send(b"message")
        worker = Forked(hold)
        try:
            worker.result()
            task = asyncio.create_task(claim())
            await waiting(queue)
        finally:
            worker.end()
        assert await task == (b"message", 1)

    async def claim() -> tuple[bytes, int]:
        async with queue.claim() as message:
            return message.content, message.attempts

    run(main())


def test_who_waits_is_told_that_the_queue_vanishes(fated: tuple[Queue, Forked]) -> None:
    path, owner = fated[0].path, fated[1]

    async def main() -> None:
        with AsyncQueue(path) as queue:
            tasks = [asyncio.create_task(queue.receive()) for _ in range(3)]
            await waiting(queue, 3)
            owner.end()
            for task in tasks:
                with pytest.raises(QueueVanished):
                    await task

    run(main())


def test_or_that_the_daemon_dies(doomed: Doomed) -> None:
    async def main() -> None:
        with AsyncQueue(doomed.queue.path) as queue:
            task = asyncio.create_task(queue.receive())
            await waiting(queue)
            doomed.kill()
            with pytest.raises(DaemonDied):
                await task

    run(main())


def test_or_that_the_object_is_closed(queue: AsyncQueue) -> None:
    async def claim() -> Message:
        async with queue.claim() as message:
            return Message(message.content)

    async def main() -> None:
        tasks = [asyncio.create_task(queue.receive()) for _ in range(2)]
        await waiting(queue, 2)
        tasks.append(asyncio.create_task(claim()))
        await waiting(queue, 3)
        async with queue:
            pass
        for task in tasks:
            with pytest.raises(QueueError, match="has been closed"):
                await task

    run(main())


def test_one_loop_after_another_may_use_an_object_but_not_two_at_once(queue: AsyncQueue) -> None:
    async def receive() -> bytes:
        await queue.send(b"message")
        return (await queue.receive()).content

    async def main() -> None:
        task = asyncio.create_task(queue.receive())
        await waiting(queue)

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="is being waited on in another event loop"):
                await queue.receive(DEADLINE_S)

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        await queue.send(b"message")
        assert (await task).content == b"message"

    assert asyncio.run(receive()) == b"message"
    asyncio.run(main())
    assert asyncio.run(receive()) == b"message"


def test_a_loop_that_ends_while_somebody_waits_leaves_the_object_usable(queue: AsyncQueue) -> None:
    async def abandon() -> None:
        task = asyncio.create_task(queue.receive())
        await waiting(queue)
        del task  # asyncio.run cancels it

    for _ in range(2):
        asyncio.run(abandon())
    assert not queue._waiters


def test_one_can_wait_until_all_is_taken(queue: AsyncQueue) -> None:
    async def main() -> None:
        await queue.wait_empty()
        await queue.send(b"message")
        with pytest.raises(QueueNotEmpty):
            await queue.wait_empty(0.01)
        task = asyncio.create_task(queue.wait_empty())
        await asyncio.sleep(0)
        await queue.receive()
        await task

    run(main())


def test_one_message_for_many(root: Path, fated: tuple[Queue, Forked]) -> None:
    async def main() -> None:
        queues = [AsyncQueue.create(root / f"async-{number}") for number in range(3)]
        await AsyncQueue.cast(queues, b"message")
        assert [(await queue.receive(0)).content for queue in queues] == [b"message"] * 3
        gone = AsyncQueue(fated[0].path)
        fated[1].end()
        with pytest.raises(CastIncomplete):
            await AsyncQueue.cast([gone, *queues], b"message")
        assert [(await queue.receive(0)).content for queue in queues] == [b"message"] * 3
        for queue in queues:
            queue.remove()

    run(main())
