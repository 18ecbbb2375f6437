"""The loop that reads requests, has them answered, and looks for owners' deaths.

It is written for the time that a request takes, since a request is a round trip that somebody waits
for:

- It reads without waiting, and polls for a while before it sleeps: to wake a sleeping processor
  takes some 100 us, and most clients ask again within 50. Whoever else wants this processor gets it
  meanwhile.
- It speaks the kernel's protocol itself (`wire`), which is worth 12 % more messages on one CPU than
  to have pyfuse3 and libfuse do it; with a handler that does nothing, a request took 13 us through
  this loop and 12 us through a C server.

Deaths come first: a process that waited for its child's death and then asks for the child's queue
must not find it. The pidfd is readable before the parent's wait() returns, so before its request is
sent; deaths are looked for after the request was read and before it is answered.
"""

import errno
import logging
import os
import select
from collections.abc import Callable
from os import sched_yield
from queue import SimpleQueue
from time import monotonic_ns
from typing import Final, Protocol

from eventfs.mount import device, wire
from eventfs.mount.connection import Connection
from eventfs.mount.errnos import ERRNOS, Failed
from eventfs.mount.owners import Owners
from eventfs.mount.ports import PortHandle
from eventfs.queues.errors import LimitReached, MountFull, Refused
from eventfs.queues.inode import Ino
from eventfs.queues.ledger import Gid, Uid
from eventfs.queues.queue import Owner, Tid
from eventfs.queues.timers import Timers
from eventfs.queues.tree import Change

log = logging.getLogger(__name__)

#: How long to poll before sleeping, unless an option says otherwise.
SPIN_NS: Final = 50_000

#: The longest time that is slept for: longer ones don't fit into a system call's argument. A day.
_LONG_NS: Final = 24 * 3600 * 10**9

#: How many requests are answered before deaths, calls and times are looked for in any case.
BETWEEN_LOOKS: Final = 32

#: The descriptors that are waited for: FUSE, owners, waking.
_SOURCES: Final = 3

#: What these are about doesn't vanish with a queue: an open message, or what the kernel has looked
#: up in the same system call. All other requests look for deaths first.
_DEATHLESS: Final = frozenset(
    (
        *("create", "mknod", "link", "open"),
        *("read", "write", "flush", "release", "releasedir", "forget"),
    )
)

#: What reading the descriptor may fail with, to be tried again (libfuse's list).
_AGAIN: Final = (errno.EINTR, errno.ENOENT)

#: What says that there is no mount any more: somebody has unmounted it, or aborted its connection.
_GONE: Final = (errno.ENODEV, errno.ECONNABORTED, errno.ENOTCONN)

# What is Final mypyc doesn't look up again.
_receive: Final = device.receive
_send: Final = device.answer


class Server(Protocol):
    """What answers the requests."""

    #: What answers those of each opcode.
    handlers: list[wire.Handler]
    #: How many requests of each opcode there have been.
    requests: list[int]
    #: Dead owners whose queues are still to vanish.
    dead: dict[Owner, None]
    #: Those who wait for room in a queue.
    short: set[PortHandle]
    #: What the kernel is still to be told of.
    changes: list[Change]
    #: When there is something to do that nobody asks for, by time.monotonic_ns().
    timers: Timers

    def look_at_time(self) -> None:
        """Do what is due by now."""

    def tell(self) -> None:
        """Tell the kernel of what has changed without its doing."""

    def owners_died(self, owners: list[Owner]) -> None:
        """Take deaths, and let the queues of some of the dead vanish."""

    def look_for_room(self) -> None:
        """Wake those who wait for room that there is by now."""

    def bury_all(self) -> None:
        """Let the queues of all dead owners vanish."""

    def settle(self, request: wire.Request, opcode: int) -> None:
        """Let vanish first what a request is about."""


class Reader:
    """Reads requests until it is told to end or the mount is gone."""

    def __init__(
        self,
        connection: Connection,
        owners: Owners,
        server: Server,
        spin_ns: int = SPIN_NS,
    ) -> None:
        """Make a reader that polls *spin_ns* before it sleeps, and not at all where that is 0."""
        self._fuse_fd = connection.fd
        self._owners = owners
        self._server = server
        self._timers = server.timers
        self._spin_ns = spin_ns
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        #: Whether the mount is gone, or `end` was called.
        self.ended = False
        self._epoll = select.epoll()
        for fd in (self._fuse_fd, owners.fileno(), self._wake_fd):
            self._epoll.register(fd, select.EPOLLIN)
        self._only_a_request = [(self._fuse_fd, select.EPOLLIN)]
        self._request = wire.Request()
        opcodes = range(wire.OPCODES)
        self._looks = [wire.kind(opcode) not in _DEATHLESS for opcode in opcodes]

    def fileno(self) -> int:
        """Return a descriptor that polls as readable when there is something to do."""
        return self._epoll.fileno()

    def run(self) -> None:
        """Answer requests until the end."""
        while not self.ended:
            # `events` also lets the other threads run, which no answer does; see `device`.
            events = self.events() if self.answer(BETWEEN_LOOKS) else self.wait()
            if (
                events != self._only_a_request
                or self._server.dead
                or self._timers.next_ns <= monotonic_ns()
            ):
                self.look(events)

    def answer(self, count: int) -> bool:
        """Answer up to *count* of the requests that are there; False when there are no more."""
        try:
            return self._answer(count)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self.ended = True
            return False

    def wait(self) -> list[tuple[int, int]]:
        """Wait until there is something to do; return what, as epoll tells it."""
        if self.ended or self._server.dead:
            return []
        due_ns = self._timers.next_ns
        now_ns = monotonic_ns()
        end_ns = min(now_ns + self._spin_ns, due_ns)
        while now_ns < end_ns:
            if events := self.events():
                return events
            sched_yield()
            now_ns = monotonic_ns()
        # Without end where nothing is due for longer than that.
        timeout_ns = max(0, due_ns - now_ns)
        return self._epoll.poll(-1 if timeout_ns > _LONG_NS else timeout_ns / 10**9, _SOURCES)

    def events(self) -> list[tuple[int, int]]:
        """Return what there is to do now."""
        return self._epoll.poll(0, _SOURCES)

    def look(self, events: list[tuple[int, int]]) -> None:
        """Do what isn't a request's affair: calls from other threads, deaths."""
        if any(fd == self._wake_fd for fd, _ in events):
            os.eventfd_read(self._wake_fd)
        while not self._calls.empty():
            self._calls.get()()
        deaths = self._owners.deaths()
        if deaths or self._server.dead:
            self._server.owners_died(deaths)
        if self._timers.next_ns <= monotonic_ns():
            self._server.look_at_time()
        if self._server.short:
            self._server.look_for_room()

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call *function* between two requests; safe in any thread."""
        self._calls.put(function)
        os.eventfd_write(self._wake_fd, 1)

    def end(self) -> None:
        """Return from `run` before the next request; safe in any thread."""
        self.call_soon(self._end)

    def close(self) -> None:
        """Give the descriptors back."""
        self._epoll.close()
        os.close(self._wake_fd)

    def _end(self) -> None:
        self.ended = True

    def _answer(self, count: int) -> bool:  # noqa: C901  # a call costs as much
        """Answer up to *count* requests; False when there are no more.

        The hot path. What is looked up here once isn't looked up for each request.
        """
        fuse_fd, request, buffer = self._fuse_fd, self._request, self._request.buffer
        look_for_deaths = self._owners.deaths
        server = self._server
        handlers, requests = server.handlers, server.requests
        dead, short, changes = server.dead, server.short, server.changes
        looks = self._looks
        for _ in range(count):
            try:
                header = _receive(fuse_fd, buffer)
            except OSError as error:
                if error.errno in _AGAIN:
                    continue
                raise
            if header is None:
                return False
            request.length, opcode, unique, ino, uid, gid, tid = header
            request.ino, request.uid = Ino(ino), Uid(uid)
            request.gid, request.tid = Gid(gid), Tid(tid)
            requests[opcode] += 1
            try:
                if looks[opcode] and (deaths := look_for_deaths()):
                    server.owners_died(deaths)
                if dead:
                    server.settle(request, opcode)
                answer = handlers[opcode](request)
                if changes:
                    server.tell()
                if short:
                    server.look_for_room()
            except Exception as error:  # noqa: BLE001  # it is logged there
                answer = self._refuse(opcode, unique, error)
            if answer is None:
                continue
            _send(fuse_fd, unique, 0, answer)
        return True

    def _bury_all(self) -> bool:
        """Let the queues of all who are dead by now vanish; tell whether there were any."""
        if deaths := self._owners.deaths():
            self._server.owners_died(deaths)
        elif not self._server.dead:
            return False
        self._server.bury_all()
        return True

    def _refuse(self, opcode: int, unique: int, error: Exception) -> wire.Answer:
        """Answer with an errno, unless it is time to try again: then return the answer.

        A refusal has an errno. Anything unexpected is logged and answered EIO.
        """
        if isinstance(error, LimitReached | MountFull) and self._bury_all():
            # What the dead had counts no more.
            try:
                return self._server.handlers[opcode](self._request)
            except Exception as still:  # noqa: BLE001  # as above
                error = still.with_traceback(None)  # which would refer to this frame, and to itself
        if isinstance(error, Refused):
            number = ERRNOS[type(error)]
        elif isinstance(error, Failed):
            number = error.errno
        elif isinstance(error, MemoryError):
            number = errno.ENOMEM
        else:
            log.error("%s failed: answered EIO", wire.kind(opcode), exc_info=error)
            number = errno.EIO
        _send(self._fuse_fd, unique, number, b"")
        return None
