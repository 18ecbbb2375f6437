"""Hard links: one message in several queues."""

import pytest

from eventfs.queues.errors import (
    NotFound,
    NotPermitted,
)
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue, Tid
from eventfs.queues.tree import Tree
from tests.queues.making import (
    NOW,
    content,
    create,
    end,
    fill,
    link,
    lookup,
    names,
    times,
    unlink,
)


def test_a_link_is_one_more_message_at_the_tail_with_the_same_inode(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    message = create(tree, queue)
    fill(tree, other_queue, b"a", b"b")
    assert link(tree, message, other_queue, b"linked") is message
    assert lookup(tree, other_queue, b"linked") is lookup(tree, queue, b"message") is message
    assert names(other_queue) == [b"a", b"b", b"linked"]
    assert end(tree, other_queue, b"tail").dentry(Tid(1)).name == b"linked"
    assert message.links == 2


def test_linked_messages_share_their_content(
    tree: Tree, other_queue: Queue, message: Message
) -> None:
    link(tree, message, other_queue, b"linked")
    message.write(0, b"text", NOW)
    linked = lookup(tree, other_queue, b"linked")
    assert isinstance(linked, Message)
    assert content(linked) == b"text"


def test_a_link_within_a_queue_arrives_there_again(tree: Tree, queue: Queue) -> None:
    a, _ = fill(tree, queue, b"a", b"b")
    link(tree, a, queue, b"c")
    assert names(queue) == [b"a", b"b", b"c"]
    assert unlink(tree, queue, b"head") is a
    assert unlink(tree, queue, b"tail") is a
    assert a.links == 0


def test_the_order_of_links_is_that_of_linking_not_of_making(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    messages = fill(tree, queue, b"a", b"b", b"c")
    for message, name in zip(reversed(messages), (b"3", b"2", b"1"), strict=True):
        link(tree, message, other_queue, name)
    fill(tree, other_queue, b"new")
    assert names(other_queue) == [b"3", b"2", b"1", b"new"]


def test_unlinking_one_name_leaves_the_other(
    tree: Tree, queue: Queue, other_queue: Queue, message: Message
) -> None:
    message.write(0, b"text", NOW)
    link(tree, message, other_queue, b"linked")
    unlink(tree, queue, b"message")
    assert message.links == 1
    assert names(queue) == []
    assert lookup(tree, other_queue, b"linked") is message
    assert content(message) == b"text"


def test_only_messages_can_be_linked(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    fill(tree, queue, b"a")
    for inode in (tree.root, queue, end(tree, queue, b"head")):
        before = inode.links, times(inode)
        with pytest.raises(NotPermitted):
            link(tree, inode, other_queue, b"linked")
        assert (inode.links, times(inode)) == before
    assert names(other_queue) == []


def test_a_message_without_a_name_cannot_be_given_one(
    tree: Tree, queue: Queue, message: Message
) -> None:
    message.holds += 1
    unlink(tree, queue, b"message")
    with pytest.raises(NotFound):
        link(tree, message, queue, b"again")
    assert names(queue) == []
    assert message.links == 0
