"""Queues that follow others: each message that arrives in a source is in its followers too.

It is stored once: in a follower it is a hard link, with the same name, or with another where that
is taken. The name in the follower is charged to the follower's user and group, who asked for it;
where their limits don't allow it, the follower misses the message and counts that, and nobody else
notices.
"""

from collections.abc import Callable
from typing import Protocol

from eventfs.queues.directory import Dentry, Sequence
from eventfs.queues.errors import FollowsItself, LimitReached, MayNotFollow, NotFound
from eventfs.queues.ledger import Ledger
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.packet import Packet
from eventfs.queues.queue import Queue, content_size

#: What separates the names of several sources: the only byte that no name has, but for NUL.
_SEPARATOR = b"/"


class Places(Protocol):
    """Where the queues are."""

    ledger: Ledger

    def queue_named(self, name: Name) -> Queue:
        """Return a queue (NotFound)."""

    def changed(self, queue: Queue) -> None:
        """Note that a queue got a message that nobody put there."""

    def drop_excess(self, queue: Queue, now_ns: int) -> None:
        """Drop a queue's oldest messages while there are too many, if that is its rule."""


class Followers:
    """Who follows whom."""

    def __init__(self, places: Places) -> None:
        """Start with nobody following."""
        self._places = places

    def sources_named(
        self, queue: Queue, value: bytes, may_follow: Callable[[Queue], bool]
    ) -> list[Queue]:
        """Return the queues that *queue* is to follow, in an attribute's value.

        Refused with NotFound; with MayNotFollow where *may_follow* says no; with FollowsItself
        where messages would come back.
        """
        names = dict.fromkeys(Name(name) for name in value.split(_SEPARATOR) if name)
        sources = [self._places.queue_named(name) for name in names]
        for source in sources:
            if queue in with_all_sources(source):
                raise FollowsItself
            if not may_follow(source):
                raise MayNotFollow
        if not queue.links:
            raise NotFound
        return sources

    def follow(self, queue: Queue, sources: list[Queue]) -> None:
        """Have *queue* follow these, and nobody else."""
        for source in queue.sources:
            source.followers.remove(queue)
        for source in sources:
            source.followers.append(queue)
        queue.sources = sources

    def forget(self, queue: Queue) -> list[Queue]:
        """Let a vanished queue follow nobody and be followed by nobody; return who did."""
        self.follow(queue, [])
        orphans, queue.followers = queue.followers, []
        for orphan in orphans:
            orphan.sources.remove(queue)
        return orphans

    def pass_on(
        self, queue: Queue, name: Name, inode: Message | Packet, number: Sequence, now_ns: int
    ) -> None:
        """Put what has arrived in *queue* into all that follow it, once; a packet has no name."""
        reached = {queue}
        sources = [queue]
        while sources:
            for follower in sources.pop().followers:
                if follower in reached:
                    continue
                reached.add(follower)
                if follower.keeps and not self._arrive(follower, name, inode, number, now_ns):
                    follower.dropped += 1
                elif follower.followers:
                    sources.append(follower)

    def _arrive(
        self, queue: Queue, name: Name, inode: Message | Packet, number: Sequence, now_ns: int
    ) -> bool:
        ledger, payer = self._places.ledger, queue.payer
        if ledger.inodes >= ledger.settings.nr_inodes or not queue.has_room(content_size(inode)):
            return False
        try:
            payer.pay_file()
        except LimitReached:
            return False
        if isinstance(inode, Packet) or inode.links:
            ledger.inodes += 1
        inode.links += 1
        if name and queue.is_taken(name):
            name = queue.free_name(number)
        queue.append(Dentry(name, inode, number, payer), now_ns)
        self._places.changed(queue)
        self._places.drop_excess(queue, now_ns)
        return True


def encoded(sources: list[Queue]) -> bytes:
    """Return the names of queues as an attribute's value."""
    return _SEPARATOR.join(source.name for source in sources)


def with_all_sources(queue: Queue) -> set[Queue]:
    """Return a queue, and those whose messages arrive in it, also through others or as dead."""
    found = {queue}
    pending = [queue]
    while pending:
        source = pending.pop()
        new = {*source.sources, *source.dead_from} - found
        found |= new
        pending += new
    return found
