"""What a queue's attributes tell of its messages."""

import pytest

from eventfs.queues import attributes
from eventfs.queues.errors import NoSuchAttribute, NotFound, NotPermitted
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree
from eventfs.queues.xattrs import BYTES, COMPUTED, MESSAGES, OLDEST, OWNER
from tests.queues.making import (
    NOW,
    create,
    drain,
    link,
    message_at,
    names,
    put,
    put_lines,
    rmdir,
    take,
    unlink,
)


def told(tree: Tree, queue: Queue) -> tuple[bytes, bytes]:
    """Return how many messages there are said to be, and how many bytes."""
    return attributes.get(tree, queue, MESSAGES), attributes.get(tree, queue, BYTES)


def test_an_empty_queue_has_none(tree: Tree, queue: Queue) -> None:
    assert told(tree, queue) == (b"0", b"0")
    with pytest.raises(NoSuchAttribute):
        attributes.get(tree, queue, OLDEST)


def test_messages_and_bytes_count_however_they_came(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    tree.write(create(tree, queue, b"named"), 0, b"12345", NOW)
    put(tree, queue, b"123")
    put_lines(tree, queue, b"1", b"", b"12")
    other = create(tree, other_queue, b"linked")
    link(tree, other, queue, b"linked")
    tree.truncate(other, 1000, NOW)
    assert told(tree, queue) == (b"6", b"1011")
    # Looked at, a port's message is a file.
    assert len(names(queue)) == 6
    assert told(tree, queue) == (b"6", b"1011")
    unlink(tree, queue, b"named")
    assert take(tree, queue) == b"123"
    assert told(tree, queue) == (b"4", b"1003")
    drain(tree, queue)
    assert told(tree, queue) == (b"0", b"0")


def test_a_link_more_counts_in_each_queue(
    tree: Tree, queue: Queue, other_queue: Queue, message: Message
) -> None:
    tree.write(message, 0, b"12345", NOW)
    link(tree, message, queue, b"again")
    link(tree, message, other_queue, b"there")
    assert told(tree, queue) == (b"2", b"10")
    assert told(tree, other_queue) == (b"1", b"5")


def test_the_oldest_is_told_by_when_it_was_written(tree: Tree, queue: Queue) -> None:
    put(tree, queue, now_ns=5_000_000_007)
    assert attributes.get(tree, queue, OLDEST) == b"5.000000007"
    message = message_at(tree, queue, names(queue)[0])
    assert attributes.get(tree, queue, OLDEST) == b"5.000000007"
    tree.write(message, 0, b"later", 6 * 10**9)
    put(tree, queue, now_ns=7 * 10**9)
    assert attributes.get(tree, queue, OLDEST) == b"6.000000000"
    take(tree, queue)
    assert attributes.get(tree, queue, OLDEST) == b"7.000000000"


@pytest.mark.parametrize("name", sorted(COMPUTED))
def test_they_can_neither_be_set_nor_removed_and_take_nothing(
    tree: Tree, queue: Queue, name: bytes
) -> None:
    with pytest.raises(NotPermitted):
        attributes.put(tree, queue, name, b"1", NOW)
    with pytest.raises(NotPermitted):
        attributes.remove(tree, queue, name, NOW)
    assert queue.xattr_bytes == 0


@pytest.mark.parametrize("name", sorted(COMPUTED - {OWNER}))
def test_a_vanished_queue_tells_nothing(tree: Tree, queue: Queue, name: bytes) -> None:
    # It must not be taken for one whose messages were all received.
    queue.holds += 1
    rmdir(tree, b"queue")
    with pytest.raises(NotFound):
        attributes.get(tree, queue, name)


def test_of_a_message_the_names_are_those_of_ordinary_attributes(
    tree: Tree, message: Message
) -> None:
    for name in COMPUTED:
        attributes.put(tree, message, name, b"anything", NOW)
        assert attributes.get(tree, message, name) == b"anything"
