"""What each thread has opened through `head` or `tail`, so that it unlinks just that.

A consumer opens `head`, reads it, and unlinks `head`. If two do so at once and open the same
message, the second unlink would remove the next message, which nobody has read. So who has opened a
message through a link unlinks that message through it, and is refused (NotFound) when somebody else
was faster. Who hasn't looked through the link since unlinks what it leads to at that moment, as
`rm head` does.

It is the thread that counts, not the process: threads may be competing consumers. But where one
thread of a process opens and another, which has opened nothing, unlinks, the two work together.
"""

from collections.abc import Container
from typing import Protocol

from eventfs.queues.directory import Dentry
from eventfs.queues.errors import NotFound
from eventfs.queues.inode import Ino
from eventfs.queues.ledger import Gid, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import MAX_SIGHTINGS, End, Queue, Sighting, Tid


class Threads(Protocol):
    """What is known of the callers' threads."""

    def now_ns(self) -> int:
        """Return the time since boot."""

    def started_ns(self, tid: Tid) -> int:
        """Return the time since boot at which the thread started, rounded down."""

    def same_process(self, one: Tid, other: Tid) -> bool:
        """Tell whether two threads live and belong to the same process."""

    def in_group(self, tid: Tid, uid: Uid, gid: Gid) -> bool:
        """Tell whether a thread is in the group of what is this user's and this group's.

        Or counts as such.
        """

    def umask(self, tid: Tid) -> int:
        """Return a thread's umask."""

    def user(self, tid: Tid) -> int:
        """Return the user as whom a thread acts; -1 where that isn't known."""

    def groups(self, tid: Tid) -> Container[int]:
        """Return the groups that a thread is in."""

    def reads_all(self, tid: Tid, uid: Uid, gid: Gid) -> bool:
        """Tell whether a thread may read and search all that is this user's and this group's."""

    def writes_all(self, tid: Tid, uid: Uid, gid: Gid) -> bool:
        """Tell whether a thread may write to all that is this user's and this group's."""

    def owns_all(self, tid: Tid, uid: Uid, gid: Gid) -> bool:
        """Tell whether a thread counts as the owner of what is this user's and this group's."""


class Watch:
    """Follows who opens what through which link, and says what they mean to unlink."""

    def __init__(self, threads: Threads) -> None:
        """Start with nothing seen."""
        self._threads = threads
        # Who followed a link and may be about to open what is behind it.
        self._followed: dict[Tid, tuple[Queue, Name, Dentry, Ino]] = {}

    def follow(self, tid: Tid, end: End) -> Name:
        """Tell a thread where `head` or `tail` leads to (errors as for `End.dentry`)."""
        dentry = end.dentry(tid)
        assert isinstance(dentry.inode, Message)
        end.queue.sightings.drop((tid, end.name))
        self._followed.pop(tid, None)
        if len(self._followed) >= MAX_SIGHTINGS:
            del self._followed[next(iter(self._followed))]
        # By its number: the dentry may have lost its message by the time it is opened.
        self._followed[tid] = end.queue, end.name, dentry, dentry.inode.ino
        return dentry.name

    def opened(self, tid: Tid, message: Message) -> None:
        """Note that a thread opened a message: through a link, if it just followed one to it."""
        if tid not in self._followed:
            return
        queue, name, dentry, ino = self._followed.pop(tid)
        if ino == message.ino and tid:
            queue.sightings.add((tid, name), Sighting(dentry, self._threads.now_ns()))

    def meant(self, tid: Tid, queue: Queue, name: Name) -> Dentry:
        """Return what a thread that unlinks `head` or `tail` means to unlink (NotFound)."""
        sighting = queue.sightings.find((tid, name))
        dentry = queue.find(name)
        if dentry is None:
            queue.sightings.drop((tid, name))
            raise NotFound
        if sighting is None or sighting.dentry is dentry:
            return dentry
        if self._threads.started_ns(tid) > sighting.time_ns:
            # Another thread with the number of one that is gone.
            return dentry
        if sighting.dentry.inode is None:
            queue.sightings.drop((tid, name))
            raise NotFound
        return sighting.dentry

    def unlinked(self, tid: Tid, queue: Queue, dentry: Dentry) -> None:
        """Note that a thread has unlinked a message: for itself, and for those it works with."""
        seen = queue.sightings.of(dentry)
        if not seen:
            return
        own = [key for key in seen if key[0] == tid]
        for key in own or [key for key in seen if self._threads.same_process(tid, key[0])]:
            queue.sightings.drop(key)
