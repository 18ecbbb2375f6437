"""What each thread has opened through `head` or `tail`, so that it unlinks just that.

A consumer opens `head`, reads it, and unlinks `head`. If two do so at once and open the same
message, the second unlink would remove the next message, which nobody has read. So who has opened a
message through a link unlinks that message through it, and is refused (NotFound) when somebody else
was faster. Who hasn't looked through the link since unlinks what it leads to at that moment, as
`rm head` does.

It is the thread that counts, not the process: threads may be competing consumers. But where one
thread of a process opens and another, which has opened nothing, unlinks, the two work together.
"""

from typing import Any, Protocol

from eventfs.queues.directory import Dentry
from eventfs.queues.errors import NotFound
from eventfs.queues.inode import Ino
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import End, Queue, Sighting, Tid

#: How many sightings are kept per queue, and how many links followed but not opened per mount: more
#: than consumers compete. Those who look and never unlink would fill the memory otherwise; a thread
#: that is forgotten unlinks as `rm` does.
MAX_SIGHTINGS = 1000


class Threads(Protocol):
    """What is known of the callers' threads."""

    def now_ns(self) -> int:
        """Return the time since boot."""

    def started_ns(self, tid: Tid) -> int:
        """Return the time since boot at which the thread started, rounded down."""

    def same_process(self, one: Tid, other: Tid) -> bool:
        """Tell whether two threads live and belong to the same process."""


class Sightings:
    """Who has opened what through which link."""

    def __init__(self, threads: Threads) -> None:
        """Start with nothing seen."""
        self._threads = threads
        self._followed: dict[Tid, tuple[Queue, Name, Dentry[Message], Ino]] = {}

    def followed(self, tid: Tid, end: End) -> None:
        """Note that a thread was told where `head` or `tail` leads to (Stale in an empty queue)."""
        queue, name = end.queue, end.name
        queue.sightings.pop((tid, name), None)
        dentry = end.dentry
        assert dentry.inode is not None
        # By its number: the dentry may have lost its message by the time it is opened.
        self._followed[tid] = queue, name, dentry, dentry.inode.ino
        _drop_oldest(self._followed)

    def opened(self, tid: Tid, message: Message) -> None:
        """Note that a thread opened a message: through a link, if it just followed one to it."""
        if tid not in self._followed:
            return
        queue, name, dentry, ino = self._followed.pop(tid)
        if ino == message.ino and tid:
            queue.sightings[tid, name] = Sighting(dentry, self._threads.now_ns())
            _drop_oldest(queue.sightings)

    def meant(self, tid: Tid, queue: Queue, name: Name) -> Dentry[Message]:
        """Return what a thread that unlinks `head` or `tail` means to unlink (NotFound)."""
        sighting = queue.sightings.pop((tid, name), None)
        dentry = queue.find(name)
        if dentry is None:
            raise NotFound
        if sighting is None:
            for other, link in self._seen(queue, dentry):
                if self._threads.same_process(tid, other):
                    del queue.sightings[other, link]
            return dentry
        if sighting.dentry.inode is not None:
            return sighting.dentry
        if self._threads.started_ns(tid) > sighting.time_ns:
            # Another thread with the id of one that is gone.
            return dentry
        raise NotFound

    def unlinked(self, tid: Tid, queue: Queue, dentry: Dentry[Message]) -> None:
        """Note that a thread unlinked a message by its own name."""
        for seer, link in self._seen(queue, dentry):
            if seer == tid:
                del queue.sightings[seer, link]

    @staticmethod
    def _seen(queue: Queue, dentry: Dentry[Message]) -> list[tuple[Tid, Name]]:
        return [key for key, sighting in queue.sightings.items() if sighting.dentry is dentry]


def _drop_oldest(seen: dict[Any, Any]) -> None:
    if len(seen) > MAX_SIGHTINGS:
        del seen[next(iter(seen))]
