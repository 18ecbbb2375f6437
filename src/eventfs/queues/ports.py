"""What goes through a queue's ports: `.pipe`, a message a call, and `.lines`, a message a line."""

from stat import S_IFREG, S_ISGID, S_ISVTX
from typing import Final

from eventfs.queues import acl, attributes
from eventfs.queues.directory import Dentry
from eventfs.queues.errors import (
    LimitReached,
    MessageTooLong,
    NotPermitted,
    QueueGone,
    Refused,
)
from eventfs.queues.inode import Mode, attribute_bytes
from eventfs.queues.ledger import Gid, Payer, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import UNNAMED, Name
from eventfs.queues.packet import Batch, Packet
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree

#: The largest message that goes through a port, in bytes: 255 pages. The kernel hands over what is
#: written in pieces of up to 256, so a larger one may be only the first piece of something.
MAX_MESSAGE_BYTES: Final = 255 * 4096


class User:
    """Who has opened a port: rights and charges are theirs, whoever uses it.

    `overrides` tells whether they may take what is others' from a queue with S_ISVTX, `mode` is
    that of their messages.
    """

    __slots__ = ("gid", "mode", "overrides", "payer", "uid")

    def __init__(self, uid: Uid, gid: Gid, umask: int, payer: Payer, *, overrides: bool) -> None:
        """Remember who it is."""
        self.uid = uid
        self.gid = gid
        self.mode = Mode(S_IFREG | 0o666 & ~umask)
        self.payer = payer
        self.overrides = overrides


class Taken:
    """What was taken: its content, and its name and message if somebody has looked at it before."""

    __slots__ = ("content", "message", "name")

    def __init__(self, content: bytes, name: Name, message: Message | None) -> None:
        """Tell what was taken."""
        self.content = content
        self.name = name
        self.message = message


def has_room(tree: Tree, queue: Queue, user: User) -> bool:
    """Tell whether a message of a byte would be let in."""
    list_bytes = 0
    if queue.xattrs and acl.DEFAULT in queue.xattrs:
        _, _, list_bytes = _inherited(queue.xattrs[acl.DEFAULT])
    return _fits(tree, queue, user, 1, 1, list_bytes)


def put(tree: Tree, queue: Queue, content: bytes, user: User, now_ns: int) -> None:
    """Append a message, whole or not at all.

    Refused with QueueGone, MessageTooLong, LimitReached, MountFull.
    """
    if not queue.links:
        raise QueueGone
    count_bytes = len(content)
    if count_bytes > MAX_MESSAGE_BYTES:
        raise MessageTooLong
    mode, access, list_bytes = user.mode, b"", 0
    if queue.xattrs and acl.DEFAULT in queue.xattrs:
        mode, access, list_bytes = _inherited(queue.xattrs[acl.DEFAULT])
    tree.ledger.check_stored(count_bytes + list_bytes)
    tree.ledger.check_inode()
    inode_payer = _inode_payer(tree, queue, user)
    keeps = queue.keeps
    if keeps and not queue.has_room(count_bytes):
        raise LimitReached
    _pay(user.payer if keeps else None, inode_payer, count_bytes + list_bytes)
    packet = Packet(content, mode, inode_payer, now_ns)
    number = tree.add_packets(1, count_bytes)
    if keeps:
        queue.append(Dentry(UNNAMED, packet, number, user.payer), now_ns)
    if queue.followers or queue.bounds:
        tree.arrived(queue, UNNAMED, packet, number, now_ns)
    if not keeps:
        tree.release_packet(packet)
    if access:
        # A list needs an inode, if there is anybody to keep it; it has room, and is paid for there.
        inode_payer.charge_bytes(-list_bytes)
        if packet.links:
            attributes.put(tree, tree.message_of(packet), acl.ACCESS, access, now_ns)


def put_lines(tree: Tree, queue: Queue, lines: list[bytes], user: User, now_ns: int) -> int:
    """Append as many messages as are let in; return how many (errors as `put`, for the first)."""
    simple = queue.links and queue.keeps and not queue.followers
    if simple and not (queue.xattrs and acl.DEFAULT in queue.xattrs):
        count_bytes = sum(map(len, lines))
        longest = max(map(len, lines))
        if longest <= MAX_MESSAGE_BYTES and _fits(tree, queue, user, len(lines), count_bytes):
            _put_all(tree, queue, lines, user, now_ns, count_bytes)
            return len(lines)
    for number, line in enumerate(lines):
        try:
            put(tree, queue, line, user, now_ns)
        except Refused:
            if not number:
                raise
            return number
    return len(lines)


def take(tree: Tree, queue: Queue, room_bytes: int, user: User, now_ns: int) -> Taken | None:
    """Take the oldest message, whole; None where there is none.

    Refused with QueueGone; with MessageTooLong where it has more than *room_bytes* bytes, and with
    NotPermitted where it is another's in a queue with S_ISVTX: then it stays.
    """
    if not queue.links:
        raise QueueGone
    dentry = queue.first
    if dentry is None:
        return None
    inode = dentry.inode
    if isinstance(inode, Packet):
        message = inode.message
        content, payer = inode.content, inode.payer
        size = len(content)
    else:
        assert isinstance(inode, Message)
        message, content = inode, b""
    if message is not None:
        payer, size = message.payer, message.size
    if queue.mode & S_ISVTX and user.uid not in (payer.uid, queue.uid) and not user.overrides:
        raise NotPermitted
    if size > room_bytes:
        raise MessageTooLong
    if message is not None:
        content = bytes(message.read(0, size, now_ns))
    tree.remove(queue, dentry, now_ns)
    return Taken(content, dentry.name, message if dentry.name else None)


def take_lines(
    tree: Tree, queue: Queue, room_bytes: int, user: User, now_ns: int
) -> tuple[bytes, list[Taken]]:
    """Take as many whole messages as fit, each ended by a newline.

    Returns them, and those that somebody has looked at before. Refused as `take` is, for the first.
    """
    lines: list[bytes] = []
    known: list[Taken] = []
    each = queue.mode & S_ISVTX
    while True:
        unseen = [] if each else _take_unseen(tree, queue, room_bytes, now_ns)
        if unseen:
            room_bytes -= sum(map(len, unseen)) + len(unseen)
            lines += unseen
            continue
        if lines and not each and queue.next_batch is not None:
            break  # the next doesn't fit
        try:
            taken = take(tree, queue, room_bytes - 1, user, now_ns)
        except Refused:
            if not lines:
                raise
            taken = None
        if taken is None:
            break
        room_bytes -= len(taken.content) + 1
        lines.append(taken.content)
        if taken.message is not None:
            known.append(taken)
    lines.append(b"")
    return b"\n".join(lines), known


def _put_all(  # noqa: PLR0913  # as `put_lines`, and what it has counted
    tree: Tree, queue: Queue, lines: list[bytes], user: User, now_ns: int, count_bytes: int
) -> None:
    """Append messages that were found to fit."""
    payer, mode, inode_payer = user.payer, user.mode, _inode_payer(tree, queue, user)
    payer.charge_files(len(lines))
    inode_payer.charge_bytes(count_bytes)
    first = tree.add_packets(len(lines), count_bytes)
    batch = Batch(lines, count_bytes, first, mode, inode_payer, payer, now_ns)
    queue.add_batch(batch, now_ns)
    tree.drop_excess(queue, now_ns)


def _take_all(tree: Tree, queue: Queue, dentries: list[Dentry], now_ns: int) -> list[bytes]:
    """Take packets from the beginning of a queue."""
    packets = [dentry.inode for dentry in dentries]
    queue.remove_leading(dentries, now_ns)
    for dentry in dentries:
        dentry.payer.charge_files(-1)
    lines: list[bytes] = []
    for packet in packets:
        assert isinstance(packet, Packet)
        lines.append(packet.content)
        tree.release_packet(packet)
    return lines


def _take_unseen(tree: Tree, queue: Queue, room_bytes: int, now_ns: int) -> list[bytes]:
    """Take those messages from the beginning that fit and that nobody has looked at."""
    batch = queue.next_batch
    if batch is None:
        packets = queue.leading_packets(room_bytes)
        return _take_all(tree, queue, packets, now_ns) if packets else []
    before = batch.count_bytes
    lines = batch.take(room_bytes)
    if lines:
        batch.payer.charge_files(-len(lines))
        tree.release_packets(len(lines), batch.inode_payer, before - batch.count_bytes)
        queue.batch_taken(len(lines), now_ns)
    return lines


def _fits(  # noqa: PLR0913  # what is to come
    tree: Tree, queue: Queue, user: User, files: int, count_bytes: int, list_bytes: int = 0
) -> bool:
    """Tell whether messages would be let in that have so many bytes together, and lists."""
    ledger, inode_payer = tree.ledger, _inode_payer(tree, queue, user)
    charged_bytes = count_bytes + list_bytes
    return (
        ledger.inodes + files <= ledger.settings.nr_inodes
        and ledger.stored_bytes + charged_bytes <= ledger.settings.size_bytes
        and (not queue.keeps or _has_names(queue, user.payer, files, count_bytes))
        and inode_payer.user.has_room(charged_bytes)
        and inode_payer.group.has_room(charged_bytes)
    )


def _has_names(queue: Queue, payer: Payer, files: int, count_bytes: int) -> bool:
    return (
        queue.places + files <= queue.payer.max_files_per_dir
        and (queue.bounds is None or queue.bounds.has_room(queue, files, count_bytes))
        and payer.user.files + files <= payer.user.limits.max_files
        and payer.group.files + files <= payer.group.limits.max_files
    )


def _pay(name_payer: Payer | None, inode_payer: Payer, count_bytes: int) -> None:
    if name_payer:
        name_payer.pay_file()
    try:
        inode_payer.pay_bytes(count_bytes)
    except LimitReached:
        if name_payer:
            name_payer.refund_file()
        raise


def _inode_payer(tree: Tree, queue: Queue, user: User) -> Payer:
    """Return who is charged for the bytes: S_ISGID passes the queue's group on."""
    return tree.ledger.payer(user.uid, queue.gid) if queue.mode & S_ISGID else user.payer


def _inherited(default: bytes) -> tuple[Mode, bytes, int]:
    """Return what a message inherits: mode, list, if that says more, and the bytes it takes."""
    access = acl.Acl.decode(default).inherited(Mode(0o666))
    mode = access.mode(Mode(S_IFREG))
    if access.is_mode:
        return mode, b"", 0
    encoded = access.encode()
    return mode, encoded, attribute_bytes({acl.ACCESS: encoded})
