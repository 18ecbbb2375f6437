"""Names and types: what may be made where."""

from stat import (
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFREG,
    S_IFSOCK,
    S_ISGID,
)

import pytest

from eventfs.queues.errors import (
    AlreadyExists,
    NameTooLong,
    NotFound,
    NotPermitted,
)
from eventfs.queues.inode import Inode, Mode
from eventfs.queues.ledger import Settings
from eventfs.queues.message import Message
from eventfs.queues.names import RESERVED
from eventfs.queues.queue import Queue
from eventfs.queues.tree import ROOT_INO, Tree
from tests.queues.making import (
    ALICE,
    BOB,
    NOW,
    OWNER,
    STAFF,
    THEN,
    USERS,
    Adder,
    FakeThreads,
    chown,
    content,
    create,
    end,
    fill,
    lookup,
    make_tree,
    mkdir,
    names,
    rmdir,
    times,
    unlink,
)

LONGEST = b"x" * 255
TOO_LONG = b"x" * 256


# The root


def test_the_root_has_the_number_that_fuse_gives_it(tree: Tree) -> None:
    assert tree.root.ino == ROOT_INO == 1


def test_the_root_is_an_empty_directory_with_the_given_mode_and_owners() -> None:
    tree = Tree(Mode(0o1777), ALICE, USERS, Settings(), FakeThreads(), THEN, lambda: 0)
    assert tree.root.mode == S_IFDIR | 0o1777
    assert (tree.root.uid, tree.root.gid, tree.root.links) == (ALICE, USERS, 2)
    assert names(tree.root) == []


@pytest.mark.usefixtures("queue")
def test_each_queue_is_one_more_link_to_the_root(tree: Tree) -> None:
    # Its `..`, as find(1) and others expect.
    assert tree.root.links == 3
    mkdir(tree, b"second")
    assert tree.root.links == 4
    rmdir(tree)
    assert tree.root.links == 3


def test_mkdir_in_the_root_makes_an_empty_queue(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o750, uid=BOB, gid=STAFF, now_ns=NOW)
    assert lookup(tree, tree.root, b"queue") is queue
    assert (queue.mode, queue.uid, queue.gid) == (S_IFDIR | 0o750, BOB, STAFF)
    assert (queue.owner, queue.links) == (OWNER, 2)
    assert names(queue) == []
    assert times(queue) == (NOW, NOW, NOW)


def test_a_queue_keeps_the_mode_that_it_was_made_with(tree: Tree) -> None:
    assert mkdir(tree, mode=0o1777).mode == S_IFDIR | 0o1777


def test_no_message_can_be_made_in_the_root(tree: Tree, add: Adder) -> None:
    with pytest.raises(NotPermitted):
        add(tree, tree.root, b"message")


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_queue_may_have_a_name_that_no_message_can_have(tree: Tree, name: bytes) -> None:
    queue = mkdir(tree, name)
    assert lookup(tree, tree.root, name) is queue
    assert rmdir(tree, name) is queue


# What can't be in a queue


def test_queues_do_not_nest(tree: Tree, queue: Queue) -> None:
    with pytest.raises(NotPermitted):
        mkdir(tree, b"inner", directory=queue)


@pytest.mark.parametrize("kind", [S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFLNK, S_IFDIR, 0])
def test_only_a_regular_file_can_be_made_in_a_queue(tree: Tree, queue: Queue, kind: int) -> None:
    with pytest.raises(NotPermitted):
        create(tree, queue, mode=kind | 0o644)
    assert names(queue) == []


@pytest.mark.parametrize("name", [b"head", b"tail"])
def test_head_and_tail_cannot_be_made_in_an_empty_queue(
    tree: Tree, queue: Queue, add: Adder, name: bytes
) -> None:
    with pytest.raises(NotPermitted):
        add(tree, queue, name)


@pytest.mark.parametrize("name", [b"head", b"tail"])
@pytest.mark.usefixtures("message")
def test_head_and_tail_exist_already_where_they_show(
    tree: Tree, queue: Queue, add: Adder, name: bytes
) -> None:
    with pytest.raises(AlreadyExists):
        add(tree, queue, name)
    with pytest.raises(AlreadyExists):
        mkdir(tree, name, directory=queue)


@pytest.mark.parametrize("name", [b".pipe", b".lines"])
def test_the_ports_names_are_reserved(tree: Tree, queue: Queue, add: Adder, name: bytes) -> None:
    with pytest.raises(NotPermitted):
        add(tree, queue, name)


@pytest.mark.parametrize("name", [b".pipe", b".lines"])
def test_the_ports_are_always_there_and_stay(tree: Tree, queue: Queue, name: bytes) -> None:
    port = lookup(tree, queue, name)
    with pytest.raises(NotPermitted):
        unlink(tree, queue, name)
    assert lookup(tree, queue, name) is port
    assert len(queue) == 0


@pytest.mark.parametrize("name", [b"Head", b"head ", b"heads", b".pip", b".hidden", b"\xff\n"])
def test_any_other_name_will_do(tree: Tree, queue: Queue, add: Adder, name: bytes) -> None:
    message = add(tree, queue, name)
    assert lookup(tree, queue, name) is message


def test_a_name_can_be_taken_once(tree: Tree, queue: Queue, message: Message, add: Adder) -> None:
    with pytest.raises(AlreadyExists):
        add(tree, queue, b"message")
    with pytest.raises(AlreadyExists):
        mkdir(tree, b"message", directory=queue)
    assert lookup(tree, queue, b"message") is message


def test_a_queues_name_can_be_taken_once(tree: Tree, queue: Queue, add: Adder) -> None:
    with pytest.raises(AlreadyExists):
        mkdir(tree)
    with pytest.raises(AlreadyExists):
        add(tree, tree.root, b"queue")
    assert lookup(tree, tree.root, b"queue") is queue


def test_a_name_may_be_taken_in_each_queue(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    one, other = create(tree, queue), create(tree, other_queue)
    assert lookup(tree, queue, b"message") is one
    assert lookup(tree, other_queue, b"message") is other


# Long names


def test_a_message_may_have_a_name_of_255_bytes(tree: Tree, queue: Queue, add: Adder) -> None:
    message = add(tree, queue, LONGEST)
    assert lookup(tree, queue, LONGEST) is message
    assert unlink(tree, queue, LONGEST) is message


def test_a_queue_may_have_a_name_of_255_bytes(tree: Tree) -> None:
    queue = mkdir(tree, LONGEST)
    assert lookup(tree, tree.root, LONGEST) is queue
    assert rmdir(tree, LONGEST) is queue


def test_a_longer_name_is_too_long_for_every_operation(
    tree: Tree, queue: Queue, add: Adder
) -> None:
    for directory in (tree.root, queue):
        with pytest.raises(NameTooLong):
            lookup(tree, directory, TOO_LONG)
        with pytest.raises(NameTooLong):
            mkdir(tree, TOO_LONG, directory=directory)
        with pytest.raises(NameTooLong):
            rmdir(tree, TOO_LONG, directory=directory)
        with pytest.raises(NameTooLong):
            create(tree, directory, TOO_LONG)
        with pytest.raises(NameTooLong):
            unlink(tree, directory, TOO_LONG)
    with pytest.raises(NameTooLong):
        add(tree, queue, TOO_LONG)


# Making messages


def test_create_makes_an_empty_message(tree: Tree, queue: Queue) -> None:
    message = create(tree, queue, mode=S_IFREG | 0o4640, uid=BOB, gid=STAFF, now_ns=NOW)
    assert (message.mode, message.uid, message.gid) == (S_IFREG | 0o4640, BOB, STAFF)
    assert (message.links, message.size, content(message)) == (1, 0, b"")


def test_a_new_message_has_all_times_alike(tree: Tree, queue: Queue) -> None:
    assert times(create(tree, queue, now_ns=NOW)) == (NOW, NOW, NOW)


def test_messages_stand_in_the_order_in_which_they_were_made(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"z", b"a", b"m")
    assert names(queue) == [b"z", b"a", b"m"]


def test_each_inode_has_a_number_of_its_own(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    inodes: list[Inode] = [tree.root, queue, other_queue, *fill(tree, queue, b"a", b"b")]
    inodes += [end(tree, queue, b"head"), end(tree, queue, b"tail")]
    assert len({inode.ino for inode in inodes}) == len(inodes)
    assert all(tree.inodes[inode.ino] is inode for inode in inodes)


def test_an_inode_number_is_never_used_again(tree: Tree, queue: Queue) -> None:
    numbers = []
    for _ in range(3):
        numbers += [mkdir(tree, b"q").ino, create(tree, queue).ino]
        head = end(tree, queue, b"head")
        numbers.append(head.ino)
        unlink(tree, queue, b"head")
        head.holds += 1
        tree.unhold(head)
        rmdir(tree, b"q")
    assert numbers == sorted(set(numbers))


# Set-group-id queues


def test_a_setgid_queue_passes_its_group_on_to_messages(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o2775, gid=STAFF)
    message = create(tree, queue, gid=USERS)
    assert message.gid == STAFF
    assert not message.mode & S_ISGID


def test_without_setgid_a_message_has_its_makers_group(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o775, gid=STAFF)
    assert create(tree, queue, gid=USERS).gid == USERS


def test_a_setgid_root_passes_its_group_and_the_bit_on_to_queues() -> None:
    tree = make_tree(0o3777)
    chown(tree.root, None, STAFF, NOW)
    queue = mkdir(tree, mode=0o755, gid=USERS)
    assert (queue.gid, queue.mode) == (STAFF, S_IFDIR | S_ISGID | 0o755)


def test_without_setgid_a_queue_has_its_makers_group(tree: Tree) -> None:
    chown(tree.root, None, STAFF, NOW)
    assert mkdir(tree, gid=USERS).gid == USERS


# A vanished queue that somebody still holds


@pytest.fixture
def vanished(tree: Tree, queue: Queue) -> Queue:
    queue.holds += 1
    rmdir(tree)
    return queue


@pytest.mark.parametrize("name", [b"new", b"head", b".pipe"])
def test_nothing_new_comes_into_a_vanished_queue(
    tree: Tree, vanished: Queue, add: Adder, name: bytes
) -> None:
    with pytest.raises(NotFound):
        add(tree, vanished, name)
    with pytest.raises(NotFound):
        mkdir(tree, name, directory=vanished)


def test_nothing_is_found_in_a_vanished_queue(tree: Tree, vanished: Queue) -> None:
    for name in (b"message", b"head", b"tail"):
        with pytest.raises(NotFound):
            lookup(tree, vanished, name)
        with pytest.raises(NotFound):
            unlink(tree, vanished, name)


def test_a_vanished_queue_is_not_a_new_one_of_its_name(tree: Tree, vanished: Queue) -> None:
    new = mkdir(tree)
    create(tree, new)
    with pytest.raises(NotFound):
        lookup(tree, vanished, b"message")
    with pytest.raises(NotFound):
        create(tree, vanished, b"other")
