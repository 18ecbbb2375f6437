"""eventfs: a filesystem in which each directory is a message queue that belongs to a process.

`Queue` and `AsyncQueue` use the queues of any mount by plain file operations:

>>> from eventfs import Queue
>>> with Queue.create(root / "greetings") as queue:
...     queue.send(b"hello")
...     queue.receive(timeout=1).content
b'hello'
"""

from typing import TYPE_CHECKING

from eventfs.client.errors import (
    AccessDenied,
    CastIncomplete,
    DaemonDied,
    MessageTooLarge,
    NoSuchQueue,
    NotEventfs,
    QueueEmpty,
    QueueError,
    QueueExists,
    QueueFull,
    QueueNotEmpty,
    QueueVanished,
)
from eventfs.client.message import Message
from eventfs.client.stat import QueueStat

if TYPE_CHECKING:
    from eventfs.client.aio import AsyncQueue
    from eventfs.client.queue import Queue

__all__ = [
    "AccessDenied",
    "AsyncQueue",
    "CastIncomplete",
    "DaemonDied",
    "Message",
    "MessageTooLarge",
    "NoSuchQueue",
    "NotEventfs",
    "Queue",
    "QueueEmpty",
    "QueueError",
    "QueueExists",
    "QueueFull",
    "QueueNotEmpty",
    "QueueStat",
    "QueueVanished",
]


def __getattr__(name: str) -> object:
    """Load what takes time to load when somebody asks for it (PEP 562): asyncio takes 30 ms."""
    if name == "AsyncQueue":
        from eventfs.client.aio import AsyncQueue  # noqa: PLC0415  # as said above

        return AsyncQueue
    if name == "Queue":
        from eventfs.client.queue import Queue  # noqa: PLC0415

        return Queue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
