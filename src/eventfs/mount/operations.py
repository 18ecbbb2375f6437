"""Requests in, answers out: the translation between the kernel's terms and the rules'.

A handler turns its request into a call of `eventfs.queues`, calls, and turns the result into an
answer. `_handler` is the boundary around all of them. No handler waits for anything, so each is
atomic, and one attributes object serves all answers: it is sent before the next request is read.

What the kernel may remember, and why it never shows anything untrue:

- A queue's name: nothing. A queue can vanish at any moment, and who learnt of its owner's death
  must not find it any more; so each path walk asks for it, and gets its attributes too.
- A queue's and the root's attributes: for long. Only the kernel changes them, except for
  vanishing, which invalidates them.
- A message's name: nothing, since unlinking `head` removes a name that the kernel doesn't know of.
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

import contextlib
import errno
import functools
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import islice
from stat import S_ISVTX
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import pyfuse3
from pyfuse3 import (
    EntryAttributes,
    FileInfo,
    FUSEError,
    ReaddirToken,
    SetattrFields,
    StatvfsData,
)

from eventfs.mount.errnos import ERRNOS
from eventfs.mount.notifier import Notifier
from eventfs.mount.owners import CallerUnseen, Owners, OwnersExhausted
from eventfs.queues import acl, xattrs
from eventfs.queues.errors import AlreadyExists, NotFound, Refused, Stale
from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Gid, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import MAX_NAME_BYTES, PARENT, SELF, Name
from eventfs.queues.queue import End, Owner, Queue, Root, Tid
from eventfs.queues.tree import ROOT_INO, Tree, Vanished

log = logging.getLogger(__name__)

#: How long the kernel may remember what it is told of when it changes, in seconds: a year.
LONG_S = 365 * 24 * 3600

#: st_blksize and the block size of statfs, in bytes: a page, and what st_blocks doesn't use.
BLOCK_BYTES = 4096

#: How many dead owners are dealt with before the next request: some 3 ms.
BURIED_AT_ONCE = 32

#: An attribute of the root: how many requests of each kind there have been, this one included.
REQUESTS = b"user.eventfs_requests"

#: The content that the kernel gets with its first open, in bytes at most. To copy so much takes
#: less time than the eight requests by which the kernel would read it.
STORE_BYTES = 1024 * 1024

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Caller(Protocol):
    """Who sent a request; pyfuse3's RequestContext, with the rules' types."""

    pid: Tid
    uid: Uid
    gid: Gid
    umask: int


def _handler(
    function: Callable[Concatenate["Operations", _P], _R],
) -> Callable[..., Coroutine[Any, Any, _R]]:
    """Make a handler of pyfuse3 from a function that answers or raises.

    A refusal becomes its errno. Anything unexpected is logged and answered EIO; if it got through,
    the request would stay unanswered and pyfuse3's main loop would end.
    """
    name = function.__name__

    @functools.wraps(function)
    async def handle(self: "Operations", *args: _P.args, **_: _P.kwargs) -> _R:
        self.requests[name] += 1
        try:
            if self.dead:
                self._bury_those_in(args)
            return function(self, *args)  # type: ignore[call-arg]  # pyfuse3 names no argument
        except Refused as refusal:
            raise FUSEError(ERRNOS[type(refusal)]) from None
        except FUSEError:
            raise
        except MemoryError:
            raise FUSEError(errno.ENOMEM) from None
        except Exception:
            log.exception("%s failed: answered EIO", name)
            raise FUSEError(errno.EIO) from None

    return handle


class Operations(pyfuse3.Operations):
    """The handlers of one mount."""

    supports_dot_lookup = False
    enable_acl = True

    def __init__(
        self,
        tree: Tree,
        owners: Owners,
        notifier: Notifier,
        ready: Callable[[], None],
        *,
        noatime: bool,
    ) -> None:
        """Serve *tree*; *ready* is called once the mount is usable."""
        #: Dead owners whose queues are still to vanish, in order.
        self.dead: dict[Owner, None] = {}
        #: How many requests of each kind have been answered.
        self.requests: defaultdict[str, int] = defaultdict(int)
        self._noatime = noatime
        self._tree = tree
        # The kernel asks each kind of inode only what suits it.
        self._inodes = tree.inodes
        self._messages = cast("dict[Ino, Message]", tree.inodes)
        self._directories = cast("dict[Ino, Root | Queue]", tree.inodes)
        self._owners = owners
        self._notifier = notifier
        self._ready = ready
        self._attributes = EntryAttributes()
        self._attributes.st_blksize = BLOCK_BYTES
        # To answer so is cheaper than to raise ENOENT.
        self._nothing = EntryAttributes()
        self._nothing.st_ino = 0
        self._nothing.entry_timeout = 0
        # Open handles that write past the page cache, by message.
        self._bypassing: dict[Ino, int] = {}
        # A directory's handle: what it lists, and for whom.
        self._listings: dict[int, tuple[Root | Queue, Uid]] = {}
        self._last_listing = 0
        # Messages whose content the kernel was given, as long as it knows them.
        self._stored: set[Ino] = set()

    def init(self) -> None:
        """Take the kernel's first request: from now on it waits for our answers."""
        self._ready()

    def owners_died(self, owners: list[Owner]) -> None:
        """Take deaths, and let the queues of some vanish; `dead` are those for the next time.

        When thousands die at once, others' requests are answered in between, and see nothing of the
        queues of those who are still to come: a request about one of them lets it vanish first.
        """
        self.dead.update(dict.fromkeys(owners))
        self._bury(list(islice(self.dead, BURIED_AT_ONCE)))

    def _bury(self, owners: Iterable[Owner]) -> None:
        """Let the queues of dead processes vanish, from the tree and from the kernel."""
        now_ns = time.time_ns()
        try:
            vanished = []
            for owner in owners:
                del self.dead[owner]
                vanished += self._tree.owner_died(owner, now_ns)
                self._owners.unwatch(owner)
            self._announce(vanished)
        except Exception:
            # Nobody waits for an answer, and the requests that wait must have theirs.
            log.exception("the death of an owner wasn't dealt with")

    def _bury_those_in(self, args: Iterable[object]) -> None:
        """Let vanish first what a request is about: by its number, or by its name in the root."""
        about = [self._inodes.get(Ino(arg)) for arg in args if isinstance(arg, int)]
        if self._tree.root in about:
            names = (Name(arg) for arg in args if isinstance(arg, bytes))
            about += [dentry.inode for name in names if (dentry := self._tree.root.find(name))]
        owners = {inode.owner for inode in about if isinstance(inode, Queue)}
        self._bury([owner for owner in owners if owner in self.dead])

    # Names

    @_handler
    def lookup(self, parent: Ino, name: Name, ctx: Caller) -> EntryAttributes:
        # The reader handed deaths over before it saw that there was a request. That may have been
        # another one, taken back since by the death of its sender.
        if deaths := self._owners.deaths():
            self.owners_died(deaths)
            self._bury_those_in((parent, name))
        if parent == ROOT_INO:
            self._notifier.settle(name)
        try:
            return self._entry(self._tree.lookup(self._directories[parent], name, ctx.uid))
        except NotFound:
            return self._nothing

    @_handler
    def mkdir(self, parent: Ino, name: Name, mode: Mode, ctx: Caller) -> EntryAttributes:
        directory = self._directories[parent]
        try:
            owner = self._owners.watch(ctx.pid)
        except CallerUnseen:
            log.warning(
                "mkdir %s refused: its caller (user %d) is in a pid namespace that eventfs can't"
                " see; run eventfs in the containers' parent pid namespace",
                os.fsdecode(name),
                ctx.uid,
            )
            raise FUSEError(errno.EPERM) from None
        except OwnersExhausted:
            raise FUSEError(errno.ENFILE) from None
        try:
            queue = self._tree.mkdir(
                directory,
                name,
                _masked(directory, mode, ctx),
                ctx.uid,
                ctx.gid,
                owner,
                time.time_ns(),
            )
        finally:
            self._unwatch_unless_needed(owner)
        return self._entry(queue)

    @_handler
    def rmdir(self, parent: Ino, name: Name, ctx: Caller) -> None:
        queue = self._tree.rmdir(self._directories[parent], name, time.time_ns())
        if queue.owner is not None:
            self._unwatch_unless_needed(queue.owner)

    @_handler
    def create(
        self, parent: Ino, name: Name, mode: Mode, flags: int, ctx: Caller
    ) -> tuple[FileInfo, EntryAttributes]:
        directory = self._directories[parent]
        uid = ctx.uid
        try:
            message = self._tree.create(
                directory,
                name,
                _masked(directory, mode, ctx),
                uid,
                ctx.gid,
                time.time_ns(),
            )
        except AlreadyExists:
            if flags & os.O_EXCL:
                raise
            # Made by somebody else since the kernel looked, so the kernel has checked no right to
            # it: it must look again.
            raise Stale from None
        mappable = flags & os.O_ACCMODE != os.O_WRONLY
        return self._open(message, flags, bypass=not mappable), self._entry(message)

    @_handler
    def mknod(self, parent: Ino, name: Name, mode: Mode, rdev: int, ctx: Caller) -> EntryAttributes:
        directory = self._directories[parent]
        message = self._tree.create(
            directory,
            name,
            _masked(directory, mode, ctx),
            ctx.uid,
            ctx.gid,
            time.time_ns(),
        )
        return self._entry(message)

    @_handler
    def symlink(self, parent: Ino, name: Name, target: bytes, ctx: Caller) -> EntryAttributes:
        raise FUSEError(errno.EPERM)

    @_handler
    def rename(  # noqa: PLR0913  # pyfuse3's signature
        self,
        parent: Ino,
        name: Name,
        new_parent: Ino,
        new_name: Name,
        flags: int,
        ctx: Caller,
    ) -> None:
        raise FUSEError(errno.EPERM)

    @_handler
    def link(self, ino: Ino, new_parent: Ino, new_name: Name, ctx: Caller) -> EntryAttributes:
        message = self._tree.link(
            self._inode(ino, ctx),
            self._directories[new_parent],
            new_name,
            ctx.uid,
            ctx.gid,
            time.time_ns(),
        )
        return self._entry(message)

    @_handler
    def unlink(self, parent: Ino, name: Name, ctx: Caller) -> None:
        gone, message = self._tree.unlink(
            self._directories[parent], name, ctx.uid, ctx.pid, time.time_ns()
        )
        if gone != name and message.holds:
            self._invalidate_attributes(message)
            self._notifier.popped(parent, gone, message)

    @_handler
    def readlink(self, ino: Ino, ctx: Caller) -> Name:
        end = self._tree.inodes[ino]
        assert isinstance(end, End)
        return self._tree.sightings.follow(ctx.pid, end)

    @_handler
    def opendir(self, ino: Ino, ctx: Caller) -> int:
        directory = self._directories[ino]
        if not directory.links:
            raise NotFound
        self._tree.hold(directory)
        self._bury_all_in(directory)
        self._last_listing += 1
        self._listings[self._last_listing] = directory, ctx.uid
        return self._last_listing

    @_handler
    def readdir(self, fh: int, start: int, token: ReaddirToken) -> None:
        directory, viewer = self._listings[fh]
        self._bury_all_in(directory)
        if not self._noatime:
            directory.touch_read(time.time_ns())
        for entry in self._tree.entries(directory, start, viewer):
            inode = entry.inode
            if not pyfuse3.readdir_reply(token, entry.name, self._fill(inode), entry.place):
                break
            # The kernel counts a lookup for each line but these.
            if entry.name not in (SELF, PARENT):
                self._tree.hold(inode)

    @_handler
    def releasedir(self, fh: int) -> None:
        directory, _ = self._listings.pop(fh)
        self._tree.unhold(directory)

    # Content. A handle is its message's number and a bit that tells whether it bypasses the cache.

    @_handler
    def open(self, ino: Ino, flags: int, ctx: Caller) -> FileInfo:
        message = self._messages[ino]
        if flags & os.O_TRUNC:
            self._tree.truncate(message, 0, time.time_ns())
        self._tree.sightings.opened(ctx.pid, message)
        bypass = ino in self._bypassing
        if not message.opens and not bypass and flags & os.O_ACCMODE != os.O_WRONLY:
            self._store(message)
        return self._open(message, flags, bypass=bypass)

    @_handler
    def read(self, fh: int, offset: int, length: int) -> bytes:
        message = self._messages[Ino(fh >> 1)]
        now_ns = message.atime_ns if self._noatime else time.time_ns()
        return _as_bytes(message.read(offset, length, now_ns))

    @_handler
    def write(self, fh: int, offset: int, data: bytes) -> int:
        return self._tree.write(self._messages[Ino(fh >> 1)], offset, data, time.time_ns())

    @_handler
    def release(self, fh: int) -> None:
        message = self._messages[Ino(fh >> 1)]
        if fh & 1:
            self._bypassing[message.ino] -= 1
            if not self._bypassing[message.ino]:
                del self._bypassing[message.ino]
        self._tree.close(message)

    # Attributes

    @_handler
    def getattr(self, ino: Ino, ctx: Caller) -> EntryAttributes:
        return self._fill(self._inode(ino, ctx))

    @_handler
    def setattr(
        self,
        ino: Ino,
        wanted: EntryAttributes,
        fields: SetattrFields,
        fh: int | None,
        ctx: Caller,
    ) -> EntryAttributes:
        inode = self._inode(ino, ctx)
        self._tree.check_changeable(inode)
        now_ns = time.time_ns()
        if fields.update_size:
            self._tree.truncate(self._messages[ino], wanted.st_size, now_ns)
        if fields.update_uid or fields.update_gid:
            self._tree.chown(
                inode,
                Uid(wanted.st_uid) if fields.update_uid else None,
                Gid(wanted.st_gid) if fields.update_gid else None,
                now_ns,
            )
        if fields.update_mode:
            self._tree.chmod(inode, Mode(wanted.st_mode), now_ns)
        if isinstance(inode, Queue) and inode.ends and (fields.update_mode or fields.update_uid):
            # `head` and `tail` may belong to somebody else now.
            self._notifier.forget_names(ino, [end.name for end in inode.ends.values()])
        if fields.update_atime or fields.update_mtime:
            inode.set_times(
                wanted.st_atime_ns if fields.update_atime else None,
                wanted.st_mtime_ns if fields.update_mtime else None,
                now_ns,
            )
        return self._fill(inode)

    @_handler
    def getxattr(self, ino: Ino, name: bytes, ctx: Caller) -> bytes:
        if name == REQUESTS and ino == ROOT_INO:
            lines = (f"{kind} {count}" for kind, count in sorted(self.requests.items()))
            return "\n".join(lines).encode()
        return xattrs.get(self._inode(ino, ctx), name)

    @_handler
    def setxattr(self, ino: Ino, name: bytes, value: bytes, ctx: Caller) -> None:
        if name == REQUESTS and ino == ROOT_INO:
            raise FUSEError(errno.EPERM)
        self._tree.set_xattr(self._inode(ino, ctx), name, value, time.time_ns(), ctx.pid)

    @_handler
    def listxattr(self, ino: Ino, ctx: Caller) -> list[bytes]:
        return xattrs.names(self._inode(ino, ctx))

    @_handler
    def removexattr(self, ino: Ino, name: bytes, ctx: Caller) -> None:
        vanished = self._tree.remove_xattr(self._inode(ino, ctx), name, time.time_ns())
        if vanished is not None:
            self._announce([vanished])

    @_handler
    def statfs(self, ctx: Caller) -> StatvfsData:
        room = self._tree.room(ctx.uid, ctx.gid)
        stat = StatvfsData()
        stat.f_bsize = stat.f_frsize = BLOCK_BYTES
        stat.f_blocks = room.size_bytes // BLOCK_BYTES
        stat.f_bfree = stat.f_bavail = room.free_bytes // BLOCK_BYTES
        stat.f_files = room.inodes
        stat.f_ffree = stat.f_favail = room.free_inodes
        stat.f_namemax = MAX_NAME_BYTES
        return stat

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Take lookups back; must not raise."""
        self.requests["forget"] += 1
        try:
            for ino, count in inode_list:
                inode = self._inodes[Ino(ino)]
                self._tree.unhold(inode, count)
                if not inode.holds:
                    self._stored.discard(inode.ino)
        except Exception:
            log.exception("forget failed")

    # What the kernel asks once, and then does without

    @_handler
    def flush(self, fh: int) -> None:
        raise FUSEError(errno.ENOSYS)

    @_handler
    def fsync(self, fh: int, datasync: int) -> None:
        raise FUSEError(errno.ENOSYS)

    @_handler
    def fsyncdir(self, fh: int, datasync: int) -> None:
        raise FUSEError(errno.ENOSYS)

    @_handler
    def access(self, ino: Ino, mode: int, ctx: Caller) -> bool:
        raise FUSEError(errno.ENOSYS)

    # Inside

    def _inode(self, ino: Ino, ctx: Caller) -> Inode:
        """Return an inode that is there: `head` and `tail` aren't in an empty queue."""
        inode = self._tree.inodes[ino]
        if isinstance(inode, End):
            inode.dentry(ctx.pid)
        return inode

    def _entry(self, inode: Inode) -> EntryAttributes:
        """Answer a lookup."""
        self._tree.hold(inode)
        return self._fill(inode)

    def _fill(self, inode: Inode) -> EntryAttributes:
        """Fill the attributes, and how long the kernel may remember them and the name."""
        attributes, payer = self._attributes, inode.payer
        if isinstance(inode, End):
            attributes.entry_timeout = 0 if inode.queue.mode & S_ISVTX else LONG_S
            attributes.attr_timeout = 0
        else:
            attributes.entry_timeout = 0
            attributes.attr_timeout = LONG_S
        attributes.st_ino = inode.ino
        attributes.st_mode = inode.mode
        attributes.st_nlink = inode.links
        attributes.st_uid = payer.uid
        attributes.st_gid = payer.gid
        attributes.st_size = inode.size
        attributes.st_blocks = inode.blocks
        attributes.st_atime_ns = inode.atime_ns
        attributes.st_mtime_ns = inode.mtime_ns
        attributes.st_ctime_ns = inode.ctime_ns
        return attributes

    def _open(self, message: Message, flags: int, *, bypass: bool) -> FileInfo:
        """Open a handle, past the page cache or not."""
        writes_past = bypass and flags & os.O_ACCMODE != os.O_RDONLY
        if writes_past:
            self._bypassing[message.ino] = self._bypassing.get(message.ino, 0) + 1
        self._tree.open(message)
        return FileInfo(message.ino << 1 | writes_past, bypass, not bypass)

    def _store(self, message: Message) -> None:
        """Give the kernel a message's content before it asks: that saves the request.

        It waits for the pages' locks, which are held while somebody waits for us to read or write;
        so nobody may have the message open.
        """
        ino, size = message.ino, message.size
        if not 0 < size <= STORE_BYTES or ino in self._stored:
            return
        self._stored.add(ino)
        now_ns = message.atime_ns if self._noatime else time.time_ns()
        with contextlib.suppress(OSError):  # then it asks
            pyfuse3.notify_store(ino, 0, _as_bytes(message.read(0, size, now_ns)))

    def _bury_all_in(self, directory: Root | Queue) -> None:
        """Let no dead process's queue be listed."""
        if self.dead and directory is self._tree.root:
            self._bury(list(self.dead))

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
            pyfuse3.invalidate_inode(inode.ino, attr_only=True)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise


def _masked(directory: Root | Queue, mode: Mode, ctx: Caller) -> Mode:
    """Apply the caller's umask, unless the directory passes an access control list on (acl(5))."""
    if directory.xattrs and acl.DEFAULT in directory.xattrs:
        return mode
    return Mode(mode & ~ctx.umask)


def _as_bytes(content: bytes | memoryview) -> bytes:
    """Hand over content to pyfuse3, which takes whatever has a buffer, without a copy."""
    return cast("bytes", content)
