"""Extended attributes: `user.` and access control lists, with Linux's limits (xattr(7))."""

from eventfs.queues import acl
from eventfs.queues.errors import (
    AlreadyExists,
    AttributeNameTooLong,
    AttributeNotSupported,
    AttributeTooLarge,
    NoRoomForAttribute,
    NoSuchAttribute,
)
from eventfs.queues.inode import ATTRIBUTE_BYTES, Inode

#: XATTR_NAME_MAX, XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h, in bytes.
MAX_NAME_BYTES = 255
MAX_VALUE_BYTES = 65_536
MAX_LIST_BYTES = 65_536

#: With it, a queue outlives the process that made it.
STICKY = b"user.eventfs_sticky"

#: With the value "no", a queue keeps nothing: it passes on what arrives to its followers.
KEEP = b"user.eventfs_keep"

#: The queues whose messages arrive in this one too: names, separated by slashes.
FOLLOW = b"user.eventfs_follow"

#: The process that a queue belongs to, by its id. It can be set to another, and isn't listed.
OWNER = b"user.eventfs_owner"

#: What can only be read of a queue, and isn't listed: who follows it, as FOLLOW names sources; how
#: many messages it had no room for, of which nobody else was told; how many messages it has, how
#: many bytes they have, and when the oldest was written, in seconds since the epoch.
FOLLOWERS = b"user.eventfs_followers"
DROPPED = b"user.eventfs_dropped"
MESSAGES = b"user.eventfs_messages"
BYTES = b"user.eventfs_bytes"
OLDEST = b"user.eventfs_oldest"
COMPUTED = frozenset((OWNER, FOLLOWERS, DROPPED, MESSAGES, BYTES, OLDEST))

_NAMESPACE = b"user."
LISTS = (acl.ACCESS, acl.DEFAULT)


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
