"""Names and types, order and times: what may be made, linked and removed where."""

from collections.abc import Callable
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
    IsADirectory,
    NameTooLong,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
)
from eventfs.queues.inode import Inode, Mode
from eventfs.queues.ledger import Gid, Settings, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import RESERVED
from eventfs.queues.queue import Queue, Root, Tid
from eventfs.queues.tree import ROOT_INO, Tree
from tests.queues.making import (
    ALICE,
    BOB,
    CAROL,
    NOW,
    OWNER,
    STAFF,
    SUPERUSER,
    THEN,
    USERS,
    FakeThreads,
    chown,
    content,
    create,
    end,
    fill,
    link,
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

#: Each way to give a message a name.
Adder = Callable[[Tree, Root | Queue, bytes], Message]


def add_by_create(tree: Tree, directory: Root | Queue, name: bytes) -> Message:
    return create(tree, directory, name)


def add_by_link(tree: Tree, directory: Root | Queue, name: bytes) -> Message:
    """Link a message that is elsewhere."""
    elsewhere = mkdir(tree, b"elsewhere")
    return link(tree, create(tree, elsewhere), directory, name)


@pytest.fixture(params=[add_by_create, add_by_link], ids=["create", "link"])
def add(request: pytest.FixtureRequest) -> Adder:
    adder: Adder = request.param
    return adder


# The root


def test_the_root_has_the_number_that_fuse_gives_it(tree: Tree) -> None:
    assert tree.root.ino == ROOT_INO == 1


def test_the_root_is_an_empty_directory_with_the_given_mode_and_owners() -> None:
    tree = Tree(Mode(0o1777), ALICE, USERS, Settings(), FakeThreads(), THEN)
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
@pytest.mark.usefixtures("message")
def test_the_ports_are_not_there_yet(tree: Tree, queue: Queue, name: bytes) -> None:
    with pytest.raises(NotFound):
        lookup(tree, queue, name)
    with pytest.raises(NotFound):
        unlink(tree, queue, name)


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
        tree.hold(head)
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


# Hard links


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
    tree.hold(message)
    unlink(tree, queue, b"message")
    with pytest.raises(NotFound):
        link(tree, message, queue, b"again")
    assert names(queue) == []
    assert message.links == 0


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
@pytest.mark.parametrize("uid", [ALICE, BOB, SUPERUSER])
def test_with_s_isvtx_the_owners_and_the_superuser_may_pop(
    tree: Tree, sticky: Queue, name: bytes, uid: Uid
) -> None:
    unlink(tree, sticky, name, uid=uid)
    assert names(sticky) == []


@pytest.mark.parametrize("name", [b"head", b"tail"])
def test_with_s_isvtx_nobody_else_may_pop(tree: Tree, sticky: Queue, name: bytes) -> None:
    with pytest.raises(NotPermitted):
        unlink(tree, sticky, name, uid=CAROL)
    assert names(sticky) == [b"bobs"]


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


# A vanished queue that somebody still holds


@pytest.fixture
def vanished(tree: Tree, queue: Queue) -> Queue:
    tree.hold(queue)
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
    tree.hold(message)
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
