"""How a command ends: the exit statuses, and the line that says why."""

import os
import signal
from enum import IntEnum

from eventfs import (
    AccessDenied,
    CastIncomplete,
    DaemonDied,
    LeaseExpired,
    MessageTooLarge,
    NoSuchQueue,
    NotEventfs,
    Queue,
    QueueEmpty,
    QueueError,
    QueueFull,
    QueueNotEmpty,
    QueueVanished,
)
from eventfs.commands.eventq import output


class Status(IntEnum):
    """Exit statuses, as `eventq --help` lists them."""

    DONE = 0
    NOTHING = 1
    USAGE = 2
    NO_QUEUE = 3
    FULL = 4
    DENIED = 5
    NO_EVENTFS = 6
    VANISHED = 7
    TOO_LARGE = 8
    DIED = 9
    FAILED = 10
    COMMAND_FAILED = 11
    TOO_LATE = 12


#: The first that fits counts.
_STATUSES: tuple[tuple[type[QueueError], Status], ...] = (
    (QueueEmpty, Status.NOTHING),
    (QueueNotEmpty, Status.NOTHING),
    (NoSuchQueue, Status.NO_QUEUE),
    (MessageTooLarge, Status.TOO_LARGE),
    (QueueFull, Status.FULL),
    (AccessDenied, Status.DENIED),
    (NotEventfs, Status.NO_EVENTFS),
    (QueueVanished, Status.VANISHED),
    (DaemonDied, Status.DIED),
    (LeaseExpired, Status.TOO_LATE),
)


class Complaint(Exception):
    """A command can't go on; the message says why and what to do."""

    def __init__(self, message: str, status: Status = Status.FAILED) -> None:
        super().__init__(message)
        self.status = status


class Ended(Exception):
    """A signal has ended the command, or would have if it weren't held up until all is in order."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def status_of(error: QueueError) -> Status:
    """Return the exit status for what went wrong with a queue."""
    if isinstance(error, CastIncomplete):
        return status_of(error.errors[0])
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), Status.FAILED)


def report(error: QueueError) -> Status:
    """Say what went wrong with a queue, a line for each; return the exit status."""
    if isinstance(error, CastIncomplete):
        for one in error.errors:
            report(one)
    # That nothing came in time is what the status is for: nobody has to be told in words.
    elif not isinstance(error, QueueEmpty | QueueNotEmpty):
        output.complain(str(error))
    return status_of(error)


def raise_end(queue: Queue) -> None:
    """Raise why poll says that a queue is at its end: it has vanished, or its daemon has died."""
    # To take what isn't there any more is what tells the two apart.
    queue.receive(0)


def die_of(number: int) -> int:
    """End as by a signal, so that a shell knows to stop too; return a status if that fails."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The first process of a container doesn't die of signals that nobody handles.
    return 128 + number
