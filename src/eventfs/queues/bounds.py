"""A queue's own limits: how many messages, how many bytes, how old; and what is done beyond them.

They are set by attributes of the queue. Where it is full, what arrives is refused, or the oldest
messages are dropped; what is too old is removed. So that readers can tell that they missed
something, both are counted.

These limits hold for what comes. A limit that is set below what is there, and a message that comes
back from a loan, may leave more in the queue; only where the oldest are dropped they go at once.
"""

from collections import deque
from itertools import islice, takewhile
from typing import Protocol

from eventfs.queues import xattrs
from eventfs.queues.directory import Dentry, Sequence
from eventfs.queues.ledger import UNLIMITED
from eventfs.queues.message import Message
from eventfs.queues.packet import Packet
from eventfs.queues.queue import Queue, content_size, looked_at
from eventfs.queues.timers import Timers

#: How exactly ages are known: a message is removed at most so much of its time to live too late.
_AGE_STEPS = 64

#: How many messages are removed before others' requests are answered again: some 0.5 ms.
_EXPIRE_AT_ONCE = 256

#: In which queues with a limit of bytes a message is, once for each of its names.
Measured = dict[Message | Packet, list[Queue]]


class Losses(Protocol):
    """What takes messages out that nobody asked for."""

    def lose(self, queue: Queue, dentry: Dentry, now_ns: int) -> None:
        """Take a message out of a queue without its readers' doing."""


class Ages:
    """Since when messages are in a queue, by their sequences, without a time for each."""

    __slots__ = ("_before", "_marks", "ttl_ns")

    def __init__(self, ttl_ns: int) -> None:
        """Start with nothing in the queue."""
        self.ttl_ns = ttl_ns
        # From which message on those arrived that came within a step from that time on.
        self._marks: deque[tuple[int, Sequence]] = deque()
        self._before = Sequence(0)

    @property
    def due_ns(self) -> int | None:
        """When the oldest messages expire."""
        if not self._marks:
            return None
        return self._marks[0][0] + self.ttl_ns + self.ttl_ns // _AGE_STEPS

    def note(self, sequence: Sequence, now_ns: int) -> None:
        """Note that a message arrives."""
        if not self._marks or now_ns - self._marks[-1][0] > self.ttl_ns // _AGE_STEPS:
            self._marks.append((now_ns, sequence))

    def expired_before(self, now_ns: int, next_sequence: Sequence) -> Sequence:
        """Return from which message on they live still; *next_sequence* is still to come."""
        while (due_ns := self.due_ns) is not None and due_ns <= now_ns:
            self._marks.popleft()
            self._before = self._marks[0][1] if self._marks else next_sequence
        return self._before


class Bounds:
    """The limits of one queue."""

    __slots__ = (
        *("_measured", "_timers", "ages", "count_bytes", "drops_oldest"),
        *("max_bytes", "max_messages"),
    )

    def __init__(self, measured: Measured, timers: Timers) -> None:
        """Set no limit yet."""
        self._measured = measured
        self._timers = timers
        self.max_messages = UNLIMITED
        self.max_bytes = UNLIMITED
        self.drops_oldest = False
        self.ages: Ages | None = None
        #: How many bytes the messages have, where that is limited.
        self.count_bytes = 0

    def has_room(self, queue: Queue, messages: int, count_bytes: int) -> bool:
        """Tell whether so many messages, of so many bytes together, may come.

        Where the oldest are dropped, as many as could be in the queue without them.
        """
        if self.drops_oldest:
            return len(queue.loans) + messages <= self.max_messages and self._allows(
                self._lasting_bytes(queue) + count_bytes
            )
        return queue.places + messages <= self.max_messages and self._allows(
            self.count_bytes + count_bytes
        )

    def may_replace(self, queue: Queue, replaced: Dentry, count_bytes: int) -> bool:
        """Tell whether a message of so many bytes may come in the place of another."""
        if self.drops_oldest:
            lasting_bytes = self._lasting_bytes(queue, but=looked_at(replaced.inode))
            return self._allows(lasting_bytes + count_bytes)
        growth = count_bytes - content_size(replaced.inode)
        return growth <= 0 or self._allows(self.count_bytes + growth)

    def may_grow(self, queue: Queue, message: Message, growth: int, names: int) -> bool:
        """Tell whether a message that has so many names here may grow by so many bytes."""
        if self.drops_oldest:
            size = message.size + growth
            return self._allows(self._lasting_bytes(queue, but=message) + size * names)
        return self._allows(self.count_bytes + growth * names)

    def _allows(self, count_bytes: int) -> bool:
        return self.max_bytes == UNLIMITED or count_bytes <= self.max_bytes

    def _lasting_bytes(self, queue: Queue, but: Message | Packet | None = None) -> int:
        """Count the bytes of what isn't dropped, whatever comes: loans, and what is unfinished."""
        if self.max_bytes == UNLIMITED:
            return 0
        lasting = (*queue.loans, *(queue.unfinished or {}).values())
        return sum(content_size(dentry.inode) for dentry in lasting if dentry.inode is not but)

    def entered(self, queue: Queue, dentry: Dentry) -> None:
        """Note what has arrived in the queue."""
        if self.ages is not None:
            self.ages.note(dentry.sequence, self._timers.now_ns())
            self._set_timer(queue)
        self.measure(queue, dentry)

    def returned(self, queue: Queue, dentry: Dentry) -> None:
        """Note what has come back, as old as it is."""
        if self.ages is not None:
            # It may have expired meanwhile.
            self._timers.set(queue, self._timers.now_ns())
        self.measure(queue, dentry)

    def left(self, queue: Queue, dentry: Dentry) -> None:
        """Note what leaves the queue, before it does."""
        if self.max_bytes < UNLIMITED:
            inode = looked_at(dentry.inode)
            self.count_bytes -= content_size(inode)
            queues = self._measured[inode]
            queues.remove(queue)
            if not queues:
                del self._measured[inode]

    def change(self, queue: Queue, next_sequence: Sequence) -> None:
        """Put the queue's attributes in force, for what is there too."""
        max_bytes = xattrs.rule(queue, xattrs.MAX_BYTES) or UNLIMITED
        if max_bytes != self.max_bytes:
            dentries = [*queue.arrivals(), *(queue.unfinished or {}).values()]
            for dentry in dentries:
                self.left(queue, dentry)
            self.max_bytes = max_bytes
            for dentry in dentries:
                self.measure(queue, dentry)
        self.max_messages = xattrs.rule(queue, xattrs.MAX_MESSAGES) or UNLIMITED
        self.drops_oldest = bool(xattrs.rule(queue, xattrs.OVERFLOW))
        ttl_ns = xattrs.rule(queue, xattrs.TTL)
        if ttl_ns is None:
            self.ages = None
        elif self.ages is None or self.ages.ttl_ns != ttl_ns:
            self.ages = Ages(ttl_ns)
            if len(queue):
                self.ages.note(next_sequence, self._timers.now_ns())
                self._set_timer(queue)

    def drop_excess(
        self, losses: Losses, queue: Queue, now_ns: int, keep: Message | None = None
    ) -> None:
        """Drop the oldest messages but *keep* while there are too many, if that is the rule."""
        while self.drops_oldest and self._is_over(queue):
            droppable = (
                dentry for dentry in queue.of_its_own() if looked_at(dentry.inode) is not keep
            )
            dentry = next(droppable, None)
            if dentry is None:
                return
            queue.dropped += 1
            losses.lose(queue, dentry, now_ns)

    def remove_expired(
        self, losses: Losses, queue: Queue, next_sequence: Sequence, now_ns: int
    ) -> None:
        """Remove what is too old; *next_sequence* is that of what comes next."""
        if self.ages is None:
            return
        clock_ns = self._timers.now_ns()
        before = self.ages.expired_before(clock_ns, next_sequence)
        expired = list(
            islice(
                takewhile(lambda dentry: dentry.sequence < before, queue.of_its_own()),
                _EXPIRE_AT_ONCE,
            )
        )
        for dentry in expired:
            queue.expired += 1
            losses.lose(queue, dentry, now_ns)
        self._set_timer(queue)
        if len(expired) == _EXPIRE_AT_ONCE:
            self._timers.set(queue, clock_ns)

    def _is_over(self, queue: Queue) -> bool:
        return len(queue) > self.max_messages or self.count_bytes > self.max_bytes

    def measure(self, queue: Queue, dentry: Dentry) -> None:
        """Count a message's bytes, of an unfinished one too."""
        if self.max_bytes < UNLIMITED:
            inode = looked_at(dentry.inode)
            self.count_bytes += content_size(inode)
            self._measured.setdefault(inode, []).append(queue)

    def _set_timer(self, queue: Queue) -> None:
        if self.ages is not None and (due_ns := self.ages.due_ns) is not None:
            self._timers.set(queue, due_ns)
