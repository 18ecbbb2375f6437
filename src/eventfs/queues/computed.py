"""Attributes that queues and messages tell of themselves, and that nobody can set or remove."""

from collections.abc import Callable

from eventfs.queues import followers, xattrs
from eventfs.queues.errors import NoSuchAttribute, NotFound
from eventfs.queues.inode import Inode
from eventfs.queues.message import Message
from eventfs.queues.queue import Queue


def _oldest(queue: Queue) -> bytes | None:
    oldest_ns = queue.oldest_ns
    return None if oldest_ns is None else b"%d.%09d" % divmod(oldest_ns, 10**9)


_TOLD: dict[bytes, Callable[[Queue], bytes | None]] = {
    xattrs.FOLLOWERS: lambda queue: followers.encoded(queue.followers),
    xattrs.DROPPED: lambda queue: b"%d" % queue.dropped,
    xattrs.EXPIRED: lambda queue: b"%d" % queue.expired,
    xattrs.LENT: lambda queue: b"%d" % queue.lent,
    xattrs.MESSAGES: lambda queue: b"%d" % len(queue),
    xattrs.BYTES: lambda queue: b"%d" % queue.content_bytes(),
    xattrs.OLDEST: _oldest,
}


def is_computed(inode: Inode, name: bytes) -> bool:
    """Tell whether an attribute can only be read of an inode."""
    if isinstance(inode, Queue):
        return name in xattrs.COMPUTED
    return isinstance(inode, Message) and name == xattrs.ATTEMPTS


def told(queue: Queue, name: bytes) -> bytes:
    """Return what a queue tells of itself (NoSuchAttribute where there is nothing to tell).

    NotFound where it has vanished: it isn't an empty one.
    """
    if not queue.links:
        raise NotFound
    value = _TOLD[name](queue) if name in _TOLD else None
    if value is None:
        raise NoSuchAttribute
    return value
