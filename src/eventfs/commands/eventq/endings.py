"""What ends a command that holds a message: signals, and a reader of the output that goes away.

Neither may come between taking a message and printing it. So a signal is only noted, and what
waits looks whether there is one; and before the next message is taken, the output is asked for its
reader.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import PIPE_BUF, POLLIN, POLLOUT, poll
from types import FrameType, TracebackType
from typing import Protocol, Self, TypeVar

from eventfs import Queue, QueueEmpty
from eventfs.client.deadline import Deadline
from eventfs.commands.eventq import output
from eventfs.commands.eventq.outcome import Ended

_Taken = TypeVar("_Taken")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child(Protocol):
    """A process that works on a message."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, if it lives."""


class Endings:
    """Waits, and looks for what ends the command meanwhile (raises Ended); a context manager."""

    def __init__(self, *, printing: bool) -> None:
        """Look for signals, and for the reader of standard output where *printing*."""
        #: The signal that has come.
        self.number: int | None = None
        self._child: Child | None = None
        self._printing = printing
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def __enter__(self) -> Self:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # so it is an error of write
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and a shell's & have it
                signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in _SIGNALS:
            if signal.getsignal(number) == self._note:
                signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        # The next one ends us at once, where it is the terminal that doesn't let us go on.
        signal.signal(number, signal.SIG_DFL)
        self._pass_on()

    @contextmanager
    def passed_on_to(self, child: Child) -> Iterator[None]:
        """Let a child have the signals too, also one that has come just before."""
        self._child = child
        self._pass_on()
        try:
            yield
        finally:
            self._child = None

    def _pass_on(self) -> None:
        # A terminal's SIGINT goes to all in it, so the child has that already.
        if self._child is not None and self.number not in {None, signal.SIGINT}:
            self._child.send_signal(self.number)

    def check(self) -> None:
        """Raise Ended if there is something that ends the command."""
        if self.number is not None:
            raise Ended(self.number)
        if self._printing:
            reader = poll()
            reader.register(output.STDOUT, 0)
            if reader.poll(0):
                raise Ended(signal.SIGPIPE)

    def wait(self, fd: int, event: int, deadline: Deadline) -> None:
        """Wait for what poll(2) tells of *fd*, until the deadline."""
        poller = poll()
        poller.register(self._reader, POLLIN)
        if self._printing:
            poller.register(output.STDOUT, 0)
        poller.register(fd, event)
        while True:
            told = dict(poller.poll(deadline.left_ms()))
            # What can go on goes on: only who would have to wait is interrupted.
            if fd in told or deadline.is_past():
                return
            if told:
                self.check()

    def next_of(
        self, queue: Queue, take: Callable[[], _Taken], timeout_s: float | None
    ) -> _Taken | None:
        """Take a message by *take*, which doesn't wait; None if there was none in time."""
        deadline = Deadline(timeout_s)
        while True:
            self.check()
            try:
                return take()
            except QueueEmpty:
                if deadline.is_past():
                    return None
                self.wait(queue.fileno(), POLLIN, deadline)

    def print(self, data: bytes) -> None:
        """Print all of it; raises Ended, and output.OutputFailed, if that can't be."""
        view = memoryview(data)
        while view:
            self.wait(output.STDOUT, POLLOUT, Deadline(None))
            try:
                # So much never blocks where poll says that there is room.
                view = view[output.write(view[:PIPE_BUF]) :]
            except BrokenPipeError:
                raise Ended(signal.SIGPIPE) from None
