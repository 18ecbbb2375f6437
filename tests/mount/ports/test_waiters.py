"""A thousand waiters on a thousand queues: an arrival wakes its own only, the others cost nothing.

A waiter is a port in an epoll of its own, as in a process of its own; all of these are in one more
epoll, which tells which of them are awake. Requests are counted, since who is woken in vain asks.
"""

import os
import random
import resource
import select
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mount.kernel.test_requests import counted
from tests.mount.ports.using import opened
from tests.mounts import DEADLINE_S, Mount

QUEUES = 1000

triggered = pytest.mark.parametrize("how", [0, select.EPOLLET], ids=["level", "edge"])


class Waiter(NamedTuple):
    """Who waits for what arrives in a queue."""

    port: int
    epoll: select.epoll
    writer: int  # somebody else's handle, to write to the queue

    def take(self) -> bytes:
        """Look what has happened, and take all that is there."""
        assert self.epoll.poll(0) == [(self.port, select.EPOLLIN)]
        message = os.read(self.port, 100)
        with pytest.raises(BlockingIOError):
            os.read(self.port, 100)
        return message


@pytest.fixture
def root(mount: Mount) -> Path:
    """A root of the test's own: nobody else's requests are counted."""
    return mount.path


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Three for each queue are more than processes may have by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * QUEUES)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def waiters(root: Path, descriptors: None, how: int) -> Iterator[list[Waiter]]:
    """A waiter on each of the queues, where a message has come and gone."""
    del descriptors
    with ExitStack() as stack:
        made = []
        for number in range(QUEUES):
            queue = root / str(number)
            queue.mkdir()
            port = stack.enter_context(opened(queue, os.O_RDONLY | os.O_NONBLOCK))
            writer = stack.enter_context(opened(queue, os.O_WRONLY))
            epoll = stack.enter_context(closing(select.epoll()))
            epoll.register(port, select.EPOLLIN | how)
            made.append(Waiter(port, epoll, writer))
            os.write(writer, b"first")
            assert made[-1].take() == b"first"
        yield made


@pytest.fixture
def awake(waiters: list[Waiter]) -> Iterator[select.epoll]:
    """Tells which waiters are awake: none yet."""
    with closing(select.epoll()) as outer:
        for waiter in waiters:
            outer.register(waiter.epoll.fileno(), select.EPOLLIN)
        assert outer.poll(0) == []
        yield outer


def pass_messages(waiters: Iterable[Waiter], awake: select.epoll) -> None:
    """Send a message to each of them, one after another; it wakes that one and no other."""
    for waiter in waiters:
        message = b"for %d" % waiter.port
        os.write(waiter.writer, message)
        assert awake.poll(DEADLINE_S) == [(waiter.epoll.fileno(), select.EPOLLIN)]
        assert waiter.take() == message
        assert awake.poll(0) == []


@triggered
def test_an_arrival_wakes_its_own_waiter_and_no_other(
    waiters: list[Waiter], awake: select.epoll
) -> None:
    pass_messages(random.Random(1).sample(waiters, QUEUES), awake)  # noqa: S311  # no secret


@triggered
def test_messages_that_arrive_before_anybody_looks_wake_theirs_together(
    waiters: list[Waiter], awake: select.epoll
) -> None:
    some = random.Random(1).sample(waiters, 100)  # noqa: S311  # no secret
    for waiter in some:
        os.write(waiter.writer, b"message")
    expected = {waiter.epoll.fileno() for waiter in some}
    assert {fd for fd, _ in awake.poll(DEADLINE_S, QUEUES)} == expected
    assert [waiter.take() for waiter in some] == [b"message"] * len(some)
    assert awake.poll(0) == []


@triggered
def test_an_arrival_costs_those_who_wait_elsewhere_no_request(
    root: Path, waiters: list[Waiter], awake: select.epoll
) -> None:
    with counted(root) as among_all:
        pass_messages(waiters, awake)
    for waiter in waiters[1:]:
        awake.unregister(waiter.epoll.fileno())
        waiter.epoll.unregister(waiter.port)
    with counted(root) as alone:
        pass_messages(waiters[:1] * QUEUES, awake)
    assert among_all == alone
    assert {**among_all, "poll": 0} == {"write": QUEUES, "read": 2 * QUEUES, "poll": 0}
    assert among_all["poll"] <= 4 * QUEUES  # as often as it was looked


@triggered
def test_nor_where_one_epoll_waits_for_all(root: Path, waiters: list[Waiter], how: int) -> None:
    of_ports = {waiter.port: waiter for waiter in waiters}
    with closing(select.epoll()) as epoll:
        for waiter in waiters:
            waiter.epoll.unregister(waiter.port)
            epoll.register(waiter.port, select.EPOLLIN | how)
        assert epoll.poll(0) == []
        order = random.Random(1).sample(waiters, QUEUES)  # noqa: S311  # no secret
        with counted(root) as counts:
            for waiter in order:
                os.write(waiter.writer, b"message")
                ((port, events),) = epoll.poll(DEADLINE_S)
                assert (of_ports[port], events) == (waiter, select.EPOLLIN)
                assert os.read(port, 100) == b"message"
    assert {**counts, "poll": 0} == {"write": QUEUES, "read": QUEUES, "poll": 0}
    # It is asked when it has been woken, and, level-triggered, when its turn comes again.
    assert counts["poll"] <= 2 * QUEUES
