"""The ports as the kernel sees them: files that are read, written and polled.

A port's handle is a stream that goes past the page cache: it has no offset, and each call is a
request. (Through the cache the kernel would gather the parts of any writev(2); but it would cut a
write where the client's memory isn't resident, and show what was written to whoever has mapped the
port.) A read that is none of read(2)'s, but for a page of a mapping, has no lock owner, and is
refused: it would take a message.
"""

import contextlib
import errno
import select
from collections.abc import Callable
from os import O_ACCMODE, O_APPEND, O_NONBLOCK, O_RDONLY, O_WRONLY
from typing import Final

from eventfs.mount import closing, wire
from eventfs.mount.clock import clock_ns
from eventfs.mount.connection import Connection
from eventfs.mount.errnos import Failed
from eventfs.mount.wire import Handle, Request
from eventfs.queues import ports
from eventfs.queues.errors import LimitReached, MessageTooLong, QueueGone, Refused
from eventfs.queues.names import LINES
from eventfs.queues.queue import Port, Queue, Tid
from eventfs.queues.tree import Tree

#: The first handle of a port: messages' are smaller.
FIRST_HANDLE: Final = 2

_READABLE: Final = select.POLLIN | select.POLLRDNORM
_WRITABLE: Final = select.POLLOUT | select.POLLWRNORM


#: What was taken, where that is nothing or nothing that anybody knows.
_NONE: Final[list[ports.Taken]] = []


class PortHandle:
    """An open port.

    `rest` is the beginning of a line whose end is still to be written, by the thread `writer`. It
    is charged to the user.
    """

    __slots__ = ("_connection", "flags", "kernels", "lines", "queue", "rest", "user", "writer")

    def __init__(self, port: Port, user: ports.User, flags: int, connection: Connection) -> None:
        """Open *port* for *user*."""
        self.queue: Queue = port.queue
        self.lines = port.name == LINES
        self.user = user
        self.flags = flags
        self.rest = b""
        self.writer = Tid(0)
        # The kernel's number for this handle, by which those who poll it are woken.
        self.kernels = 0
        self._connection = connection

    @property
    def reads(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & O_ACCMODE != O_WRONLY

    @property
    def writes(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & O_ACCMODE != O_RDONLY

    def wake(self) -> None:
        """Have those who poll look again; once, until they have looked."""
        self.queue.waiters.discard(self)
        with contextlib.suppress(OSError):  # then the mount is going, and they are told of that
            self._connection.wake(self.kernels)


class Ports:
    """The open ports of a mount."""

    def __init__(
        self,
        tree: Tree,
        connection: Connection,
        on_traffic: Callable[[Queue, list[ports.Taken]], None],
        *,
        tells_kills: bool,
    ) -> None:
        """Open none yet.

        *on_traffic* is told of each queue whose messages have changed, and of those that were taken
        and that the kernel may know.
        With *tells_kills* the beginning of a line goes with its writer who is killed.
        """
        #: Handles that are polled for room where there was none.
        self.short: set[PortHandle] = set()
        self._tree = tree
        self._connection = connection
        self._on_traffic = on_traffic
        self._tells_kills = tells_kills
        #: Unlike an open message, an open port goes with its queue.
        self.handles: dict[Handle, PortHandle] = {}
        self._last = FIRST_HANDLE - 1

    def open(self, port: Port, flags: int, request: Request) -> bytes:
        """Open a port. O_TRUNC, O_APPEND and O_CREAT do nothing."""
        queue = port.queue
        uid, gid, tid = request.uid, request.gid, request.tid
        umask, overrides = 0, False
        if flags & O_ACCMODE != O_RDONLY:
            umask = self._tree.threads.umask(tid)
        if flags & O_ACCMODE != O_WRONLY:
            overrides = self._tree.threads.owns_all(tid, queue.uid, queue.gid)
        user = ports.User(uid, gid, umask, self._tree.ledger.payer(uid, gid), overrides=overrides)
        self._last += 1
        self.handles[Handle(self._last)] = PortHandle(port, user, flags, self._connection)
        port.holds += 1
        how = wire.FOPEN_DIRECT_IO | wire.FOPEN_NONSEEKABLE | wire.FOPEN_STREAM
        if not (self._tells_kills and port.name == LINES):
            how |= wire.FOPEN_NOFLUSH
        return wire.OPEN_OUT.pack(self._last, how)

    def read(
        self, handle: PortHandle, offset: int, size: int, read_flags: int, flags: int
    ) -> bytes:
        """Take the oldest message, or as many lines as fit."""
        queue, user = handle.queue, handle.user
        if not read_flags & wire.READ_LOCKOWNER:
            raise Failed(errno.EIO)
        if handle.lines:
            content, known = ports.take_lines(self._tree, queue, size, user, clock_ns())
            if not content and flags & O_NONBLOCK:
                raise Failed(errno.EAGAIN)
        elif offset:
            # The rest of a buffer that the kernel hands over in pieces: a call is one message.
            return b""
        else:
            taken = ports.take(self._tree, queue, size, user, clock_ns())
            if taken is None:
                if flags & O_NONBLOCK:
                    raise Failed(errno.EAGAIN)
                return b""
            content = taken.content
            known = _NONE if taken.message is None else [taken]
        if known or queue.shown:
            self._on_traffic(queue, known)
        return content

    def write(self, handle: PortHandle, offset: int, data: bytes, tid: Tid) -> bytes:
        """Append a message, or a message for each line."""
        queue = handle.queue
        if handle.lines:
            handle.writer = tid
            written = self._write_lines(handle, data)
        elif offset and not handle.flags & O_APPEND:
            # The next piece of so many parts that the kernel has cut them.
            raise MessageTooLong
        else:
            ports.put(self._tree, queue, data, handle.user, clock_ns())
            written = len(data)
        if queue.shown:
            self._on_traffic(queue, _NONE)
        return wire.WRITE_OUT.pack(written)

    def poll(self, fh: Handle, request: Request) -> bytes:
        """Tell what is ready, and have those who wait woken by what changes that."""
        _, kernels, flags = wire.POLL_IN.unpack_from(request.body)
        handle = self.handles[fh]
        queue = handle.queue
        ready = 0
        if not queue.links:
            ready |= select.POLLHUP
        if handle.reads and len(queue):
            ready |= _READABLE
        has_room = handle.writes and ports.has_room(self._tree, queue, handle.user)
        if has_room:
            ready |= _WRITABLE
        if flags & wire.POLL_SCHEDULE_NOTIFY:
            handle.kernels = kernels
            queue.waiters.add(handle)
            if handle.writes and not has_room:
                self.short.add(handle)
        return wire.POLL_OUT.pack(ready)

    def look_for_room(self) -> None:
        """Wake those who wait for room, where there is some by now."""
        for handle in list(self.short):
            if not handle.queue.links or ports.has_room(self._tree, handle.queue, handle.user):
                self.short.remove(handle)
                handle.wake()

    def flush(self, fh: Handle, tid: Tid) -> None:
        """Forget the beginning of a line if its writer closes the port since it is killed."""
        handle = self.handles[fh]
        if (
            handle.rest
            and closing.is_killed(tid)
            and (tid == handle.writer or self._tree.threads.same_process(tid, handle.writer))
        ):
            self._charge_rest(handle, b"")

    def release(self, fh: Handle) -> None:
        """Close a port; the rest of a line is a message now, if there is room for it."""
        handle = self.handles.pop(fh)
        queue, rest = handle.queue, handle.rest
        queue.waiters.discard(handle)
        self.short.discard(handle)
        if not rest:
            return
        self._charge_rest(handle, b"")
        try:
            ports.put(self._tree, queue, rest, handle.user, clock_ns())
        except Refused:
            queue.dropped += 1
        if queue.shown:
            self._on_traffic(queue, [])

    def _write_lines(self, handle: PortHandle, data: bytes) -> int:
        """Return how many bytes of *data* are in."""
        before = handle.rest
        *lines, rest = (before + data).split(b"\n")
        counted = 0
        if lines:
            self._charge_rest(handle, b"")
            try:
                count = ports.put_lines(self._tree, handle.queue, lines, handle.user, clock_ns())
            except Refused:
                self._charge_rest(handle, before)
                raise
            counted = sum(map(len, lines[:count])) + count - len(before)
            if count < len(lines):
                return counted
        try:
            self._keep_rest(handle, rest)
        except Refused:
            if not counted:
                raise
            return counted
        return len(data)

    def _keep_rest(self, handle: PortHandle, rest: bytes) -> None:
        """Keep the beginning of a line (QueueGone, MessageTooLong, LimitReached, MountFull)."""
        growth = len(rest) - len(handle.rest)
        if not growth:
            return
        if not handle.queue.links:
            raise QueueGone
        if len(rest) > ports.MAX_MESSAGE_BYTES:
            raise MessageTooLong
        self._tree.ledger.check_stored(growth)
        if not handle.user.payer.has_room(files=0, count_bytes=growth):
            raise LimitReached
        self._charge_rest(handle, rest)

    def _charge_rest(self, handle: PortHandle, rest: bytes) -> None:
        growth = len(rest) - len(handle.rest)
        handle.rest = rest
        handle.user.payer.charge_bytes(growth)
        self._tree.ledger.stored_bytes += growth
