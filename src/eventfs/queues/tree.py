"""The tree of queues and messages: what may be made and removed, and a queue's fate."""

from collections.abc import Iterator
from stat import S_IFDIR, S_IFREG, S_IMODE, S_ISGID, S_ISREG, S_ISVTX
from typing import NamedTuple

from eventfs.queues import xattrs
from eventfs.queues.directory import Dentry, Sequence
from eventfs.queues.errors import (
    AlreadyExists,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
)
from eventfs.queues.inode import Gid, Ino, Inode, Mode, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, PARENT, RESERVED, SELF, TAIL, Name, check_length
from eventfs.queues.queue import End, Owner, Queue, Root, Tid
from eventfs.queues.sightings import Sightings, Threads

#: The root's inode number: FUSE_ROOT_ID of linux/fuse.h.
ROOT_INO = Ino(1)

#: Places in a listing before and behind all others, whose places are their sequences.
_SELF_PLACE, _PARENT_PLACE, _HEAD_PLACE = 1, 2, 3
_TAIL_PLACE = 2**62


class Entry(NamedTuple):
    """A line of a listing; *place* is where to go on after it."""

    name: Name
    inode: Inode
    place: int


class Vanished(NamedTuple):
    """A queue that is gone, with the messages in it that somebody held, and their names."""

    queue: Queue
    held: list[tuple[Name, Message]]


class Tree:
    """All inodes of a mount, by their numbers, which are never used twice."""

    def __init__(self, mode: Mode, uid: Uid, gid: Gid, threads: Threads, now_ns: int) -> None:
        """Make a tree whose root has the permission bits *mode* and these owners."""
        self.sightings = Sightings(threads)
        self.root = Root(ROOT_INO, Mode(S_IFDIR | S_IMODE(mode)), uid, gid, now_ns)
        self.inodes: dict[Ino, Inode] = {ROOT_INO: self.root}
        # An inode's number is also the sequence of its first name.
        self._last = _HEAD_PLACE
        self._owned: dict[Owner, set[Queue]] = {}

    # Names

    def lookup(self, directory: Root | Queue, name: Name, viewer: Uid) -> Inode:
        """Return what *name* leads to, for the user *viewer* (NotFound, NameTooLong)."""
        check_length(name)
        inode = self._found(directory, name)
        if name in RESERVED and isinstance(directory, Queue):
            return self._end(directory, name, viewer)
        return inode

    def entries(self, directory: Root | Queue, after: int, viewer: Uid) -> Iterator[Entry]:
        """Yield what is in a directory from behind the place *after*; 0 is the beginning.

        After `.` and `..`, the root's queues come in the order in which they were made; of a queue
        `head`, the messages in order, and `tail`. Who goes on from a place they were given sees
        each name that was there throughout, and none twice, whatever happened meanwhile.
        """
        if after < _SELF_PLACE:
            yield Entry(SELF, directory, _SELF_PLACE)
        if after < _PARENT_PLACE:
            yield Entry(PARENT, self.root, _PARENT_PLACE)
        queue = directory if isinstance(directory, Queue) and len(directory) else None
        if queue and after < _HEAD_PLACE:
            yield Entry(HEAD, self._end(queue, HEAD, viewer), _HEAD_PLACE)
        for dentry, inode in directory.after(after):
            yield Entry(dentry.name, inode, dentry.sequence)
        if queue and after < _TAIL_PLACE:
            yield Entry(TAIL, self._end(queue, TAIL, viewer), _TAIL_PLACE)

    # Queues

    def mkdir(  # noqa: PLR0913  # the caller and the place, as mkdir(2) has them
        self,
        directory: Root | Queue,
        name: Name,
        mode: Mode,
        uid: Uid,
        gid: Gid,
        owner: Owner,
        now_ns: int,
    ) -> Queue:
        """Make an empty queue that belongs to *owner*.

        Refused with NotPermitted in a queue, NotFound in a vanished one, AlreadyExists,
        NameTooLong.
        """
        self._check_free(directory, name)
        if isinstance(directory, Queue):
            raise NotPermitted
        inherited = directory.mode & S_ISGID
        queue = Queue(
            Ino(self._next()),
            name,
            Mode(S_IFDIR | S_IMODE(mode) | inherited),
            uid,
            directory.gid if inherited else gid,
            owner,
            now_ns,
        )
        self.inodes[queue.ino] = queue
        directory.append(Dentry(name, queue, Sequence(queue.ino)), now_ns)
        directory.links += 1
        self._owned.setdefault(owner, set()).add(queue)
        return queue

    def rmdir(self, directory: Root | Queue, name: Name, now_ns: int) -> Queue:
        """Remove an empty queue (NotFound, NotEmpty, NotADirectory, NameTooLong); return it."""
        check_length(name)
        queue = self._found(directory, name)
        if not isinstance(queue, Queue):
            raise NotADirectory
        if len(queue):
            raise NotEmpty
        self._vanish(queue, now_ns)
        return queue

    def owns(self, owner: Owner) -> bool:
        """Tell whether *owner* has any queue."""
        return owner in self._owned

    def owner_died(self, owner: Owner, now_ns: int) -> list[Vanished]:
        """Let the queues of a dead process vanish, except for sticky ones."""
        queues = self._owned.get(owner, set()).copy()
        vanished = [self._vanish(queue, now_ns) for queue in queues if not queue.is_sticky]
        for queue in self._owned.pop(owner, ()):
            queue.owner = None
        return vanished

    # Messages

    def create(  # noqa: PLR0913  # the caller and the place, as mknod(2) has them
        self, directory: Root | Queue, name: Name, mode: Mode, uid: Uid, gid: Gid, now_ns: int
    ) -> Message:
        """Make an empty message at the tail.

        Refused with NotPermitted in the root, for a reserved name, and where *mode* isn't a regular
        file's; AlreadyExists, NameTooLong, NotFound where the queue has vanished.
        """
        queue = self._queue_for(directory, name)
        if not S_ISREG(mode):
            raise NotPermitted
        message = Message(
            Ino(self._next()),
            Mode(S_IFREG | S_IMODE(mode)),
            uid,
            queue.gid if queue.mode & S_ISGID else gid,
            now_ns,
        )
        self.inodes[message.ino] = message
        message.links = 1
        queue.append(Dentry(name, message, Sequence(message.ino)), now_ns)
        return message

    def link(self, inode: Inode, directory: Root | Queue, name: Name, now_ns: int) -> Message:
        """Give a message one more name, at the tail of a queue.

        Refused as `create` is, with NotPermitted for what is no message, and with NotFound for one
        that has no name any more.
        """
        queue = self._queue_for(directory, name)
        if not isinstance(inode, Message):
            raise NotPermitted
        if not inode.links:
            raise NotFound
        inode.links += 1
        inode.ctime_ns = now_ns
        queue.append(Dentry(name, inode, Sequence(self._next())), now_ns)
        return inode

    def unlink(
        self, directory: Root | Queue, name: Name, uid: Uid, tid: Tid, now_ns: int
    ) -> Message:
        """Remove a message by its name, or the one behind `head` or `tail`; return it.

        The caller's thread *tid* tells which one it means by a link (see `sightings`). Refused with
        NotFound; NameTooLong; IsADirectory for a queue; NotPermitted through `head` or `tail` of a
        queue with S_ISVTX where neither the message nor the queue is the caller's: the kernel knows
        only the link, so this is for us to check.
        """
        check_length(name)
        if not isinstance(directory, Queue):
            self._found(directory, name)
            raise IsADirectory
        if name in RESERVED:
            dentry = self.sightings.meant(tid, directory, name)
            message = dentry.inode
            assert message is not None
            if directory.mode & S_ISVTX and uid not in (message.uid, directory.uid, 0):
                raise NotPermitted
        else:
            found = directory.find(name)
            if found is None:
                raise NotFound
            dentry = found
            message = dentry.inode
            assert message is not None
            self.sightings.unlinked(tid, directory, dentry)
        directory.remove(dentry, now_ns)
        self._unlinked(message, now_ns)
        return message

    # Attributes

    def remove_xattr(self, inode: Inode, name: bytes, now_ns: int) -> Vanished | None:
        """Remove an extended attribute; a queue whose owner is dead vanishes with its stickiness.

        Refused as `xattrs.remove` is.
        """
        xattrs.remove(inode, name, now_ns)
        if (
            isinstance(inode, Queue)
            and inode.owner is None
            and not inode.is_sticky
            and not inode.vanished
        ):
            return self._vanish(inode, now_ns)
        return None

    # What keeps an inode in memory

    def hold(self, inode: Inode) -> None:
        """Count one more lookup or open handle."""
        inode.holds += 1

    def unhold(self, inode: Inode, count: int = 1) -> None:
        """Count *count* fewer, and free the inode if nothing leads to it any more."""
        inode.holds -= count
        self._free_unused(inode)

    # Inside

    def _next(self) -> int:
        self._last += 1
        return self._last

    @staticmethod
    def _found(directory: Root | Queue, name: Name) -> Message | Queue:
        dentry = directory.find(name)
        if dentry is None:
            raise NotFound
        assert dentry.inode is not None
        return dentry.inode

    @staticmethod
    def _check_free(directory: Root | Queue, name: Name) -> None:
        check_length(name)
        if not directory.links:
            raise NotFound
        if directory.find(name) is not None:
            raise AlreadyExists

    def _queue_for(self, directory: Root | Queue, name: Name) -> Queue:
        """Return the queue in which a message may be called *name*."""
        self._check_free(directory, name)
        if not isinstance(directory, Queue) or name in RESERVED:
            raise NotPermitted
        return directory

    def _unlinked(self, message: Message, now_ns: int) -> None:
        message.links -= 1
        message.ctime_ns = now_ns
        self._free_unused(message)

    def _vanish(self, queue: Queue, now_ns: int) -> Vanished:
        dentry = self.root.find(queue.name)
        assert dentry is not None
        self.root.remove(dentry, now_ns)
        self.root.links -= 1
        if queue.owner is not None:
            owned = self._owned[queue.owner]
            owned.remove(queue)
            if not owned:
                del self._owned[queue.owner]
        queue.links = 0
        held = [(dentry.name, message) for dentry, message in queue.after(0) if message.holds]
        while (last := queue.newest) is not None:
            message = last.inode
            assert message is not None
            queue.remove(last, now_ns)
            self._unlinked(message, now_ns)
        for inode in (*queue.ends.values(), queue):
            self._free_unused(inode)
        return Vanished(queue, held)

    def _end(self, queue: Queue, name: Name, viewer: Uid) -> End:
        owner = queue.end_owner(viewer)
        end = queue.ends.get((name, owner))
        if end is None:
            end = queue.ends[name, owner] = End(Ino(self._next()), queue, name, owner)
            self.inodes[end.ino] = end
        return end

    def _free_unused(self, inode: Inode) -> None:
        if inode.holds:
            return
        if isinstance(inode, End):
            del inode.queue.ends[inode.name, inode.uid]
        elif inode.links:
            return
        del self.inodes[inode.ino]
