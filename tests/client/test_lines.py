"""Many messages with one call."""

import time

import pytest

from eventfs import Queue, QueueEmpty
from tests.mount.ports.test_poll import wait_until_polling
from tests.mount.processes import Forked
from tests.mounts import DEADLINE_S

MIB = 1 << 20


def test_each_line_is_a_message(queue: Queue) -> None:
    assert queue.send_lines([b"one", b"", b"three"]) == 3
    assert [message.content for message in queue] == [b"one", b"", b"three"]
    assert queue.receive_lines() == [b"one", b"", b"three"]


def test_any_iterable_will_do(queue: Queue) -> None:
    assert queue.send_lines(b"%d" % number for number in range(3)) == 3
    assert queue.send_lines([]) == 0
    assert queue.receive_lines() == [b"0", b"1", b"2"]


@pytest.mark.parametrize("length", [0, 1, 100, 5000, 300_000])
def test_as_many_as_take_several_calls(queue: Queue, length: int) -> None:
    count = 3 * MIB // (length + 8) + 3
    lines = [b"%d" % number + b"x" * length for number in range(count)]
    assert queue.send_lines(lines) == count
    assert len(queue) == count
    taken: list[bytes] = []
    while len(taken) < count:
        taken += queue.receive_lines(0)
    assert taken == lines


def test_a_newline_is_refused_before_anything_is_sent(queue: Queue) -> None:
    with pytest.raises(ValueError, match="line 1 has a newline in it"):
        queue.send_lines([b"one", b"two\nthree"])
    assert len(queue) == 0


@pytest.mark.parametrize("size", [0, 100_000, MIB, 3 * MIB])
def test_what_was_sent_otherwise_comes_as_lines_too(queue: Queue, size: int) -> None:
    queue.send(b"x" * size)
    queue.send(b"two\nthree")
    assert queue.receive_lines()[0] == b"x" * size
    if len(queue):
        assert queue.receive_lines() == [b"two", b"three"]


def test_none_in_time(queue: Queue) -> None:
    with pytest.raises(QueueEmpty):
        queue.receive_lines(0)
    start = time.monotonic()
    with pytest.raises(QueueEmpty, match=r"no message within 0\.05 s"):
        queue.receive_lines(0.05)
    assert time.monotonic() - start >= 0.05


def test_who_waits_for_lines_is_woken(queue: Queue) -> None:
    child = Forked(lambda: Queue(queue.path).receive_lines(DEADLINE_S))
    try:
        wait_until_polling(child.pid)
        queue.send_lines([b"one", b"two"])
        assert child.result() == [b"one", b"two"]
    finally:
        child.end()
