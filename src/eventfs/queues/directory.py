"""A directory: names in the order in which they arrived."""

from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter
from typing import NewType

from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Payer
from eventfs.queues.names import Name
from eventfs.queues.packet import Packet

#: Grows with every arrival in the mount: a place in a directory's order.
Sequence = NewType("Sequence", int)

_sequence_of = attrgetter("sequence")


class Dentry:
    """A name in a directory, and its place there; it leads nowhere once it is removed.

    The payer is who made it. A queue has some without names, see `Queue.post`.
    """

    __slots__ = ("inode", "name", "payer", "sequence")

    #: How often it has returned from a loan.
    attempts = 0

    def __init__(self, name: Name, inode: Inode | Packet, sequence: Sequence, payer: Payer) -> None:
        """Give *inode* the name *name* and the place *sequence*."""
        self.name = name
        self.inode: Inode | Packet | None = inode
        self.sequence = sequence
        self.payer = payer


class Directory(Inode):
    """Names, in order.

    Finding, adding and removing one takes constant time wherever it is. So the dentries stand in a
    list in the order of arrival, in which a removed one stays behind, empty, until it comes to the
    list's end or until as many are empty as not. (A dictionary alone keeps the order too, but finds
    its first entry in linear time once many have been removed from the front.)
    """

    __slots__ = ("_arrivals", "_count", "_dentries", "_first")

    def __init__(self, ino: Ino, mode: Mode, payer: Payer, now_ns: int) -> None:
        """Make an empty directory."""
        super().__init__(ino, mode, payer, now_ns)
        self.links = 2
        self._dentries: dict[Name, Dentry] = {}
        self._arrivals: list[Dentry] = []
        # How many of them lead somewhere; no dentry before the index `_first` does.
        self._count = 0
        self._first = 0

    def __len__(self) -> int:
        """Count what is in the directory."""
        return self._count

    def find(self, name: Name) -> Dentry | None:
        """Return the dentry called *name*."""
        return self._dentries.get(name)

    @property
    def oldest(self) -> Dentry | None:
        """The dentry that arrived first."""
        return self._arrivals[self._first] if self._count else None

    @property
    def newest(self) -> Dentry | None:
        """The dentry that arrived last."""
        return self._arrivals[-1] if self._count else None

    def after(self, sequence: int) -> Iterator[tuple[Dentry, Inode | Packet]]:
        """Yield what arrived after *sequence*, in order.

        The directory must not change meanwhile; after a change, ask again from where you were.
        """
        arrivals = self._arrivals
        start = bisect_right(arrivals, sequence, lo=self._first, key=_sequence_of)
        for index in range(start, len(arrivals)):
            dentry = arrivals[index]
            if dentry.inode is not None:
                yield dentry, dentry.inode

    def append(self, dentry: Dentry, now_ns: int) -> None:
        """Add a name that is free, with the largest sequence."""
        self._dentries[dentry.name] = dentry
        self._arrivals.append(dentry)
        self._count += 1
        self.mtime_ns = self.ctime_ns = now_ns

    def remove(self, dentry: Dentry, now_ns: int) -> None:
        """Take a name out, wherever it is."""
        if dentry.name:
            del self._dentries[dentry.name]
        dentry.inode = None
        self._count -= 1
        self.mtime_ns = self.ctime_ns = now_ns
        arrivals = self._arrivals
        if not self._count:
            arrivals.clear()
            self._first = 0
            return
        while arrivals[-1].inode is None:
            arrivals.pop()
        while arrivals[self._first].inode is None:
            self._first += 1
        if len(arrivals) > 2 * self._count + 16:
            self._arrivals = [dentry for dentry in arrivals if dentry.inode is not None]
            self._first = 0
