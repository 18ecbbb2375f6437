"""What can go wrong with a queue, by the caller's situation; and which errno means which."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Self


class QueueError(OSError):
    """Something went wrong with a queue; all errors of the client are of this kind.

    `queue` is its path as it was given, `strerror` what is wrong, `remedy` what to do about it
    (perhaps ""), `errno` the system's number. Printed, it is one line with all but the number.

    `sent` is how many lines `send_lines` had sent before; else 0.
    """

    def __init__(self, number: int, what: str, queue: str, remedy: str = "") -> None:
        super().__init__(number, what, queue)
        self.queue = queue
        self.remedy = remedy
        self.sent = 0

    def __str__(self) -> str:
        said = f"{self.queue}: {self.strerror}"
        return f"{said}; {self.remedy}" if self.remedy else said


class NoSuchQueue(QueueError, FileNotFoundError):
    """There is nothing at the path."""


class QueueExists(QueueError, FileExistsError):
    """There is something at the path already."""


class NotEventfs(QueueError):
    """The path is no queue of an eventfs mount: something ordinary, or the mount's own root."""


class AccessDenied(QueueError, PermissionError):
    """The caller has no right to do that."""


class QueueFull(QueueError):
    """A limit of the user, the group, the queue or the mount is reached; nothing was changed."""


class MessageTooLarge(QueueError):
    """The message wouldn't fit if the queue were empty; nothing was changed."""


class QueueVanished(QueueError):
    """The queue was there when it was opened, and is gone, with its messages."""


class DaemonDied(QueueError):
    """The mount's daemon has ended, and all its queues with it."""


class QueueEmpty(QueueError, TimeoutError):
    """No message came in time."""


class QueueNotEmpty(QueueError, TimeoutError):
    """The messages weren't taken in time."""


class LeaseExpired(QueueError):
    """A claimed message was given back before the work was done, since its time was over."""


class CastIncomplete(QueueError):
    """Some queues didn't get the message: `errors` has one for each of them. The others got it."""

    errors: list[QueueError]

    @classmethod
    def of(cls, errors: Sequence[QueueError], count: int) -> Self:
        """Sum up what went wrong with some of *count* queues."""
        first = errors[0]
        what = f"{first.strerror} ({len(errors)} of {count} queues didn't get the message)"
        error = cls(first.errno or errno.EIO, what, first.queue, first.remedy)
        error.errors = list(errors)
        return error


class _Meaning(NamedTuple):
    kind: type[QueueError]
    what: str
    remedy: str = ""


_NO_RIGHT = _Meaning(
    AccessDenied,
    "no permission",
    "the queue's user can grant it by mode or access control list",
)
_DEAD = _Meaning(
    DaemonDied,
    "the eventfs that served it has ended",
    "mount it again and make the queues anew",
)
_VANISHED = _Meaning(
    QueueVanished,
    "it has vanished, with its messages",
    "its owner has ended, or somebody removed it: open it again when it is there again",
)
_MISSING = _Meaning(NoSuchQueue, "there is no such queue", "make it, or mount eventfs there first")

_MEANINGS = {
    errno.EEXIST: _Meaning(QueueExists, "it exists already", "open it, or use another name"),
    errno.ENOTDIR: _Meaning(
        NotEventfs, "it is no queue", "name a directory that was made in a mount of eventfs"
    ),
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EDQUOT: _Meaning(
        QueueFull, "a limit is reached", "take messages out, or have the limits raised"
    ),
    errno.ENOSPC: _Meaning(
        QueueFull, "the mount is full", "take messages out, or mount with a larger size"
    ),
    errno.EMSGSIZE: _Meaning(MessageTooLarge, "the message is too large", "send it in parts"),
    # As System V's message queues answer where the queue is removed (msgop(2)).
    errno.EIDRM: _VANISHED,
    errno.ESTALE: _VANISHED,
    errno.ENOTCONN: _DEAD,
    # To a request that the daemon had when it died.
    errno.ECONNABORTED: _DEAD,
    errno.EBADF: _Meaning(QueueError, "this object has been closed", "open the queue again"),
}


def meaning_of(
    error: OSError, queue: str, missing: type[NoSuchQueue | QueueVanished] = QueueVanished
) -> QueueError:
    """Say what a system call's error means for a queue; *missing* is what ENOENT means.

    What is said already stays as it is.
    """
    if isinstance(error, QueueError):
        return error
    number = error.errno or errno.EIO
    if number == errno.ENOENT:
        meaning = _VANISHED if missing is QueueVanished else _MISSING
    else:
        meaning = _MEANINGS.get(number) or _Meaning(QueueError, error.strerror or str(error))
    return meaning.kind(number, meaning.what, queue, meaning.remedy)


@contextmanager
def translated(
    queue: str, missing: type[NoSuchQueue | QueueVanished] = QueueVanished
) -> Iterator[None]:
    """Raise what the system calls inside raise as what it means for a queue (`meaning_of`)."""
    try:
        yield
    except QueueError:
        raise
    except OSError as error:
        raise meaning_of(error, queue, missing) from error
