"""eventfs: a filesystem in which each directory is a message queue that belongs to a process.

`Queue` and `AsyncQueue` use the queues of any mount by plain file operations:

>>> from eventfs import Queue
>>> with Queue.create(root / "greetings") as queue:
...     queue.send(b"hello")
...     queue.receive(timeout=1).content
b'hello'
"""

from importlib import import_module
from typing import TYPE_CHECKING

from eventfs.client.errors import (
    AccessDenied,
    CastIncomplete,
    DaemonDied,
    LeaseExpired,
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
    from eventfs.client.claiming import ClaimedMessage
    from eventfs.client.queue import Queue

__all__ = [
    "AccessDenied",
    "AsyncQueue",
    "CastIncomplete",
    "ClaimedMessage",
    "DaemonDied",
    "LeaseExpired",
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


#: Which module has what takes time to load: asyncio takes 30 ms.
_LOADED_LATER = {"AsyncQueue": "aio", "ClaimedMessage": "claiming", "Queue": "queue"}


def __getattr__(name: str) -> object:
    """Load what takes time to load when somebody asks for it (PEP 562)."""
    if name not in _LOADED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"eventfs.client.{_LOADED_LATER[name]}"), name)
