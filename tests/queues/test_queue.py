"""What a queue knows of itself, and its links `head` and `tail`."""

from stat import S_IFLNK, S_ISVTX

import pytest

from eventfs.queues import xattrs
from eventfs.queues.errors import LinkUnchangeable, NotFound, Stale
from eventfs.queues.inode import Mode
from eventfs.queues.names import HEAD, TAIL
from eventfs.queues.queue import MAX_SIGHTINGS, Queue, Tid
from eventfs.queues.tree import Tree
from tests.queues.making import (
    ALICE,
    BOB,
    NOW,
    STAFF,
    SUPERUSER,
    chown,
    create,
    end,
    fill,
    mkdir,
    rmdir,
    unlink,
)


def make_sticky(queue: Queue) -> None:
    """Set S_ISVTX; not to be mistaken for the attribute that keeps a queue."""
    queue.chmod(Mode(0o1777), NOW)


# head and tail as names


@pytest.mark.parametrize("name", [HEAD, TAIL])
def test_an_empty_queue_has_neither_head_nor_tail(queue: Queue, name: bytes) -> None:
    assert queue.find(HEAD if name == HEAD else TAIL) is None


def test_head_is_the_oldest_and_tail_the_newest(tree: Tree, queue: Queue) -> None:
    first, _, last = fill(tree, queue, b"a", b"b", b"c")
    head, tail = queue.find(HEAD), queue.find(TAIL)
    assert head is queue.oldest
    assert tail is queue.newest
    assert head is not None
    assert tail is not None
    assert (head.inode, tail.inode) == (first, last)


def test_head_and_tail_of_a_single_message_are_that_message(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    assert queue.find(HEAD) is queue.find(TAIL) is queue.oldest


def test_head_and_tail_come_back_when_the_queue_is_filled_again(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    unlink(tree, queue, b"head")
    assert queue.find(HEAD) is queue.find(TAIL) is None
    fill(tree, queue, b"b")
    assert end(tree, queue, b"head").dentry(Tid(1)).name == b"b"
    assert end(tree, queue, b"tail").dentry(Tid(1)).name == b"b"


# head and tail as inodes


def test_an_end_is_a_symlink_for_everybody(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    assert end(tree, queue, b"head").mode == S_IFLNK | 0o777


def test_an_end_has_one_name(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    assert end(tree, queue, b"head").links == 1


def test_an_end_is_as_long_as_the_name_that_it_leads_to(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"x" * 255)
    assert (end(tree, queue, b"head").size, end(tree, queue, b"tail").size) == (1, 255)


def test_an_end_leads_on_when_its_message_goes(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b", b"c")
    head, tail = end(tree, queue, b"head"), end(tree, queue, b"tail")
    unlink(tree, queue, b"head")
    assert (head.dentry(Tid(1)).name, tail.dentry(Tid(1)).name) == (b"b", b"c")
    unlink(tree, queue, b"tail")
    assert (head.dentry(Tid(1)).name, tail.dentry(Tid(1)).name) == (b"b", b"b")


def test_tail_leads_on_when_a_message_arrives(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    tail = end(tree, queue, b"tail")
    fill(tree, queue, b"b")
    assert tail.dentry(Tid(1)).name == b"b"


def test_the_end_of_a_queue_that_became_empty_is_stale(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    unlink(tree, queue, b"a")
    with pytest.raises(Stale):
        head.dentry(Tid(1))


def test_a_thread_that_asks_an_empty_queues_end_again_is_told_that_it_is_not_there(
    tree: Tree, queue: Queue
) -> None:
    # The kernel asks again after Stale; it would hand a second one on to the caller.
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    unlink(tree, queue, b"a")
    with pytest.raises(Stale):
        head.dentry(Tid(1))
    with pytest.raises(NotFound):
        head.dentry(Tid(1))
    with pytest.raises(Stale):
        head.dentry(Tid(1))


def test_each_thread_is_told_so_whoever_else_asks(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    unlink(tree, queue, b"a")
    for tid in (Tid(1), Tid(2)):
        with pytest.raises(Stale):
            head.dentry(tid)
    for tid in (Tid(1), Tid(2)):
        with pytest.raises(NotFound):
            head.dentry(tid)


def test_a_thread_is_told_so_once_also_where_the_kernel_knows_another_end_by_then(
    tree: Tree, queue: Queue
) -> None:
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    chown(queue, BOB, None, NOW)
    new_head = end(tree, queue, b"head")
    assert new_head is not head
    unlink(tree, queue, b"a")
    with pytest.raises(Stale):
        head.dentry(Tid(1))
    with pytest.raises(NotFound):
        new_head.dentry(Tid(1))


def test_those_who_ask_an_empty_queues_end_do_not_fill_the_memory(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    unlink(tree, queue, b"a")
    for number in range(3 * MAX_SIGHTINGS):
        with pytest.raises(Stale):
            head.dentry(Tid(number))
    assert len(queue.told_stale) <= MAX_SIGHTINGS


def test_the_end_of_a_queue_that_vanished_is_stale(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    assert queue.owner is not None
    tree.owner_died(queue.owner, NOW)
    with pytest.raises(Stale):
        head.dentry(Tid(1))


def test_an_end_that_was_stale_leads_on_when_the_queue_is_filled(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    unlink(tree, queue, b"a")
    fill(tree, queue, b"b")
    assert head.dentry(Tid(1)).name == b"b"


def test_head_and_tail_are_two_inodes_and_neither_is_the_message(tree: Tree, queue: Queue) -> None:
    message = create(tree, queue)
    assert len({end(tree, queue, b"head").ino, end(tree, queue, b"tail").ino, message.ino}) == 3


def test_the_ends_belong_to_the_queues_owner_and_group(tree: Tree) -> None:
    queue = mkdir(tree, uid=BOB, gid=STAFF)
    fill(tree, queue, b"a")
    for viewer in (ALICE, BOB, SUPERUSER):
        head = end(tree, queue, b"head", viewer=viewer)
        assert (head.uid, head.gid) == (BOB, STAFF)


def test_the_ends_pass_to_a_new_owner_with_their_queue(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    end(tree, queue, b"head").holds += 1
    chown(queue, BOB, None, NOW)
    assert end(tree, queue, b"head").uid == BOB


def test_the_ends_pass_to_a_new_group_with_their_queue(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    end(tree, queue, b"head").holds += 1
    chown(queue, None, STAFF, NOW)
    assert end(tree, queue, b"head").gid == STAFF


def test_with_s_isvtx_everybody_sees_ends_of_their_own(tree: Tree, queue: Queue) -> None:
    # Else the kernel would let nobody but the queue's owner pop.
    make_sticky(queue)
    fill(tree, queue, b"a")
    for viewer in (ALICE, BOB, SUPERUSER):
        assert end(tree, queue, b"head", viewer=viewer).uid == viewer


def test_without_s_isvtx_the_ends_are_their_owners_again(tree: Tree, queue: Queue) -> None:
    make_sticky(queue)
    fill(tree, queue, b"a")
    end(tree, queue, b"head", viewer=BOB).holds += 1
    queue.chmod(Mode(queue.mode & ~S_ISVTX), NOW)
    assert end(tree, queue, b"head", viewer=BOB).uid == ALICE


def test_who_looks_twice_sees_the_same_end(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    head = end(tree, queue, b"head")
    head.holds += 1
    assert end(tree, queue, b"head") is head


# What a queue knows of itself


def test_a_queue_is_sticky_while_it_has_the_attribute_whatever_its_value(queue: Queue) -> None:
    assert not queue.is_sticky
    xattrs.put(queue, b"user.eventfs_sticky", b"", NOW)
    assert queue.is_sticky
    xattrs.put(queue, b"user.eventfs_sticky", b"0", NOW)
    assert queue.is_sticky
    xattrs.remove(queue, b"user.eventfs_sticky", NOW)
    assert not queue.is_sticky


def test_no_other_attribute_makes_a_queue_sticky(queue: Queue) -> None:
    xattrs.put(queue, b"user.eventfs_stick", b"1", NOW)
    xattrs.put(queue, b"user.eventfs_sticky2", b"1", NOW)
    assert not queue.is_sticky


def test_the_bit_s_isvtx_does_not_keep_a_queue(queue: Queue) -> None:
    make_sticky(queue)
    assert not queue.is_sticky


def test_a_queue_has_vanished_once_it_has_no_name(tree: Tree, queue: Queue) -> None:
    assert not queue.vanished
    rmdir(tree)
    assert queue.vanished


@pytest.mark.parametrize("name", [b"head", b"tail"])
def test_the_ends_have_nothing_of_their_own_to_change(
    tree: Tree, queue: Queue, name: bytes
) -> None:
    fill(tree, queue, b"a")
    with pytest.raises(LinkUnchangeable):
        tree.check_changeable(end(tree, queue, name))
