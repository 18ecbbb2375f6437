"""Extended attributes: `user.` and access control lists, with Linux's limits (xattr(7))."""

from collections.abc import Callable
from typing import Final

from eventfs.queues import acl
from eventfs.queues.errors import (
    AlreadyExists,
    AttributeNameTooLong,
    AttributeNotSupported,
    AttributeTooLarge,
    BadValue,
    NoRoomForAttribute,
    NoSuchAttribute,
)
from eventfs.queues.inode import ATTRIBUTE_BYTES, Inode

#: XATTR_NAME_MAX, XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h, in bytes.
MAX_NAME_BYTES: Final = 255
MAX_VALUE_BYTES: Final = 65_536
MAX_LIST_BYTES: Final = 65_536

#: With it, a queue outlives the process that made it.
STICKY: Final = b"user.eventfs_sticky"

#: With the value "no", a queue keeps nothing: it passes on what arrives to its followers.
KEEP: Final = b"user.eventfs_keep"

#: The queues whose messages arrive in this one too: names, separated by slashes.
FOLLOW: Final = b"user.eventfs_follow"

#: The process that a queue belongs to, by its id. It can be set to another, and isn't listed.
OWNER: Final = b"user.eventfs_owner"

#: A queue's own limits, in messages, bytes and seconds, and what is done where it is full.
MAX_MESSAGES: Final = b"user.eventfs_max_messages"
MAX_BYTES: Final = b"user.eventfs_max_bytes"
OVERFLOW: Final = b"user.eventfs_overflow"
TTL: Final = b"user.eventfs_ttl"
BOUNDS: Final = frozenset((MAX_MESSAGES, MAX_BYTES, OVERFLOW, TTL))

#: With it, a queue holds on loan what is renamed into it: for so many seconds, or without a time.
LEASE: Final = b"user.eventfs_lease"

#: How often a message may come back from a loan, and the queue where it goes instead, by its name.
MAX_ATTEMPTS: Final = b"user.eventfs_max_attempts"
DEAD_LETTER: Final = b"user.eventfs_dead_letter"

#: What can only be read of a queue, and isn't listed: who follows it, as FOLLOW names sources; how
#: many messages it lost for want of room or for failing too often, and how many for their age; how
#: many are on loan from it; how many it has, how many bytes they have, and when the oldest was
#: written, in seconds since the epoch.
FOLLOWERS: Final = b"user.eventfs_followers"
DROPPED: Final = b"user.eventfs_dropped"
EXPIRED: Final = b"user.eventfs_expired"
LENT: Final = b"user.eventfs_lent"
MESSAGES: Final = b"user.eventfs_messages"
BYTES: Final = b"user.eventfs_bytes"
OLDEST: Final = b"user.eventfs_oldest"

COMPUTED: Final = frozenset((OWNER, FOLLOWERS, DROPPED, EXPIRED, LENT, MESSAGES, BYTES, OLDEST))

#: The only one of a message that can only be read: how often it returned from a loan.
ATTEMPTS: Final = b"user.eventfs_attempts"

#: The digits that a number of a rule may have, and those behind its decimal point.
_MAX_DIGITS: Final = 18
_DECIMALS: Final = 9

_NAMESPACE: Final = b"user."
LISTS: Final = (acl.ACCESS, acl.DEFAULT)


def _check_name(name: bytes) -> None:
    if name in LISTS:
        return
    if not name.startswith(_NAMESPACE) or name == _NAMESPACE:
        raise AttributeNotSupported
    if len(name) > MAX_NAME_BYTES:
        raise AttributeNameTooLong


def get(inode: Inode, name: bytes) -> bytes:
    """Read an attribute (AttributeNotSupported, AttributeNameTooLong, NoSuchAttribute)."""
    _check_name(name)
    if inode.xattrs is None or name not in inode.xattrs:
        raise NoSuchAttribute
    return inode.xattrs[name]


def _number(value: bytes) -> int:
    if not (value.isdigit() and len(value) <= _MAX_DIGITS and int(value)):
        raise BadValue
    return int(value)


def _seconds_ns(value: bytes) -> int:
    whole, point, decimals = value.partition(b".")
    is_number = (whole or decimals).isdigit() and (decimals.isdigit() or not point)
    if not is_number or len(whole) > _DECIMALS or len(decimals) > _DECIMALS:
        raise BadValue
    time_ns: int = int(whole or b"0") * 10**_DECIMALS + int(decimals.ljust(_DECIMALS, b"0"))
    if not time_ns:
        raise BadValue
    return time_ns


def _lease_ns(value: bytes) -> int:
    return _seconds_ns(value) if value else 0


def _drops_oldest(value: bytes) -> int:
    try:
        return (b"reject", b"drop-oldest").index(value)
    except ValueError:
        raise BadValue from None


#: What the values of rules mean: numbers above 0, nanoseconds (0 for no time), whether to drop.
_MEANINGS: dict[bytes, Callable[[bytes], int]] = {
    MAX_MESSAGES: _number,
    MAX_BYTES: _number,
    MAX_ATTEMPTS: _number,
    OVERFLOW: _drops_oldest,
    TTL: _seconds_ns,
    LEASE: _lease_ns,
}


def check_rule(name: bytes, value: bytes) -> None:
    """Refuse what a queue's rule can't be (BadValue); anything is good for other attributes."""
    if name in _MEANINGS:
        _MEANINGS[name](value)


def rule(inode: Inode, name: bytes) -> int | None:
    """Return what a queue's rule says, None where it isn't set: see `_MEANINGS`."""
    if inode.xattrs is None or name not in inode.xattrs:
        return None
    return _MEANINGS[name](inode.xattrs[name])


def check_presence(inode: Inode, name: bytes, *, present: bool) -> None:
    """Make sure that an attribute is there, or that it isn't (AlreadyExists; others as `get`)."""
    try:
        get(inode, name)
    except NoSuchAttribute:
        if present:
            raise
    else:
        if not present:
            raise AlreadyExists


def names(inode: Inode) -> list[bytes]:
    """List the attributes' names, in the order in which they were first set."""
    return list(inode.xattrs or ())


def growth_bytes(inode: Inode, name: bytes, value: bytes) -> int:
    """Return how many bytes more the attributes would take with this one set.

    Refused with AttributeNotSupported, AttributeNameTooLong, AttributeTooLarge, or with
    NoRoomForAttribute where listxattr(2) couldn't list the names any more.
    """
    _check_name(name)
    if len(value) > MAX_VALUE_BYTES:
        raise AttributeTooLarge
    xattrs = inode.xattrs or {}
    if name in xattrs:
        return len(value) - len(xattrs[name])
    if sum(len(n) + 1 for n in (*xattrs, name)) > MAX_LIST_BYTES:
        raise NoRoomForAttribute
    return len(name) + len(value) + ATTRIBUTE_BYTES


def put(inode: Inode, name: bytes, value: bytes, now_ns: int) -> None:
    """Set an attribute, whether it was there or not (errors as for `growth_bytes`)."""
    growth_bytes(inode, name, value)
    xattrs = inode.xattrs or {}
    xattrs[name] = value
    inode.xattrs = xattrs
    inode.ctime_ns = now_ns


def remove(inode: Inode, name: bytes, now_ns: int) -> None:
    """Remove an attribute (errors as for `get`)."""
    get(inode, name)
    assert inode.xattrs is not None
    del inode.xattrs[name]
    inode.xattrs = inode.xattrs or None
    inode.ctime_ns = now_ns
