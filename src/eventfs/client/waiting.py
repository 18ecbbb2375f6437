"""What both ways of waiting share: how often to look where nothing tells, and how they give up."""

import errno
from collections.abc import Iterator

from eventfs.client.errors import QueueEmpty, QueueNotEmpty

#: How long to pause between two looks, in seconds, at first and at most.
_FIRST_PAUSE_S = 0.001
_MAX_PAUSE_S = 0.05


def pauses() -> Iterator[float]:
    """Return how long to pause after each look, without end, in seconds."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _MAX_PAUSE_S)


def empty(queue: str, timeout_s: float | None) -> QueueEmpty:
    """Say that no message came."""
    return QueueEmpty(errno.ETIMEDOUT, f"no message{_within(timeout_s)}", queue)


def not_empty(queue: str, count: int, timeout_s: float | None) -> QueueNotEmpty:
    """Say that messages are still there."""
    what = f"{count} messages are still there or claimed{_after(timeout_s)}"
    return QueueNotEmpty(errno.ETIMEDOUT, what, queue, "see whether anybody receives")


def _within(timeout_s: float | None) -> str:
    return f" within {timeout_s:g} s" if timeout_s else ""


def _after(timeout_s: float | None) -> str:
    return f" after {timeout_s:g} s" if timeout_s else ""
