"""What costs nothing any more, or is refused, where a queue or nobody keeps a message."""

import pytest

from eventfs.queues import acl, attributes
from eventfs.queues.errors import MountFull
from eventfs.queues.ledger import Settings
from eventfs.queues.packet import Packet
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree
from eventfs.queues.xattrs import KEEP
from tests.queues.making import (
    NOW,
    charged,
    create,
    extended_list,
    follow,
    message_at,
    mkdir,
    put,
)


@pytest.fixture
def topic(tree: Tree, queue: Queue) -> Queue:
    """A queue that keeps nothing, and passes an access control list on."""
    attributes.put(tree, queue, KEEP, b"no", NOW)
    attributes.put(tree, queue, acl.DEFAULT, extended_list(0o660, 6), NOW)
    return queue


@pytest.mark.parametrize("opened", [True, False], ids=["open", "mknod"])
def test_what_a_topic_keeps_nothing_of_costs_nothing_once_nobody_has_it(
    tree: Tree, topic: Queue, *, opened: bool
) -> None:
    before = charged(tree)
    message = create(tree, topic)
    if opened:
        tree.open(message)
        tree.write(message, 0, b"text", NOW)
        tree.close(message)
    else:
        message.holds += 1
        tree.unhold(message)
    assert charged(tree) == before


def test_a_mount_that_is_full_is_full_for_topics_too(tree: Tree, topic: Queue) -> None:
    tree.ledger.change(Settings(nr_inodes=tree.ledger.inodes))
    before = charged(tree)
    with pytest.raises(MountFull):
        create(tree, topic)
    assert charged(tree) == before


def test_content_that_was_cut_off_is_kept_nowhere_else(tree: Tree, queue: Queue) -> None:
    follower = mkdir(tree, b"follower")
    follow(tree, follower, queue.name)
    put(tree, queue, b"x" * 1000)
    assert queue.oldest is not None
    message = message_at(tree, queue, queue.oldest.name)
    tree.truncate(message, 0, NOW)
    (dentry,) = follower.arrivals()
    assert isinstance(dentry.inode, Packet)
    assert dentry.inode.content == b""
    assert dentry.inode.message is message
