"""A queue: a directory of messages with `head`, `tail` and an owner."""

from collections.abc import Collection
from stat import S_IFLNK, S_ISVTX
from typing import NamedTuple, NewType

from eventfs.queues.directory import Dentry, Directory
from eventfs.queues.errors import NotFound, Stale
from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Gid, Payer, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, TAIL, Name
from eventfs.queues.xattrs import STICKY

#: A process that made queues; what the number means is the affair of who hands it in.
Owner = NewType("Owner", int)


#: A thread's id; 0 is that of a thread which can't be told from others.
Tid = NewType("Tid", int)


#: How many sightings are kept per queue, and how many links followed but not opened per mount: more
#: than consumers compete. Those who look and never unlink would fill the memory otherwise; a thread
#: that is forgotten unlinks as `rm` does.
MAX_SIGHTINGS = 1000


class Sighting(NamedTuple):
    """A message that a thread has opened through `head` or `tail`, and when (since boot)."""

    dentry: Dentry[Message]
    time_ns: int


class Sightings:
    """What was opened through `head` and `tail` of one queue; see `eventfs.queues.sightings`."""

    __slots__ = ("_by_dentry", "_by_key")

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._by_key: dict[tuple[Tid, Name], Sighting] = {}
        self._by_dentry: dict[Dentry[Message], set[tuple[Tid, Name]]] = {}

    def __len__(self) -> int:
        """Count the sightings."""
        return len(self._by_key)

    def find(self, key: tuple[Tid, Name]) -> Sighting | None:
        """Return what a thread has opened through a link."""
        return self._by_key.get(key)

    def of(self, dentry: Dentry[Message]) -> Collection[tuple[Tid, Name]]:
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


class Queue(Directory[Message]):
    """A directory of messages, which may be found as `head` and `tail` too."""

    __slots__ = ("ends", "name", "owner", "sightings", "told_stale")

    def __init__(  # noqa: PLR0913  # as mkdir(2) has them
        self, ino: Ino, name: Name, mode: Mode, payer: Payer, owner: Owner, now_ns: int
    ) -> None:
        """Make an empty queue under *name* in the root."""
        super().__init__(ino, mode, payer, now_ns)
        self.name = name
        # None once the owner is dead.
        self.owner: Owner | None = owner
        # The inodes of `head` and `tail`, as far as somebody has asked for them.
        self.ends: dict[tuple[Name, Uid, Gid], End] = {}
        self.sightings = Sightings()
        # Threads that were told Stale of one; see `End.dentry`. The kernel may have forgotten that
        # end, and know another, by the time they ask again.
        self.told_stale: set[Tid] = set()

    @property
    def vanished(self) -> bool:
        """Whether the queue is gone, though somebody still holds it."""
        return self.links == 0

    @property
    def is_sticky(self) -> bool:
        """Whether the queue outlives its owner."""
        return self.xattrs is not None and STICKY in self.xattrs

    def find(self, name: Name) -> Dentry[Message] | None:
        """Return what is called *name*; `head` and `tail` are the oldest and newest message."""
        dentry = self._dentries.get(name)
        if dentry is None:
            if name == HEAD:
                return self.oldest
            if name == TAIL:
                return self.newest
        return dentry

    def end_owner(self, viewer: Uid) -> Uid:
        """Tell whom `head` and `tail` belong to, for the user *viewer*.

        With S_ISVTX the kernel lets only a link's owner unlink it, and, where
        /proc/sys/fs/protected_symlinks is set, only its owner and the queue's follow it. So each
        user is shown links of their own; the right to pop is that to unlink the target, and
        `Tree.unlink` checks it.
        """
        return viewer if self.mode & S_ISVTX else self.uid


class End(Inode):
    """The symlink `head` or `tail`: there while its queue has messages, and without a state."""

    __slots__ = ("name", "queue")

    def __init__(self, ino: Ino, queue: Queue, name: Name, payer: Payer) -> None:
        """Make the link *name* of *queue*, owned by *payer*."""
        super().__init__(ino, Mode(S_IFLNK | 0o777), payer, queue.ctime_ns)
        self.queue = queue
        self.name = name
        self.links = 1

    def dentry(self, tid: Tid) -> Dentry[Message]:
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
    def size(self) -> int:  # type: ignore[override]  # a class attribute where it is constant
        """The length of the target's name."""
        dentry = self.queue.find(self.name)
        return 0 if dentry is None else len(dentry.name)


class Root(Directory[Queue]):
    """The mount's root: a directory of queues."""

    __slots__ = ()
