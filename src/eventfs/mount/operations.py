"""Requests in, answers out: the translation between the kernel's terms and the rules'.

A handler turns its request into a call of `eventfs.queues`, calls, and turns the result into the
body of an answer. What it raises becomes an errno in `eventfs.mount.reader`. No handler waits for
anything, so each is atomic.

What the kernel may remember, and why it never shows anything untrue:

- A queue's name: nothing. A queue can vanish at any moment, and who learnt of its owner's death
  must not find it any more; so each path walk asks for it, and gets its attributes too.
- A queue's and the root's attributes: for long. Only the kernel changes them, except for
  vanishing, which invalidates them.
- A message's name: nothing, since unlinking `head` removes a name that the kernel doesn't know of,
  and an unfinished one is there for its creator only.
- A message's attributes: for long. Only the kernel changes them, except for the number of links,
  which unlinking `head` changes; it invalidates them.
- `head` and `tail`: their names for long, except where S_ISVTX gives each user links of their own;
  their attributes not at all. When the queue has become empty behind the kernel's back, asking for
  the link answers ESTALE, and the kernel looks its name up again.
- A message's content: as of any local file, but for handles that write past the page cache. The
  one that creates a message does, unless it can be mapped into memory: else the kernel asks for
  `security.capability` before each write. While it is open, all others must bypass the cache too.
  Unless it is large, a message's content is handed over when it is opened: that saves the requests
  to read it, and so opening it is what moves its atime.
"""

import errno
import logging
import os
import select
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from os import O_ACCMODE, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY
from stat import S_ISVTX
from typing import Final, cast

from eventfs.mount import memory, pids, wire
from eventfs.mount.clock import clock_ns
from eventfs.mount.closing import Closing, process
from eventfs.mount.connection import Connection
from eventfs.mount.errnos import Failed
from eventfs.mount.notifier import Notifier
from eventfs.mount.owners import CallerUnseen, Owners, OwnersExhausted
from eventfs.mount.ports import FIRST_HANDLE, Ports
from eventfs.mount.wire import Handle, Handler, Request
from eventfs.queues import acl, attributes, renaming, xattrs
from eventfs.queues.errors import AlreadyExists, NotFound, Stale
from eventfs.queues.followers import with_all_sources
from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Uid
from eventfs.queues.message import Message
from eventfs.queues.names import MAX_NAME_BYTES, PARENT, SELF, Name
from eventfs.queues.ports import Taken
from eventfs.queues.queue import End, Owner, Port, Queue, Root, Tid, View
from eventfs.queues.tree import ROOT_INO, Tree, Vanished
from eventfs.queues.unfinished import Unfinished

log = logging.getLogger(__name__)

#: How long the kernel may remember what it is told of when it changes, in seconds: a year.
LONG_S: Final = 365 * 24 * 3600

#: st_blksize and the block size of statfs, in bytes: a page, and what st_blocks doesn't use.
BLOCK_BYTES: Final = 4096

#: How many dead owners are dealt with before the next request: some 0.5 ms.
BURIED_AT_ONCE: Final = 4

#: An attribute of the root: how many requests of each kind there have been, this one included.
REQUESTS: Final = b"user.eventfs_requests"

#: The content that the kernel gets with its first open, in bytes at most. To copy so much takes
#: less time than the eight requests by which the kernel would read it.
STORE_BYTES: Final = 1024 * 1024

#: The largest process id has so many digits (PID_MAX_LIMIT of linux/threads.h).
_MAX_PID_DIGITS: Final = 7

#: What a message is always ready for, as any regular file (poll(2)).
ALWAYS: Final = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM

_SECOND_NS: Final = 10**9

#: The answer to a lookup of nothing; the same to the kernel as ENOENT.
NOTHING: Final = bytes(wire.ENTRY_OUT.size)

#: Where in the answer to a lookup that to getattr begins: its end is the same.
_ATTR_OUT: Final = wire.ENTRY_OUT.size - wire.ATTR_OUT.size


class Operations:
    """The handlers of one mount: a method for each kind of request in `wire.KINDS` that it serves.

    Each returns the answer's body, or None where the kernel expects no answer.
    """

    def __init__(  # noqa: PLR0913  # what a mount consists of, and its options
        self,
        tree: Tree,
        owners: Owners,
        notifier: Notifier,
        connection: Connection,
        *,
        noatime: bool,
        commits_at_close: bool = False,
    ) -> None:
        """Serve *tree*, whose reads leave atimes alone with *noatime*.

        With *commits_at_close* a message is unfinished until its creator has closed it.
        """
        #: Dead owners whose queues are still to vanish, in order.
        self.dead: dict[Owner, None] = {}
        #: How many requests of each opcode there have been.
        self.requests = [0] * wire.OPCODES
        #: What answers requests, by opcode.
        self.handlers: list[Handler] = [
            getattr(self, wire.kind(opcode), self._unsupported) for opcode in range(wire.OPCODES)
        ]
        self._noatime = noatime
        self._commits_at_close = commits_at_close
        self._tree = tree
        # The kernel asks each kind of inode only what suits it.
        self._inodes = tree.inodes
        self._messages = cast("dict[Ino, Message]", tree.inodes)
        self._directories = cast("dict[Ino, Root | Queue]", tree.inodes)
        #: What the kernel is still to be told of.
        self.changes = tree.changes
        #: What is to be done at some time.
        self.timers = tree.timers
        self._unfinished = tree.unfinished.by_ino
        self._closing = Closing(tree, self._deaths_first, self._committed, self._discarded)
        self._owners = owners
        # Bound once: a call through a protocol looks its method up.
        self._deaths, self._pid = owners.deaths, owners.pid
        self._notifier = notifier
        self._connection = connection
        # Open handles that write past the page cache, by message.
        self._bypassing: dict[Ino, int] = {}
        # A directory's handle: what it lists, and for whom.
        self._listings: dict[Handle, tuple[Root | Queue, Uid]] = {}
        self._last_listing = Handle(0)
        self.ports = Ports(tree, connection, self._ports_used, tells_kills=commits_at_close)
        #: Those who wait for room in a queue.
        self.short = self.ports.short
        # Messages whose content the kernel was given, as long as it knows them.
        self._stored: set[Ino] = set()

    def owners_died(self, owners: list[Owner]) -> None:
        """Take deaths, and let the queues of some vanish; `dead` are those for the next time.

        When thousands die at once, others' requests are answered in between, and see nothing of the
        queues of those who are still to come: a request about one of them lets it vanish first.
        """
        self.dead.update(dict.fromkeys(owners))
        self._bury(list(islice(self.dead, BURIED_AT_ONCE)))

    def bury_all(self) -> None:
        """Let the queues of all dead owners vanish."""
        self._bury(list(self.dead))

    def _bury(self, owners: Iterable[Owner]) -> None:
        """Let the queues of dead processes vanish, from the tree and from the kernel."""
        now_ns = clock_ns()
        try:
            vanished = []
            for owner in owners:
                del self.dead[owner]
                vanished += self._tree.owner_died(owner, now_ns)
                self._owners.unwatch(owner)
            self._announce(vanished)
            self.tell()
        except Exception:
            # Nobody waits for an answer, and the requests that wait must have theirs.
            log.exception("the death of an owner wasn't dealt with")

    def look_for_room(self) -> None:
        """Wake those who wait for room that there is by now."""
        self.ports.look_for_room()

    def look_at_time(self) -> None:
        """Do what is due by now."""
        try:
            self._tree.look_at_time(clock_ns())
            self.tell()
        except Exception:
            # As of deaths.
            log.exception("what was due wasn't done")

    def tell(self) -> None:
        """Tell the kernel of what has changed without its doing."""
        while self.changes:
            queue, name, message = self.changes.pop()
            if message is not None:
                self._popped(queue.ino, name, message)
            self._tell_changed(queue)

    def settle(self, request: Request, opcode: int) -> None:
        """Let vanish first what a request is about: by its number, or by its name in the root."""
        about = self._inodes.get(request.ino)
        if request.ino == ROOT_INO and wire.kind(opcode) == "lookup":
            about = self._tree.lookup(self._tree.root, request.name(), request.uid)
        if isinstance(about, View):
            about = about.queue
        if isinstance(about, Queue):
            self._settle(about)

    # Names

    def lookup(self, request: Request) -> bytes:
        name = request.name()
        if request.ino == ROOT_INO:
            self._notifier.settle(name)
        inode = self._tree.lookup(self._directories[request.ino], name, request.uid)
        if inode is None and self._unfinished:
            unfinished = self._unfinished_in(request.ino, name, request)
            inode = unfinished and unfinished.message
        return NOTHING if inode is None else self._entry(inode)

    def mkdir(self, request: Request) -> bytes:
        mode, umask = wire.MKDIR_IN.unpack_from(request.body)
        name = request.name(wire.MKDIR_IN.size)
        directory = self._directories[request.ino]
        try:
            owner = self._owners.watch(request.tid)
        except CallerUnseen:
            log.warning(
                "mkdir %s refused: its caller (user %d) is in a pid namespace that eventfs can't"
                " see; run eventfs in the containers' parent pid namespace",
                os.fsdecode(name),
                request.uid,
            )
            raise Failed(errno.EPERM) from None
        except OwnersExhausted:
            raise Failed(errno.ENFILE) from None
        try:
            queue = self._tree.mkdir(
                directory,
                name,
                _masked(directory, mode, umask),
                request.uid,
                request.gid,
                owner,
                clock_ns(),
            )
        finally:
            self._unwatch_unless_needed(owner)
        return self._entry(queue)

    def rmdir(self, request: Request) -> bytes:
        directory = self._directories[request.ino]
        queue, held = self._tree.rmdir(directory, request.name(), clock_ns())
        if queue.owner is not None:
            self._unwatch_unless_needed(queue.owner)
        # What is open keeps its name in the kernel, and that its directory, beyond the last close.
        self._notifier.forget_names(queue.ino, [name for name, _ in held])
        return b""

    def create(self, request: Request) -> bytes:
        flags, mode, umask = wire.CREATE_IN.unpack_from(request.body)
        try:
            message = self._make(
                request,
                request.name(wire.CREATE_IN.size),
                mode,
                umask,
                process(request.tid) if self._commits_at_close else None,
            )
        except AlreadyExists:
            if flags & O_EXCL:
                raise
            # Made by somebody else since the kernel looked, so the kernel has checked no right to
            # it: it must look again.
            raise Stale from None
        mappable = flags & O_ACCMODE != O_WRONLY
        return self._entry(message) + self._open(message, flags, bypass=not mappable)

    def mknod(self, request: Request) -> bytes:
        mode, umask = wire.MKNOD_IN.unpack_from(request.body)
        return self._entry(self._make(request, request.name(wire.MKNOD_IN.size), mode, umask))

    def symlink(self, _request: Request) -> bytes:
        raise Failed(errno.EPERM)

    def rename(self, request: Request) -> bytes:
        (ino,) = wire.RENAME_IN.unpack_from(request.body)
        return self._rename(request, ino, wire.RENAME_IN.size, replaces=True)

    def rename2(self, request: Request) -> bytes:
        ino, flags = wire.RENAME2_IN.unpack_from(request.body)
        if flags & ~wire.RENAME_NOREPLACE:
            raise Failed(errno.EINVAL)
        replaces = not flags & wire.RENAME_NOREPLACE
        return self._rename(request, ino, wire.RENAME2_IN.size, replaces=replaces)

    def _rename(self, request: Request, ino: Ino, offset: int, *, replaces: bool) -> bytes:
        name, _, new_name = request.name(offset).partition(b"\0")
        target = self._directories[ino]
        if isinstance(target, Queue):
            self._deaths_first(target, request.tid)
        if self._unfinished:
            unfinished = self._unfinished_in(request.ino, Name(name), request)
            self._closing.publish(unfinished, request.tid)
        renaming.rename(
            self._tree,
            self._directories[request.ino],
            Name(name),
            target,
            Name(new_name),
            request.uid,
            request.gid,
            clock_ns(),
            replaces=replaces,
        )
        return b""

    def link(self, request: Request) -> bytes:
        (ino,) = wire.LINK_IN.unpack_from(request.body)
        if self._unfinished:
            self._closing.publish(self._unfinished.get(ino), request.tid)
        message = self._tree.link(
            self._existing(ino, request),
            self._directories[request.ino],
            request.name(wire.LINK_IN.size),
            request.uid,
            request.gid,
            clock_ns(),
        )
        return self._entry(message)

    def unlink(self, request: Request) -> bytes:
        queue, name = self._directories[request.ino], request.name()
        gone, message = self._tree.unlink(queue, name, request.uid, request.tid, clock_ns())
        if gone != name:
            self._popped(queue.ino, gone, message)
        return b""

    def readlink(self, request: Request) -> bytes:
        end = self._inodes[request.ino]
        assert isinstance(end, End)
        return self._tree.sightings.follow(request.tid, end)

    def opendir(self, request: Request) -> bytes:
        directory = self._directories[request.ino]
        if not directory.links:
            raise NotFound
        directory.holds += 1
        self._bury_all_in(directory)
        self._last_listing = Handle(self._last_listing + 1)
        self._listings[self._last_listing] = directory, request.uid
        return wire.OPEN_OUT.pack(self._last_listing, 0)

    def readdir(self, request: Request) -> bytes:
        fh, start, size, *_ = wire.READ_IN.unpack_from(request.body)
        directory, viewer = self._listings[fh]
        self._bury_all_in(directory)
        if not self._noatime:
            directory.touch_read(clock_ns())
        lines: list[bytes] = []
        for name, inode, place in self._tree.entries(directory, start, viewer):
            size -= wire.direntplus_bytes(name)
            if size < 0:
                break
            # The kernel counts a lookup for each line but these.
            entry = NOTHING if name in (SELF, PARENT) else self._entry(inode)
            lines.append(wire.direntplus(entry, inode.ino, inode.mode, name, place))
        return b"".join(lines)

    def releasedir(self, request: Request) -> bytes:
        (fh,) = wire.RELEASE_IN.unpack_from(request.body)
        directory, _ = self._listings.pop(fh)
        self._tree.unhold(directory)
        return b""

    def poll(self, request: Request) -> bytes:
        fh, *_ = wire.POLL_IN.unpack_from(request.body)
        if fh < FIRST_HANDLE:
            return wire.POLL_OUT.pack(ALWAYS)
        return self.ports.poll(fh, request)

    # Content. A message's handle is 1 where it writes past the cache, else 0.

    def open(self, request: Request) -> bytes:
        (flags,) = wire.OPEN_IN.unpack_from(request.body)
        message = self._inodes[request.ino]
        if isinstance(message, Port):
            return self.ports.open(message, flags, request)
        assert isinstance(message, Message)
        if flags & O_TRUNC:
            self._tree.truncate(message, 0, clock_ns())
        self._tree.sightings.opened(request.tid, message)
        bypass = request.ino in self._bypassing
        if not message.opens and not bypass and flags & O_ACCMODE != O_WRONLY:
            self._store(message)
        return self._open(message, flags, bypass=bypass)

    def read(self, request: Request) -> bytes | memoryview:
        fields: wire.ReadIn = wire.READ_IN.unpack_from(request.body)
        fh, offset, length, read_flags, flags = fields
        if fh >= FIRST_HANDLE:
            handle = self.ports.handles[Handle(fh)]
            self._deaths_first(handle.queue, request.tid)
            return self.ports.read(handle, offset, length, read_flags, flags)
        message = self._messages[request.ino]
        now_ns = message.atime_ns if self._noatime else clock_ns()
        return message.read(offset, length, now_ns)

    def write(self, request: Request) -> bytes:
        fields: wire.WriteIn = wire.WRITE_IN.unpack_from(request.body)
        fh, offset = fields
        data = request.rest(wire.WRITE_IN.size)
        if fh >= FIRST_HANDLE:
            handle = self.ports.handles[Handle(fh)]
            self._deaths_first(handle.queue, request.tid)
            # Only a message's content is kept in what can grow.
            data = data if isinstance(data, bytes) else bytes(data)
            return self.ports.write(handle, offset, data, request.tid)
        if len(data) >= wire.LARGE_BYTES:
            memory.keep_freed()
        written = self._tree.write(self._messages[request.ino], offset, data, clock_ns())
        return wire.WRITE_OUT.pack(written)

    def release(self, request: Request) -> bytes:
        (fh,) = wire.RELEASE_IN.unpack_from(request.body)
        ino = request.ino
        if fh >= FIRST_HANDLE:
            self.ports.release(fh)
            self._tree.unhold(self._inodes[ino])
            return b""
        if fh:
            self._bypassing[ino] -= 1
            if not self._bypassing[ino]:
                del self._bypassing[ino]
        message = self._messages[ino]
        if self._unfinished and message.opens == 1:
            self._closing.released(message)
        self._tree.close(message)
        return b""

    def flush(self, request: Request) -> bytes:
        if not self._commits_at_close:
            return self._unsupported(request)
        (fh,) = wire.FLUSH_IN.unpack_from(request.body)
        if fh >= FIRST_HANDLE:
            self.ports.flush(fh, request.tid)
        elif self._unfinished:
            self._closing.flushed(request.ino, request.tid)
        return b""

    # Attributes

    def getattr(self, request: Request) -> bytes:
        return self._attributes(self._existing(request.ino, request))

    def setattr(self, request: Request) -> bytes:
        valid, size, atime_s, mtime_s, atime_ns, mtime_ns, mode, uid, gid = (
            wire.SETATTR_IN.unpack_from(request.body)
        )
        inode = self._existing(request.ino, request)
        self._tree.check_changeable(inode)
        now_ns = clock_ns()
        if valid & wire.FATTR_SIZE:
            self._tree.truncate(self._messages[inode.ino], size, now_ns)
        if valid & (wire.FATTR_UID | wire.FATTR_GID):
            self._tree.chown(
                inode,
                uid if valid & wire.FATTR_UID else None,
                gid if valid & wire.FATTR_GID else None,
                now_ns,
            )
        if valid & wire.FATTR_MODE:
            self._tree.chmod(inode, mode, now_ns)
        if isinstance(inode, Queue) and inode.ends and valid & (wire.FATTR_MODE | wire.FATTR_UID):
            # `head` and `tail` may belong to somebody else now.
            names = [end.name for end in inode.ends.values()]
            self._notifier.forget_names(inode.ino, names)
        atime_ns = now_ns if valid & wire.FATTR_ATIME_NOW else atime_s * _SECOND_NS + atime_ns
        mtime_ns = now_ns if valid & wire.FATTR_MTIME_NOW else mtime_s * _SECOND_NS + mtime_ns
        if valid & (wire.FATTR_ATIME | wire.FATTR_MTIME):
            inode.set_times(
                atime_ns if valid & wire.FATTR_ATIME else None,
                mtime_ns if valid & wire.FATTR_MTIME else None,
                now_ns,
            )
            if isinstance(inode, Message):
                self._tree.leases.touched(inode)
        return self._attributes(inode)

    def getxattr(self, request: Request) -> bytes:
        (size,) = wire.GETXATTR_IN.unpack_from(request.body)
        name = request.name(wire.GETXATTR_IN.size)
        if name == REQUESTS and request.ino == ROOT_INO:
            return _sized(self._counted(), size)
        inode = self._existing(request.ino, request)
        if (
            name == xattrs.OWNER
            and isinstance(inode, Queue)
            and inode.links
            and inode.owner is not None
        ):
            return _sized(b"%d" % pids.seen_by(request.tid, self._owners.pid(inode.owner)), size)
        return _sized(attributes.get(self._tree, inode, name), size)

    def setxattr(self, request: Request) -> bytes:
        size, flags = wire.SETXATTR_IN.unpack_from(request.body)
        rest = bytes(request.rest(wire.SETXATTR_IN.size))
        name, value = rest[: len(rest) - size - 1], rest[len(rest) - size :]
        if name == REQUESTS and request.ino == ROOT_INO:
            raise Failed(errno.EPERM)
        inode = self._existing(request.ino, request)
        if name == xattrs.OWNER and isinstance(inode, Queue):
            if flags & wire.XATTR_CREATE:
                raise AlreadyExists
            self._hand_over(inode, value, request)
            return b""
        if flags & (wire.XATTR_CREATE | wire.XATTR_REPLACE):
            xattrs.check_presence(inode, name, present=bool(flags & wire.XATTR_REPLACE))
        if name == xattrs.FOLLOW and isinstance(inode, Queue):
            attributes.follow(self._tree, inode, value, request.uid, request.tid, clock_ns())
        elif name == xattrs.DEAD_LETTER and isinstance(inode, Queue):
            attributes.bury_in(self._tree, inode, Name(value), request.uid, request.tid, clock_ns())
        else:
            attributes.put(self._tree, inode, name, value, clock_ns(), request.tid)
        return b""

    def listxattr(self, request: Request) -> bytes:
        (size,) = wire.GETXATTR_IN.unpack_from(request.body)
        names = xattrs.names(self._existing(request.ino, request))
        return _sized(b"".join(name + b"\0" for name in names), size)

    def removexattr(self, request: Request) -> bytes:
        inode = self._existing(request.ino, request)
        vanished = attributes.remove(self._tree, inode, request.name(), clock_ns())
        if vanished is not None:
            self._announce([vanished])
        return b""

    def statfs(self, request: Request) -> bytes:
        room = self._tree.room(request.uid, request.gid)
        free = room.free_bytes // BLOCK_BYTES
        return wire.STATFS_OUT.pack(
            room.size_bytes // BLOCK_BYTES, free, free, room.inodes, room.free_inodes,
            BLOCK_BYTES, MAX_NAME_BYTES, BLOCK_BYTES,
        )  # fmt: skip

    def forget(self, request: Request) -> None:
        """Take lookups back; nobody waits for an answer, so nobody can be told of a failure."""
        try:
            for ino, count in request.forgotten():
                inode = self._inodes[ino]
                self._tree.unhold(inode, count)
                if not inode.holds:
                    self._stored.discard(ino)
        except Exception:
            log.exception("forget failed")

    def _unsupported(self, _request: Request) -> bytes:
        """Tell the kernel to do without: of most kinds it asks once only."""
        raise Failed(errno.ENOSYS)

    # Inside

    def _existing(self, ino: Ino, request: Request) -> Inode:
        """Return an inode that is there: `head` and `tail` aren't in an empty queue."""
        inode = self._inodes[ino]
        if isinstance(inode, End):
            inode.dentry(request.tid)
        elif isinstance(inode, Port):
            inode.refresh()
        return inode

    def _make(
        self, request: Request, name: Name, mode: int, umask: int, creator: Tid | None = None
    ) -> Message:
        directory = self._directories[request.ino]
        mode = _masked(directory, mode, umask)
        return self._tree.create(
            directory, name, mode, request.uid, request.gid, clock_ns(), creator
        )

    def _hand_over(self, queue: Queue, value: bytes, request: Request) -> None:
        """Make a queue another process's, by its id as the caller knows it."""
        if not value.isdigit() or len(value) > _MAX_PID_DIGITS:
            raise Failed(errno.EINVAL)
        try:
            owner = self._owners.watch(pids.meant_by(request.tid, int(value)))
        except CallerUnseen:
            raise Failed(errno.ESRCH) from None
        except OwnersExhausted:
            raise Failed(errno.ENOSPC) from None
        try:
            uid = self._tree.threads.user(Tid(self._owners.pid(owner)))
            if not self._owners.lives(owner):
                raise Failed(errno.ESRCH)
            before = self._tree.hand_over(queue, owner, uid, request.uid)
        finally:
            self._unwatch_unless_needed(owner)
        if before is not None:
            self._unwatch_unless_needed(before)

    def _entry(self, inode: Inode) -> bytes:
        """Answer a lookup, which the inode counts."""
        inode.holds += 1
        return self._described(inode)

    def _attributes(self, inode: Inode) -> bytes:
        """Answer a getattr."""
        return self._described(inode)[_ATTR_OUT:]

    @staticmethod
    def _described(inode: Inode) -> bytes:
        """Tell an inode's attributes, and how long they and the name may be remembered."""
        entry_s, attr_s = 0, LONG_S
        if isinstance(inode, Queue):
            inode.shown = True
        elif isinstance(inode, View):
            lasts = isinstance(inode, Port) or not inode.queue.mode & S_ISVTX
            entry_s, attr_s = LONG_S if lasts else 0, 0
        ino, payer = inode.ino, inode.payer
        atime_ns, mtime_ns, ctime_ns = inode.atime_ns, inode.mtime_ns, inode.ctime_ns
        return wire.ENTRY_OUT.pack(
            ino, entry_s, attr_s,
            ino, inode.size, inode.blocks,
            atime_ns // _SECOND_NS, mtime_ns // _SECOND_NS, ctime_ns // _SECOND_NS,
            atime_ns % _SECOND_NS, mtime_ns % _SECOND_NS, ctime_ns % _SECOND_NS,
            inode.mode, inode.links, payer.uid, payer.gid, BLOCK_BYTES,
        )  # fmt: skip

    def _open(self, message: Message, flags: int, *, bypass: bool) -> bytes:
        """Open a handle, past the page cache or not."""
        writes_past = bypass and flags & O_ACCMODE != O_RDONLY
        if writes_past:
            self._bypassing[message.ino] = self._bypassing.get(message.ino, 0) + 1
        self._tree.open(message)
        how = wire.FOPEN_DIRECT_IO if bypass else wire.FOPEN_KEEP_CACHE
        if (
            self._commits_at_close
            and message.ino not in self._unfinished
            and flags & O_ACCMODE != O_RDWR
        ):
            # Of what is written through a mapping, which takes O_RDWR, flushing is what tells us.
            how |= wire.FOPEN_NOFLUSH
        return wire.OPEN_OUT.pack(writes_past, how)

    def _store(self, message: Message) -> None:
        """Give the kernel a message's content before it asks: that saves the request.

        It waits for the pages' locks, which are held while somebody waits for us to read or write;
        so nobody may have the message open.
        """
        ino, size = message.ino, message.size
        if not 0 < size <= STORE_BYTES or ino in self._stored:
            return
        self._stored.add(ino)
        now_ns = message.atime_ns if self._noatime else clock_ns()
        try:  # contextlib.suppress would take as long as all else here
            self._connection.store(ino, message.read(0, size, now_ns))
        except OSError:
            return  # then it asks

    def _unfinished_in(self, ino: Ino, name: Name, request: Request) -> Unfinished | None:
        """Return the unfinished message called *name*, if the caller is making it."""
        return self._tree.unfinished.find(self._directories[ino], name, request.tid)

    def _committed(self, message: Message) -> None:
        """Tell the kernel that a message has arrived, and has other names by now, or none."""
        if message.links != 1:
            self._invalidate_attributes(message)

    def _discarded(self, unfinished: Unfinished) -> None:
        """Tell the kernel that an unfinished message is gone."""
        self._popped(unfinished.queue.ino, unfinished.dentry.name, unfinished.message)

    def _deaths_first(self, queue: Queue, tid: Tid) -> None:
        """Let a queue vanish whose owner is dead, before a request of the thread *tid*.

        Who asks lives: where nobody else's death matters it isn't looked for, which would take an
        owner 7 % longer to read its port.
        """
        if not queue.links:
            return
        owner = queue.owner
        if (owner is None or queue.lent or queue.sources or self._pid(owner) != tid) and (
            deaths := self._deaths()
        ):
            self.owners_died(deaths)
        if self.dead:
            self._settle(queue)

    def _settle(self, queue: Queue) -> None:
        """Let vanish what a request about *queue* must not find, or must find returned."""
        if any(source.lent for source in with_all_sources(queue)):
            self.bury_all()
        elif queue.owner in self.dead:
            self._bury([queue.owner])

    def _popped(self, queue: Ino, name: Name, message: Message) -> None:
        """Tell the kernel that a message has gone from a queue without its knowledge."""
        if message.holds:
            self._invalidate_attributes(message)
            self._notifier.popped(queue, name, message)

    def _ports_used(self, queue: Queue, known: list[Taken]) -> None:
        """Tell the kernel what ports have changed of what it remembers."""
        for taken in known:
            if taken.message is not None:
                self._popped(queue.ino, taken.name, taken.message)
        self._tell_changed(queue)

    def _tell_changed(self, queue: Queue) -> None:
        """Tell the kernel that a queue's attributes have changed without its knowledge."""
        if queue.shown:
            queue.shown = False
            self._invalidate_attributes(queue)

    def _bury_all_in(self, directory: Root | Queue) -> None:
        """Let no dead process's queue be listed."""
        if directory is self._tree.root:
            self.bury_all()

    def _unwatch_unless_needed(self, owner: Owner) -> None:
        if not self._tree.owns(owner) and owner not in self.dead:
            self._owners.unwatch(owner)

    def _announce(self, vanished: list[Vanished]) -> None:
        """Take from the kernel what it remembers of vanished queues."""
        if vanished:
            self._invalidate_attributes(self._tree.root)
        for _, held in vanished:
            for _, inode in held:
                self._invalidate_attributes(inode)
        known = [gone for gone in vanished if gone.queue.holds]
        if known:
            self._notifier.vanished(known)

    def _invalidate_attributes(self, inode: Inode) -> None:
        """Make the kernel ask again; this takes no lock, and so doesn't wait for anybody."""
        try:
            self._connection.invalidate_attributes(inode.ino)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _counted(self) -> bytes:
        """Return the value of REQUESTS."""
        counts = Counter[str]()
        for opcode, count in enumerate(self.requests):
            counts[wire.kind(opcode)] += count
        return "\n".join(
            f"{kind} {count}" for kind, count in sorted(counts.items()) if count
        ).encode()


def _masked(directory: Root | Queue, mode: int, umask: int) -> Mode:
    """Apply the caller's umask, unless the directory passes an access control list on (acl(5))."""
    if directory.xattrs and acl.DEFAULT in directory.xattrs:
        return Mode(mode)
    return Mode(mode & ~umask)


def _sized(value: bytes, size: int) -> bytes:
    """Answer with an attribute's value, or with its size where that is 0 (ERANGE)."""
    if not size:
        return wire.GETXATTR_OUT.pack(len(value))
    if len(value) > size:
        raise Failed(errno.ERANGE)
    return value
