"""The event loop behind pyfuse3: it waits for requests and for owners' deaths.

pyfuse3 takes its event loop from its module attribute `trio`, which `pyfuse3.asyncio.enable` also
replaces. `install` puts an object there that is trio but for three things:

- `lowlevel.wait_readable` waits for the FUSE descriptor and for deaths, and hands over the deaths
  first. A process that waited for its child's death and then asks for the child's queue must not
  find it; the pidfd was readable before its request was sent.
- It never gives way to trio, and `Lock` doesn't either: there is one task, which reads, answers and
  waits. It polls for a while before it sleeps, since to wake a sleeping processor takes some 100 us
  and most clients ask again within 50. Whoever else wants this processor gets it meanwhile.
- `lowlevel.notify_closing` ends the waiting from any thread.

With the first request, the function of pyfuse3 that waits is replaced too: `wait_request` says the
same sooner, which makes some 5 % more messages on one CPU and 10 % where client and daemon move.

`make bench` shows what it is worth: in the column "eventfs on plain trio" trio waits for each
request, in "no polling" this loop does without polling.

When pyfuse3 changes, look at which attributes of `trio` its `__init__.pyx` and `internal.pxi` use.
"""

import os
import select
from collections.abc import Callable, Generator, Sized
from queue import SimpleQueue
from time import monotonic_ns
from types import SimpleNamespace

import pyfuse3
import trio

from eventfs.mount.owners import Owners
from eventfs.queues.queue import Owner

#: How long to poll before sleeping, unless an option says otherwise.
SPIN_NS = 50_000

#: The descriptors that are waited for: FUSE, owners, waking.
_SOURCES = 3


class Reader:
    """Waits for whichever comes first: a request, a death, or somebody's call."""

    def __init__(
        self,
        owners: Owners,
        on_deaths: Callable[[list[Owner]], None],
        backlog: Sized,
        spin_ns: int = SPIN_NS,
    ) -> None:
        """Make a reader that polls *spin_ns* before it sleeps.

        It hands deaths to *on_deaths*, and calls it again as long as there is a *backlog*.
        """
        self._owners = owners
        self._on_deaths = on_deaths
        self._backlog = backlog
        self._spin_ns = spin_ns
        self._owners_fd = owners.fileno()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ended = False
        self._epoll = select.epoll()
        self._epoll.register(self._owners_fd, select.EPOLLIN)
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._fuse_fd = -1
        # What polling returns when there is a request and nothing else.
        self._only_request: list[tuple[int, int]] | None = None

    def install(self) -> None:
        """Become pyfuse3's event loop."""
        pyfuse3.trio = SimpleNamespace(  # type: ignore[attr-defined]
            ClosedResourceError=trio.ClosedResourceError,
            Lock=_FreeLock,
            from_thread=trio.from_thread,
            lowlevel=SimpleNamespace(
                current_task=trio.lowlevel.current_task,
                current_trio_token=trio.lowlevel.current_trio_token,
                notify_closing=self._end,
                wait_readable=self.wait_readable,
            ),
            open_nursery=trio.open_nursery,
        )

    def wait_readable(self, fuse_fd: int) -> "_Done":
        """Return when there is a request, all deaths before it handed over.

        Raises trio.ClosedResourceError when the session is to end.
        """
        if fuse_fd != self._fuse_fd:
            self._register(fuse_fd)
            # Whoever calls this gets there by four coroutines, for each request. Should pyfuse3
            # change, it goes on to call this.
            pyfuse3._wait_fuse_readable = self.wait_request  # type: ignore[attr-defined]  # noqa: SLF001
        self._wait(self._epoll.poll(0, _SOURCES))
        return _DONE

    async def wait_request(self) -> bool:
        """As `wait_readable`, in the place of what calls it; False when the session is to end."""
        events = self._epoll.poll(0, _SOURCES)
        if events != self._only_request or self._backlog:
            try:
                self._wait(events)
            except trio.ClosedResourceError:
                return False
        return True

    def _register(self, fuse_fd: int) -> None:
        # EPOLLERR, which a vanished mount shows, is always reported.
        self._epoll.register(fuse_fd, select.EPOLLIN)
        self._fuse_fd = fuse_fd
        self._only_request = [(fuse_fd, select.EPOLLIN)]

    def _wait(self, events: list[tuple[int, int]]) -> None:
        while True:
            if not events and not self._backlog:
                events = self._poll_awhile() or self._epoll.poll()
            ready = {fd for fd, _ in events}
            if self._wake_fd in ready:
                os.eventfd_read(self._wake_fd)
                while not self._calls.empty():
                    self._calls.get()()
            if self._ended:
                raise trio.ClosedResourceError
            if self._owners_fd in ready or self._backlog:
                self._on_deaths(self._owners.deaths())
            if self._fuse_fd in ready:
                return
            events = self._epoll.poll(0, _SOURCES)

    def _poll_awhile(self) -> list[tuple[int, int]]:
        """Poll without sleeping, for as long as is worth it; return what was found."""
        poll = self._epoll.poll
        end_ns = monotonic_ns() + self._spin_ns
        while monotonic_ns() < end_ns:
            os.sched_yield()
            if events := poll(0, _SOURCES):
                return events
        return []

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call *function* between two requests; safe in any thread."""
        self._calls.put(function)
        os.eventfd_write(self._wake_fd, 1)

    def _end(self, _fd: int) -> None:
        self._ended = True
        os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """Give the descriptors back."""
        self._epoll.close()
        os.close(self._wake_fd)


class _Done:
    """What there is nothing to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        return iter(())  # type: ignore[return-value]  # it is never sent anything


_DONE = _Done()


class _FreeLock:
    """A lock that nobody else wants."""

    def __aenter__(self) -> _Done:
        return _DONE

    def __aexit__(self, *exc: object) -> _Done:
        return _DONE
