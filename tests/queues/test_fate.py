"""A queue shares the fate of the process that made it."""

import pytest

from eventfs.queues import attributes, xattrs
from eventfs.queues.errors import AlreadyExists, NoSuchAttribute, NotFound, NotPermitted
from eventfs.queues.inode import Mode
from eventfs.queues.message import Message
from eventfs.queues.queue import Owner, Queue
from eventfs.queues.tree import Tree
from eventfs.queues.xattrs import STICKY
from tests.queues.making import (
    NOW,
    OTHER_OWNER,
    OWNER,
    THEN,
    content,
    create,
    fill,
    link,
    lookup,
    mkdir,
    names,
    rmdir,
    times,
    unlink,
)


def set_sticky(queue: Queue, value: bytes = b"") -> None:
    xattrs.put(queue, STICKY, value, NOW)


# Death


def test_a_queue_vanishes_with_its_owner(tree: Tree, queue: Queue) -> None:
    tree.owner_died(OWNER, NOW)
    assert queue.vanished
    assert names(tree.root) == []
    with pytest.raises(NotFound):
        lookup(tree, tree.root, b"queue")


def test_all_that_is_in_it_vanishes_too(tree: Tree, queue: Queue) -> None:
    messages = fill(tree, queue, b"a", b"b", b"c")
    tree.owner_died(OWNER, NOW)
    assert names(queue) == []
    assert [message.links for message in messages] == [0, 0, 0]


def test_all_queues_of_an_owner_vanish_and_no_others(tree: Tree) -> None:
    mkdir(tree, b"a")
    mkdir(tree, b"b", owner=OTHER_OWNER)
    mkdir(tree, b"c")
    tree.owner_died(OWNER, NOW)
    assert names(tree.root) == [b"b"]


@pytest.mark.usefixtures("queue")
def test_the_death_of_who_owns_nothing_changes_nothing(tree: Tree) -> None:
    assert tree.owner_died(OTHER_OWNER, NOW) == []
    assert names(tree.root) == [b"queue"]
    assert times(tree.root) == (THEN, THEN, THEN)


@pytest.mark.usefixtures("queue")
def test_a_death_that_is_told_twice_counts_once(tree: Tree) -> None:
    tree.owner_died(OWNER, NOW)
    assert tree.owner_died(OWNER, NOW) == []


def test_a_vanishing_queue_moves_the_roots_times_and_its_messages_ctime(
    tree: Tree, message: Message
) -> None:
    message.holds += 1
    tree.owner_died(OWNER, NOW)
    assert times(tree.root) == (THEN, NOW, NOW)
    assert times(message) == (THEN, THEN, NOW)


@pytest.mark.usefixtures("queue")
def test_the_root_has_one_link_less(tree: Tree) -> None:
    tree.owner_died(OWNER, NOW)
    assert tree.root.links == 2


def test_the_name_of_a_vanished_queue_is_free(tree: Tree, queue: Queue) -> None:
    tree.owner_died(OWNER, NOW)
    new = mkdir(tree, owner=OTHER_OWNER)
    assert new.ino != queue.ino
    tree.owner_died(OWNER, NOW)
    assert lookup(tree, tree.root, b"queue") is new


def test_reads_and_writes_on_open_messages_go_on(tree: Tree, message: Message) -> None:
    message.write(0, b"text", NOW)
    message.holds += 1
    tree.owner_died(OWNER, NOW)
    assert tree.inodes[message.ino] is message
    message.write(4, b" and more", NOW)
    assert content(message) == b"text and more"


def test_nothing_new_comes_into_a_queue_whose_owner_died(tree: Tree, queue: Queue) -> None:
    queue.holds += 1
    tree.owner_died(OWNER, NOW)
    with pytest.raises(NotFound):
        create(tree, queue)
    with pytest.raises(NotFound):
        mkdir(tree, directory=queue)


# What is told of a vanished queue


def test_each_vanished_queue_is_told_of_once(tree: Tree) -> None:
    queues = {mkdir(tree, b"a"), mkdir(tree, b"b"), mkdir(tree, b"c")}
    vanished = tree.owner_died(OWNER, NOW)
    assert len(vanished) == 3
    assert {gone.queue for gone in vanished} == queues


def test_of_the_messages_those_that_somebody_holds_are_told_in_order(
    tree: Tree, queue: Queue
) -> None:
    # The kernel knows of them, and must be told.
    a, _, c = fill(tree, queue, b"a", b"b", b"c")
    link(tree, a, queue, b"d")
    a.holds += 1
    c.holds += 1
    [gone] = tree.owner_died(OWNER, NOW)
    assert gone.held == [(b"a", a), (b"c", c), (b"d", a)]


# Links between queues


def test_a_message_outlives_the_vanishing_of_one_of_its_queues(
    tree: Tree, other_queue: Queue, message: Message
) -> None:
    message.write(0, b"text", NOW)
    link(tree, message, other_queue, b"linked")
    tree.owner_died(OWNER, NOW)
    assert names(other_queue) == [b"linked"]
    assert lookup(tree, other_queue, b"linked") is message
    assert (message.links, content(message)) == (1, b"text")


def test_a_message_goes_with_the_last_of_its_queues(
    tree: Tree, other_queue: Queue, message: Message
) -> None:
    link(tree, message, other_queue, b"linked")
    tree.owner_died(OWNER, NOW)
    tree.owner_died(OTHER_OWNER, NOW)
    assert message.links == 0
    assert message.ino not in tree.inodes


def test_a_message_linked_twice_in_a_queue_goes_with_it(
    tree: Tree, queue: Queue, message: Message
) -> None:
    link(tree, message, queue, b"again")
    tree.owner_died(OWNER, NOW)
    assert message.links == 0
    assert message.ino not in tree.inodes


# Who owns what


def test_owners_are_those_that_have_queues(tree: Tree) -> None:
    assert not tree.owns(OWNER)
    mkdir(tree, b"a")
    mkdir(tree, b"b")
    assert tree.owns(OWNER)
    assert not tree.owns(OTHER_OWNER)
    rmdir(tree, b"a")
    assert tree.owns(OWNER)
    rmdir(tree, b"b")
    assert not tree.owns(OWNER)


def test_the_dead_own_nothing(tree: Tree, queue: Queue) -> None:
    set_sticky(queue)
    mkdir(tree, b"other")
    tree.owner_died(OWNER, NOW)
    assert not tree.owns(OWNER)


def test_a_refused_mkdir_owns_nothing(tree: Tree, queue: Queue) -> None:
    nobody = Owner(3)
    for directory in (None, queue):
        with pytest.raises((AlreadyExists, NotPermitted)):
            mkdir(tree, directory=directory, owner=nobody)
    assert not tree.owns(nobody)


def test_a_queue_that_was_removed_is_gone_when_its_owner_dies(tree: Tree, queue: Queue) -> None:
    queue.holds += 1
    rmdir(tree)
    assert tree.owner_died(OWNER, NOW) == []


def test_a_queue_under_the_name_of_a_removed_one_is_its_own_makers(tree: Tree) -> None:
    mkdir(tree)
    rmdir(tree)
    mkdir(tree, owner=OTHER_OWNER)
    tree.owner_died(OWNER, NOW)
    assert names(tree.root) == [b"queue"]
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(tree.root) == []


def test_who_links_or_creates_in_a_queue_does_not_own_it(
    tree: Tree, other_queue: Queue, message: Message
) -> None:
    link(tree, message, other_queue, b"linked")
    tree.owner_died(OWNER, NOW)
    assert names(tree.root) == [b"other"]
    assert tree.owns(OTHER_OWNER)


# Sticky queues


@pytest.mark.parametrize("value", [b"", b"0", b"1", b"anything"])
def test_a_sticky_queue_outlives_its_owner_whatever_the_value(
    tree: Tree, queue: Queue, message: Message, value: bytes
) -> None:
    set_sticky(queue, value)
    assert tree.owner_died(OWNER, NOW) == []
    assert lookup(tree, tree.root, b"queue") is queue
    assert lookup(tree, queue, b"message") is message
    assert queue.owner is None


def test_of_an_owners_queues_only_the_sticky_ones_stay(tree: Tree) -> None:
    for name in (b"a", b"b", b"c"):
        queue = mkdir(tree, name)
        if name == b"b":
            set_sticky(queue)
    assert {gone.queue.name for gone in tree.owner_died(OWNER, NOW)} == {b"a", b"c"}
    assert names(tree.root) == [b"b"]


def test_an_orphaned_queue_works_like_any_other(tree: Tree, queue: Queue) -> None:
    set_sticky(queue)
    tree.owner_died(OWNER, NOW)
    fill(tree, queue, b"a", b"b")
    unlink(tree, queue, b"head")
    unlink(tree, queue, b"tail")
    assert rmdir(tree) is queue
    assert names(tree.root) == []


def test_stickiness_removed_before_the_death_keeps_nothing(tree: Tree, queue: Queue) -> None:
    set_sticky(queue)
    assert attributes.remove(tree, queue, STICKY, NOW) is None
    assert not queue.vanished
    tree.owner_died(OWNER, NOW)
    assert queue.vanished


def test_stickiness_removed_after_the_death_makes_the_queue_vanish(
    tree: Tree, queue: Queue, message: Message
) -> None:
    set_sticky(queue)
    tree.owner_died(OWNER, NOW)
    message.holds += 1
    gone = attributes.remove(tree, queue, STICKY, NOW)
    assert gone == (queue, [(b"message", message)])
    assert names(tree.root) == []
    assert queue.vanished


def test_another_attribute_removed_after_the_death_changes_nothing(
    tree: Tree, queue: Queue
) -> None:
    set_sticky(queue)
    xattrs.put(queue, b"user.colour", b"", NOW)
    tree.owner_died(OWNER, NOW)
    assert attributes.remove(tree, queue, b"user.colour", NOW) is None
    with pytest.raises(NoSuchAttribute):
        attributes.remove(tree, queue, b"user.colour", NOW)
    assert not queue.vanished


def test_stickiness_that_was_set_again_keeps_the_queue(tree: Tree, queue: Queue) -> None:
    set_sticky(queue)
    attributes.remove(tree, queue, STICKY, NOW)
    set_sticky(queue)
    tree.owner_died(OWNER, NOW)
    assert not queue.vanished


def test_stickiness_removed_from_a_vanished_queue_changes_nothing(tree: Tree, queue: Queue) -> None:
    set_sticky(queue)
    tree.owner_died(OWNER, NOW)
    queue.holds += 1
    rmdir(tree)
    new = mkdir(tree)
    assert attributes.remove(tree, queue, STICKY, NOW) is None
    assert lookup(tree, tree.root, b"queue") is new


def test_stickiness_is_nothing_to_a_message_and_to_the_root(tree: Tree, message: Message) -> None:
    for inode in (message, tree.root):
        xattrs.put(inode, STICKY, b"", NOW)
        assert attributes.remove(tree, inode, STICKY, NOW) is None
    xattrs.put(message, STICKY, b"", NOW)
    tree.owner_died(OWNER, NOW)
    assert message.links == 0


def test_the_bit_s_isvtx_keeps_no_queue(tree: Tree, queue: Queue) -> None:
    queue.chmod(Mode(0o1777), NOW)
    tree.owner_died(OWNER, NOW)
    assert queue.vanished
