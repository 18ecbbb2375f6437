"""Extended attributes: the `user.` namespace, with Linux's limits."""

from contextlib import nullcontext

import pytest

from eventfs.queues import xattrs
from eventfs.queues.errors import (
    AttributeNameTooLong,
    AttributeNotSupported,
    AttributeTooLarge,
    NoRoomForAttribute,
    NoSuchAttribute,
    Refused,
)
from eventfs.queues.inode import Inode
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree
from tests.queues.making import NOW, THEN, times


@pytest.fixture(params=["message", "queue", "root"])
def inode(request: pytest.FixtureRequest, tree: Tree, queue: Queue, message: Message) -> Inode:
    """Each kind of inode that may have attributes."""
    inodes: dict[str, Inode] = {"message": message, "queue": queue, "root": tree.root}
    return inodes[request.param]


def fill_list(inode: Inode) -> None:
    """Set attributes until their names take all of the 65,536 bytes that listxattr(2) can give."""
    for number in range(256):
        xattrs.put(inode, b"user.%0250d" % number, b"", NOW)
    assert sum(len(name) + 1 for name in xattrs.names(inode)) == xattrs.MAX_LIST_BYTES


def test_what_is_put_can_be_got(inode: Inode) -> None:
    xattrs.put(inode, b"user.colour", b"green", NOW)
    assert xattrs.get(inode, b"user.colour") == b"green"


def test_a_value_may_be_empty_and_hold_any_byte(inode: Inode) -> None:
    xattrs.put(inode, b"user.empty", b"", NOW)
    xattrs.put(inode, b"user.bytes", bytes(range(256)), NOW)
    assert xattrs.get(inode, b"user.empty") == b""
    assert xattrs.get(inode, b"user.bytes") == bytes(range(256))


def test_putting_again_replaces_the_value(inode: Inode) -> None:
    xattrs.put(inode, b"user.colour", b"green", NOW)
    xattrs.put(inode, b"user.colour", b"red", NOW)
    assert xattrs.get(inode, b"user.colour") == b"red"
    assert xattrs.names(inode) == [b"user.colour"]


def test_names_are_listed_in_the_order_in_which_they_were_first_put(inode: Inode) -> None:
    for name in (b"user.c", b"user.a", b"user.b", b"user.c"):
        xattrs.put(inode, name, b"", NOW)
    assert xattrs.names(inode) == [b"user.c", b"user.a", b"user.b"]


def test_an_inode_without_attributes_lists_none(inode: Inode) -> None:
    assert xattrs.names(inode) == []


def test_what_is_removed_is_gone_and_nothing_else(inode: Inode) -> None:
    xattrs.put(inode, b"user.a", b"1", NOW)
    xattrs.put(inode, b"user.b", b"2", NOW)
    xattrs.remove(inode, b"user.a", NOW)
    assert xattrs.names(inode) == [b"user.b"]
    with pytest.raises(NoSuchAttribute):
        xattrs.get(inode, b"user.a")


def test_the_last_one_removed_takes_its_memory_along(inode: Inode) -> None:
    xattrs.put(inode, b"user.a", b"1", NOW)
    xattrs.remove(inode, b"user.a", NOW)
    assert inode.xattrs is None


def test_one_inodes_attributes_are_not_anothers(queue: Queue, message: Message) -> None:
    xattrs.put(queue, b"user.a", b"1", NOW)
    assert xattrs.names(message) == []


@pytest.mark.parametrize("name", [b"user.a", b"user.aa"])
def test_a_missing_attribute_can_be_neither_got_nor_removed(inode: Inode, name: bytes) -> None:
    with pytest.raises(NoSuchAttribute):
        xattrs.get(inode, name)
    xattrs.put(inode, b"user.b", b"", NOW)
    with pytest.raises(NoSuchAttribute):
        xattrs.remove(inode, name, NOW)


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"user",
        b"user.",
        b"colour",
        b"USER.colour",
        b"security.capability",
        b"system.colour",
        b"trusted.colour",
    ],
)
def test_of_other_namespaces_only_access_control_lists_are_kept(inode: Inode, name: bytes) -> None:
    with pytest.raises(AttributeNotSupported):
        xattrs.put(inode, name, b"", NOW)
    with pytest.raises(AttributeNotSupported):
        xattrs.get(inode, name)
    with pytest.raises(AttributeNotSupported):
        xattrs.remove(inode, name, NOW)


def test_an_attributes_name_may_have_255_bytes(inode: Inode) -> None:
    name = b"user." + b"x" * 250
    xattrs.put(inode, name, b"", NOW)
    assert xattrs.names(inode) == [name]


def test_an_attributes_name_of_256_bytes_is_too_long(inode: Inode) -> None:
    name = b"user." + b"x" * 251
    with pytest.raises(AttributeNameTooLong):
        xattrs.put(inode, name, b"", NOW)
    with pytest.raises(AttributeNameTooLong):
        xattrs.get(inode, name)
    with pytest.raises(AttributeNameTooLong):
        xattrs.remove(inode, name, NOW)


def test_a_value_may_have_64_kib(inode: Inode) -> None:
    xattrs.put(inode, b"user.a", b"x" * 65_536, NOW)
    assert xattrs.get(inode, b"user.a") == b"x" * 65_536


def test_a_value_of_one_byte_more_is_too_large(inode: Inode) -> None:
    with pytest.raises(AttributeTooLarge):
        xattrs.put(inode, b"user.a", b"x" * 65_537, NOW)


def test_no_more_names_are_taken_than_can_be_listed(inode: Inode) -> None:
    fill_list(inode)
    with pytest.raises(NoRoomForAttribute):
        xattrs.put(inode, b"user.x", b"", NOW)


@pytest.mark.parametrize(("length", "fits"), [(154, True), (155, False)])
def test_the_last_byte_of_the_list_can_be_used(
    message: Message, length: int, *, fits: bool
) -> None:
    fill_list(message)
    xattrs.remove(message, xattrs.names(message)[0], NOW)
    # That made room for 256 bytes, each name's final zero included; now it is 155.
    xattrs.put(message, b"user." + b"x" * 95, b"", NOW)
    with nullcontext() if fits else pytest.raises(NoRoomForAttribute):
        xattrs.put(message, b"user." + b"y" * (length - 5), b"", NOW)


def test_a_value_can_be_replaced_where_no_name_fits_any_more(inode: Inode) -> None:
    fill_list(inode)
    name = xattrs.names(inode)[0]
    xattrs.put(inode, name, b"new", NOW)
    assert xattrs.get(inode, name) == b"new"


def test_putting_and_removing_move_only_ctime(inode: Inode) -> None:
    atime_ns, mtime_ns, _ = times(inode)
    xattrs.put(inode, b"user.a", b"", NOW)
    assert times(inode) == (atime_ns, mtime_ns, NOW)
    xattrs.remove(inode, b"user.a", NOW + 1)
    assert times(inode) == (atime_ns, mtime_ns, NOW + 1)


def test_getting_and_listing_move_nothing(inode: Inode) -> None:
    xattrs.put(inode, b"user.a", b"", NOW)
    before = times(inode)
    xattrs.get(inode, b"user.a")
    xattrs.names(inode)
    assert times(inode) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"security.a", b""),
        (b"user." + b"x" * 251, b""),
        (b"user.a", b"x" * 65_537),
        (b"user.one-more", b""),
    ],
)
def test_a_refused_put_changes_nothing(message: Message, name: bytes, value: bytes) -> None:
    fill_list(message)
    xattrs.remove(message, xattrs.names(message)[0], NOW)
    xattrs.put(message, b"user.a" + b"a" * 249, b"", NOW)
    before = xattrs.names(message)
    message.ctime_ns = THEN
    with pytest.raises(Refused):
        xattrs.put(message, name, value, NOW)
    assert xattrs.names(message) == before
    assert times(message) == (THEN, THEN, THEN)


def test_a_refused_removal_changes_nothing(message: Message) -> None:
    with pytest.raises(NoSuchAttribute):
        xattrs.remove(message, b"user.a", NOW)
    assert times(message) == (THEN, THEN, THEN)
