"""What the client costs: exact numbers of requests, as in mount/kernel/test_requests.py."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventfs import Queue
from tests.mount.kernel.test_requests import counted, waited
from tests.mounts import Mount


@pytest.fixture
def root(mount: Mount) -> Path:
    """A root of the test's own: nobody else's requests are counted."""
    return mount.path


@pytest.fixture
def queue(root: Path) -> Iterator[Queue]:
    """A queue where a message has passed each way, so that all is open."""
    with Queue.create(root / "queue") as queue:
        queue.send(b"first")
        queue.receive(0)
        queue.send_lines([b"first"])
        queue.receive_lines(0)
        yield queue


@pytest.mark.parametrize("size", [1, 100, 4096])
@pytest.mark.parametrize("timeout", [None, 0, 1])
def test_a_small_message_is_one_request_each_way(
    root: Path, queue: Queue, size: int, timeout: float | None
) -> None:
    message = b"x" * size
    with counted(root) as counts:
        for _ in range(100):
            queue.send(message)
    assert counts == Counter(write=100)
    with counted(root) as counts:
        for _ in range(100):
            queue.receive(timeout)
    assert counts == Counter(read=100)


def test_so_is_a_larger_one_when_one_like_it_has_come(root: Path, queue: Queue) -> None:
    for _ in range(2):
        queue.send(b"x" * 1_000_000)
    queue.receive(0)
    with counted(root) as counts:
        queue.receive(0)
    assert counts == Counter(read=1)


def test_and_what_is_small_again_is_read_with_a_small_buffer(root: Path, queue: Queue) -> None:
    """A large one takes 20 times as long."""
    queue.send(b"x" * 1_000_000)
    queue.send_lines([b"small"] * 10)
    queue.receive(0)
    with counted(root) as counts:
        for _ in range(10):
            queue.receive(0)
    assert counts == Counter(read=10)
    assert queue._read_bytes == 1 << 16
    queue.send_lines([b"x" * 1_000_000, *[b"small"] * 10])
    assert len(queue.receive_lines(0)) == 11
    for _ in range(2):
        queue.send(b"small")
        queue.receive_lines(0)
    assert queue._read_lines_bytes == 1 << 16


def test_a_thousand_lines_are_one_request_each_way(root: Path, queue: Queue) -> None:
    with counted(root) as counts:
        assert queue.send_lines([b"line"] * 1000) == 1000
        assert queue.receive_lines(0) == [b"line"] * 1000
    assert counts == Counter(write=1, read=1)


def test_a_large_message_is_written_once_and_linked(root: Path, queue: Queue) -> None:
    queue.send(b"x" * 1_100_000)
    queue.receive(0)
    with counted(root) as counts:
        queue.send(b"x" * 1_100_000)
    assert counts["write"] == 2
    assert counts["link"] == counts["unlink"] == counts["create"] == 1
    assert sum(waited(counts).values()) <= 16


def test_casting_writes_once(root: Path, queue: Queue) -> None:
    others = [Queue.create(root / str(number)) for number in range(10)]
    Queue.cast(others, b"first")
    del queue
    with counted(root) as counts:
        Queue.cast(others, b"x" * 1000)
    assert counts["write"] == counts["create"] == 1
    assert counts["link"] == 10
    inodes = {os.stat(Path(other.path, "tail")).st_ino for other in others}
    assert len(inodes) == 1


@pytest.mark.parametrize("size", [1, 100, 4096])
def test_claiming_takes_six_reading_three_and_being_done_two(
    root: Path, queue: Queue, size: int
) -> None:
    queue.send_lines([b"x" * size] * 11)
    with queue.claim() as first:  # the lease queue is made
        assert first.content
    for _ in range(10):
        with counted(root) as counts:
            claim = queue.claim()
            message = claim.__enter__()
        assert waited(counts) == {"getattr": 2, "lookup": 2, "readlink": 1, "rename": 1}
        with counted(root) as counts:
            assert message.content == b"x" * size
        assert waited(counts) == {"getattr": 1, "lookup": 1, "open": 1}
        with counted(root) as counts:
            claim.__exit__(None, None, None)
        assert waited(counts) == {"lookup": 1, "unlink": 1}


def test_giving_back_takes_four_and_a_sign_of_life_two(root: Path, queue: Queue) -> None:
    queue.send(b"message")
    for _ in range(10):
        claim = queue.claim()
        message = claim.__enter__()
        assert message.content == b"message"
        with counted(root) as counts:
            message.touch()
        assert waited(counts) == {"lookup": 1, "setattr": 1}
        with counted(root) as counts:
            assert message.attempts >= 0
        assert waited(counts) == {"lookup": 1, "open": 1, "getxattr": 1}
        with counted(root) as counts:
            claim.__exit__(ValueError, ValueError(), None)
        assert waited(counts) == {"getattr": 1, "lookup": 2, "rename2": 1}


def test_a_queue_is_asked_for_what_it_has(root: Path, queue: Queue) -> None:
    with counted(root) as counts:
        queue.stat()
    assert counts["getxattr"] == 8
    assert counts["listxattr"] == 1
