"""A queue is handed over to another process, and shares its fate from then on."""

import pytest

from eventfs.queues import attributes
from eventfs.queues.errors import NotFound, NotPermitted
from eventfs.queues.ledger import Uid
from eventfs.queues.queue import Owner, Queue
from eventfs.queues.tree import Tree
from eventfs.queues.xattrs import STICKY
from tests.queues.making import ALICE, BOB, NOW, OTHER_OWNER, OWNER, SUPERUSER, mkdir, names, rmdir


def hand_over(
    tree: Tree, queue: Queue, *, by: Uid = ALICE, of: Uid = ALICE, owner: Owner = OTHER_OWNER
) -> Owner | None:
    """Hand a queue over to a process that runs as *of*."""
    return tree.hand_over(queue, owner, of, by)


def test_it_tells_whose_the_queue_was(tree: Tree, queue: Queue) -> None:
    assert queue.uid == ALICE
    assert hand_over(tree, queue) == OWNER
    assert queue.owner == OTHER_OWNER
    assert not tree.owns(OWNER)


def test_it_vanishes_with_the_new_owner_and_not_with_the_old_one(tree: Tree, queue: Queue) -> None:
    hand_over(tree, queue)
    tree.owner_died(OWNER, NOW)
    assert names(tree.root) == [b"queue"]
    tree.owner_died(OTHER_OWNER, NOW)
    assert queue.vanished


def test_others_of_the_old_owner_stay_its_own(tree: Tree, queue: Queue) -> None:
    mkdir(tree, b"stays")
    hand_over(tree, queue)
    tree.owner_died(OWNER, NOW)
    assert names(tree.root) == [b"queue"]


def test_to_the_same_owner_it_changes_nothing(tree: Tree, queue: Queue) -> None:
    assert hand_over(tree, queue, owner=OWNER) == OWNER
    assert tree.owns(OWNER)
    tree.owner_died(OWNER, NOW)
    assert queue.vanished


def test_a_sticky_queue_of_a_dead_owner_gets_one_again(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, STICKY, b"", NOW)
    tree.owner_died(OWNER, NOW)
    assert hand_over(tree, queue) is None
    attributes.remove(tree, queue, STICKY, NOW)
    assert not queue.vanished
    tree.owner_died(OTHER_OWNER, NOW)
    assert queue.vanished


def test_root_hands_any_queue_to_any_process(tree: Tree, queue: Queue) -> None:
    hand_over(tree, queue, by=SUPERUSER, of=BOB)
    assert queue.owner == OTHER_OWNER


@pytest.mark.parametrize(("by", "of"), [(ALICE, BOB), (BOB, ALICE), (BOB, BOB), (ALICE, Uid(-1))])
def test_others_and_to_others_nobody_else_does(tree: Tree, queue: Queue, by: Uid, of: Uid) -> None:
    with pytest.raises(NotPermitted):
        hand_over(tree, queue, by=by, of=of)
    assert queue.owner == OWNER
    assert not tree.owns(OTHER_OWNER)


def test_a_vanished_queue_is_nobodys(tree: Tree, queue: Queue) -> None:
    queue.holds += 1
    rmdir(tree, b"queue")
    with pytest.raises(NotFound):
        hand_over(tree, queue)
    assert not tree.owns(OTHER_OWNER)
