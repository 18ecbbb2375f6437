"""The model for `test_model`: queues, loans, limits and followers as lists that are searched.

Rules are as docs/rules.md tells them, refusals in the order in which the kernel and the daemon
look. Time limits aren't here.
"""

import stat
from dataclasses import dataclass, field
from errno import (
    EACCES,
    EAGAIN,
    EDQUOT,
    EEXIST,
    EINVAL,
    ELOOP,
    EMSGSIZE,
    ENODATA,
    ENOENT,
    ENOTEMPTY,
    EPERM,
    errorcode,
)
from pathlib import Path

from tests.mount.leases.acting import Process

ROOT = 0

ENDS = ("head", "tail")
PORTS = (".pipe", ".lines")
RESERVED = (*ENDS, *PORTS)

READ, WRITE, SEARCH = 4, 2, 1

#: Who doesn't own a file, and may not read and write it, may not link it (proc_sys_fs(5)).
HARDLINKS_ARE_PROTECTED = Path("/proc/sys/fs/protected_hardlinks").read_text() != "0\n"


class Refused(Exception):
    """A system call is refused, with the errno whose name this is."""

    def __init__(self, number: int) -> None:
        super().__init__(errorcode[number])


def may(uid: int, rights: int, thing: "Message | Queue") -> bool:
    """Tell whether a user may do that; no user is in another's group."""
    if uid == ROOT:
        return True
    return thing.mode >> (6 if uid == thing.uid else 0) & rights == rights


@dataclass(eq=False)
class Message:
    uid: int
    mode: int
    content: bytes = b""
    #: None until somebody has looked at it.
    ino: int | None = None
    #: How often it had returned when it last did, since it was moved for good.
    attempts: int = 0


@dataclass(eq=False)
class Loan:
    """Where a message came from: what it goes back to, and as what."""

    source: "Queue"
    name: str | None
    place: int


@dataclass(eq=False)
class Name:
    """A message in a queue; its name is None until somebody has looked, where the daemon chose."""

    name: str | None
    message: Message
    #: Its place in the order.
    place: int = 0
    #: How often it has returned to this queue, or to that which it is on loan from.
    attempts: int = 0
    loan: Loan | None = None


@dataclass(eq=False)
class Queue:
    name: str
    uid: int
    mode: int
    owner: "Process | None"
    names: list[Name] = field(default_factory=list)
    #: What has been set, without PREFIX.
    attributes: dict[str, str] = field(default_factory=dict)
    sources: list["Queue"] = field(default_factory=list)
    followers: list["Queue"] = field(default_factory=list)
    dead_letter: "Queue | None" = None
    dropped: int = 0
    vanished: bool = False

    @property
    def keeps(self) -> bool:
        return self.attributes.get("keep") != "no"

    @property
    def drops(self) -> bool:
        return self.attributes.get("overflow") == "drop-oldest"

    @property
    def bytes(self) -> int:
        return sum(len(name.message.content) for name in self.names)

    def limit(self, attribute: str) -> float:
        return float(self.attributes.get(attribute, "inf"))

    def find(self, name: str) -> Name | None:
        return next((one for one in self.names if one.name == name), None)

    def shows(self, name: str) -> bool:
        if name in ENDS:
            return bool(self.names)
        return name in PORTS or self.find(name) is not None

    def end(self, name: str) -> Name | None:
        if not self.names:
            return None
        return self.names[0 if name == "head" else -1]

    @property
    def loans(self) -> list[Name]:
        return [name for name in self.names if name.loan is not None]

    def is_full_for(self, size: int, replaced: Name | None = None) -> bool:
        """Tell whether a message doesn't fit, also if all is dropped that isn't on loan."""
        if not self.keeps:
            return False
        there = [
            name for name in (self.loans if self.drops else self.names) if name is not replaced
        ]
        count_bytes = sum(len(name.message.content) for name in there)
        is_more = replaced is None
        return (is_more and len(there) + 1 > self.limit("max_messages")) or (
            count_bytes + size > self.limit("max_bytes")
        )

    def trim(self, spared: Message | None = None) -> None:
        """Drop the oldest, but for what is on loan or written to, while there are too many."""
        while self.drops and (
            len(self.names) > self.limit("max_messages") or self.bytes > self.limit("max_bytes")
        ):
            candidates = (name for name in self.names if name.loan is None)
            oldest = next((name for name in candidates if name.message is not spared), None)
            if oldest is None:
                break
            self.names.remove(oldest)
            self.dropped += 1

    # What the kernel checks

    def check_search(self, uid: int) -> "Queue":
        if not may(uid, SEARCH, self):
            raise Refused(EACCES)
        return self

    def check_change(self, uid: int) -> None:
        if not may(uid, WRITE | SEARCH, self):
            raise Refused(EACCES)

    def check_removal(self, uid: int, name: str) -> None:
        """With S_ISVTX, only what is one's own, or in a queue of one's own."""
        self.check_change(uid)
        if name in PORTS:
            if self.mode & stat.S_ISVTX and uid not in (ROOT, self.uid):
                raise Refused(EPERM)
        elif name not in ENDS:
            found = self.find(name)
            assert found is not None
            self.check_own(uid, found)

    def check_own(self, uid: int, name: Name) -> None:
        if self.mode & stat.S_ISVTX and uid not in (ROOT, self.uid, name.message.uid):
            raise Refused(EPERM)


class Model:
    """All queues. Its methods are system calls, each by a user."""

    def __init__(self) -> None:
        self.queues: list[Queue] = []
        self._last = 0

    def queue(self, name: str) -> Queue:
        for queue in self.queues:
            if queue.name == name:
                return queue
        raise Refused(ENOENT)

    def has(self, name: str) -> bool:
        return any(queue.name == name for queue in self.queues)

    def all_names(self) -> list[tuple[Queue, Name]]:
        return [(queue, name) for queue in self.queues for name in queue.names]

    def names_of(self, message: Message) -> list[Name]:
        return [name for _, name in self.all_names() if name.message is message]

    def lent(self, queue: Queue) -> list[tuple[Queue, Name]]:
        return [
            (holder, name)
            for holder, name in self.all_names()
            if name.loan is not None and name.loan.source is queue
        ]

    # Queues

    def mkdir(self, uid: int, name: str, mode: int, owner: "Process") -> None:
        if self.has(name):
            raise Refused(EEXIST)
        self.queues.append(Queue(name, uid, mode, owner))

    def rmdir(self, uid: int, name: str) -> None:
        queue = self.queue(name)
        if uid not in (ROOT, queue.uid):  # the root has S_ISVTX
            raise Refused(EPERM)
        if queue.names:
            raise Refused(ENOTEMPTY)
        self._vanish([queue])

    def chmod_queue(self, uid: int, name: str, mode: int) -> None:
        queue = self.queue(name)
        if uid not in (ROOT, queue.uid):
            raise Refused(EPERM)
        queue.mode = mode

    def die(self, process: "Process") -> None:
        theirs = [queue for queue in self.queues if queue.owner is process]
        for queue in theirs:
            queue.owner = None
        self._vanish([queue for queue in theirs if "sticky" not in queue.attributes])

    def _vanish(self, queues: list[Queue]) -> None:
        """Let all of them be gone, and then return what they had on loan."""
        for queue in queues:
            self.queues.remove(queue)
            queue.vanished = True
            self._follow(queue, [])
            for follower in queue.followers[:]:
                self._follow(follower, [one for one in follower.sources if one is not queue])
                follower.attributes["follow"] = "/".join(one.name for one in follower.sources)
            for other in self.queues:
                if other.dead_letter is queue:
                    other.dead_letter = None
                    del other.attributes["dead_letter"]
        for queue in queues:
            names, queue.names = queue.names, []
            for name in names:
                if name.loan is not None:
                    self._return(name, name.loan, name.loan.name)

    def _follow(self, queue: Queue, sources: list[Queue]) -> None:
        for source in queue.sources:
            source.followers.remove(queue)
        for source in sources:
            source.followers.append(queue)
        queue.sources = sources

    # Messages

    def create(self, uid: int, queue: str, name: str, mode: int) -> Message:
        there = self.queue(queue).check_search(uid)
        if there.shows(name):
            raise Refused(EEXIST)
        there.check_change(uid)
        if name in RESERVED:
            raise Refused(EPERM)
        message = Message(uid, mode)
        self._check_room(there, message)
        self._arrive(there, Name(name, message))
        return message

    def link(self, uid: int, queue: str, name: str, other: str, new_name: str) -> None:
        here = self.queue(queue).check_search(uid)
        linked = here.find(name)
        if linked is None:
            raise Refused(ENOENT)
        there = self.queue(other).check_search(uid)
        if there.shows(new_name):
            raise Refused(EEXIST)
        message = linked.message
        if HARDLINKS_ARE_PROTECTED and uid != message.uid and not may(uid, READ | WRITE, message):
            raise Refused(EPERM)
        there.check_change(uid)
        if new_name in RESERVED:
            raise Refused(EPERM)
        self._check_room(there, message)
        self._arrive(there, Name(new_name, message))

    def unlink(self, uid: int, queue: str, name: str) -> None:
        there = self.queue(queue).check_search(uid)
        if not there.shows(name):
            raise Refused(ENOENT)
        there.check_removal(uid, name)
        if name in PORTS:
            raise Refused(EPERM)
        gone = there.end(name) if name in ENDS else there.find(name)
        assert gone is not None
        there.check_own(uid, gone)
        there.names.remove(gone)

    def consume(self, uid: int, queue: str) -> bytes:
        """Open head, read, and unlink head."""
        there = self.queue(queue).check_search(uid)
        head = there.end("head")
        if head is None:
            raise Refused(ENOENT)
        if not may(uid, READ, head.message):
            raise Refused(EACCES)
        self.unlink(uid, queue, "head")
        return head.message.content

    def rename(  # noqa: PLR0913  # as renameat2(2) has them
        self, uid: int, queue: str, name: str, other: str, new_name: str, *, replaces: bool
    ) -> None:
        here = self.queue(queue).check_search(uid)
        there = self.queue(other).check_search(uid)
        moved, replaced = here.find(name), there.find(new_name)
        self._check_rename(uid, here, name, there, new_name, replaces=replaces)
        if _is_same(here, name, there, new_name):
            return  # rename(2): two names of one file stay as they are
        if name in RESERVED or new_name in RESERVED:
            raise Refused(EPERM)
        assert moved is not None
        returns = moved.loan is not None and moved.loan.source is there
        if here is not there and not returns:
            self._check_room(there, moved.message, replaced)
        if replaced is not None and not returns:
            there.names.remove(replaced)
        if here is there:
            moved.name = new_name
            return
        here.names.remove(moved)
        if moved.loan is not None and returns:
            self._return(moved, moved.loan, new_name, replaced)
        elif "lease" in there.attributes and there.keeps:
            loan = moved.loan or Loan(here, moved.name, moved.place)
            lent = Name(new_name, moved.message, attempts=moved.attempts, loan=loan)
            self._arrive(there, lent)
        else:
            if there.keeps:
                moved.message.attempts = 0
            self._arrive(there, Name(new_name, moved.message))

    @staticmethod
    def _check_rename(  # noqa: PLR0913  # as above
        uid: int, here: Queue, name: str, there: Queue, new_name: str, *, replaces: bool
    ) -> None:
        """Check what the kernel does."""
        if not here.shows(name):
            raise Refused(ENOENT)
        is_taken = there.shows(new_name)
        if is_taken and not replaces:
            raise Refused(EEXIST)
        if _is_same(here, name, there, new_name):
            return
        here.check_removal(uid, name)
        if is_taken:
            there.check_removal(uid, new_name)
        else:
            there.check_change(uid)

    def append(self, uid: int, queue: str, name: str, text: bytes) -> None:
        message = self._opened(uid, queue, name)
        self._resize(message, len(message.content) + len(text))
        message.content += text
        self._trim_others(message)

    def truncate(self, uid: int, queue: str, name: str, size: int) -> None:
        message = self._opened(uid, queue, name)
        self._resize(message, size)
        message.content = message.content[:size].ljust(size, b"\0")
        self._trim_others(message)

    def chmod(self, uid: int, queue: str, name: str, mode: int) -> None:
        there = self.queue(queue).check_search(uid)
        found = there.find(name)
        if found is None:
            raise Refused(ENOENT)
        if uid not in (ROOT, found.message.uid):
            raise Refused(EPERM)
        found.message.mode = mode

    def _opened(self, uid: int, queue: str, name: str) -> Message:
        there = self.queue(queue).check_search(uid)
        found = there.find(name)
        if found is None:
            raise Refused(ENOENT)
        if not may(uid, WRITE, found.message):
            raise Refused(EACCES)
        return found.message

    def _resize(self, message: Message, size: int) -> None:
        """Check that all queues that a message is in have room for it to grow."""
        growth = size - len(message.content)
        if growth <= 0:
            return
        for queue in self.queues:
            count = sum(name.message is message for name in queue.names)
            stay = [
                len(name.message.content)
                for name in queue.names
                if not queue.drops or name.loan is not None or name.message is message
            ]
            if count and sum(stay) + count * growth > queue.limit("max_bytes"):
                raise Refused(EDQUOT)

    def _trim_others(self, message: Message) -> None:
        for queue in self.queues:
            if any(name.message is message for name in queue.names):
                queue.trim(spared=message)

    # How messages arrive, and return

    @staticmethod
    def _check_room(queue: Queue, message: Message, replaced: Name | None = None) -> None:
        if queue.is_full_for(len(message.content), replaced):
            raise Refused(EDQUOT)

    def _arrive(self, queue: Queue, name: Name) -> None:
        """Append what has room, and pass it on to all who follow, once."""
        self._append(queue, name)
        reached, sources = {queue}, [queue]
        while sources:
            for follower in sources.pop().followers:
                if follower in reached:
                    continue
                reached.add(follower)
                if follower.is_full_for(len(name.message.content)):
                    follower.dropped += 1
                    continue
                self._append(follower, Name(self._free(follower, name.name), name.message))
                sources.append(follower)

    def _append(self, queue: Queue, name: Name) -> None:
        if not queue.keeps:
            return
        self._last += 1
        name.place = self._last
        queue.names.append(name)
        queue.trim()

    @staticmethod
    def _free(queue: Queue, name: str | None) -> str | None:
        """Return a name, or None for one that the daemon chooses, where it is taken."""
        return None if name is None or queue.find(name) else name

    def _return(
        self, lent: Name, loan: Loan, name: str | None, replaced: Name | None = None
    ) -> None:
        source, message, attempts = loan.source, lent.message, lent.attempts + 1
        if source.vanished or not source.keeps:
            return
        message.attempts = attempts
        if attempts < source.limit("max_attempts"):
            if replaced is not None:
                source.names.remove(replaced)
            name = self._free(source, name)
            source.names.append(Name(name, message, loan.place, attempts))
            source.names.sort(key=lambda one: one.place)
            source.trim()
        elif source.dead_letter is None or source.dead_letter.is_full_for(len(message.content)):
            source.dropped += 1
        else:
            self._arrive(
                source.dead_letter, Name(self._free(source.dead_letter, loan.name), message)
            )

    # Ports

    def put(self, uid: int, queue: str, content: bytes) -> int:
        there = self._port(uid, queue)
        message = Message(uid, 0o666, content)
        self._check_room(there, message)
        self._arrive(there, Name(None, message))
        return len(content)

    def put_lines(self, uid: int, queue: str, lines: list[bytes]) -> int:
        """Put as many as fit; return the bytes of these with their newlines."""
        accepted = 0
        for line in lines:
            try:
                accepted += self.put(uid, queue, line) + 1
            except Refused:
                if not accepted:
                    raise
                break
        return accepted

    def take(self, uid: int, queue: str, size: int) -> bytes:
        there = self._port(uid, queue)
        if not there.names:
            raise Refused(EAGAIN)
        first = there.names[0]
        there.check_own(uid, first)
        if len(first.message.content) > size:
            raise Refused(EMSGSIZE)
        there.names.remove(first)
        return first.message.content

    def take_lines(self, uid: int, queue: str, size: int) -> bytes:
        taken = b""
        while True:
            try:
                taken += self.take(uid, queue, size - len(taken) - 1) + b"\n"
            except Refused:
                if not taken:
                    raise
                return taken

    def _port(self, uid: int, queue: str) -> Queue:
        """Who may write to a queue may use its ports."""
        there = self.queue(queue).check_search(uid)
        if not may(uid, WRITE, there):
            raise Refused(EACCES)
        return there

    # Attributes

    def set_attribute(self, uid: int, queue: str, attribute: str, value: str) -> None:
        there = self._settable(uid, queue)
        if attribute == "dead_letter":
            there.dead_letter = self._checked_dead_letter(uid, there, value)
        elif attribute == "follow":
            self._follow(there, self._checked_sources(uid, there, value))
        elif not _is_valid(attribute, value):
            raise Refused(EINVAL)
        there.attributes[attribute] = value
        there.trim()

    def remove_attribute(self, uid: int, queue: str, attribute: str) -> None:
        there = self._settable(uid, queue)
        if attribute not in there.attributes:
            raise Refused(ENODATA)
        del there.attributes[attribute]
        if attribute == "dead_letter":
            there.dead_letter = None
        elif attribute == "follow":
            self._follow(there, [])
        elif attribute == "sticky" and there.owner is None:
            self._vanish([there])

    def _settable(self, uid: int, queue: str) -> Queue:
        there = self.queue(queue)
        if there.mode & stat.S_ISVTX and uid not in (ROOT, there.uid):
            raise Refused(EPERM)
        if not may(uid, WRITE, there):
            raise Refused(EACCES)
        return there

    def _checked_dead_letter(self, uid: int, queue: Queue, value: str) -> Queue:
        target = self.queue(value)
        if target in self._all_before(queue):
            raise Refused(ELOOP)
        if not may(uid, WRITE | SEARCH, target):
            raise Refused(EACCES)
        return target

    def _checked_sources(self, uid: int, queue: Queue, value: str) -> list[Queue]:
        source = self.queue(value)
        if queue in self._all_before(source):
            raise Refused(ELOOP)
        if not may(uid, READ | SEARCH, source):
            raise Refused(EACCES)
        return [source]

    def _all_before(self, queue: Queue) -> set[Queue]:
        """Return a queue and all whose messages get there, because it follows or when dead."""
        found, pending = {queue}, [queue]
        while pending:
            one = pending.pop()
            dying = {other for other in self.queues if other.dead_letter is one}
            new = ({*one.sources} | dying) - found
            found |= new
            pending += new
        return found


def _is_same(here: Queue, name: str, there: Queue, new_name: str) -> bool:
    """Tell whether two names that show are one file's."""
    one, other = here.find(name), there.find(new_name)
    if one is None or other is None:
        return here is there and name == new_name
    return one.message is other.message


def _is_valid(attribute: str, value: str) -> bool:
    if attribute in ("max_messages", "max_bytes", "max_attempts"):
        return value.isdecimal() and int(value) >= 1
    if attribute == "lease":
        return value == "" or (value.isdecimal() and int(value) > 0)
    if attribute == "overflow":
        return value in ("reject", "drop-oldest")
    return True
