"""Unlinking messages and removing queues."""

import pytest

from eventfs.queues.errors import (
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
)
from eventfs.queues.inode import Mode
from eventfs.queues.ledger import Uid
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue, Tid
from eventfs.queues.tree import Tree
from tests.queues.making import (
    ALICE,
    BOB,
    CAROL,
    NOW,
    SUPERUSER,
    USERS,
    FakeThreads,
    chown,
    create,
    end,
    fill,
    lookup,
    mkdir,
    names,
    rmdir,
    unlink,
)

# Unlinking


def test_unlink_removes_a_message_wherever_it_is(tree: Tree, queue: Queue) -> None:
    messages = fill(tree, queue, b"a", b"b", b"c", b"d", b"e")
    for name, number, rest in (
        (b"c", 2, [b"a", b"b", b"d", b"e"]),
        (b"a", 0, [b"b", b"d", b"e"]),
        (b"e", 4, [b"b", b"d"]),
    ):
        assert unlink(tree, queue, name) is messages[number]
        assert names(queue) == rest


def test_unlinking_head_removes_the_oldest(tree: Tree, queue: Queue) -> None:
    messages = fill(tree, queue, b"a", b"b", b"c")
    assert [unlink(tree, queue, b"head") for _ in messages] == messages
    assert names(queue) == []


def test_unlinking_tail_removes_the_newest(tree: Tree, queue: Queue) -> None:
    messages = fill(tree, queue, b"a", b"b", b"c")
    assert [unlink(tree, queue, b"tail") for _ in messages] == messages[::-1]
    assert names(queue) == []


@pytest.mark.parametrize("name", [b"head", b"tail", b"message"])
def test_in_an_empty_queue_there_is_nothing_to_unlink(
    tree: Tree, queue: Queue, name: bytes
) -> None:
    with pytest.raises(NotFound):
        unlink(tree, queue, name)


def test_a_name_is_unlinked_once(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b")
    unlink(tree, queue, b"a")
    with pytest.raises(NotFound):
        unlink(tree, queue, b"a")
    with pytest.raises(NotFound):
        lookup(tree, queue, b"a")
    assert names(queue) == [b"b"]


@pytest.mark.usefixtures("queue")
def test_a_queue_cannot_be_unlinked(tree: Tree) -> None:
    with pytest.raises(IsADirectory):
        unlink(tree, tree.root, b"queue")
    with pytest.raises(NotFound):
        unlink(tree, tree.root, b"other")
    assert names(tree.root) == [b"queue"]


def test_a_queue_that_is_called_head_is_a_queue_like_any_other(tree: Tree) -> None:
    mkdir(tree, b"head")
    mkdir(tree, b"second")
    with pytest.raises(IsADirectory):
        unlink(tree, tree.root, b"head")
    rmdir(tree, b"head")
    assert names(tree.root) == [b"second"]


def test_a_name_can_be_used_again_and_arrives_anew(tree: Tree, queue: Queue) -> None:
    old, _ = fill(tree, queue, b"a", b"b")
    unlink(tree, queue, b"a")
    new = create(tree, queue, b"a")
    assert new is not old
    assert names(queue) == [b"b", b"a"]


def test_a_queue_can_be_emptied_and_filled_again_and_again(tree: Tree, queue: Queue) -> None:
    for number in range(50):
        fill(tree, queue, b"a%d" % number, b"b%d" % number)
        unlink(tree, queue, b"head")
        assert end(tree, queue, b"head").dentry(Tid(1)).name == b"b%d" % number
        unlink(tree, queue, b"tail")
        assert queue.oldest is queue.newest is None


# S_ISVTX through head and tail. By its own name the kernel checks it.


@pytest.fixture
def sticky(tree: Tree) -> Queue:
    """ALICE's queue with S_ISVTX, with a message of BOB's in it."""
    queue = mkdir(tree, b"sticky", mode=0o1777, uid=ALICE)
    create(tree, queue, b"bobs", uid=BOB)
    return queue


@pytest.mark.parametrize("name", [b"head", b"tail"])
@pytest.mark.parametrize("uid", [ALICE, BOB])
def test_with_s_isvtx_the_owners_of_the_queue_and_of_the_message_may_pop(
    tree: Tree, sticky: Queue, name: bytes, uid: Uid
) -> None:
    unlink(tree, sticky, name, uid=uid)
    assert names(sticky) == []


@pytest.mark.parametrize("name", [b"head", b"tail"])
@pytest.mark.parametrize("uid", [CAROL, SUPERUSER])
def test_with_s_isvtx_nobody_else_may_pop(tree: Tree, sticky: Queue, name: bytes, uid: Uid) -> None:
    # The superuser's number alone is no privilege, in a container for instance.
    with pytest.raises(NotPermitted):
        unlink(tree, sticky, name, uid=uid)
    assert names(sticky) == [b"bobs"]


def test_with_s_isvtx_who_has_the_privilege_for_the_message_may_pop(
    tree: Tree, threads: FakeThreads, sticky: Queue
) -> None:
    create(tree, sticky, b"carols", uid=CAROL)
    threads.may_act_for = lambda *who: who == (7, BOB, USERS)
    with pytest.raises(NotPermitted):
        unlink(tree, sticky, b"tail", uid=SUPERUSER, tid=7)
    with pytest.raises(NotPermitted):
        unlink(tree, sticky, b"head", uid=SUPERUSER, tid=8)
    unlink(tree, sticky, b"head", uid=SUPERUSER, tid=7)
    assert names(sticky) == [b"carols"]


def test_with_s_isvtx_the_right_is_that_to_the_message_behind_the_link(
    tree: Tree, sticky: Queue
) -> None:
    create(tree, sticky, b"carols", uid=CAROL)
    with pytest.raises(NotPermitted):
        unlink(tree, sticky, b"head", uid=CAROL)
    unlink(tree, sticky, b"tail", uid=CAROL)
    assert names(sticky) == [b"bobs"]


def test_without_s_isvtx_the_rules_let_everybody_pop(tree: Tree, sticky: Queue) -> None:
    # The kernel has checked the right to write to the queue.
    sticky.chmod(Mode(0o777), NOW)
    unlink(tree, sticky, b"head", uid=CAROL)
    assert names(sticky) == []


def test_s_isvtx_asks_for_the_owner_that_the_message_has_now(tree: Tree, sticky: Queue) -> None:
    chown(lookup(tree, sticky, b"bobs"), CAROL, None, NOW)
    with pytest.raises(NotPermitted):
        unlink(tree, sticky, b"head", uid=BOB)
    unlink(tree, sticky, b"head", uid=CAROL)


def test_nobody_is_refused_in_an_empty_queue_but_told_that_it_is(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o1777)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", uid=CAROL)


# rmdir


def test_an_empty_queue_can_be_removed_whoever_owns_it(tree: Tree, queue: Queue) -> None:
    assert rmdir(tree) is queue
    assert names(tree.root) == []
    with pytest.raises(NotFound):
        lookup(tree, tree.root, b"queue")


def test_a_queue_with_messages_cannot_be_removed(
    tree: Tree, queue: Queue, message: Message
) -> None:
    with pytest.raises(NotEmpty):
        rmdir(tree)
    assert lookup(tree, tree.root, b"queue") is queue
    assert lookup(tree, queue, b"message") is message


@pytest.mark.usefixtures("message")
def test_a_queue_that_became_empty_can_be_removed(
    tree: Tree,
    queue: Queue,
) -> None:
    unlink(tree, queue, b"message")
    assert rmdir(tree) is queue


def test_what_is_not_there_cannot_be_removed(tree: Tree, queue: Queue) -> None:
    with pytest.raises(NotFound):
        rmdir(tree, b"other")
    with pytest.raises(NotFound):
        rmdir(tree, b"message", directory=queue)


@pytest.mark.usefixtures("message")
def test_rmdir_removes_no_message(tree: Tree, queue: Queue) -> None:
    for name in (b"message", b"head", b"tail"):
        with pytest.raises(NotADirectory):
            rmdir(tree, name, directory=queue)
    assert names(queue) == [b"message"]


def test_a_removed_queues_name_is_free(tree: Tree, queue: Queue) -> None:
    rmdir(tree)
    assert mkdir(tree) is not queue
