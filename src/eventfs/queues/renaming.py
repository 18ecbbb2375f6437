"""rename(2): another name for a message in its queue, or another queue for it."""

from eventfs.queues import xattrs
from eventfs.queues.directory import Dentry, Sequence
from eventfs.queues.errors import (
    AlreadyExists,
    LimitReached,
    NameTaken,
    NotFound,
    NotPermitted,
)
from eventfs.queues.ledger import Gid, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import RESERVED, Name, check_length
from eventfs.queues.queue import Loan, Queue, Root
from eventfs.queues.tree import Tree


def rename(  # noqa: PLR0913  # as renameat2(2) and its caller have them
    tree: Tree,
    directory: Root | Queue,
    name: Name,
    new_directory: Root | Queue,
    new_name: Name,
    uid: Uid,
    gid: Gid,
    now_ns: int,
    *,
    replaces: bool,
) -> None:
    """Give a message another name in the place of that which it has.

    In its queue it keeps its place in the order, and the name's charge stays whose it was. In
    another queue it arrives as any message does, and the name is charged to who moved it. What is
    called *new_name* there is replaced, if *replaces* allows it (AlreadyExists) and it isn't
    unfinished (NameTaken).

    Into a queue with a lease a message goes on loan, and back where it came from it returns: see
    `leases`.

    Refused with NotPermitted for queues, in and to the root, and for reserved names; NotFound where
    the message isn't there or the other queue has vanished; NameTooLong; LimitReached by a limit of
    the other queue or of the caller. Then nothing has changed.
    """
    check_length(name)
    check_length(new_name)
    directory, dentry = _found(directory, name)
    message = dentry.inode
    assert isinstance(message, Message)
    new_directory = _usable(new_directory, new_name)
    if new_directory.is_unfinished(new_name):
        raise NameTaken
    replaced = new_directory.find(new_name)
    if replaced is not None:
        if not replaces:
            raise AlreadyExists
        if replaced.inode is message:
            return  # rename(2): two names of one file stay as they are
    if isinstance(dentry, Loan) and dentry.source is new_directory:
        tree.leases.give_back(dentry, now_ns, new_name, replaced)
    elif new_directory is directory:
        if replaced is not None:
            tree.remove(directory, replaced, now_ns)
        directory.rename(dentry, new_name, now_ns)
        tree.leases.touched(message)
        message.ctime_ns = now_ns
    else:
        _move(tree, directory, dentry, message, new_directory, new_name, replaced, uid, gid, now_ns)


def _found(directory: Root | Queue, name: Name) -> tuple[Queue, Dentry]:
    """Return what is to be renamed."""
    if not isinstance(directory, Queue) or name in RESERVED:
        raise NotPermitted
    dentry = directory.find(name)
    if dentry is None:
        raise NotFound
    return directory, dentry


def _usable(directory: Root | Queue, name: Name) -> Queue:
    """Return the queue in which it is to be called *name*."""
    if not directory.links:
        raise NotFound
    if not isinstance(directory, Queue) or name in RESERVED:
        raise NotPermitted
    return directory


def _move(  # noqa: PLR0913  # what `rename` has found
    tree: Tree,
    source: Queue,
    dentry: Dentry,
    message: Message,
    target: Queue,
    name: Name,
    replaced: Dentry | None,
    uid: Uid,
    gid: Gid,
    now_ns: int,
) -> None:
    """Let a message leave a queue and arrive in another."""
    payer = tree.ledger.payer(uid, gid)
    keeps = target.keeps
    if keeps and not (
        target.has_room(message.size)
        if replaced is None
        else target.bounds is None or target.bounds.may_replace(target, replaced, message.size)
    ):
        raise LimitReached
    dentry.payer.refund_file()
    if keeps:
        try:
            payer.pay_file()
        except LimitReached:
            dentry.payer.charge_files(1)
            raise
    tree.take_out(source, dentry, now_ns)
    if replaced is not None:
        tree.remove(target, replaced, now_ns)
    message.ctime_ns = now_ns
    number = Sequence(tree.next_number())
    if keeps:
        arrival: Dentry
        if xattrs.rule(target, xattrs.LEASE) is None:
            arrival = Dentry(name, message, number, payer)
            tree.leases.attempts.pop(message, None)
        else:
            arrival = tree.leases.lend(source, dentry, message, target, name, number, payer)
        target.append(arrival, now_ns)
    tree.arrived(target, name, message, number, now_ns)
    if not keeps:
        tree.lose_name(message, now_ns)
