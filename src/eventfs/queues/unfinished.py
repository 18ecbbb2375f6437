"""Unfinished messages: made, but not yet closed by the process that makes them.

Where a mount commits messages at close, a message that is made by opening it is nobody's business
until its creator has closed it: it is in no order, no listing and no follower, and only its creator
finds it by its name. Committed, it arrives, as if it were made at that moment with all its content.
When the mount thinks that it is closed is its affair; here it is told so.

Name and bytes are charged from the beginning, and the name counts for the limits of its queue. So
to commit can't be refused.
"""

from typing import NamedTuple, Protocol

from eventfs.queues.directory import Dentry, Sequence
from eventfs.queues.errors import NotFound
from eventfs.queues.inode import Ino, Inode
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import Queue, Root, Tid
from eventfs.queues.sightings import Threads


class Unfinished(NamedTuple):
    """An unfinished message: its queue, its name and who pays for it, and its creator's process."""

    queue: Queue
    dentry: Dentry
    creator: Tid

    @property
    def message(self) -> Message:
        """The message itself."""
        message = self.dentry.inode
        assert isinstance(message, Message)
        return message


class Places(Protocol):
    """Where the queues are."""

    threads: Threads

    def next_number(self) -> int:
        """Return a number that nothing has had."""

    def arrived(
        self, queue: Queue, name: Name, inode: Message, number: Sequence, now_ns: int
    ) -> None:
        """Do what follows from an arrival."""

    def changed(self, queue: Queue) -> None:
        """Note that a queue has changed without the kernel's knowledge."""

    def lose_name(self, message: Message, now_ns: int) -> None:
        """Count one name of a message fewer."""


class UnfinishedMessages:
    """All unfinished messages of a mount."""

    def __init__(self, places: Places) -> None:
        """Start with none."""
        self._places = places
        #: They, by their numbers.
        self.by_ino: dict[Ino, Unfinished] = {}

    def add(self, queue: Queue, dentry: Dentry, creator: Tid) -> None:
        """Take a new one, whose name is free and paid for; its place in the order is yet to come.

        *creator* is a process's id: that of its first thread.
        """
        unfinished = Unfinished(queue, dentry, creator)
        if queue.unfinished is None:
            queue.unfinished = {}
        queue.unfinished[dentry.name] = dentry
        if queue.bounds is not None:
            queue.bounds.measure(queue, dentry)
        self.by_ino[unfinished.message.ino] = unfinished

    def is_creator(self, unfinished: Unfinished, tid: Tid) -> bool:
        """Tell whether a thread is of the process that makes the message.

        A thread that can't be told from others (0) is of no process.
        """
        creator = unfinished.creator
        return tid != 0 and (tid == creator or self._places.threads.same_process(tid, creator))

    def find(self, directory: Root | Queue, name: Name, tid: Tid) -> Unfinished | None:
        """Return what is called *name*, for a thread of its creator; None for all others."""
        if not isinstance(directory, Queue) or not directory.unfinished:
            return None
        dentry = directory.unfinished.get(name)
        if dentry is None:
            return None
        assert isinstance(dentry.inode, Message)
        unfinished = self.by_ino[dentry.inode.ino]
        return unfinished if self.is_creator(unfinished, tid) else None

    def commit(self, unfinished: Unfinished, now_ns: int) -> None:
        """Let a message arrive: at the tail of its queue, and in all that follow it."""
        queue, dentry, _ = unfinished
        message = unfinished.message
        self._take_out(unfinished)
        dentry.sequence = number = Sequence(self._places.next_number())
        keeps = queue.keeps
        if keeps:
            queue.append(dentry, now_ns)
            self._places.changed(queue)
        self._places.arrived(queue, dentry.name, message, number, now_ns)
        if not keeps:
            self._lose(unfinished, now_ns)

    def discard(self, unfinished: Unfinished, now_ns: int) -> None:
        """Remove a message that nobody is to see; who has it open goes on."""
        self._take_out(unfinished)
        self._lose(unfinished, now_ns)

    def unlink(self, queue: Queue, name: Name, tid: Tid, now_ns: int) -> Message:
        """Remove the message called *name*, for a thread of its creator; all others NotFound."""
        unfinished = self.find(queue, name, tid)
        if unfinished is None:
            raise NotFound
        self.discard(unfinished, now_ns)
        return unfinished.message

    def vanish(self, queue: Queue, now_ns: int) -> list[tuple[Name, Inode]]:
        """Remove all messages of a vanishing queue; return those that somebody holds."""
        held: list[tuple[Name, Inode]] = []
        for dentry in list((queue.unfinished or {}).values()):
            assert isinstance(dentry.inode, Message)
            if dentry.inode.holds:
                held.append((dentry.name, dentry.inode))
            self.discard(self.by_ino[dentry.inode.ino], now_ns)
        return held

    def _take_out(self, unfinished: Unfinished) -> None:
        queue, dentry, _ = unfinished
        del self.by_ino[unfinished.message.ino]
        assert queue.unfinished is not None
        del queue.unfinished[dentry.name]
        if queue.bounds is not None:
            queue.bounds.left(queue, dentry)

    def _lose(self, unfinished: Unfinished, now_ns: int) -> None:
        unfinished.dentry.payer.refund_file()
        self._places.lose_name(unfinished.message, now_ns)
