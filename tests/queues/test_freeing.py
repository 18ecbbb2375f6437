"""An inode is in memory exactly as long as a name, a lookup or an open handle leads to it."""

import gc
from collections.abc import Callable

import pytest

from eventfs.queues import attributes, xattrs
from eventfs.queues.inode import Inode, Mode
from eventfs.queues.message import Message
from eventfs.queues.queue import End, Queue
from eventfs.queues.tree import ROOT_INO, Tree
from eventfs.queues.xattrs import STICKY
from tests.queues.making import (
    ALICE,
    BOB,
    NOW,
    OTHER_OWNER,
    OWNER,
    STAFF,
    chown,
    create,
    end,
    fill,
    link,
    lookup,
    make_tree,
    mkdir,
    rmdir,
    unlink,
)


def all_but_root(tree: Tree) -> set[Inode]:
    assert tree.inodes[ROOT_INO] is tree.root
    return set(tree.inodes.values()) - {tree.root}


def test_a_new_tree_has_only_the_root(tree: Tree) -> None:
    assert tree.inodes == {ROOT_INO: tree.root}


# Messages


@pytest.mark.usefixtures("message")
def test_a_message_is_freed_with_its_name(tree: Tree, queue: Queue) -> None:
    unlink(tree, queue, b"message")
    assert all_but_root(tree) == {queue}


def test_a_message_is_freed_with_its_last_name(
    tree: Tree, queue: Queue, other_queue: Queue, message: Message
) -> None:
    link(tree, message, other_queue, b"linked")
    unlink(tree, queue, b"message")
    assert message.ino in tree.inodes
    unlink(tree, other_queue, b"linked")
    assert message.ino not in tree.inodes


def test_a_message_without_a_name_is_freed_with_its_last_hold(
    tree: Tree, queue: Queue, message: Message
) -> None:
    message.holds += 1
    message.holds += 1
    unlink(tree, queue, b"message")
    tree.unhold(message)
    assert message.ino in tree.inodes
    tree.unhold(message)
    assert message.ino not in tree.inodes


def test_many_holds_may_go_at_once(tree: Tree, queue: Queue, message: Message) -> None:
    for _ in range(5):
        message.holds += 1
    unlink(tree, queue, b"message")
    tree.unhold(message, 4)
    assert message.ino in tree.inodes
    tree.unhold(message, 1)
    assert message.ino not in tree.inodes


def test_a_message_that_has_a_name_needs_no_hold(
    tree: Tree, queue: Queue, message: Message
) -> None:
    message.holds += 1
    tree.unhold(message)
    assert tree.inodes[message.ino] is message
    assert lookup(tree, queue, b"message") is message


# Queues


@pytest.mark.usefixtures("queue")
def test_a_queue_is_freed_with_its_name(tree: Tree) -> None:
    rmdir(tree)
    assert all_but_root(tree) == set()


def test_a_removed_queue_is_freed_with_its_last_hold(tree: Tree, queue: Queue) -> None:
    queue.holds += 1
    rmdir(tree)
    assert all_but_root(tree) == {queue}
    tree.unhold(queue)
    assert all_but_root(tree) == set()


def test_a_queue_that_has_a_name_needs_no_hold(tree: Tree, queue: Queue) -> None:
    queue.holds += 1
    tree.unhold(queue)
    assert lookup(tree, tree.root, b"queue") is queue
    assert all_but_root(tree) == {queue}


def test_the_root_stays_when_nobody_holds_it(tree: Tree) -> None:
    tree.root.holds += 1
    tree.unhold(tree.root)
    assert tree.inodes == {ROOT_INO: tree.root}


def test_a_vanishing_queue_is_freed_with_all_its_messages(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b", b"c")
    tree.owner_died(OWNER, NOW)
    assert all_but_root(tree) == set()


def test_a_queue_that_vanishes_with_its_stickiness_is_freed_too(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    xattrs.put(queue, STICKY, b"", NOW)
    tree.owner_died(OWNER, NOW)
    assert len(all_but_root(tree)) == 2
    attributes.remove(tree, queue, STICKY, NOW)
    assert all_but_root(tree) == set()


def test_what_somebody_holds_of_a_vanished_queue_stays_until_they_let_go(
    tree: Tree, queue: Queue
) -> None:
    a, _, c = fill(tree, queue, b"a", b"b", b"c")
    head = end(tree, queue, b"head")
    held: list[Inode] = [a, c, head, queue]
    for inode in held:
        inode.holds += 1
    tree.owner_died(OWNER, NOW)
    # Whatever comes first, the queue too.
    while held:
        assert all_but_root(tree) == set(held)
        tree.unhold(held.pop())
    assert all_but_root(tree) == set()


def test_a_message_that_another_queue_has_stays(
    tree: Tree, other_queue: Queue, message: Message
) -> None:
    link(tree, message, other_queue, b"linked")
    tree.owner_died(OWNER, NOW)
    assert all_but_root(tree) == {other_queue, message}
    tree.owner_died(OTHER_OWNER, NOW)
    assert all_but_root(tree) == set()


# head and tail


def test_an_end_is_there_once_somebody_has_asked_for_it(
    tree: Tree, queue: Queue, message: Message
) -> None:
    assert all_but_root(tree) == {queue, message}
    head = end(tree, queue, b"head")
    assert all_but_root(tree) == {queue, message, head}


def test_an_end_is_freed_with_its_last_hold(tree: Tree, queue: Queue, message: Message) -> None:
    head = end(tree, queue, b"head")
    head.holds += 1
    head.holds += 1
    tree.unhold(head)
    assert tree.inodes[head.ino] is head
    tree.unhold(head)
    assert all_but_root(tree) == {queue, message}
    assert queue.ends == {}


@pytest.mark.usefixtures("message")
def test_an_end_is_freed_with_its_vanished_queue(
    tree: Tree,
    queue: Queue,
) -> None:
    end(tree, queue, b"head")
    end(tree, queue, b"tail")
    tree.owner_died(OWNER, NOW)
    assert all_but_root(tree) == set()


@pytest.mark.usefixtures("message")
def test_an_end_that_is_held_stays_while_its_queue_is_empty(
    tree: Tree,
    queue: Queue,
) -> None:
    head = end(tree, queue, b"head")
    head.holds += 1
    unlink(tree, queue, b"head")
    assert all_but_root(tree) == {queue, head}
    create(tree, queue, b"new")
    assert end(tree, queue, b"head") is head


@pytest.mark.usefixtures("message")
def test_an_end_that_comes_again_has_a_new_number(
    tree: Tree,
    queue: Queue,
) -> None:
    old = end(tree, queue, b"head")
    old.holds += 1
    tree.unhold(old)
    assert end(tree, queue, b"head").ino > old.ino


def test_the_ends_of_each_viewer_are_freed(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o1777)
    message = create(tree, queue)
    for viewer in (ALICE, BOB):
        for name in (b"head", b"tail"):
            end(tree, queue, name, viewer=viewer).holds += 1
    for inode in all_but_root(tree):
        if isinstance(inode, End):
            tree.unhold(inode)
    assert all_but_root(tree) == {queue, message}


CHANGES: dict[str, Callable[[Queue], None]] = {
    "chown": lambda queue: chown(queue, BOB, STAFF, NOW),
    "chmod +t": lambda queue: queue.chmod(Mode(0o1777), NOW),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_end_is_freed_although_its_queue_has_changed_hands(
    tree: Tree, queue: Queue, message: Message, change: Callable[[Queue], None]
) -> None:
    old = end(tree, queue, b"head", viewer=BOB)
    old.holds += 1
    change(queue)
    new = end(tree, queue, b"head", viewer=BOB)
    new.holds += 1
    assert new is not old
    tree.unhold(old)
    tree.unhold(new)
    assert all_but_root(tree) == {queue, message}


# Nothing is left


def test_after_any_amount_of_work_only_the_root_is_left() -> None:
    tree = make_tree()
    for number in range(20):
        queue = mkdir(tree, b"%d" % number, mode=0o1777)
        messages = fill(tree, queue, *(b"%d" % count for count in range(20)))
        for message in messages[::3]:
            message.holds += 1
        end(tree, queue, b"head", viewer=BOB).holds += 1
        for _ in range(number):
            unlink(tree, queue, b"tail")
    tree.owner_died(OWNER, NOW)
    for inode in all_but_root(tree):
        tree.unhold(inode, inode.holds)
    assert tree.inodes == {ROOT_INO: tree.root}
    assert not tree.owns(OWNER)


def test_what_is_freed_is_freed_without_the_garbage_collector() -> None:
    # Else a message's bytes would stay until the collector comes by.
    def living() -> int:
        return sum(isinstance(one, Message | Queue) for one in gc.get_objects())

    tree = make_tree()
    gc.collect()
    gc.disable()
    try:
        before = living()
        queue = mkdir(tree)
        for name in (b"a", b"b", b"c"):
            create(tree, queue, name)
        end(tree, queue, b"head").holds += 1
        tree.unhold(end(tree, queue, b"head"))
        assert living() == before + 4
        unlink(tree, queue, b"a")
        assert living() == before + 3
        del queue
        tree.owner_died(OWNER, NOW)
        assert living() == before
    finally:
        gc.enable()
