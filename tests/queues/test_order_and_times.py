"""Order, which only arrivals change; and times, as POSIX has them."""

from stat import (
    S_IFIFO,
)

import pytest

from eventfs.queues.errors import (
    AlreadyExists,
    IsADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
)
from eventfs.queues.inode import Mode
from eventfs.queues.ledger import Gid
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree
from tests.queues.making import (
    BOB,
    NOW,
    THEN,
    chown,
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

# Order: nothing but arrival counts


def test_writing_truncating_and_touching_move_nothing(tree: Tree, queue: Queue) -> None:
    first, *_ = fill(tree, queue, b"a", b"b", b"c")
    first.write(0, b"text", NOW)
    first.truncate(1, NOW)
    first.set_times(NOW, NOW, NOW)
    first.chmod(Mode(0o600), NOW)
    chown(first, BOB, Gid(1), NOW)
    assert names(queue) == [b"a", b"b", b"c"]


def test_the_clock_does_not_decide_the_order(tree: Tree, queue: Queue) -> None:
    create(tree, queue, b"a", now_ns=NOW)
    create(tree, queue, b"b", now_ns=THEN)
    assert names(queue) == [b"a", b"b"]


# Times of what an operation touches: as POSIX has them


def test_a_new_message_moves_its_queues_mtime_and_ctime(tree: Tree, queue: Queue) -> None:
    create(tree, queue, now_ns=NOW)
    assert times(queue) == (THEN, NOW, NOW)


def test_a_link_moves_the_messages_ctime_and_the_queues_mtime_and_ctime(
    tree: Tree, queue: Queue, other_queue: Queue, message: Message
) -> None:
    link(tree, message, other_queue, b"linked", now_ns=NOW)
    assert times(message) == (THEN, THEN, NOW)
    assert times(other_queue) == (THEN, NOW, NOW)
    assert times(queue) == (THEN, THEN, THEN)


@pytest.mark.parametrize("name", [b"message", b"head", b"tail"])
def test_unlink_moves_the_messages_ctime_and_the_queues_mtime_and_ctime(
    tree: Tree, queue: Queue, message: Message, name: bytes
) -> None:
    message.holds += 1
    unlink(tree, queue, name, now_ns=NOW)
    assert times(message) == (THEN, THEN, NOW)
    assert times(queue) == (THEN, NOW, NOW)


def test_making_and_removing_a_queue_move_the_roots_mtime_and_ctime(tree: Tree) -> None:
    mkdir(tree, now_ns=NOW)
    assert times(tree.root) == (THEN, NOW, NOW)
    rmdir(tree, now_ns=NOW + 1)
    assert times(tree.root) == (THEN, NOW + 1, NOW + 1)


def test_a_message_does_not_move_the_roots_times(tree: Tree, queue: Queue) -> None:
    create(tree, queue, now_ns=NOW)
    unlink(tree, queue, b"message", now_ns=NOW)
    assert times(tree.root) == (THEN, THEN, THEN)


def test_writing_does_not_move_the_queues_times(queue: Queue, message: Message) -> None:
    message.write(0, b"text", NOW)
    assert times(queue) == (THEN, THEN, THEN)


def test_a_lookup_moves_no_times(tree: Tree, queue: Queue, message: Message) -> None:
    for name in (b"message", b"head"):
        lookup(tree, queue, name)
    assert times(queue) == times(message) == (THEN, THEN, THEN)


def test_what_is_refused_moves_no_times(tree: Tree, queue: Queue, message: Message) -> None:
    for refused in (
        lambda: create(tree, queue, now_ns=NOW),
        lambda: create(tree, queue, b"head", now_ns=NOW),
        lambda: create(tree, queue, b"fifo", mode=S_IFIFO, now_ns=NOW),
        lambda: create(tree, tree.root, now_ns=NOW),
        lambda: mkdir(tree, now_ns=NOW),
        lambda: mkdir(tree, directory=queue, now_ns=NOW),
        lambda: link(tree, message, queue, b"message", now_ns=NOW),
        lambda: link(tree, queue, queue, b"linked", now_ns=NOW),
        lambda: unlink(tree, queue, b"other", now_ns=NOW),
        lambda: unlink(tree, tree.root, b"queue", now_ns=NOW),
        lambda: rmdir(tree, now_ns=NOW),
    ):
        with pytest.raises((AlreadyExists, NotPermitted, NotFound, IsADirectory, NotEmpty)):
            refused()
    assert {times(inode) for inode in (tree.root, queue, message)} == {(THEN, THEN, THEN)}
