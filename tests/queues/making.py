"""The rules' verbs with the arguments that a test doesn't care about filled in."""

from collections.abc import Callable, Iterator
from itertools import islice
from stat import S_IFREG
from typing import NamedTuple

from eventfs.queues import acl, attributes, ports, renaming
from eventfs.queues.acl import Acl, _Entry
from eventfs.queues.errors import NotFound
from eventfs.queues.inode import Inode, Mode
from eventfs.queues.ledger import Gid, Ledger, Payer, Settings, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.packet import Packet
from eventfs.queues.queue import End, Owner, Queue, Root, Tid, looked_at
from eventfs.queues.tree import Entry, Tree

SUPERUSER = Uid(0)
ALICE = Uid(1000)
BOB = Uid(1001)
CAROL = Uid(1002)

USERS = Gid(100)
STAFF = Gid(50)

OWNER = Owner(1)
OTHER_OWNER = Owner(2)

#: What an attribute is charged besides its name and value, in bytes.
ATTRIBUTE = 128

#: When everything is made, unless a test says otherwise, and a time after that.
THEN = 1_000
NOW = 2_000


class FakeThreads:
    """Threads that do as a test says.

    At first each one is its own process, was there from the start, and has no privileges.
    """

    def __init__(self) -> None:
        self.clock_ns = 100
        self.may_act_for: Callable[[int, Uid, Gid], bool] = lambda _tid, _uid, _gid: False
        self.starts_ns: dict[int, int] = {}
        self.processes: dict[int, int] = {}
        self.groups_of: dict[int, frozenset[int]] = {}

    def now_ns(self) -> int:
        self.clock_ns += 1
        return self.clock_ns

    def started_ns(self, tid: int) -> int:
        return self.starts_ns.get(tid, 0)

    def same_process(self, one: int, other: int) -> bool:
        return self.processes.get(one, one) == self.processes.get(other, other)

    def in_group(self, tid: int, uid: Uid, gid: Gid) -> bool:
        return self.may_act_for(tid, uid, gid)

    def umask(self, tid: int) -> int:
        del tid
        return 0o022

    def user(self, tid: int) -> int:
        del tid
        return -1

    def groups(self, tid: int) -> frozenset[int]:
        return self.groups_of.get(tid, frozenset())

    def reads_all(self, tid: int, uid: Uid, gid: Gid) -> bool:
        return self.may_act_for(tid, uid, gid)

    def writes_all(self, tid: int, uid: Uid, gid: Gid) -> bool:
        return self.may_act_for(tid, uid, gid)

    def owns_all(self, tid: int, uid: Uid, gid: Gid) -> bool:
        return self.may_act_for(tid, uid, gid)


def payer(uid: Uid, gid: Gid) -> Payer:
    return Ledger(Settings()).payer(uid, gid)


PAYER = payer(Uid(0), Gid(0))


def chown(inode: Inode, uid: Uid | None, gid: Gid | None, now_ns: int) -> None:
    """Change user and group, where given, as without limits."""
    inode.chown(payer(inode.uid if uid is None else uid, inode.gid if gid is None else gid), now_ns)


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time_ns = 0

    def __call__(self) -> int:
        return self.time_ns


def make_tree(
    mode: int = 0o1777, *, threads: FakeThreads | None = None, clock: FakeClock | None = None
) -> Tree:
    return Tree(
        Mode(mode),
        SUPERUSER,
        Gid(0),
        Settings(),
        threads or FakeThreads(),
        THEN,
        clock or FakeClock(),
    )


def mkdir(  # noqa: PLR0913  # as mkdir(2) and its caller have them
    tree: Tree,
    name: bytes = b"queue",
    *,
    directory: Root | Queue | None = None,
    mode: int = 0o755,
    uid: Uid = ALICE,
    gid: Gid = USERS,
    owner: Owner = OWNER,
    now_ns: int = THEN,
) -> Queue:
    # Not `directory or tree.root`: an empty queue counts as false.
    directory = tree.root if directory is None else directory
    return tree.mkdir(directory, Name(name), Mode(mode), uid, gid, owner, now_ns)


def rmdir(
    tree: Tree,
    name: bytes = b"queue",
    *,
    directory: Root | Queue | None = None,
    now_ns: int = NOW,
) -> Queue:
    return tree.rmdir(tree.root if directory is None else directory, Name(name), now_ns).queue


def create(  # noqa: PLR0913  # as mknod(2) and its caller have them
    tree: Tree,
    directory: Root | Queue,
    name: bytes = b"message",
    *,
    mode: int = S_IFREG | 0o644,
    uid: Uid = ALICE,
    gid: Gid = USERS,
    now_ns: int = THEN,
    creator: int | None = None,
) -> Message:
    """Make a message; with *creator* one that the thread of this number hasn't closed yet."""
    process = None if creator is None else Tid(creator)
    return tree.create(directory, Name(name), Mode(mode), uid, gid, now_ns, process)


#: Each way to give a message a name.
Adder = Callable[[Tree, Root | Queue, bytes], Message]


def add_by_create(tree: Tree, directory: Root | Queue, name: bytes) -> Message:
    return create(tree, directory, name)


def add_by_link(tree: Tree, directory: Root | Queue, name: bytes) -> Message:
    """Link a message that is elsewhere."""
    elsewhere = mkdir(tree, b"elsewhere")
    return link(tree, create(tree, elsewhere), directory, name)


def fill(tree: Tree, directory: Queue, *names: bytes) -> list[Message]:
    return [create(tree, directory, name) for name in names]


def link(  # noqa: PLR0913  # as link(2) and its caller have them
    tree: Tree,
    inode: Inode,
    directory: Root | Queue,
    name: bytes,
    *,
    uid: Uid = ALICE,
    gid: Gid = USERS,
    now_ns: int = NOW,
) -> Message:
    return tree.link(inode, directory, Name(name), uid, gid, now_ns)


def unlink(  # noqa: PLR0913  # as unlink(2) and its caller have them
    tree: Tree,
    directory: Root | Queue,
    name: bytes,
    *,
    uid: Uid = ALICE,
    tid: int = 0,
    now_ns: int = NOW,
) -> Message:
    _, message = tree.unlink(directory, Name(name), uid, Tid(tid), now_ns)
    return message


def rename(  # noqa: PLR0913  # as rename(2) and its caller have them
    tree: Tree,
    directory: Root | Queue,
    name: bytes,
    target: Root | Queue,
    new_name: bytes,
    *,
    uid: Uid = ALICE,
    gid: Gid = USERS,
    now_ns: int = NOW,
    replaces: bool = True,
) -> None:
    renaming.rename(
        tree, directory, Name(name), target, Name(new_name), uid, gid, now_ns, replaces=replaces
    )


def lookup(tree: Tree, directory: Root | Queue, name: bytes, *, viewer: Uid = ALICE) -> Inode:
    inode = tree.lookup(directory, Name(name), viewer)
    if inode is None:
        raise NotFound
    return inode


def end(tree: Tree, queue: Queue, name: bytes, *, viewer: Uid = ALICE) -> End:
    """Look up `head` or `tail`."""
    inode = lookup(tree, queue, name, viewer=viewer)
    assert isinstance(inode, End)
    return inode


def entries(
    tree: Tree, directory: Root | Queue, *, after: int = 0, viewer: Uid = ALICE
) -> Iterator[Entry]:
    return tree.entries(directory, after, viewer)


def names(directory: Root | Queue) -> list[bytes]:
    """List a directory's own names, in order, without `.`, `..`, `head` and `tail`."""
    return [dentry.name for dentry, _ in directory.after(0)]


def listing(tree: Tree, directory: Root | Queue) -> list[bytes]:
    """List what readdir shows."""
    return [entry.name for entry in entries(tree, directory)]


def some(entries: Iterator[Entry], count: int) -> list[Entry]:
    """Take *count* lines of a listing, and stop there as a reader does."""
    return list(islice(entries, count))


def content(message: Message, now_ns: int = NOW) -> bytes:
    return bytes(message.read(0, message.size, now_ns))


def times(inode: Inode) -> tuple[int, int, int]:
    """Return atime, mtime and ctime."""
    return inode.atime_ns, inode.mtime_ns, inode.ctime_ns


def user(
    tree: Tree,
    uid: Uid = ALICE,
    gid: Gid = USERS,
    *,
    umask: int = 0o022,
    overrides: bool = False,
) -> ports.User:
    """Return somebody who has opened a port."""
    return ports.User(uid, gid, umask, tree.ledger.payer(uid, gid), overrides=overrides)


def put(
    tree: Tree,
    queue: Queue,
    content: bytes = b"content",
    *,
    by: ports.User | None = None,
    now_ns: int = NOW,
) -> None:
    ports.put(tree, queue, content, by or user(tree), now_ns)


def put_lines(
    tree: Tree, queue: Queue, *lines: bytes, by: ports.User | None = None, now_ns: int = NOW
) -> int:
    return ports.put_lines(tree, queue, list(lines), by or user(tree), now_ns)


def take(
    tree: Tree,
    queue: Queue,
    room_bytes: int = ports.MAX_MESSAGE_BYTES,
    *,
    by: ports.User | None = None,
) -> bytes | None:
    taken = ports.take(tree, queue, room_bytes, by or user(tree), NOW)
    return None if taken is None else taken.content


def take_lines(
    tree: Tree,
    queue: Queue,
    room_bytes: int = ports.MAX_MESSAGE_BYTES,
    *,
    by: ports.User | None = None,
) -> bytes:
    content, _ = ports.take_lines(tree, queue, room_bytes, by or user(tree), NOW)
    return content


def has_room(tree: Tree, queue: Queue, *, by: ports.User | None = None) -> bool:
    return ports.has_room(tree, queue, by or user(tree))


def drain(tree: Tree, queue: Queue) -> list[bytes]:
    """Take all messages of a queue, whosever they are."""
    by = user(tree, SUPERUSER, overrides=True)
    return list(iter(lambda: take(tree, queue, by=by), None))


class Peeked(NamedTuple):
    """A message as it stands in a queue."""

    name: bytes
    sequence: int
    content: bytes


def peek(queue: Queue) -> list[Peeked]:
    """Return all messages of a queue; packets stay packets, and lines lines."""
    peeked = []
    for dentry in queue._dentries_in_order():
        inode = looked_at(dentry.inode)
        text = inode.content if isinstance(inode, Packet) else content(inode)
        peeked.append(Peeked(dentry.name, dentry.sequence, text))
    for batch in queue._batches or ():
        numbers = range(batch.number + batch.start, batch.number + len(batch.lines))
        lines = batch.lines[batch.start :]
        peeked += [Peeked(b"", number, line) for number, line in zip(numbers, lines, strict=True)]
    return peeked


def message_at(tree: Tree, queue: Queue, name: bytes) -> Message:
    """Look a message up by its name."""
    message = lookup(tree, queue, name)
    assert isinstance(message, Message)
    return message


def follow(
    tree: Tree, queue: Queue, *sources: bytes, uid: Uid = ALICE, tid: int = 1, now_ns: int = NOW
) -> None:
    """Set `user.eventfs_follow`."""
    attributes.follow(tree, queue, b"/".join(sources), uid, Tid(tid), now_ns)


def set_rule(tree: Tree, queue: Queue, name: bytes, value: bytes, *, now_ns: int = NOW) -> None:
    """Set an attribute of a queue."""
    attributes.put(tree, queue, name, value, now_ns)


def counted(tree: Tree, queue: Queue, name: bytes) -> int:
    """Read a number that a queue tells of itself."""
    return int(attributes.get(tree, queue, name))


def bury_in(tree: Tree, queue: Queue, target: bytes, *, uid: Uid = ALICE, tid: int = 1) -> None:
    """Set `user.eventfs_dead_letter`."""
    attributes.bury_in(tree, queue, Name(target), uid, Tid(tid), NOW)


def pass_time(tree: Tree, clock: FakeClock, time_ns: int) -> None:
    """Let the clock move on, and what is due happen."""
    clock.time_ns += time_ns
    tree.look_at_time(NOW)


def extended_list(mode: int, named: int, *, uid: Uid = BOB) -> bytes:
    """Encode an access control list like *mode* that gives the user *uid* rights too."""
    owner, mask, other = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    return Acl(
        [
            _Entry(acl._USER_OBJ, owner, acl._NOBODY),
            _Entry(acl._USER, named, uid),
            _Entry(acl._GROUP_OBJ, mask, acl._NOBODY),
            _Entry(acl._MASK, mask, acl._NOBODY),
            _Entry(acl._OTHER, other, acl._NOBODY),
        ]
    ).encode()


def charged(tree: Tree) -> dict[str, int]:
    """Return all that anybody is charged, and what the mount counts, where it isn't zero."""
    ledger = tree.ledger
    sums = {"inodes": ledger.inodes, "stored_bytes": ledger.stored_bytes}
    for kind, accounts in (("user", ledger._users), ("group", ledger._groups)):
        for number, account in accounts.items():
            for what in ("dirs", "files", "bytes", "held_bytes"):
                sums[f"{kind} {number} {what}"] = getattr(account, what)
    return {what: count for what, count in sums.items() if count}
