"""The tree of queues and messages: what may be made and removed, and a queue's fate."""

from collections.abc import Callable, Iterator
from stat import S_IFDIR, S_IFREG, S_IMODE, S_ISGID, S_ISREG, S_ISVTX
from typing import Final, NamedTuple

from eventfs.queues import acl, followers, xattrs
from eventfs.queues.bounds import Measured
from eventfs.queues.directory import Dentry, Sequence
from eventfs.queues.errors import (
    AlreadyExists,
    IsADirectory,
    LimitReached,
    LinkUnchangeable,
    NameTaken,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    Refused,
)
from eventfs.queues.followers import Followers
from eventfs.queues.inode import Ino, Inode, Mode, attribute_bytes
from eventfs.queues.leases import Leases
from eventfs.queues.ledger import Gid, Ledger, Payer, Settings, Uid
from eventfs.queues.message import MAX_BYTES, Message
from eventfs.queues.names import (
    HEAD,
    PARENT,
    PORTS,
    RESERVED,
    SELF,
    TAIL,
    UNNAMED,
    Name,
    check_length,
)
from eventfs.queues.packet import Packet
from eventfs.queues.queue import (
    End,
    Loan,
    Owner,
    Port,
    Queue,
    Root,
    Tid,
    View,
    looked_at,
)
from eventfs.queues.sightings import Threads, Watch
from eventfs.queues.timers import Timers
from eventfs.queues.unfinished import UnfinishedMessages

#: The root's inode number: FUSE_ROOT_ID of linux/fuse.h.
ROOT_INO: Final = Ino(1)

#: Places in a listing before and behind all others, whose places are their sequences.
_SELF_PLACE: Final = 1
_PARENT_PLACE: Final = 2
_HEAD_PLACE: Final = 3
_TAIL_PLACE: Final = 2**62


class Entry(NamedTuple):
    """A line of a listing; *place* is where to go on after it."""

    name: Name
    inode: Inode
    place: int


class Vanished(NamedTuple):
    """A queue that is gone, with what was in it that somebody held, and the names."""

    queue: Queue
    held: list[tuple[Name, Inode]]


class Change(NamedTuple):
    """What has changed that the kernel doesn't know of: a queue, and a name in it that is gone."""

    queue: Queue
    name: Name
    message: Message | None


class Room(NamedTuple):
    """What a user may still have in the mount, as statfs(2) tells it."""

    size_bytes: int
    free_bytes: int
    inodes: int
    free_inodes: int


class Tree:
    """All inodes of a mount, by their numbers, which are never used twice."""

    def __init__(  # noqa: PLR0913  # the mount's properties
        self,
        mode: Mode,
        uid: Uid,
        gid: Gid,
        settings: Settings,
        threads: Threads,
        now_ns: int,
        monotonic_ns: Callable[[], int],
    ) -> None:
        """Make a tree whose root has the permission bits *mode* and these owners.

        *monotonic_ns* tells the time by a clock that never jumps.
        """
        self.ledger = Ledger(settings)
        self.sightings = Watch(threads)
        self.followers = Followers(self)
        self.timers = Timers(monotonic_ns)
        self.leases = Leases(self, self.timers)
        self.threads = threads
        self.unfinished = UnfinishedMessages(self)
        #: What the kernel is to be told of.
        self.changes: list[Change] = []
        #: What is in queues with a limit of bytes.
        self.measured: Measured = {}
        self.root = Root(
            ROOT_INO, Mode(S_IFDIR | S_IMODE(mode)), self.ledger.payer(uid, gid), now_ns
        )
        self.inodes: dict[Ino, Inode] = {}
        self._add(self.root)
        # An inode's number is also the sequence of its first name.
        self._last = _HEAD_PLACE
        self._owned: dict[Owner, set[Queue]] = {}
        # One object for each mode: of a million messages it would be 32 MB.
        self._modes: dict[Mode, Mode] = {}

    # Names

    def lookup(self, directory: Root | Queue, name: Name, viewer: Uid) -> Inode | None:
        """Return what *name* leads to, for the user *viewer*; None for nothing (NameTooLong)."""
        dentry = directory.find(name)
        if dentry is None:
            if name in PORTS and isinstance(directory, Queue) and directory.links:
                return self._port(directory, name)
            check_length(name)
            return None
        if name in RESERVED and isinstance(directory, Queue):
            return self._end(directory, name, viewer)
        assert isinstance(dentry.inode, Inode)
        return dentry.inode

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
        payer = self.ledger.payer(uid, directory.gid if inherited else gid)
        self.ledger.check_inode()
        mode, lists = _inherited(directory, mode, is_queue=True)
        payer.pay_dir()
        if lists:
            try:
                self._pay_xattrs(payer, lists)
            except Refused:
                payer.refund_dir()
                raise
        queue = Queue(
            Ino(self.next_number()),
            name,
            Mode(S_IFDIR | S_IMODE(mode) | inherited),
            payer,
            owner,
            self,
            now_ns,
        )
        self._add(queue)
        queue.xattrs = lists
        directory.append(Dentry(name, queue, Sequence(queue.ino), payer), now_ns)
        directory.links += 1
        self._owned.setdefault(owner, set()).add(queue)
        return queue

    def rmdir(self, directory: Root | Queue, name: Name, now_ns: int) -> Vanished:
        """Remove an empty queue (NotFound, NotEmpty, NotADirectory, NameTooLong)."""
        check_length(name)
        queue = self._found(directory, name)
        if not isinstance(queue, Queue):
            raise NotADirectory
        if queue.places:
            raise NotEmpty
        return self.vanish(queue, now_ns)

    def owns(self, owner: Owner) -> bool:
        """Tell whether *owner* has any queue."""
        return owner in self._owned

    def owner_died(self, owner: Owner, now_ns: int) -> list[Vanished]:
        """Let the queues of a dead process vanish, except for sticky ones."""
        queues = [queue for queue in self._owned.get(owner, ()) if not queue.is_sticky]
        queues.sort(key=lambda queue: queue.ino)
        for queue in queues:
            self._cut_off(queue, now_ns)
        vanished = [self.vanish(queue, now_ns) for queue in queues]
        for queue in self._owned.pop(owner, ()):
            queue.owner = None
        return vanished

    def hand_over(self, queue: Queue, owner: Owner, owner_uid: int, uid: Uid) -> Owner | None:
        """Make a queue another process's, which runs as *owner_uid*; return whose it was.

        The queue's user may do that among processes of their own, and root among all. Refused with
        NotPermitted; NotFound where the queue has vanished.
        """
        if not queue.links:
            raise NotFound
        if uid != 0 and not uid == queue.uid == owner_uid:
            raise NotPermitted
        before = queue.owner
        self._disown(queue)
        queue.owner = owner
        self._owned.setdefault(owner, set()).add(queue)
        return before

    # Messages

    def create(  # noqa: PLR0913  # the caller and the place, as mknod(2) has them
        self,
        directory: Root | Queue,
        name: Name,
        mode: Mode,
        uid: Uid,
        gid: Gid,
        now_ns: int,
        creator: Tid | None = None,
    ) -> Message:
        """Make an empty message at the tail; an unfinished one of the process *creator*, if given.

        Refused with NotPermitted in the root, for a reserved name, and where *mode* isn't a regular
        file's; AlreadyExists, or NameTaken by an unfinished one; NameTooLong, NotFound where the
        queue has vanished.
        """
        queue = self._queue_for(directory, name)
        if not S_ISREG(mode):
            raise NotPermitted
        lists = None
        if queue.xattrs:
            mode, lists = _inherited(queue, mode, is_queue=False)
        # Unfinished it has its place also in a topic.
        keeps = queue.keeps or creator is not None
        if keeps:
            payer = self._pay_name(queue, 0, uid, gid)
        else:
            self.ledger.check_inode()
            payer = self.ledger.payer(uid, gid)
        inode_payer = self.ledger.payer(uid, queue.gid) if queue.mode & S_ISGID else payer
        if lists:
            self._pay_lists(inode_payer, lists, payer if keeps else None)
        mode = Mode(S_IFREG | S_IMODE(mode))
        mode = self._modes.setdefault(mode, mode)
        ino = self._last = self._last + 1
        message = Message(Ino(ino), mode, inode_payer, now_ns)
        self._add(message)
        message.xattrs = lists
        if creator is not None:
            message.links = 1
            self.unfinished.add(queue, Dentry(name, message, Sequence(ino), payer), creator)
            return message
        if keeps:
            message.links = 1
            queue.append(Dentry(name, message, Sequence(ino), payer), now_ns)
        if queue.followers or queue.bounds:
            self.arrived(queue, name, message, Sequence(ino), now_ns)
        if lists and not message.links:
            # A topic has kept nothing of it, and nobody has it open yet.
            inode_payer.release_bytes(attribute_bytes(lists))
        return message

    def link(  # noqa: PLR0913  # the caller and the place, as link(2) has them
        self,
        inode: Inode,
        directory: Root | Queue,
        name: Name,
        uid: Uid,
        gid: Gid,
        now_ns: int,
    ) -> Message:
        """Give a message one more name, at the tail of a queue.

        Refused as `create` is, with NotPermitted for what is no message, and with NotFound for one
        that has no name any more, or is unfinished.
        """
        queue = self._queue_for(directory, name)
        if not isinstance(inode, Message):
            raise NotPermitted
        if not inode.links or (self.unfinished.by_ino and inode.ino in self.unfinished.by_ino):
            raise NotFound
        number = Sequence(self.next_number())
        if queue.keeps:
            payer = self._pay_name(queue, inode.size, uid, gid)
            self.ledger.inodes += 1
            inode.links += 1
            queue.append(Dentry(name, inode, number, payer), now_ns)
        inode.ctime_ns = now_ns
        self.arrived(queue, name, inode, number, now_ns)
        return inode

    def unlink(
        self, directory: Root | Queue, name: Name, uid: Uid, tid: Tid, now_ns: int
    ) -> tuple[Name, Message]:
        """Remove a message by its name, or the one behind `head` or `tail`.

        Returns the name that is gone, and the message.

        The caller's thread *tid* tells which one it means by a link (see `sightings`). Refused with
        NotFound; NameTooLong; IsADirectory for a queue; NotPermitted through `head` or `tail` of a
        queue with S_ISVTX where neither the message nor the queue is the caller's, who has no
        CAP_FOWNER for the message: the kernel knows only the link, so this is for us to check.
        """
        check_length(name)
        if not isinstance(directory, Queue):
            self._found(directory, name)
            raise IsADirectory
        if name in PORTS and directory.links:
            raise NotPermitted
        if name in RESERVED:
            dentry = self.sightings.meant(tid, directory, name)
            message = dentry.inode
            assert isinstance(message, Message)
            if (
                directory.mode & S_ISVTX
                and uid not in (message.uid, directory.uid)
                and not self.threads.owns_all(tid, message.uid, message.gid)
            ):
                raise NotPermitted
        else:
            found = directory.find(name)
            if found is None:
                return name, self.unfinished.unlink(directory, name, tid, now_ns)
            dentry = found
            message = dentry.inode
            assert isinstance(message, Message)
        self.sightings.unlinked(tid, directory, dentry)
        self.remove(directory, dentry, now_ns)
        return dentry.name, message

    # Content

    def open(self, message: Message) -> None:
        """Count one more open handle."""
        if not message.links and not message.opens:
            # Found by its name just before that was removed: it is somebody's again, limit or not.
            message.payer.release_bytes(-_charged_bytes(message))
        message.opens += 1
        message.holds += 1

    def close(self, message: Message) -> None:
        """Count one open handle fewer."""
        message.opens -= 1
        if not message.links:
            self._refund_unused(message)
        self.unhold(message)

    def write(self, message: Message, offset: int, data: bytes | bytearray, now_ns: int) -> int:
        """Write all of *data*, or nothing (FileTooLarge, LimitReached, MountFull)."""
        stored = message.growth_bytes(offset, len(data))
        if stored:
            self.ledger.check_stored(stored)
        growth = offset + len(data) - message.size if data else 0
        if growth > 0:
            if self.measured:
                self._check_growth(message, growth)
            message.payer.pay_bytes(growth)
        try:
            written = message.write(offset, data, now_ns)
        except MemoryError:
            message.payer.charge_bytes(-max(0, growth))
            raise
        self.ledger.stored_bytes += stored
        if growth > 0 and self.measured:
            self._grown(message, growth, now_ns)
        return written

    def truncate(self, message: Message, size: int, now_ns: int) -> None:
        """Cut or lengthen a message (FileTooLarge, LimitReached)."""
        growth, stored = size - message.size, message.stored_bytes
        if growth > 0:
            message.growth_bytes(size, 0)
            self._check_growth(message, growth)
        _pay_growth(message, growth)
        message.truncate(size, now_ns)
        self.ledger.stored_bytes += message.stored_bytes - stored
        self._grown(message, growth, now_ns)

    def _check_growth(self, message: Message, growth: int) -> None:
        """Make sure that the queues which a message is in let it grow (LimitReached)."""
        queues = self.measured.get(message, ())
        for queue in queues:
            assert queue.bounds is not None
            if not queue.bounds.may_grow(queue, message, growth, queues.count(queue)):
                raise LimitReached

    def _grown(self, message: Message, growth: int, now_ns: int) -> None:
        """Note that a message has grown, or shrunk."""
        queues = self.measured.get(message, ())
        for queue in queues:
            assert queue.bounds is not None
            queue.bounds.count_bytes += growth
        for queue in set(queues):
            assert queue.bounds is not None
            queue.bounds.drop_excess(self, queue, now_ns, keep=message)

    # Attributes

    @staticmethod
    def check_changeable(inode: Inode) -> None:
        """Make sure that an inode has a mode, owners and times of its own.

        Else it is refused with LinkUnchangeable, or NotPermitted for a port.
        """
        if isinstance(inode, End):
            raise LinkUnchangeable
        if isinstance(inode, Port):
            raise NotPermitted

    def chown(self, inode: Inode, uid: Uid | None, gid: Gid | None, now_ns: int) -> None:
        """Change user and group, where given; what is charged moves with them (LimitReached)."""
        new = self.ledger.payer(
            inode.uid if uid is None else uid, inode.gid if gid is None else gid
        )
        if _is_charged(inode):
            dirs = int(isinstance(inode, Queue))
            self.ledger.move(inode.payer, new, dirs=dirs, count_bytes=_charged_bytes(inode))
        else:
            inode.payer.hold_bytes(-_charged_bytes(inode))
            new.hold_bytes(_charged_bytes(inode))
        inode.chown(new, now_ns)

    def chmod(self, inode: Inode, mode: Mode, now_ns: int) -> None:
        """Change the permission bits, and what an access control list shows of them."""
        inode.chmod(mode, now_ns)
        if inode.xattrs and acl.ACCESS in inode.xattrs:
            access = acl.Acl.decode(inode.xattrs[acl.ACCESS])
            inode.xattrs[acl.ACCESS] = access.with_mode(mode).encode()

    def put_xattr(self, inode: Inode, name: bytes, value: bytes, now_ns: int) -> None:
        """Keep an extended attribute, and charge it (LimitReached, MountFull; as `xattrs.put`)."""
        growth = xattrs.growth_bytes(inode, name, value)
        self.ledger.check_stored(max(0, growth))
        _pay_growth(inode, growth)
        self.ledger.stored_bytes += growth
        xattrs.put(inode, name, value, now_ns)

    def drop_xattr(self, inode: Inode, name: bytes, now_ns: int) -> None:
        """Keep an extended attribute no more (errors as for `xattrs.remove`)."""
        before = inode.xattr_bytes
        xattrs.remove(inode, name, now_ns)
        growth = inode.xattr_bytes - before
        _pay_growth(inode, growth)
        self.ledger.stored_bytes += growth

    # Limits

    def room(self, uid: Uid, gid: Gid) -> Room:
        """Tell what a user may have and still get: the least of all limits."""
        ledger, payer = self.ledger, self.ledger.payer(uid, gid)
        # statfs(2) has no number for "unlimited".
        size = min(ledger.settings.size_bytes, MAX_BYTES)
        inodes = min(ledger.settings.nr_inodes, MAX_BYTES)
        free = size - ledger.stored_bytes
        free_inodes = inodes - ledger.inodes
        for account in (payer.user, payer.group):
            size = min(size, account.limits.max_bytes)
            free = min(free, account.limits.max_bytes - account.bytes)
            inodes = min(inodes, account.limits.max_files)
            free_inodes = min(free_inodes, account.limits.max_files - account.files)
        return Room(size, max(0, free), inodes, max(0, free_inodes))

    # Packets

    def add_packets(self, count: int, count_bytes: int) -> Sequence:
        """Count the first names of packets; return the number of the first packet."""
        self.ledger.inodes += count
        self.ledger.stored_bytes += count_bytes
        first = Sequence(self._last + 1)
        self._last += count
        return first

    def release_packets(self, count: int, payer: Payer, count_bytes: int) -> None:
        """Count packets no more of which each had one name."""
        self.ledger.inodes -= count
        self.ledger.stored_bytes -= count_bytes
        payer.charge_bytes(-count_bytes)

    def release_packet(self, packet: Packet) -> None:
        """Count one name of a packet fewer, and charge nobody for it after the last one."""
        self.ledger.inodes -= 1
        packet.links -= 1
        if not packet.links:
            packet.payer.charge_bytes(-len(packet.content))
            self.ledger.stored_bytes -= len(packet.content)

    def message_of(self, packet: Packet) -> Message:
        """See `packet.Unpacker`."""
        message = packet.message
        if message is None:
            mode = self._modes.setdefault(packet.mode, packet.mode)
            ino = Ino(self.next_number())
            message = Message(ino, mode, packet.payer, packet.time_ns, packet.content)
            message.links = packet.links
            self.inodes[ino] = message
            packet.message = message
            if packet in self.measured:
                self.measured[message] = self.measured.pop(packet)
            packet.content = b""  # that is the message's, who may change it
        return message

    # What keeps an inode in memory

    def unhold(self, inode: Inode, count: int = 1) -> None:
        """Count *count* holds fewer, and free the inode if nothing leads to it any more."""
        inode.holds -= count
        if not inode.holds:
            self._free_unused(inode)

    # Queues by their names

    def queue_named(self, name: Name) -> Queue:
        """Return a queue (NotFound)."""
        queue = self._found(self.root, name)
        assert isinstance(queue, Queue)
        return queue

    def _note_sources(self, queue: Queue, now_ns: int) -> None:
        """Put what a queue follows by now into its attribute."""
        self.put_xattr(queue, xattrs.FOLLOW, followers.encoded(queue.sources), now_ns)

    # What nobody asks for

    def arrived(
        self, queue: Queue, name: Name, inode: Message | Packet, number: Sequence, now_ns: int
    ) -> None:
        """Do what follows from an arrival: others get it too, and what is too much goes."""
        if queue.followers:
            self.followers.pass_on(queue, name, inode, number, now_ns)
        self.drop_excess(queue, now_ns)

    def drop_excess(self, queue: Queue, now_ns: int) -> None:
        """See `followers.Places`."""
        if queue.bounds is not None:
            queue.bounds.drop_excess(self, queue, now_ns)

    def look_at_time(self, now_ns: int) -> None:
        """Remove what is too old, and let return what is held for too long."""
        for queue in self.timers.due():
            if queue.bounds is not None:
                queue.bounds.remove_expired(self, queue, Sequence(self._last + 1), now_ns)
            self.leases.return_overdue(queue, now_ns)

    def lose(self, queue: Queue, dentry: Dentry, now_ns: int) -> None:
        """See `bounds.Losses`."""
        if dentry.name:
            message = looked_at(dentry.inode)
            assert isinstance(message, Message)
            self.changed(queue, dentry.name, message)
        else:
            self.changed(queue)
        self.remove(queue, dentry, now_ns)

    def changed(self, queue: Queue, name: Name = UNNAMED, message: Message | None = None) -> None:
        """Note a change that the kernel doesn't know of, if it may care."""
        if queue.shown or message is not None:
            self.changes.append(Change(queue, name, message))

    # Inside

    def next_number(self) -> int:
        """Return a number that no inode, no name and no packet has had."""
        self._last += 1
        return self._last

    @staticmethod
    def _found(directory: Root | Queue, name: Name) -> Message | Queue:
        dentry = directory.find(name)
        if dentry is None:
            raise NotFound
        assert isinstance(dentry.inode, Message | Queue)
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
        if directory.unfinished and name in directory.unfinished:
            raise NameTaken
        return directory

    def _pay_name(self, queue: Queue, count_bytes: int, uid: Uid, gid: Gid) -> Payer:
        """Charge a message's name in *queue* to its maker (LimitReached, MountFull)."""
        if not queue.has_room(count_bytes):
            raise LimitReached
        self.ledger.check_inode()
        payer = self.ledger.payer(uid, gid)
        payer.pay_file()
        return payer

    def _add(self, inode: Inode) -> None:
        self.inodes[inode.ino] = inode
        self.ledger.inodes += 1

    def _pay_xattrs(self, payer: Payer, lists: dict[bytes, bytes]) -> None:
        """Charge the attributes that something is made with (LimitReached, MountFull)."""
        count = attribute_bytes(lists)
        self.ledger.check_stored(count)
        payer.pay_bytes(count)
        self.ledger.stored_bytes += count

    def _pay_lists(self, payer: Payer, lists: dict[bytes, bytes], name_payer: Payer | None) -> None:
        """Charge a message's inherited lists; refused, *name_payer* gets the name's charge back."""
        try:
            self._pay_xattrs(payer, lists)
        except Refused:
            if name_payer is not None:
                name_payer.refund_file()
            raise

    def take_out(self, queue: Queue, dentry: Dentry, now_ns: int) -> None:
        """See `leases.Places`."""
        if queue.bounds is not None:
            queue.bounds.left(queue, dentry)
        if queue.loans and isinstance(dentry, Loan):
            self.leases.end(dentry)
        queue.remove(dentry, now_ns)

    def remove(self, queue: Queue, dentry: Dentry, now_ns: int) -> None:
        """Take a message out of a queue."""
        message = dentry.inode
        assert message is not None
        self.take_out(queue, dentry, now_ns)
        dentry.payer.refund_file()
        if isinstance(message, Packet):
            if message.message is None:
                self.release_packet(message)
                return
            message = message.message
        assert isinstance(message, Message)
        self.lose_name(message, now_ns)

    def lose_name(self, message: Message, now_ns: int) -> None:
        """Count one name of a message fewer, and free it with the last one if nobody holds it."""
        message.links -= 1
        message.ctime_ns = now_ns
        if message.links:
            self.ledger.inodes -= 1
        else:
            self._refund_unused(message)
            self._free_unused(message)

    def _refund_unused(self, message: Message) -> None:
        if not _is_charged(message):
            message.payer.release_bytes(_charged_bytes(message))

    def vanish(self, queue: Queue, now_ns: int) -> Vanished:
        """Remove a queue with all that is in it: what is on loan returns, all else is gone."""
        place = self.root.find(queue.name)
        assert place is not None
        self.root.remove(place, now_ns)
        self.root.links -= 1
        self._disown(queue)
        queue.payer.refund_dir()
        queue.payer.release_bytes(_charged_bytes(queue))
        arrivals = [(dentry, dentry.inode) for dentry in queue.arrivals()]
        views: list[View] = [*queue.ends.values(), *queue.ports.values()]
        held: list[tuple[Name, Inode]] = [
            *(
                (dentry.name, message)
                for dentry, message in arrivals
                if isinstance(message, Message) and message.holds
            ),
            *((view.name, view) for view in views if view.holds),
        ]
        if queue.links:
            self._cut_off(queue, now_ns)
        for loan in [dentry for dentry, _ in arrivals if isinstance(dentry, Loan)]:
            self.leases.give_back(loan, now_ns)
        for dentry, _ in reversed(arrivals):
            if dentry.inode is not None:
                self.remove(queue, dentry, now_ns)
        if queue.unfinished:
            held += self.unfinished.vanish(queue, now_ns)
        for inode in (*views, queue):
            inode.links = 0
            self._free_unused(inode)
        queue.bounds = None
        self.timers.forget(queue)
        queue.wake()
        return Vanished(queue, held)

    def _cut_off(self, queue: Queue, now_ns: int) -> None:
        """Have nothing come to a queue any more: nothing returns, no dead letters, no followed."""
        for source in list(queue.dead_from):
            self.drop_xattr(source, xattrs.DEAD_LETTER, now_ns)
            self.leases.bury_in(source, None)
        self.leases.bury_in(queue, None)
        for orphan in self.followers.forget(queue):
            self._note_sources(orphan, now_ns)
        queue.links = 0

    def _disown(self, queue: Queue) -> None:
        if queue.owner is not None:
            owned = self._owned[queue.owner]
            owned.remove(queue)
            if not owned:
                del self._owned[queue.owner]

    def _end(self, queue: Queue, name: Name, viewer: Uid) -> End:
        key = name, queue.end_owner(viewer), queue.gid
        end = queue.ends.get(key)
        if end is None:
            payer = self.ledger.payer(*key[1:])
            end = queue.ends[key] = End(Ino(self.next_number()), queue, name, payer)
            self._add(end)
        return end

    def _port(self, queue: Queue, name: Name) -> Port:
        port = queue.ports.get(name)
        if port is None:
            port = queue.ports[name] = Port(Ino(self.next_number()), queue, name)
            self._add(port)
        port.refresh()
        return port

    def _free_unused(self, inode: Inode) -> None:
        if inode.holds:
            return
        if isinstance(inode, End):
            del inode.queue.ends[inode.name, inode.uid, inode.gid]
        elif isinstance(inode, Port):
            del inode.queue.ports[inode.name]
        elif inode.links:
            return
        else:
            inode.payer.hold_bytes(-_charged_bytes(inode))
            if isinstance(inode, Message):
                self.leases.attempts.pop(inode, None)
        del self.inodes[inode.ino]
        self.ledger.inodes -= 1
        self.ledger.stored_bytes -= inode.stored_bytes


def _inherited(
    directory: Root | Queue, mode: Mode, *, is_queue: bool
) -> tuple[Mode, dict[bytes, bytes] | None]:
    """Return the mode and the lists, if any, of what is made with *mode* in *directory*."""
    default = (directory.xattrs or {}).get(acl.DEFAULT)
    if default is None:
        return mode, None
    access = acl.Acl.decode(default).inherited(mode)
    lists = {} if access.is_mode else {acl.ACCESS: access.encode()}
    if is_queue:
        lists[acl.DEFAULT] = default
    return access.mode(mode), lists or None


def _is_charged(inode: Inode) -> bool:
    """Tell whether an inode's bytes are charged: until its last name and open handle are gone."""
    return inode.links > 0 or (isinstance(inode, Message) and inode.opens > 0)


def _pay_growth(inode: Inode, count: int) -> None:
    """Charge *count* bytes more, or fewer, for what is used or only held (LimitReached)."""
    if _is_charged(inode):
        inode.payer.pay_bytes(count)
    else:
        inode.payer.pay_held_bytes(count)


def _charged_bytes(inode: Inode) -> int:
    return inode.size + inode.xattr_bytes
