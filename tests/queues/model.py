"""The model for `test_model`: plain lists, written the naive way."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from eventfs.queues.ledger import Uid
from eventfs.queues.message import Message
from eventfs.queues.queue import End, Owner, Queue
from eventfs.queues.xattrs import STICKY
from tests.queues.making import ATTRIBUTE, THEN

LINKS = (b"head", b"tail")


@dataclass(eq=False)
class ModelMessage:
    real: Message
    uid: Uid
    content: bytes = b""
    holds: int = 0
    opens: int = 0
    mtime_ns: int = THEN
    ctime_ns: int = THEN


class ModelName(NamedTuple):
    name: bytes
    message: ModelMessage
    #: Who made the name, and pays for it.
    maker: Uid


@dataclass(eq=False)
class ModelQueue:
    real: Queue
    name: bytes
    uid: Uid
    owner: Owner | None
    isvtx: bool
    messages: list[ModelName] = field(default_factory=list)
    #: What its creators haven't closed yet.
    unfinished: list[ModelName] = field(default_factory=list)
    #: The attribute's value, where it is set.
    sticky: bytes | None = None
    vanished: bool = False
    holds: int = 0
    mtime_ns: int = THEN
    ctime_ns: int = THEN

    def shown(self, name: bytes) -> int | None:
        """Return where the message stands that is found as *name*."""
        if name in LINKS and self.messages:
            return 0 if name == b"head" else len(self.messages) - 1
        return next((i for i, other in enumerate(self.messages) if other.name == name), None)

    def unfinished_named(self, name: bytes) -> ModelName | None:
        return next((other for other in self.unfinished if other.name == name), None)

    def end_uid(self, viewer: Uid) -> Uid:
        """Return whom the links belong to in somebody's eyes."""
        return viewer if self.isvtx else self.uid


@dataclass(eq=False)
class ModelEnd:
    """A link that somebody holds."""

    real: End
    queue: ModelQueue
    name: bytes
    uid: Uid
    holds: int = 0


ModelInode = ModelQueue | ModelMessage | ModelEnd


@dataclass
class Model:
    #: All that there ever were.
    queues: list[ModelQueue] = field(default_factory=list)
    messages: list[ModelMessage] = field(default_factory=list)
    ends: list[ModelEnd] = field(default_factory=list)
    root_mtime_ns: int = THEN

    def in_root(self) -> list[ModelQueue]:
        return [queue for queue in self.queues if not queue.vanished]

    def known_queues(self) -> list[ModelQueue]:
        """Those that a request may be about."""
        return [queue for queue in self.queues if not queue.vanished or queue.holds]

    def links(self, message: ModelMessage) -> int:
        return sum(
            name.message is message
            for queue in self.queues
            for name in (*queue.messages, *queue.unfinished)
        )

    def is_unfinished(self, message: ModelMessage) -> bool:
        return any(name.message is message for _, name in self.unfinished())

    def unfinished(self) -> list[tuple[ModelQueue, ModelName]]:
        return [(queue, name) for queue in self.queues for name in queue.unfinished]

    def known_messages(self) -> list[ModelMessage]:
        return [
            message
            for message in self.messages
            if self.links(message) or message.holds or message.opens
        ]

    def held(self) -> list[ModelInode]:
        everything: list[ModelInode] = [*self.queues, *self.messages, *self.ends]
        return [inode for inode in everything if inode.holds]

    def charges(self) -> dict[Uid, tuple[int, int, int]]:
        """Count the queues, the names and the bytes that each user is charged for."""
        dirs: defaultdict[Uid, int] = defaultdict(int)
        files, count_bytes = dirs.copy(), dirs.copy()
        for queue in self.in_root():
            dirs[queue.uid] += 1
            if queue.sticky is not None:
                count_bytes[queue.uid] += len(STICKY) + len(queue.sticky) + ATTRIBUTE
            for name in (*queue.messages, *queue.unfinished):
                files[name.maker] += 1
        for message in self.messages:
            if self.links(message) or message.opens:
                count_bytes[message.uid] += len(message.content)
        users = {*dirs, *files, *count_bytes}
        return {uid: (dirs[uid], files[uid], count_bytes[uid]) for uid in users}
