"""Extended attributes of what is in a tree: what each may be, and what follows from it."""

from stat import S_ISGID

from eventfs.queues import acl, followers, xattrs
from eventfs.queues.bounds import Bounds
from eventfs.queues.computed import is_computed, told
from eventfs.queues.directory import Directory, Sequence
from eventfs.queues.errors import NoDefaultAcl, NotPermitted
from eventfs.queues.inode import Inode, Mode
from eventfs.queues.ledger import Uid
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import Port, Queue, Tid
from eventfs.queues.tree import Tree, Vanished

#: The rights that it takes to follow a queue: those to open it and find what is in it.
_READ_AND_SEARCH = 0o5

#: The rights that it takes to have dead letters put into a queue.
_WRITE_AND_SEARCH = 0o3


def get(tree: Tree, inode: Inode, name: bytes) -> bytes:
    """Read an extended attribute (errors as for `xattrs.get`).

    NotFound for what a vanished queue would tell of itself: it isn't an empty one.
    """
    if isinstance(inode, Queue) and is_computed(inode, name):
        return told(inode, name)
    if isinstance(inode, Message) and name == xattrs.ATTEMPTS:
        return b"%d" % tree.leases.attempts.get(inode, 0)
    return xattrs.get(inode, name)


def put(  # noqa: PLR0913  # as setxattr(2) and its caller have them
    tree: Tree, inode: Inode, name: bytes, value: bytes, now_ns: int, tid: Tid | None = None
) -> None:
    """Set an extended attribute.

    An access control list is a mode too: set by a thread *tid* that isn't in the inode's group,
    it takes S_ISGID, as chmod(2) does. (Of chmod the kernel sees to that itself.)

    Refused with LimitReached or MountFull; as `xattrs.put` is; with BadValue for an access
    control list that is none and for what is none of a queue's rules, and NoDefaultAcl for a
    list to be inherited from a message.
    """
    if isinstance(inode, Port) or is_computed(inode, name):
        raise NotPermitted
    if name == acl.ACCESS:
        access = acl.Acl.decode(value)
        if not access.is_mode:
            tree.put_xattr(inode, name, access.encode(), now_ns)
        elif inode.xattrs and name in inode.xattrs:
            remove(tree, inode, name, now_ns)
        mode = access.mode(inode.mode)
        if (
            tid is not None
            and mode & S_ISGID
            and not tree.threads.in_group(tid, inode.uid, inode.gid)
        ):
            mode = Mode(mode & ~S_ISGID)
        inode.chmod(mode, now_ns)
        return
    if name == acl.DEFAULT:
        if not isinstance(inode, Directory):
            raise NoDefaultAcl
        value = acl.Acl.decode(value).encode()
    if isinstance(inode, Queue):
        xattrs.check_rule(name, value)
    tree.put_xattr(inode, name, value, now_ns)
    if isinstance(inode, Queue):
        _put_in_force(tree, inode, name, now_ns)


def _put_in_force(tree: Tree, queue: Queue, name: bytes, now_ns: int) -> None:
    """Put an attribute of a queue in force that was set or removed."""
    if queue.vanished:
        return
    if name in xattrs.BOUNDS:
        if queue.bounds is None:
            queue.bounds = Bounds(tree.measured, tree.timers)
        queue.bounds.change(queue, Sequence(tree.next_number()))
        tree.drop_excess(queue, now_ns)
        if not xattrs.BOUNDS.intersection(queue.xattrs or ()):
            queue.bounds = None
    elif name == xattrs.LEASE:
        tree.leases.return_overdue(queue, now_ns)


def remove(tree: Tree, inode: Inode, name: bytes, now_ns: int) -> Vanished | None:
    """Remove an extended attribute; a queue whose owner is dead vanishes with its stickiness.

    Refused as `xattrs.remove` is.
    """
    if isinstance(inode, Port) or is_computed(inode, name):
        raise NotPermitted
    if name in xattrs.LISTS and name not in (inode.xattrs or {}):
        # As the kernel's own filesystems answer: there is always a list, if only the mode.
        return None
    tree.drop_xattr(inode, name, now_ns)
    if isinstance(inode, Queue):
        if name == xattrs.FOLLOW:
            tree.followers.follow(inode, [])
        elif name == xattrs.DEAD_LETTER:
            tree.leases.bury_in(inode, None)
        _put_in_force(tree, inode, name, now_ns)
    if (
        isinstance(inode, Queue)
        and inode.owner is None
        and not inode.is_sticky
        and not inode.vanished
    ):
        return tree.vanish(inode, now_ns)
    return None


def follow(  # noqa: PLR0913  # as setxattr(2) and its caller have them
    tree: Tree, queue: Queue, value: bytes, uid: Uid, tid: Tid, now_ns: int
) -> None:
    """Have a queue follow others, named in the value of `xattrs.FOLLOW`, and nobody else.

    The user *uid* and the thread *tid* must have the right to read and search them. Refused as
    `Followers.sources_named` is, and as `put` is.
    """

    def may_follow(source: Queue) -> bool:
        return _grants(tree, source, _READ_AND_SEARCH, uid, tid) or tree.threads.reads_all(
            tid, source.uid, source.gid
        )

    sources = tree.followers.sources_named(queue, value, may_follow)
    tree.put_xattr(queue, xattrs.FOLLOW, followers.encoded(sources), now_ns)
    tree.followers.follow(queue, sources)


def bury_in(  # noqa: PLR0913  # as setxattr(2) and its caller have them
    tree: Tree, queue: Queue, name: Name, uid: Uid, tid: Tid, now_ns: int
) -> None:
    """Have a queue's dead letters put into another, named in `xattrs.DEAD_LETTER`.

    The user *uid* and the thread *tid* must have the right to add to it. Refused as
    `Leases.dead_letter_named` is, and as `put` is.
    """

    def may_add(target: Queue) -> bool:
        return _grants(tree, target, _WRITE_AND_SEARCH, uid, tid) or tree.threads.writes_all(
            tid, target.uid, target.gid
        )

    target = tree.leases.dead_letter_named(queue, name, may_add)
    tree.put_xattr(queue, xattrs.DEAD_LETTER, name, now_ns)
    tree.leases.bury_in(queue, target)


def _grants(tree: Tree, queue: Queue, rights: int, uid: Uid, tid: Tid) -> bool:
    """Tell whether a queue gives rights to a user, as far as its mode and list say."""
    encoded = (queue.xattrs or {}).get(acl.ACCESS)
    access = acl.Acl.decode(encoded) if encoded else acl.Acl.of_mode(queue.mode)
    return access.allows(rights, queue.uid, queue.gid, uid, tree.threads.groups(tid))
