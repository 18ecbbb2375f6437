"""Each way in, against the limits of the user, of the group, and of the mount."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from eventfs.queues import attributes
from eventfs.queues.errors import LimitReached, MountFull, NotPermitted
from eventfs.queues.ledger import Account, Limits, Settings
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree
from eventfs.queues.xattrs import STICKY
from tests.queues.making import (
    ALICE,
    ATTRIBUTE,
    BOB,
    NOW,
    OTHER_OWNER,
    OWNER,
    STAFF,
    THEN,
    USERS,
    content,
    create,
    end,
    fill,
    link,
    mkdir,
    names,
    rmdir,
    times,
    unlink,
)


def limit(tree: Tree, who: str, **limits: int) -> None:
    """Limit ALICE, her group, or everybody."""
    limited = Limits(**limits)
    settings = {
        "user": Settings(users={ALICE: limited}),
        "group": Settings(groups={USERS: limited}),
        "default": Settings(default=limited),
    }
    tree.ledger.change(settings[who])


@pytest.fixture(params=["user", "group", "default"])
def who(request: pytest.FixtureRequest) -> str:
    """Whom a limit is set for: ALICE is short of it each time."""
    name: str = request.param
    return name


def of_alice(tree: Tree) -> Account:
    return tree.ledger.payer(ALICE, USERS).user


def spent(tree: Tree) -> tuple[int, int, int]:
    """Return what ALICE has, which is what her group has."""
    payer = tree.ledger.payer(ALICE, USERS)
    user, group = payer.user, payer.group
    assert (user.dirs, user.files, user.bytes) == (group.dirs, group.files, group.bytes)
    return user.dirs, user.files, user.bytes


def write(tree: Tree, message: Message, offset: int, data: bytes) -> None:
    """Write as through an open handle."""
    tree.open(message)
    try:
        assert tree.write(message, offset, data, NOW) == len(data)
    finally:
        tree.close(message)


# max_dirs


def test_no_more_queues_than_max_dirs(tree: Tree, who: str) -> None:
    limit(tree, who, max_dirs=2)
    mkdir(tree, b"a")
    mkdir(tree, b"b")
    with pytest.raises(LimitReached):
        mkdir(tree, b"c")
    assert names(tree.root) == [b"a", b"b"]
    assert spent(tree) == (2, 0, 0)
    assert len(tree.inodes) == 3


def test_a_refused_queue_leaves_its_owner_with_nothing(tree: Tree, who: str) -> None:
    limit(tree, who, max_dirs=0)
    with pytest.raises(LimitReached):
        mkdir(tree)
    assert not tree.owns(OWNER)
    assert times(tree.root) == (THEN, THEN, THEN)


def test_a_queue_is_charged_until_it_vanishes(tree: Tree) -> None:
    limit(tree, "user", max_dirs=2)
    for _ in range(3):
        mkdir(tree, b"a").holds += 1
        mkdir(tree, b"b").holds += 1
        rmdir(tree, b"a")
        tree.owner_died(OWNER, NOW)
        assert spent(tree) == (0, 0, 0)


# max_files: a name is charged to who made it


def test_no_more_messages_than_max_files(tree: Tree, queue: Queue, who: str) -> None:
    limit(tree, who, max_files=2)
    fill(tree, queue, b"a", b"b")
    with pytest.raises(LimitReached):
        create(tree, queue, b"c")
    assert names(queue) == [b"a", b"b"]
    assert spent(tree) == (1, 2, 0)


def test_a_link_is_a_name_too(tree: Tree, queue: Queue, message: Message, who: str) -> None:
    limit(tree, who, max_files=1)
    with pytest.raises(LimitReached):
        link(tree, message, queue, b"linked")
    assert names(queue) == [b"message"]
    assert message.links == 1
    assert times(message) == (THEN, THEN, THEN)


def test_nobody_can_use_up_anothers_names_by_linking(tree: Tree, queue: Queue) -> None:
    message = create(tree, queue, uid=ALICE, gid=USERS)
    for number in range(5):
        link(tree, message, queue, b"%d" % number, uid=BOB, gid=STAFF)
    assert spent(tree) == (1, 1, 0)
    assert tree.ledger.payer(BOB, STAFF).user.files == 5


@pytest.mark.parametrize("name", [b"message", b"head", b"tail"])
def test_a_removed_name_is_refunded_to_who_made_it(tree: Tree, queue: Queue, name: bytes) -> None:
    create(tree, queue, uid=ALICE, gid=USERS)
    unlink(tree, queue, name, uid=BOB)
    assert spent(tree) == (1, 0, 0)


def test_a_name_stays_charged_to_its_maker_when_the_inode_changes_hands(
    tree: Tree, queue: Queue, message: Message
) -> None:
    tree.chown(message, BOB, STAFF, NOW)
    assert spent(tree) == (1, 1, 0)
    unlink(tree, queue, b"message")
    assert spent(tree) == (1, 0, 0)
    assert tree.ledger.payer(BOB, STAFF).user.files == 0


def test_the_names_in_a_queue_that_vanishes_are_refunded(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b")
    tree.owner_died(OWNER, NOW)
    assert spent(tree) == (0, 0, 0)


def test_a_message_in_a_setgid_queue_is_charged_by_name_to_its_makers_group(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o2777, uid=BOB, gid=STAFF)
    message = create(tree, queue)
    write(tree, message, 0, b"text")
    assert tree.ledger.payer(ALICE, USERS).group.files == 1
    assert tree.ledger.payer(ALICE, USERS).group.bytes == 0
    assert tree.ledger.payer(ALICE, STAFF).group.files == 0
    assert tree.ledger.payer(ALICE, STAFF).group.bytes == 4
    unlink(tree, queue, b"message")
    assert (of_alice(tree).files, of_alice(tree).bytes) == (0, 0)


# max_files_per_dir: that of the queue's user and group


def test_no_more_messages_in_a_queue_than_max_files_per_dir(
    tree: Tree, queue: Queue, other_queue: Queue, who: str
) -> None:
    limit(tree, who, max_files_per_dir=2)
    a, _ = fill(tree, queue, b"a", b"b")
    with pytest.raises(LimitReached):
        create(tree, queue, b"c")
    with pytest.raises(LimitReached):
        link(tree, a, queue, b"c")
    assert names(queue) == [b"a", b"b"]
    # Each queue has room of its own.
    fill(tree, other_queue, b"c", b"d")
    unlink(tree, queue, b"head")
    create(tree, queue, b"e")


def test_it_is_the_queues_user_whose_limit_counts_not_the_writers(tree: Tree, queue: Queue) -> None:
    limit(tree, "user", max_files_per_dir=1)
    create(tree, queue, b"a", uid=BOB, gid=STAFF)
    with pytest.raises(LimitReached):
        create(tree, queue, b"b", uid=BOB, gid=STAFF)
    bobs = mkdir(tree, b"bobs", uid=BOB, gid=STAFF)
    fill(tree, bobs, b"a", b"b")


# max_bytes


@pytest.mark.parametrize("offset", [0, 5, 2**40])
def test_a_write_that_exceeds_max_bytes_is_refused_as_a_whole(
    tree: Tree, message: Message, who: str, offset: int
) -> None:
    write(tree, message, 0, b"0123456789")
    before = times(message)
    limit(tree, who, max_bytes=12)
    with pytest.raises(LimitReached):
        write(tree, message, offset, b"x" * 13)
    assert content(message, THEN) == b"0123456789"
    assert times(message) == before
    assert spent(tree) == (1, 1, 10)
    assert tree.ledger.stored_bytes == 10


def test_a_write_may_use_the_last_byte(tree: Tree, message: Message, who: str) -> None:
    limit(tree, who, max_bytes=10)
    write(tree, message, 0, b"0123456789")
    write(tree, message, 0, b"x")
    assert content(message) == b"x123456789"
    with pytest.raises(LimitReached):
        write(tree, message, 10, b"x")


def test_overwriting_is_free_for_who_has_more_than_is_allowed(
    tree: Tree, message: Message, who: str
) -> None:
    write(tree, message, 0, b"0123456789")
    limit(tree, who, max_bytes=5)
    write(tree, message, 3, b"xx")
    assert content(message) == b"012xx56789"


def test_a_truncation_that_exceeds_max_bytes_is_refused(
    tree: Tree, message: Message, who: str
) -> None:
    # What counts for the user is what stat(2) shows, holes and all.
    limit(tree, who, max_bytes=10)
    tree.truncate(message, 10, NOW)
    for size in (11, 2**60):
        with pytest.raises(LimitReached):
            tree.truncate(message, size, NOW)
    assert message.size == 10
    assert spent(tree) == (1, 1, 10)


def test_truncating_gives_bytes_back(tree: Tree, message: Message) -> None:
    write(tree, message, 0, b"0123456789")
    tree.truncate(message, 3, NOW)
    assert spent(tree) == (1, 1, 3)
    assert tree.ledger.stored_bytes == 3


def test_bytes_are_charged_once_however_many_names_there_are(
    tree: Tree, queue: Queue, other_queue: Queue, message: Message
) -> None:
    link(tree, message, other_queue, b"linked", uid=BOB, gid=STAFF)
    write(tree, message, 0, b"text")
    assert of_alice(tree).bytes == 4
    assert tree.ledger.payer(BOB, STAFF).user.bytes == 0
    unlink(tree, queue, b"message")
    assert of_alice(tree).bytes == 4
    unlink(tree, other_queue, b"linked")
    assert of_alice(tree).bytes == 0


def test_bytes_are_charged_until_the_last_open_handle_is_closed(
    tree: Tree, queue: Queue, message: Message
) -> None:
    write(tree, message, 0, b"text")
    tree.open(message)
    tree.open(message)
    unlink(tree, queue, b"message")
    tree.write(message, 4, b" and more", NOW)
    assert of_alice(tree).bytes == 13
    tree.close(message)
    assert of_alice(tree).bytes == 13
    tree.close(message)
    assert of_alice(tree).bytes == 0
    assert tree.ledger.stored_bytes == 0


def test_a_lookup_alone_charges_nobody(tree: Tree, queue: Queue, message: Message) -> None:
    # The kernel forgets when it likes, and the user has no say in it.
    write(tree, message, 0, b"text")
    message.holds += 1
    unlink(tree, queue, b"message")
    assert of_alice(tree).bytes == 0
    assert tree.ledger.stored_bytes == 4
    tree.unhold(message)
    assert tree.ledger.stored_bytes == 0


def test_what_was_found_just_before_it_was_unlinked_is_charged_while_it_is_open(
    tree: Tree, queue: Queue, message: Message
) -> None:
    write(tree, message, 0, b"text")
    message.holds += 1
    unlink(tree, queue, b"message")
    tree.open(message)
    assert of_alice(tree).bytes == 4
    tree.truncate(message, 2, NOW)
    assert of_alice(tree).bytes == 2
    tree.close(message)
    assert of_alice(tree).bytes == 0
    tree.truncate(message, 8, NOW)
    assert of_alice(tree).bytes == 0


def test_a_write_for_which_there_is_no_memory_charges_nobody(tree: Tree, message: Message) -> None:
    # It is answered ENOMEM, and what was there before must be intact.
    write(tree, message, 0, b"text")
    much = bytes(256 * 1024 * 1024)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + len(much) // 2, limits[1]))
    try:
        with pytest.raises(MemoryError):
            write(tree, message, 4, much)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert content(message) == b"text"
    assert spent(tree) == (1, 1, 4)
    assert tree.ledger.stored_bytes == 4


def test_writing_nothing_stores_nothing(tree: Tree, message: Message) -> None:
    write(tree, message, 2**40 + 5, b"x")
    before = tree.ledger.stored_bytes
    write(tree, message, 2**41 + 5, b"")
    assert tree.ledger.stored_bytes == before == message.stored_bytes


# Extended attributes are bytes


def test_attributes_that_exceed_max_bytes_are_refused(
    tree: Tree, message: Message, who: str
) -> None:
    limit(tree, who, max_bytes=ATTRIBUTE + 10)
    attributes.put(tree, message, b"user.a", b"1234", NOW)
    with pytest.raises(LimitReached):
        attributes.put(tree, message, b"user.a", b"12345", NOW)
    with pytest.raises(LimitReached):
        attributes.put(tree, message, b"user.b", b"", NOW)
    assert message.xattrs == {b"user.a": b"1234"}
    assert spent(tree) == (1, 1, ATTRIBUTE + 10)


def test_attributes_and_content_share_max_bytes(tree: Tree, message: Message, who: str) -> None:
    limit(tree, who, max_bytes=ATTRIBUTE + 10)
    attributes.put(tree, message, b"user.a", b"1234", NOW)
    with pytest.raises(LimitReached):
        write(tree, message, 0, b"x")
    attributes.remove(tree, message, b"user.a", NOW)
    write(tree, message, 0, bytes(ATTRIBUTE + 10))
    assert spent(tree) == (1, 1, ATTRIBUTE + 10)


def test_a_shorter_value_gives_bytes_back(tree: Tree, message: Message) -> None:
    attributes.put(tree, message, b"user.a", b"1234", NOW)
    attributes.put(tree, message, b"user.a", b"1", NOW)
    assert spent(tree) == (1, 1, ATTRIBUTE + 7)
    assert tree.ledger.stored_bytes == ATTRIBUTE + 7


def test_a_queues_attributes_are_charged_until_it_vanishes(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, STICKY, b"1", NOW)
    queue.holds += 1
    assert spent(tree) == (1, 0, ATTRIBUTE + len(STICKY) + 1)
    rmdir(tree)
    assert spent(tree) == (0, 0, 0)
    # In a vanished queue it is nobody's, but stored all the same.
    attributes.put(tree, queue, STICKY, b"123", NOW)
    assert spent(tree) == (0, 0, 0)
    assert tree.ledger.stored_bytes == ATTRIBUTE + len(STICKY) + 3
    tree.unhold(queue)
    assert tree.ledger.stored_bytes == 0


def test_a_sticky_queue_that_vanishes_with_its_stickiness_is_charged_no_more(
    tree: Tree, queue: Queue
) -> None:
    attributes.put(tree, queue, STICKY, b"1", NOW)
    tree.owner_died(OWNER, NOW)
    assert spent(tree) == (1, 0, ATTRIBUTE + len(STICKY) + 1)
    attributes.remove(tree, queue, STICKY, NOW)
    assert spent(tree) == (0, 0, 0)


# chown


def test_chown_moves_bytes_and_queues(tree: Tree, queue: Queue, message: Message) -> None:
    write(tree, message, 0, b"text")
    attributes.put(tree, message, b"user.a", b"", NOW)
    tree.chown(message, BOB, STAFF, NOW)
    tree.chown(queue, BOB, STAFF, NOW)
    bob = tree.ledger.payer(BOB, STAFF)
    assert (
        (bob.user.dirs, bob.user.bytes) == (bob.group.dirs, bob.group.bytes) == (1, ATTRIBUTE + 10)
    )
    assert spent(tree) == (0, 1, 0)


def test_chown_is_refused_where_it_does_not_fit(
    tree: Tree, queue: Queue, message: Message, who: str
) -> None:
    write(tree, message, 0, b"text")
    tree.chown(message, BOB, STAFF, NOW)
    tree.chown(queue, BOB, STAFF, NOW)
    before = times(message), times(queue)
    limit(tree, who, max_bytes=3, max_dirs=0)
    for inode in (message, queue):
        with pytest.raises(LimitReached):
            tree.chown(inode, ALICE, USERS, NOW + 1)
        assert (inode.uid, inode.gid) == (BOB, STAFF)
    assert (times(message), times(queue)) == before
    assert tree.ledger.payer(BOB, STAFF).user.bytes == 4


def test_chown_to_the_same_user_is_not_refused(tree: Tree, message: Message, who: str) -> None:
    write(tree, message, 0, b"text")
    limit(tree, who, max_bytes=1)
    tree.chown(message, ALICE, USERS, NOW)
    assert spent(tree) == (1, 1, 4)


# The mount's own limits


def full_of_inodes(tree: Tree) -> None:
    tree.ledger.change(Settings(nr_inodes=len(tree.inodes)))


WAYS_IN: dict[str, Callable[[Tree, Queue, Message], object]] = {
    "mkdir": lambda tree, *_: mkdir(tree, b"new"),
    "create": lambda tree, queue, _: create(tree, queue, b"new"),
    "link": lambda tree, queue, message: link(tree, message, queue, b"new"),
}


@pytest.mark.parametrize("make", WAYS_IN.values(), ids=WAYS_IN)
def test_a_mount_that_is_full_of_inodes_takes_no_more(
    tree: Tree, queue: Queue, message: Message, make: Callable[[Tree, Queue, Message], object]
) -> None:
    full_of_inodes(tree)
    with pytest.raises(MountFull):
        make(tree, queue, message)
    assert spent(tree) == (1, 1, 0)
    assert (names(tree.root), names(queue)) == ([b"queue"], [b"message"])
    assert message.links == 1


@pytest.mark.usefixtures("message")
def test_head_and_tail_can_be_looked_up_in_a_full_mount(tree: Tree, queue: Queue) -> None:
    # Else nobody could take messages away.
    full_of_inodes(tree)
    end(tree, queue, b"head").holds += 1
    unlink(tree, queue, b"head")
    assert names(queue) == []


def test_what_is_unlinked_makes_room_when_nobody_holds_it_any_more(
    tree: Tree, queue: Queue, message: Message
) -> None:
    full_of_inodes(tree)
    message.holds += 1
    unlink(tree, queue, b"message")
    with pytest.raises(MountFull):
        create(tree, queue, b"new")
    tree.unhold(message)
    create(tree, queue, b"new")


def test_each_further_name_takes_the_place_of_an_inode(
    tree: Tree, queue: Queue, message: Message
) -> None:
    link(tree, message, queue, b"linked")
    assert tree.ledger.inodes == len(tree.inodes) + 1
    unlink(tree, queue, b"message")
    assert tree.ledger.inodes == len(tree.inodes)


def test_a_mount_stores_no_more_than_its_size(tree: Tree, message: Message, queue: Queue) -> None:
    tree.ledger.change(Settings(size_bytes=10))
    write(tree, message, 0, b"01234")
    other = create(tree, queue, b"other", uid=BOB, gid=STAFF)
    with pytest.raises(MountFull):
        write(tree, other, 0, b"012345")
    with pytest.raises(MountFull):
        attributes.put(tree, other, b"user.a", b"", NOW)
    assert (other.size, other.xattrs) == (0, None)
    assert tree.ledger.payer(BOB, STAFF).user.bytes == 0
    write(tree, other, 0, b"01234")
    assert tree.ledger.stored_bytes == 10


def test_a_hole_takes_none_of_the_mounts_size(tree: Tree, message: Message) -> None:
    tree.ledger.change(Settings(size_bytes=10))
    tree.truncate(message, 2**60, NOW)
    assert tree.ledger.stored_bytes == 0
    assert of_alice(tree).bytes == 2**60


def test_overwriting_goes_on_in_a_mount_that_has_more_than_its_size(
    tree: Tree, message: Message
) -> None:
    write(tree, message, 0, b"0123456789")
    tree.ledger.change(Settings(size_bytes=5))
    write(tree, message, 3, b"xx")
    assert content(message) == b"012xx56789"


# statfs


def test_a_user_is_told_of_the_least_of_all_limits(tree: Tree, message: Message) -> None:
    write(tree, message, 0, b"0123456789")
    tree.ledger.change(
        Settings(
            users={ALICE: Limits(max_bytes=100, max_files=50)},
            groups={USERS: Limits(max_bytes=80, max_files=60)},
            size_bytes=1000,
            nr_inodes=500,
        )
    )
    assert tree.room(ALICE, USERS) == (80, 70, 50, 49)
    assert tree.room(ALICE, STAFF) == (100, 90, 50, 49)
    # The root, the queue and the message are in the mount.
    assert tree.room(BOB, STAFF) == (1000, 990, 500, 497)


def test_nobody_is_told_of_less_than_nothing(tree: Tree, queue: Queue, message: Message) -> None:
    write(tree, message, 0, b"0123456789")
    create(tree, queue, b"other")
    limit(tree, "user", max_bytes=5, max_files=1)
    assert tree.room(ALICE, USERS) == (5, 0, 1, 0)


# What a refusal leaves


def test_what_the_rules_forbid_is_charged_to_nobody(
    tree: Tree, queue: Queue, message: Message
) -> None:
    for action in (
        lambda: create(tree, tree.root, b"new"),
        lambda: create(tree, queue, b".pipe"),
        lambda: link(tree, queue, queue, b"new"),
        lambda: mkdir(tree, b"new", directory=queue, owner=OTHER_OWNER),
    ):
        with pytest.raises(NotPermitted):
            action()
    assert spent(tree) == (1, 1, 0)
    assert tree.ledger.inodes == len(tree.inodes) == 3
    assert message.links == 1
