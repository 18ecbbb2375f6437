"""Looking at what is there, and leaving it there."""

import os
from pathlib import Path

import pytest

from eventfs import Queue, QueueStat
from tests.mount.processes import Fork, in_child

MIB = 1 << 20


def test_peek_shows_the_oldest_with_all_details(queue: Queue) -> None:
    assert queue.peek() is None
    queue.send(b"one")
    queue.send(b"two")
    message = queue.peek()
    assert message is not None
    assert (message.content, message.uid) == (b"one", os.getuid())
    assert message.name is not None
    assert Path(queue.path, message.name).read_bytes() == b"one"
    assert queue.peek() == message
    assert queue.receive(details=True) == message
    assert queue.receive().content == b"two"
    assert queue.peek() is None


def test_who_has_peeked_takes_the_next_if_another_was_faster(queue: Queue) -> None:
    queue.send(b"one")
    queue.send(b"two")
    queue.peek()
    in_child(lambda: Queue(queue.path).receive().content)
    assert queue.receive(details=True).content == b"two"


def test_iterating_shows_all_in_order(queue: Queue) -> None:
    contents = [b"one", b"", b"x" * 2 * MIB, b"four"]
    for content in contents:
        queue.send(content)
    for _ in range(2):
        assert [message.content for message in queue] == contents
    assert len(queue) == 4


def test_what_comes_and_goes_meanwhile(queue: Queue) -> None:
    for number in range(4):
        queue.send(b"%d" % number)
    seen = []
    for message in queue:
        seen.append(message.content)
        if message.content == b"0":
            queue.receive()
            queue.receive()
            queue.send(b"new")
    assert seen == [b"0", b"2", b"3"]


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_the_length_is_the_number_of_messages(queue: Queue, count: int) -> None:
    queue.send_lines([b"x"] * count)
    assert len(queue) == count


def test_stat_tells_all(queue: Queue, other: Queue) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert queue.stat() == QueueStat(
        owner=os.getpid(),
        messages=0,
        lent=0,
        bytes=0,
        oldest=None,
        sticky=False,
        topic=False,
        sources=(),
        followers=(),
        dropped=0,
        expired=0,
        max_messages=None,
        max_bytes=None,
        overflow=None,
        ttl=None,
        max_attempts=None,
        dead_letter=None,
        lease=None,
        uid=os.getuid(),
        gid=os.getgid(),
        mode=0o777 & ~mask,
    )
    queue.send(b"12345")
    queue.send(b"")
    other.follow(queue)
    os.chown(queue.path, 1, 2)
    Path(queue.path).chmod(0o1750)
    about = queue.stat()
    assert (about.messages, about.bytes) == (2, 5)
    first = queue.peek()
    assert first is not None
    assert first.time is not None
    assert about.oldest == pytest.approx(first.time, abs=1e-6)
    assert (about.uid, about.gid, about.mode) == (1, 2, 0o1750)
    assert about.followers == (other.name,)
    assert other.stat().sources == (queue.name,)


def test_a_sticky_queues_dead_owner_is_none(path: Path, fork: Fork) -> None:
    owner = fork(lambda: Queue.create(path, sticky=True, topic=True).close())
    with Queue(path) as queue:
        assert queue.stat().owner == owner.pid
        owner.end()
        about = queue.stat()
        assert (about.owner, about.sticky, about.topic) == (None, True, True)
