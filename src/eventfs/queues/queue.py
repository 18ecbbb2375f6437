"""A queue: a directory of messages with `head`, `tail` and an owner."""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator
from operator import attrgetter
from stat import S_IFLNK, S_IFREG, S_ISVTX
from typing import TYPE_CHECKING, Final, NewType, Protocol

from eventfs.queues import acl
from eventfs.queues.directory import Dentry, Directory, Sequence
from eventfs.queues.errors import NotFound, Stale
from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Gid, Payer, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, TAIL, UNNAMED, Name, port_name, port_number
from eventfs.queues.packet import Batch, Packet, Unpacker
from eventfs.queues.xattrs import KEEP, STICKY

if TYPE_CHECKING:
    from eventfs.queues.bounds import Bounds

_sequence_of = attrgetter("sequence")

#: A process that made queues; what the number means is the affair of who hands it in.
Owner = NewType("Owner", int)


#: A thread's id; 0 is that of a thread which can't be told from others.
Tid = NewType("Tid", int)


#: How many sightings are kept per queue, and how many links followed but not opened per mount: more
#: than consumers compete. Those who look and never unlink would fill the memory otherwise; a thread
#: that is forgotten unlinks as `rm` does.
MAX_SIGHTINGS: Final = 1000


class Returned(Dentry):
    """The name of a message that has returned from a loan, at its old place."""

    __slots__ = ("attempts",)

    def __init__(
        self, name: Name, message: Message, sequence: Sequence, payer: Payer, attempts: int
    ) -> None:
        """Give *message* back the place *sequence*."""
        super().__init__(name, message, sequence, payer)
        self.attempts = attempts


class Loan(Returned):
    """The name that a message on loan has in its holder's queue.

    `source` is the queue where it returns to, `home` what it was there.
    """

    __slots__ = ("holder", "home", "source")

    def __init__(  # noqa: PLR0913  # a dentry, and where it belongs
        self,
        name: Name,
        message: Message,
        sequence: Sequence,
        payer: Payer,
        holder: "Queue",
        source: "Queue",
        before: Dentry,
    ) -> None:
        """Lend *message*, which was *before* in *source*: perhaps on loan itself."""
        super().__init__(name, message, sequence, payer, before.attempts)
        self.holder = holder
        self.source, self.home = source, before
        if isinstance(before, Loan):
            self.source, self.home = before.source, before.home


class Sighting:
    """A message that a thread has opened through `head` or `tail`, and when (since boot)."""

    __slots__ = ("dentry", "time_ns")

    def __init__(self, dentry: Dentry, time_ns: int) -> None:
        """Note it."""
        self.dentry = dentry
        self.time_ns = time_ns


class Sightings:
    """What was opened through `head` and `tail` of one queue; see `eventfs.queues.sightings`."""

    __slots__ = ("_by_dentry", "_by_key")

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._by_key: dict[tuple[Tid, Name], Sighting] = {}
        self._by_dentry: dict[Dentry, set[tuple[Tid, Name]]] = {}

    def __len__(self) -> int:
        """Count the sightings."""
        return len(self._by_key)

    def find(self, key: tuple[Tid, Name]) -> Sighting | None:
        """Return what a thread has opened through a link."""
        return self._by_key.get(key)

    def of(self, dentry: Dentry) -> Collection[tuple[Tid, Name]]:
        """Return who has opened a message, through which links."""
        return self._by_dentry.get(dentry, ())

    def add(self, key: tuple[Tid, Name], sighting: Sighting) -> None:
        """Keep a sighting, instead of the oldest if there are too many."""
        self.drop(key)
        if len(self._by_key) >= MAX_SIGHTINGS:
            self.drop(next(iter(self._by_key)))
        self._by_key[key] = sighting
        self._by_dentry.setdefault(sighting.dentry, set()).add(key)

    def drop(self, key: tuple[Tid, Name]) -> None:
        """Forget a sighting, if there is one."""
        sighting = self._by_key.pop(key, None)
        if sighting is None:
            return
        keys = self._by_dentry[sighting.dentry]
        keys.remove(key)
        if not keys:
            del self._by_dentry[sighting.dentry]


class Waiter(Protocol):
    """Somebody who waits at a port."""

    def wake(self) -> None:
        """Let them look again: a message has come, or the queue is gone."""


class Queue(Directory):
    """A directory of messages, which may be found as `head` and `tail` too.

    Messages that came through a port stand in it as packets without names, until somebody looks for
    them: whoever gets a dentry from here, but by `first`, gets one with a name and an inode. Lines
    stand behind all that has a dentry, in batches, until somebody looks at one of theirs.
    """

    __slots__ = (
        *("_batched", "_batches", "bounds", "dead_from", "dead_letter", "dropped", "ends"),
        *("expired", "followers", "lent", "loans", "name", "owner", "ports", "shown"),
        *("sightings", "sources", "told_stale", "unfinished", "unpacker", "waiters"),
    )

    def __init__(  # noqa: PLR0913  # as mkdir(2) has them
        self,
        ino: Ino,
        name: Name,
        mode: Mode,
        payer: Payer,
        owner: Owner,
        unpacker: Unpacker,
        now_ns: int,
    ) -> None:
        """Make an empty queue under *name* in the root."""
        super().__init__(ino, mode, payer, now_ns)
        # Lines that came last, after all that has a dentry; and how many there are.
        self._batches: deque[Batch] | None = None
        self._batched = 0
        self.name = name
        self.unpacker = unpacker
        # None once the owner is dead.
        self.owner: Owner | None = owner
        # The inodes of `head` and `tail`, as far as somebody has asked for them.
        self.ends: dict[tuple[Name, Uid, Gid], End] = {}
        self.sightings = Sightings()
        # Threads that were told Stale of one; see `End.dentry`. The kernel may have forgotten that
        # end, and know another, by the time they ask again.
        self.told_stale: set[Tid] = set()
        # The inodes of its ports, as far as somebody has asked for them.
        self.ports: dict[Name, Port] = {}
        # Those who are to be woken by the next message.
        self.waiters: set[Waiter] = set()
        # Who gets each message that arrives here, and whose messages arrive here; see `followers`.
        self.followers: list[Queue] = []
        self.sources: list[Queue] = []
        # Who gets what returned from loans too often, and whose messages of that kind are here.
        self.dead_letter: Queue | None = None
        self.dead_from: list[Queue] = []
        #: What is here on loan, and since when, by `Timers.now_ns`; the longest held first.
        self.loans: dict[Loan, int] = {}
        #: How many of its messages are on loan elsewhere.
        self.lent = 0
        #: Its own limits, if it has any.
        self.bounds: Bounds | None = None
        #: How many messages it lost for want of room, or for failing too often, of which nobody
        #: else was told; and how many for their age.
        self.dropped = 0
        self.expired = 0
        #: Whether somebody remembers its attributes, to be told when a port changes its times.
        self.shown = False
        #: What its creators haven't closed yet, by name, if there ever was any; see `unfinished`.
        self.unfinished: dict[Name, Dentry] | None = None

    @property
    def vanished(self) -> bool:
        """Whether the queue is gone, though somebody still holds it."""
        return self.links == 0

    @property
    def is_sticky(self) -> bool:
        """Whether the queue outlives its owner."""
        return self.xattrs is not None and STICKY in self.xattrs

    @property
    def keeps(self) -> bool:
        """Whether it keeps what arrives; else it only passes it on to its followers."""
        return self.xattrs is None or self.xattrs.get(KEEP) != b"no"

    @property
    def places(self) -> int:
        """How many names count for limits: messages, and those that are still unfinished."""
        return len(self) + len(self.unfinished or ())

    def has_room(self, count_bytes: int) -> bool:
        """Tell whether a message of so many bytes may come, as far as the queue is concerned."""
        places = self.places if self.unfinished else self._count + self._batched
        return places < self.payer.max_files_per_dir and (
            self.bounds is None or self.bounds.has_room(self, 1, count_bytes)
        )

    def is_unfinished(self, name: Name) -> bool:
        """Tell whether an unfinished message, which `find` doesn't find, has taken *name*."""
        return self.unfinished is not None and name in self.unfinished

    def is_taken(self, name: Name) -> bool:
        """Tell whether anything has taken *name*."""
        return self.is_unfinished(name) or self.find(name) is not None

    def find(self, name: Name) -> Dentry | None:
        """Return what is called *name*; `head` and `tail` are the oldest and newest message."""
        dentry = self._dentries.get(name)
        if dentry is None:
            if name == HEAD:
                return self.oldest
            if name == TAIL:
                return self.newest
            if self._count + self._batched > len(self._dentries):
                return self._find_packet(name)
        return dentry

    @property
    def oldest(self) -> Dentry | None:
        """See Directory."""
        first = self.first
        return self._unpacked(first) if first else None

    @property
    def newest(self) -> Dentry | None:
        """See Directory."""
        self._unroll_all()
        return self._unpacked(self._arrivals[-1]) if self._count else None

    def after(self, sequence: int) -> Iterator[tuple[Dentry, Message]]:
        """See Directory."""
        self._unroll_all()
        for dentry, _ in super().after(sequence):
            message = self._unpacked(dentry).inode
            assert isinstance(message, Message)
            yield dentry, message

    @property
    def first(self) -> Dentry | None:
        """The oldest dentry, which may be a packet's."""
        if self._batched and not self._count:
            self._unroll_next()
        return self._arrivals[self._first] if self._count else None

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest message was written, if there is one."""
        if not self._count:
            return self._batches[0].time_ns if self._batches else None
        inode = looked_at(self._arrivals[self._first].inode)
        return inode.time_ns if isinstance(inode, Packet) else inode.mtime_ns

    def content_bytes(self) -> int:
        """Return how many bytes the messages have: some 50 ms for a million."""
        return sum(content_size(dentry.inode) for dentry in self._dentries_in_order()) + sum(
            batch.count_bytes for batch in self._batches or ()
        )

    def of_its_own(self) -> Iterator[Dentry]:
        """Yield what isn't here on loan, in order; the queue must not change meanwhile."""
        self._unroll_all()
        for index in range(self._first, len(self._arrivals)):
            dentry = self._arrivals[index]
            if dentry.inode is not None and not isinstance(dentry, Loan):
                yield dentry

    def arrivals(self) -> Iterator[Dentry]:
        """Yield all dentries in order, packets' too."""
        self._unroll_all()
        return self._dentries_in_order()

    def _dentries_in_order(self) -> Iterator[Dentry]:
        return (dentry for dentry in self._arrivals[self._first :] if dentry.inode is not None)

    def leading_packets(self, room_bytes: int) -> list[Dentry]:
        """Return the packets at the beginning that fit, with a byte more for each."""
        found: list[Dentry] = []
        arrivals = self._arrivals
        for index in range(self._first, len(arrivals)):
            dentry = arrivals[index]
            packet = dentry.inode
            if packet is None:
                continue
            if not isinstance(packet, Packet) or packet.message is not None:
                break
            room_bytes -= len(packet.content) + 1
            if room_bytes < 0:
                break
            found.append(dentry)
        return found

    def remove_leading(self, dentries: list[Dentry], now_ns: int) -> None:
        """Take what `leading_packets` has returned out."""
        if self.bounds is not None:
            for dentry in dentries:
                self.bounds.left(self, dentry)
        for dentry in dentries[:-1]:
            dentry.inode = None
        self._count -= len(dentries) - 1
        self.remove(dentries[-1], now_ns)

    @property
    def next_batch(self) -> Batch | None:
        """The oldest messages, where they are lines at which nobody has looked."""
        return self._batches[0] if self._batches and not self._count else None

    def batch_taken(self, count: int, now_ns: int) -> None:
        """Note that so many messages have been taken out of `next_batch`."""
        assert self._batches is not None
        self._batched -= count
        if not self._batches[0]:
            self._batches.popleft()
        self.mtime_ns = self.ctime_ns = now_ns

    def add_batch(self, batch: Batch, now_ns: int) -> None:
        """Add lines, in order."""
        if self._batches is None:
            self._batches = deque()
        self._batches.append(batch)
        self._batched += len(batch)
        if self.bounds is not None:
            before = len(self._arrivals)
            self._unroll_all()
            for dentry in self._arrivals[before:]:
                self.bounds.entered(self, dentry)
        self.mtime_ns = self.ctime_ns = now_ns
        if self.waiters:
            self.wake()

    def append(self, dentry: Dentry, now_ns: int) -> None:
        """See Directory; a dentry without a name has a packet."""
        self._unroll_all()
        self._arrivals.append(dentry)
        self._count += 1
        if dentry.name:
            self._dentries[dentry.name] = dentry
        if self.bounds is not None:
            self.bounds.entered(self, dentry)
        self.mtime_ns = self.ctime_ns = now_ns
        if self.waiters:
            self.wake()

    def insert(self, dentry: Dentry, now_ns: int) -> None:
        """Put back what was taken out, at its old place, under a name that is free."""
        self._unroll_all()
        arrivals = self._arrivals
        index = bisect_left(arrivals, dentry.sequence, key=_sequence_of)
        if index < len(arrivals) and arrivals[index].sequence == dentry.sequence:
            arrivals[index] = dentry
        elif index and arrivals[index - 1].inode is None:
            index -= 1
            arrivals[index] = dentry
        else:
            arrivals.insert(index, dentry)
        self._first = min(self._first, index)
        self._count += 1
        self._dentries[dentry.name] = dentry
        if self.bounds is not None:
            self.bounds.returned(self, dentry)
        self.mtime_ns = self.ctime_ns = now_ns
        if self.waiters:
            self.wake()

    def rename(self, dentry: Dentry, name: Name, now_ns: int) -> None:
        """Call a message *name*, which must be free; its place stays."""
        del self._dentries[dentry.name]
        dentry.name = name
        self._dentries[name] = dentry
        self.mtime_ns = self.ctime_ns = now_ns

    def wake(self) -> None:
        """Wake all who wait at the queue's ports."""
        for waiter in list(self.waiters):
            waiter.wake()

    def __len__(self) -> int:
        """See Directory."""
        return self._count + self._batched

    def _unroll_all(self) -> None:
        while self._batched:
            self._unroll_next()

    def _unroll_next(self) -> None:
        """Give the lines that came first dentries, since somebody looks at them."""
        assert self._batches is not None
        batch = self._batches.popleft()
        self._batched -= len(batch)
        payer = batch.payer
        dentries: list[Dentry] = [
            Dentry(UNNAMED, packet, Sequence(number), payer) for number, packet in batch.packets()
        ]
        self._arrivals += dentries
        self._count += len(dentries)

    def _find_packet(self, name: Name) -> Dentry | None:
        number = port_number(name)
        if number is None or self.is_unfinished(name):
            return None
        self._unroll_all()
        index = bisect_left(self._arrivals, number, lo=self._first, key=_sequence_of)
        if index == len(self._arrivals):
            return None
        dentry = self._arrivals[index]
        found = dentry.sequence == number and dentry.inode is not None and not dentry.name
        return self._unpacked(dentry) if found else None

    def _unpacked(self, dentry: Dentry) -> Dentry:
        """Return a dentry with a name and an inode, in the place of a packet's."""
        if not dentry.name:
            assert isinstance(dentry.inode, Packet)
            dentry.inode = self.unpacker.message_of(dentry.inode)
            dentry.name = self.free_name(dentry.sequence)
            self._dentries[dentry.name] = dentry
        return dentry

    def free_name(self, number: int) -> Name:
        """Return a port's name for what arrived with this number; another where it is taken."""
        name = port_name(number)
        while name in self._dentries or (self.unfinished and name in self.unfinished):
            name = Name(name + b"+")
        return name

    def end_owner(self, viewer: Uid) -> Uid:
        """Tell whom `head` and `tail` belong to, for the user *viewer*.

        With S_ISVTX the kernel lets only a link's owner unlink it, and, where
        /proc/sys/fs/protected_symlinks is set, only its owner and the queue's follow it. So each
        user is shown links of their own; the right to pop is that to unlink the target, and
        `Tree.unlink` checks it.
        """
        return viewer if self.mode & S_ISVTX else self.uid


def looked_at(inode: Inode | Packet | None) -> Message | Packet:
    """Return the message that a packet has become, if it has."""
    if isinstance(inode, Packet):
        return inode.message or inode
    assert isinstance(inode, Message)
    return inode


def content_size(inode: Inode | Packet | None) -> int:
    """Return how many bytes a message has."""
    inode = looked_at(inode)
    return len(inode.content) if isinstance(inode, Packet) else inode.size


class View(Inode):
    """A file that is only a queue's way to be seen: it has no state and no costs of its own."""

    __slots__ = ("name", "queue")

    def __init__(self, ino: Ino, queue: Queue, name: Name, mode: Mode, payer: Payer) -> None:
        """Show *queue* as *name*, owned by *payer*."""
        super().__init__(ino, mode, payer, queue.ctime_ns)
        self.queue = queue
        self.name = name
        self.links = 1

    @property
    def stored_bytes(self) -> int:
        """See Inode."""
        return 0


class Port(View):
    """`.pipe` or `.lines`: always there, for whoever may add to the queue and take from it."""

    __slots__ = ()

    def __init__(self, ino: Ino, queue: Queue, name: Name) -> None:
        """Make the port *name* of *queue*."""
        super().__init__(ino, queue, name, Mode(S_IFREG), queue.payer)

    def refresh(self) -> None:
        """Follow the queue: its owners, its times, and who may write to it."""
        queue = self.queue
        self.payer = queue.payer
        self.mode = Mode(S_IFREG | acl.port_mode(queue.mode))
        self.atime_ns, self.mtime_ns, self.ctime_ns = queue.atime_ns, queue.mtime_ns, queue.ctime_ns
        self.xattrs = None
        if queue.xattrs and acl.ACCESS in queue.xattrs:
            access = acl.Acl.decode(queue.xattrs[acl.ACCESS]).of_port()
            self.mode = Mode(S_IFREG | access.mode(Mode(0)))
            self.xattrs = {acl.ACCESS: access.encode()}


class End(View):
    """The symlink `head` or `tail`: there while its queue has messages, and without a state."""

    __slots__ = ()

    def __init__(self, ino: Ino, queue: Queue, name: Name, payer: Payer) -> None:
        """Make the link *name* of *queue*, owned by *payer*."""
        super().__init__(ino, queue, name, Mode(S_IFLNK | 0o777), payer)

    def dentry(self, tid: Tid) -> Dentry:
        """Return the message behind the link, for the thread *tid*.

        In an empty queue that is Stale: a kernel that asks still knows the link from better times,
        and the error makes it look the name up again. If that thread asks for a second time, the
        queue was filled and emptied once more in between, and the answer is NotFound: the kernel
        would hand another Stale on to its caller.
        """
        dentry = self.queue.find(self.name)
        if dentry is not None:
            return dentry
        told_stale = self.queue.told_stale
        if tid in told_stale:
            told_stale.remove(tid)
            raise NotFound
        if len(told_stale) >= MAX_SIGHTINGS:
            told_stale.clear()
        told_stale.add(tid)
        raise Stale

    @property
    def size(self) -> int:
        """The length of the target's name."""
        dentry = self.queue.find(self.name)
        return 0 if dentry is None else len(dentry.name)


class Root(Directory):
    """The mount's root: a directory of queues."""

    __slots__ = ()

    def after(self, sequence: int) -> Iterator[tuple[Dentry, Queue]]:
        """See Directory."""
        for dentry, queue in super().after(sequence):
            assert isinstance(queue, Queue)
            yield dentry, queue
