"""Access control lists: kept in step with the mode, and inherited."""

import struct
from stat import S_IFDIR, S_IFREG

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfs.queues import attributes, xattrs
from eventfs.queues.acl import ACCESS, DEFAULT, Acl
from eventfs.queues.errors import BadValue, NoDefaultAcl, NoSuchAttribute
from eventfs.queues.inode import Mode
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue, Tid
from eventfs.queues.tree import Tree
from tests.queues.making import (
    ATTRIBUTE,
    NOW,
    THEN,
    FakeThreads,
    create,
    make_tree,
    mkdir,
    times,
    unlink,
)

# The tags of linux/posix_acl.h, and the id of an entry that needs none.
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NO_ID = 0xFFFFFFFF

Entry = tuple[int, int, int]
Rights = tuple[int, int, int, int, int]


def encode(*entries: Entry, version: int = 2) -> bytes:
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def minimal(user: int, group: int, other: int) -> bytes:
    """Encode a list that says no more than a mode."""
    return encode((USER_OBJ, user, NO_ID), (GROUP_OBJ, group, NO_ID), (OTHER, other, NO_ID))


def extended(user: int, named: int, group: int, mask: int, other: int) -> bytes:
    """Encode a list that gives user 1001 rights too."""
    return encode(
        (USER_OBJ, user, NO_ID),
        (USER, named, 1001),
        (GROUP_OBJ, group, NO_ID),
        (MASK, mask, NO_ID),
        (OTHER, other, NO_ID),
    )


#: Those of the owner, a named user, the group, the mask, and others.
RIGHTS = st.tuples(*5 * [st.integers(0, 7)])


# The lists themselves


@given(RIGHTS)
def test_a_list_is_encoded_as_it_was_decoded(rights: Rights) -> None:
    value = extended(*rights)
    assert Acl.decode(value).encode() == value


def test_entries_are_put_in_order() -> None:
    # As the kernel expects them when it checks rights.
    entries = [
        (USER_OBJ, 7, NO_ID),
        (USER, 6, 5),
        (USER, 5, 1001),
        (GROUP_OBJ, 5, NO_ID),
        (GROUP, 4, 7),
        (GROUP, 3, 9),
        (MASK, 7, NO_ID),
        (OTHER, 0, NO_ID),
    ]
    assert Acl.decode(encode(*reversed(entries))).encode() == encode(*entries)


VALID = [
    (USER_OBJ, 7, NO_ID),
    (USER, 6, 5),
    (GROUP_OBJ, 5, NO_ID),
    (GROUP, 4, 5),
    (MASK, 7, NO_ID),
    (OTHER, 0, NO_ID),
]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x02\0\0",
        encode(),
        encode(*VALID, version=1),
        encode(*VALID)[:-1],
        encode(*VALID) + b"\0",
        encode(*VALID[1:]),
        encode(*VALID[:2], *VALID[3:]),
        encode(*VALID[:-1]),
        encode(*VALID[:4], VALID[5]),  # named ones need a mask
        encode(*VALID, (USER_OBJ, 7, NO_ID)),
        encode(*VALID, (MASK, 7, NO_ID)),
        encode(*VALID, (USER, 1, 5)),
        encode(*VALID, (GROUP, 1, 5)),
        encode(*VALID, (0x40, 1, 5)),
        encode(*VALID, (0, 1, 5)),
        encode((USER_OBJ, 8, NO_ID), *VALID[1:]),
    ],
)
def test_what_is_no_list_is_refused(value: bytes) -> None:
    assert Acl.decode(encode(*VALID)).encode() == encode(*VALID)
    with pytest.raises(BadValue):
        Acl.decode(value)


@given(RIGHTS)
def test_a_minimal_list_is_a_mode(rights: Rights) -> None:
    user, _, group, _, other = rights
    acl = Acl.decode(minimal(user, group, other))
    assert acl.is_mode
    assert acl.mode(Mode(S_IFREG | 0o6777)) == S_IFREG | 0o6000 | user << 6 | group << 3 | other


@given(RIGHTS)
def test_a_mode_shows_the_mask_in_the_groups_place(rights: Rights) -> None:
    user, _, _, mask, other = rights
    acl = Acl.decode(extended(*rights))
    assert not acl.is_mode
    assert acl.mode(Mode(S_IFDIR)) == S_IFDIR | user << 6 | mask << 3 | other


@given(RIGHTS, st.integers(0, 0o7777))
def test_a_new_mode_changes_the_mask_and_leaves_the_group(rights: Rights, mode: int) -> None:
    _, named, group, _, _ = rights
    acl = Acl.decode(extended(*rights)).with_mode(Mode(mode))
    assert acl.encode() == extended(mode >> 6 & 7, named, group, mode >> 3 & 7, mode & 7)


@given(RIGHTS, st.integers(0, 0o777))
def test_an_inherited_list_gives_no_right_that_was_not_asked_for(rights: Rights, mode: int) -> None:
    user, named, group, mask, other = rights
    acl = Acl.decode(extended(*rights)).inherited(Mode(mode))
    masked = (user & mode >> 6, named, group, mask & mode >> 3, other & mode)
    assert acl.encode() == extended(*masked)


# On inodes


def test_setting_a_list_sets_the_mode(tree: Tree, message: Message) -> None:
    attributes.put(tree, message, ACCESS, extended(7, 6, 4, 5, 1), NOW)
    assert message.mode == S_IFREG | 0o751
    assert xattrs.get(message, ACCESS) == extended(7, 6, 4, 5, 1)
    assert times(message) == (THEN, THEN, NOW)


def test_a_list_that_says_no_more_than_a_mode_is_not_kept(tree: Tree, message: Message) -> None:
    attributes.put(tree, message, ACCESS, minimal(6, 4, 0), NOW)
    assert message.mode == S_IFREG | 0o640
    assert message.xattrs is None
    assert times(message) == (THEN, THEN, NOW)


def test_it_takes_the_place_of_one_that_says_more(tree: Tree, message: Message) -> None:
    attributes.put(tree, message, ACCESS, extended(7, 6, 4, 5, 1), NOW)
    attributes.put(tree, message, ACCESS, minimal(6, 4, 0), NOW)
    assert message.mode == S_IFREG | 0o640
    with pytest.raises(NoSuchAttribute):
        xattrs.get(message, ACCESS)
    assert tree.ledger.stored_bytes == message.payer.user.bytes == 0


def test_setting_a_list_keeps_the_other_nine_bits(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o7755)
    attributes.put(tree, queue, ACCESS, extended(7, 6, 4, 0, 0), NOW)
    assert queue.mode == S_IFDIR | 0o7700


def test_chmod_changes_what_the_list_says(tree: Tree, message: Message) -> None:
    attributes.put(tree, message, ACCESS, extended(7, 6, 4, 5, 1), NOW)
    tree.chmod(message, Mode(0o4620), NOW)
    assert message.mode == S_IFREG | 0o4620
    assert xattrs.get(message, ACCESS) == extended(6, 6, 4, 2, 0)


def test_a_bad_list_is_refused_and_changes_nothing(tree: Tree, queue: Queue) -> None:
    before = queue.mode, times(queue)
    for name in (ACCESS, DEFAULT):
        with pytest.raises(BadValue):
            attributes.put(tree, queue, name, b"nonsense", NOW)
    assert (queue.mode, times(queue)) == before
    assert queue.xattrs is None


def test_a_message_has_nothing_to_pass_on(tree: Tree, message: Message) -> None:
    with pytest.raises(NoDefaultAcl):
        attributes.put(tree, message, DEFAULT, minimal(7, 7, 7), NOW)
    assert message.xattrs is None


def test_a_default_list_does_not_change_the_mode(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, DEFAULT, extended(7, 7, 7, 7, 7), NOW)
    assert queue.mode == S_IFDIR | 0o755


def test_lists_are_charged_as_other_attributes_are(tree: Tree, queue: Queue) -> None:
    value = extended(7, 6, 4, 5, 1)
    attributes.put(tree, queue, ACCESS, value, NOW)
    attributes.put(tree, queue, DEFAULT, value, NOW)
    expected = len(ACCESS) + len(DEFAULT) + 2 * (len(value) + ATTRIBUTE)
    assert queue.payer.user.bytes == tree.ledger.stored_bytes == expected
    attributes.remove(tree, queue, ACCESS, NOW)
    attributes.remove(tree, queue, DEFAULT, NOW)
    assert queue.payer.user.bytes == tree.ledger.stored_bytes == 0


# Inheriting


def test_a_message_inherits_its_queues_default_list(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, DEFAULT, extended(7, 6, 4, 7, 5), NOW)
    message = create(tree, queue, mode=S_IFREG | 0o640)
    assert message.mode == S_IFREG | 0o640
    assert message.xattrs == {ACCESS: extended(6, 6, 4, 4, 0)}


def test_a_default_list_that_says_no_more_than_a_mode_only_takes_rights_away(
    tree: Tree, queue: Queue
) -> None:
    attributes.put(tree, queue, DEFAULT, minimal(7, 5, 0), NOW)
    message = create(tree, queue, mode=S_IFREG | 0o666)
    assert message.mode == S_IFREG | 0o640
    assert xattrs.names(message) == []


def test_a_queue_inherits_the_roots_default_list_and_passes_it_on(tree: Tree) -> None:
    value = extended(7, 6, 4, 7, 5)
    attributes.put(tree, tree.root, DEFAULT, value, NOW)
    queue = mkdir(tree, mode=0o777)
    assert queue.mode == S_IFDIR | 0o775
    assert queue.xattrs == {ACCESS: value, DEFAULT: value}
    message = create(tree, queue, mode=S_IFREG | 0o666)
    assert message.xattrs == {ACCESS: extended(6, 6, 4, 6, 4)}


def test_inheriting_keeps_the_other_bits_and_the_times_alike(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o3777)
    attributes.put(tree, queue, DEFAULT, extended(7, 6, 4, 7, 5), NOW)
    message = create(tree, queue, mode=S_IFREG | 0o4750, now_ns=NOW)
    assert message.mode == S_IFREG | 0o4750
    assert times(message) == (NOW, NOW, NOW)


def test_without_a_default_list_nothing_is_inherited(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, ACCESS, extended(7, 6, 4, 7, 5), NOW)
    message = create(tree, queue)
    assert (message.mode, message.xattrs) == (S_IFREG | 0o644, None)


def test_what_is_inherited_is_charged_and_refunded(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, DEFAULT, extended(7, 6, 4, 7, 5), NOW)
    message = create(tree, queue)
    queues_bytes = queue.xattr_bytes
    assert queue.payer.user.bytes == queues_bytes + message.xattr_bytes
    assert tree.ledger.stored_bytes == queues_bytes + message.xattr_bytes
    unlink(tree, queue, b"message")
    assert queue.payer.user.bytes == tree.ledger.stored_bytes == queues_bytes


# What takes S_ISGID


@pytest.mark.parametrize("value", [minimal(7, 5, 5), extended(7, 6, 5, 5, 5)])
def test_a_list_set_from_outside_the_group_takes_s_isgid(value: bytes) -> None:
    threads = FakeThreads()
    tree = make_tree(threads=threads)
    queue = mkdir(tree, mode=0o2755)
    threads.may_act_for = lambda tid, uid, gid: (tid, uid, gid) == (5, queue.uid, queue.gid)
    attributes.put(tree, queue, ACCESS, value, NOW, Tid(5))
    assert queue.mode == S_IFDIR | 0o2755
    attributes.put(tree, queue, DEFAULT, value, NOW, Tid(6))
    assert queue.mode == S_IFDIR | 0o2755
    attributes.put(tree, queue, ACCESS, value, NOW, Tid(6))
    assert queue.mode == S_IFDIR | 0o755


# Removing


@pytest.mark.parametrize("name", [ACCESS, DEFAULT])
def test_a_list_that_is_not_there_is_removed_without_a_trace(tree: Tree, name: bytes) -> None:
    queue = mkdir(tree, mode=0o755)
    for inode in (tree.root, queue, create(tree, queue)):
        before = inode.mode, times(inode)
        assert attributes.remove(tree, inode, name, NOW + 1) is None
        assert (inode.mode, times(inode)) == before
