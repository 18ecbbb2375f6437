"""Queues that follow others."""

from pathlib import Path

import pytest

from eventfs import AccessDenied, NoSuchQueue, Queue, QueueError
from tests.mount.processes import ALICE, in_child


def test_what_arrives_in_a_source_arrives_here(queue: Queue, other: Queue) -> None:
    queue.follow(other)
    other.send(b"message")
    assert queue.receive(5).content == b"message"
    assert len(other) == 1
    assert queue.stat().sources == (other.name,)
    assert other.stat().followers == (queue.name,)


def test_sources_can_be_named_and_replaced_and_left(queue: Queue, other: Queue) -> None:
    with Queue.create(Path(queue.path).with_name("third")) as third:
        queue.follow(other.name, third)
        assert queue.stat().sources == (other.name, "third")
        queue.follow("third")
        assert queue.stat().sources == ("third",)
        queue.follow()
        assert queue.stat().sources == ()
        third.send(b"message")
        assert len(queue) == 0
        third.remove()


def test_what_is_not_there_cannot_be_followed(queue: Queue, other: Queue) -> None:
    queue.follow(other)
    with pytest.raises(NoSuchQueue, match="there is no such queue to follow: missing"):
        queue.follow("missing")
    assert queue.stat().sources == (other.name,)


def test_no_message_comes_back(queue: Queue, other: Queue) -> None:
    queue.follow(other)
    with pytest.raises(QueueError, match="levels of symbolic links"):
        other.follow(queue)


@pytest.mark.parametrize("name", ["", "two/names"])
def test_what_is_no_name(queue: Queue, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a queue"):
        queue.follow(name)


def test_who_may_not_read_a_source(queue: Queue, other: Queue) -> None:
    Path(queue.path).chmod(0o777)
    Path(other.path).chmod(0o700)
    with pytest.raises(AccessDenied):
        in_child(lambda: Queue(queue.path).follow(other.name), uid=ALICE)
