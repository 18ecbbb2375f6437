"""The rules' verbs with the arguments that a test doesn't care about filled in."""

from collections.abc import Callable, Iterator
from itertools import islice
from stat import S_IFREG

from eventfs.queues.errors import NotFound
from eventfs.queues.inode import Inode, Mode
from eventfs.queues.ledger import Gid, Ledger, Payer, Settings, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import End, Owner, Queue, Root, Tid
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

    def groups(self, tid: int) -> frozenset[int]:
        return self.groups_of.get(tid, frozenset())

    def reads_all(self, tid: int, uid: Uid, gid: Gid) -> bool:
        return self.may_act_for(tid, uid, gid)

    def owns_all(self, tid: int, uid: Uid, gid: Gid) -> bool:
        return self.may_act_for(tid, uid, gid)


def payer(uid: Uid, gid: Gid) -> Payer:
    return Ledger(Settings()).payer(uid, gid)


PAYER = payer(Uid(0), Gid(0))


def chown(inode: Inode, uid: Uid | None, gid: Gid | None, now_ns: int) -> None:
    """Change user and group, where given, as without limits."""
    inode.chown(payer(inode.uid if uid is None else uid, inode.gid if gid is None else gid), now_ns)


def make_tree(mode: int = 0o1777, *, threads: FakeThreads | None = None) -> Tree:
    return Tree(Mode(mode), SUPERUSER, Gid(0), Settings(), threads or FakeThreads(), THEN)


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
    return tree.rmdir(tree.root if directory is None else directory, Name(name), now_ns)


def create(  # noqa: PLR0913  # as mknod(2) and its caller have them
    tree: Tree,
    directory: Root | Queue,
    name: bytes = b"message",
    *,
    mode: int = S_IFREG | 0o644,
    uid: Uid = ALICE,
    gid: Gid = USERS,
    now_ns: int = THEN,
) -> Message:
    return tree.create(directory, Name(name), Mode(mode), uid, gid, now_ns)


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
