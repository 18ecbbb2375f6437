"""Charges against a recount from scratch, after any operations under any limits.

The recount walks through all that there is and adds up what it finds; it uses none of the tree's
own sums. An operation that is refused must leave everything as it was.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventfs.queues import acl, attributes, xattrs
from eventfs.queues.acl import Acl, _Entry
from eventfs.queues.directory import Dentry
from eventfs.queues.errors import Refused
from eventfs.queues.inode import Inode, Mode
from eventfs.queues.ledger import UNLIMITED, Account, Gid, Limits, Settings, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD
from eventfs.queues.packet import Packet
from eventfs.queues.queue import End, Loan, Owner, Queue, content_size
from eventfs.queues.sparse import CHUNK_BYTES
from eventfs.queues.tree import ROOT_INO
from eventfs.queues.xattrs import STICKY
from tests.queues.making import (
    ALICE,
    ATTRIBUTE,
    BOB,
    NOW,
    STAFF,
    SUPERUSER,
    USERS,
    FakeClock,
    bury_in,
    create,
    link,
    lookup,
    make_tree,
    mkdir,
    pass_time,
    rename,
    rmdir,
    set_rule,
    unlink,
)

T = TypeVar("T")

UIDS = st.sampled_from([SUPERUSER, ALICE, BOB])
GIDS = st.sampled_from([USERS, STAFF])
NAMES = st.sampled_from([b"a", b"b", b"c", HEAD])
OWNERS = st.sampled_from([Owner(1), Owner(2)])
#: Small enough to be met, and with holes that are stored in chunks.
OFFSETS = st.one_of(st.integers(0, 40), st.just(2 * CHUNK_BYTES), st.just(2**62))

FEW = st.one_of(st.integers(0, 4), st.just(100))
LIMITS = st.builds(Limits, FEW, FEW, FEW, st.sampled_from([0, 50, 400, 2**62, UNLIMITED]))
SETTINGS = st.builds(
    Settings,
    LIMITS,
    st.dictionaries(UIDS, LIMITS, max_size=2),
    st.dictionaries(GIDS, LIMITS, max_size=2),
    st.sampled_from([300, 2 * CHUNK_BYTES, UNLIMITED]),
    st.sampled_from([5, 12, 100]),
)

#: An access control list that a mode can't express, and one that it can.
LISTS = st.sampled_from(
    [
        Acl(
            [_Entry(1, 7, 0), _Entry(2, 7, 9), _Entry(4, 5, 0), _Entry(16, 7, 0), _Entry(32, 0, 0)]
        ),
        Acl([_Entry(1, 7, 0), _Entry(4, 5, 0), _Entry(32, 5, 0)]),
    ]
).map(Acl.encode)
ATTRIBUTES = st.one_of(
    st.tuples(st.sampled_from([STICKY, b"user.x"]), st.binary(max_size=60)),
    st.tuples(st.sampled_from([acl.ACCESS, acl.DEFAULT]), LISTS),
)


#: What makes a queue bounded, a lender or a holder; times are as `pass_time` lets them pass.
RULES = st.one_of(
    st.tuples(
        st.sampled_from([xattrs.MAX_MESSAGES, xattrs.MAX_BYTES, xattrs.MAX_ATTEMPTS]),
        st.sampled_from([b"1", b"2", b"50"]),
    ),
    st.tuples(st.just(xattrs.OVERFLOW), st.sampled_from([b"reject", b"drop-oldest"])),
    st.tuples(st.sampled_from([xattrs.TTL, xattrs.LEASE]), st.sampled_from([b"1", b"3"])),
    st.tuples(st.just(xattrs.LEASE), st.just(b"")),
)
SECOND_NS = 10**9


class Charges(NamedTuple):
    """What users, groups and the mount are charged; nobody who is charged nothing."""

    dirs: Counter[tuple[str, int]]
    files: Counter[tuple[str, int]]
    bytes: Counter[tuple[str, int]]
    held_bytes: Counter[tuple[str, int]]
    stored_bytes: int
    inodes: int


class Recount(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.tree = make_tree(clock=self.clock)
        #: All that a request may be about, and which of it has how many open handles.
        self.known: list[Inode] = []
        self.opens: Counter[Inode] = Counter()

    @initialize(data=st.data(), setgid=st.booleans())
    def begin_with_a_queue_of_each(self, data: st.DataObject, *, setgid: bool) -> None:
        for name, owner, uid in ((b"a", Owner(1), ALICE), (b"b", Owner(2), BOB)):
            self.mkdir(name, uid, USERS, owner, setgid=setgid)
            self.create(self.known[-1], b"a", uid, STAFF)
        for queue in self._queues():
            self.set_rule(queue, data)
            self.set_rule(queue, data)

    # What may happen

    @rule(settings=st.one_of(st.just(Settings()), SETTINGS))
    def change_limits(self, settings: Settings) -> None:
        self.tree.ledger.change(settings)

    @rule(name=NAMES, uid=UIDS, gid=GIDS, owner=OWNERS, setgid=st.booleans())
    def mkdir(self, name: bytes, uid: Uid, gid: Gid, owner: Owner, *, setgid: bool) -> None:
        mode = 0o2755 if setgid else 0o755
        self._know(
            self._do(lambda: mkdir(self.tree, name, mode=mode, uid=uid, gid=gid, owner=owner))
        )
        if setgid and isinstance(self.known[-1], Queue):
            self.tree.chmod(self.known[-1], Mode(mode), NOW)

    @rule(name=NAMES)
    def rmdir(self, name: bytes) -> None:
        self._do(lambda: rmdir(self.tree, name))

    @rule(owner=OWNERS)
    def owner_died(self, owner: Owner) -> None:
        self._do(lambda: self.tree.owner_died(owner, NOW))

    @rule(time_ns=st.sampled_from([SECOND_NS, 4 * SECOND_NS]))
    def time_passes(self, time_ns: int) -> None:
        pass_time(self.tree, self.clock, time_ns)
        self._clean()

    @precondition(lambda self: self._arrivals())
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Rename what is there to where it may go: on loan, and back."""
        queue, name = data.draw(st.sampled_from(self._arrivals()))
        target, new_name = data.draw(st.sampled_from(self._queues())), data.draw(NAMES)
        self._do(lambda: rename(self.tree, queue, name, target, new_name, uid=SUPERUSER))

    @precondition(lambda self: self._queues())
    @rule(data=st.data())
    def change_rule(self, data: st.DataObject) -> None:
        """Set or remove a rule of a queue, or have its dead letters put elsewhere."""
        queue = data.draw(st.sampled_from(self._queues()))
        data.draw(st.sampled_from([self.set_rule, self.remove_rule, self.bury_in]))(queue, data)

    @precondition(lambda self: self.known)
    @rule(inode=st.runner().flatmap(lambda machine: st.sampled_from(machine.known)), data=st.data())
    def do_something_with(self, inode: Inode, data: st.DataObject) -> None:
        """Do what a request may do with an inode of that kind."""
        actions: list[Callable[[Inode, st.DataObject], None]] = [self.forget]
        if not isinstance(inode, End):
            actions += [self.chown, self.set_xattr, self.remove_xattr]
        if isinstance(inode, Queue):
            actions += [self.create_in, self.unlink, self.lookup, self.link]
            actions += [self.rename, self.set_rule, self.remove_rule, self.create_unfinished]
        if isinstance(inode, Message):
            actions += [self.open_or_close, self.write, self.truncate, self.touch]
            actions += [self.commit_or_discard]
        data.draw(st.sampled_from(actions))(inode, data)

    def create_in(self, queue: Inode, data: st.DataObject) -> None:
        self.create(queue, data.draw(NAMES), data.draw(UIDS), data.draw(GIDS))

    def create(self, queue: Inode, name: bytes, uid: Uid, gid: Gid) -> None:
        assert isinstance(queue, Queue)
        self._know(self._do(lambda: create(self.tree, queue, name, uid=uid, gid=gid)))

    def create_unfinished(self, queue: Inode, data: st.DataObject) -> None:
        assert isinstance(queue, Queue)
        name, uid, gid = data.draw(NAMES), data.draw(UIDS), data.draw(GIDS)
        self._know(self._do(lambda: create(self.tree, queue, name, uid=uid, gid=gid, creator=1)))

    def commit_or_discard(self, message: Inode, data: st.DataObject) -> None:
        """Close a message that is unfinished: that can't be refused."""
        unfinished = self.tree.unfinished.by_ino.get(message.ino)
        if unfinished is not None and data.draw(st.booleans()):
            self.tree.unfinished.commit(unfinished, NOW)
        elif unfinished is not None:
            self.tree.unfinished.discard(unfinished, NOW)
        self._clean()

    def link(self, queue: Inode, data: st.DataObject) -> None:
        assert isinstance(queue, Queue)
        inode, name = data.draw(st.sampled_from(self.known)), data.draw(NAMES)
        uid, gid = data.draw(UIDS), data.draw(GIDS)
        self._do(lambda: link(self.tree, inode, queue, name, uid=uid, gid=gid))

    def rename(self, queue: Inode, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from([one for one in self.known if isinstance(one, Queue)]))
        assert isinstance(queue, Queue)
        name, new_name = data.draw(NAMES), data.draw(NAMES)
        uid, gid = data.draw(UIDS), data.draw(GIDS)
        self._do(lambda: rename(self.tree, queue, name, target, new_name, uid=uid, gid=gid))

    def set_rule(self, queue: Inode, data: st.DataObject) -> None:
        assert isinstance(queue, Queue)
        name, value = data.draw(RULES)
        self._do(lambda: set_rule(self.tree, queue, name, value))

    def remove_rule(self, queue: Inode, data: st.DataObject) -> None:
        name, _ = data.draw(st.one_of(RULES, st.just((xattrs.DEAD_LETTER, b""))))
        self._do(lambda: attributes.remove(self.tree, queue, name, NOW))

    def bury_in(self, queue: Inode, data: st.DataObject) -> None:
        assert isinstance(queue, Queue)
        target = data.draw(NAMES)
        self._do(lambda: bury_in(self.tree, queue, target, uid=SUPERUSER))

    def touch(self, message: Inode, _data: st.DataObject) -> None:
        assert isinstance(message, Message)
        self.tree.leases.touched(message)

    def unlink(self, queue: Inode, data: st.DataObject) -> None:
        assert isinstance(queue, Queue)
        name = data.draw(NAMES)
        self._do(lambda: unlink(self.tree, queue, name))

    def lookup(self, queue: Inode, data: st.DataObject) -> None:
        """Let the kernel know `head` too: it is an inode."""
        assert isinstance(queue, Queue)
        viewer = data.draw(UIDS)
        self._know(self._do(lambda: lookup(self.tree, queue, HEAD, viewer=viewer)))

    def forget(self, inode: Inode, _data: st.DataObject) -> None:
        if inode.holds > self.opens[inode]:
            self.tree.unhold(inode, inode.holds - self.opens[inode])
        self._clean()

    def open_or_close(self, message: Inode, data: st.DataObject) -> None:
        assert isinstance(message, Message)
        if data.draw(st.booleans()) or not self.opens[message]:
            self.tree.open(message)
            self.opens[message] += 1
        else:
            self.tree.close(message)
            self.opens[message] -= 1
            self._clean()

    def write(self, message: Inode, data: st.DataObject) -> None:
        """Write, which takes an open handle."""
        assert isinstance(message, Message)
        offset, text = data.draw(OFFSETS), data.draw(st.binary(max_size=60))
        if self.opens[message]:
            self._do(lambda: self.tree.write(message, offset, text, NOW))

    def truncate(self, message: Inode, data: st.DataObject) -> None:
        assert isinstance(message, Message)
        size = data.draw(OFFSETS)
        self._do(lambda: self.tree.truncate(message, size, NOW))

    def chown(self, inode: Inode, data: st.DataObject) -> None:
        uid, gid = data.draw(st.none() | UIDS), data.draw(st.none() | GIDS)
        self._do(lambda: self.tree.chown(inode, uid, gid, NOW))

    def set_xattr(self, inode: Inode, data: st.DataObject) -> None:
        name, value = data.draw(ATTRIBUTES)
        self._do(lambda: attributes.put(self.tree, inode, name, value, NOW))

    def remove_xattr(self, inode: Inode, data: st.DataObject) -> None:
        name, _ = data.draw(ATTRIBUTES)
        self._do(lambda: attributes.remove(self.tree, inode, name, NOW))
        self._clean()

    # What must hold after each step

    @invariant()
    def charges_equal_a_recount(self) -> None:
        for charged, recounted in zip(self._charged(), self._recounted(), strict=True):
            assert charged == recounted

    @invariant()
    def what_is_measured_equals_a_recount(self) -> None:
        measured: Counter[tuple[Inode | Packet, Queue]] = Counter()
        for queue in self._queues():
            if xattrs.MAX_BYTES in (queue.xattrs or {}):
                assert queue.bounds is not None
                unfinished = [d.inode for d in (queue.unfinished or {}).values() if d.inode]
                sizes = [content_size(message) for message in unfinished]
                assert queue.bounds.count_bytes == queue.content_bytes() + sum(sizes)
                measured.update((message, queue) for _, message in queue.after(0))
                measured.update((message, queue) for message in unfinished)
        noted = Counter(
            (inode, queue) for inode, queues in self.tree.measured.items() for queue in queues
        )
        assert noted == measured

    @invariant()
    def loans_equal_a_recount(self) -> None:
        lent: Counter[Queue] = Counter()
        loans: Counter[Inode] = Counter()
        for queue in self._queues():
            held = [dentry for dentry, _ in queue.after(0) if isinstance(dentry, Loan)]
            assert set(queue.loans) == set(held)
            lent.update(loan.source for loan in held)
            loans.update(inode for loan in held if isinstance(inode := loan.inode, Message))
        assert {queue: queue.lent for queue in self._queues() if queue.lent} == {
            queue: count for queue, count in lent.items() if not queue.vanished
        }
        assert {m: len(found) for m, found in self.tree.leases._loans.items()} == loans
        assert self.tree.leases.attempts.keys() <= set(self.tree.inodes.values())

    @invariant()
    def nothing_vanished_is_waited_for_or_sent_to(self) -> None:
        queues = set(self._queues())
        assert self.tree.timers._due.keys() <= queues
        for queue in queues:
            assert {queue.dead_letter} <= {None, *queues}
            assert (queue.dead_letter is not None) == (xattrs.DEAD_LETTER in (queue.xattrs or {}))
            assert all(source.dead_letter is queue for source in queue.dead_from)

    @invariant()
    def what_bounds_itself_by_dropping_is_never_over_its_bounds(self) -> None:
        for queue in self._queues():
            rules = queue.xattrs or {}
            if rules.get(xattrs.OVERFLOW) == b"drop-oldest":
                most = int(rules.get(xattrs.MAX_MESSAGES, b"1000"))
                assert len(queue) <= max(most, len(queue.loans))

    def teardown(self) -> None:
        for message, count in self.opens.items():
            assert isinstance(message, Message)
            for _ in range(count):
                self.tree.close(message)
        self._clean()
        for inode in self.known:
            self.tree.unhold(inode, inode.holds)
        for owner in (Owner(1), Owner(2)):
            self.tree.owner_died(owner, NOW)
        for queue in [inode for inode in self.tree.inodes.values() if isinstance(inode, Queue)]:
            attributes.remove(self.tree, queue, STICKY, NOW)
        self.known, self.opens = [], Counter()
        self.tree.changes.clear()
        assert not self.tree.measured
        assert not self.tree.leases.attempts
        assert list(self.tree.inodes) == [ROOT_INO]
        self.charges_equal_a_recount()

    # Inside

    def _queues(self) -> list[Queue]:
        return [queue for _, queue in self.tree.root.after(0)]

    def _arrivals(self) -> list[tuple[Queue, bytes]]:
        return [(queue, dentry.name) for queue in self._queues() for dentry, _ in queue.after(0)]

    def _do(self, action: Callable[[], T]) -> T | None:
        before = self._seen()
        try:
            return action()
        except Refused:
            assert self._seen() == before
            return None
        finally:
            self._clean()

    def _know(self, inode: Inode | None) -> None:
        """Hold an inode, as the kernel does that has been told of it."""
        if inode is not None:
            inode.holds += 1
            if inode not in self.known:
                self.known.append(inode)

    def _clean(self) -> None:
        self.known = [inode for inode in self.known if self.tree.inodes.get(inode.ino) is inode]

    def _seen(self) -> object:
        """Return all that can be seen of the tree, and what is charged for it."""
        inodes = sorted(self.tree.inodes.items())
        return (
            [
                (ino, inode.links, inode.mode, inode.uid, inode.gid, inode.size, inode.ctime_ns)
                for ino, inode in inodes
            ],
            [(ino, dict(inode.xattrs or {})) for ino, inode in inodes],
            [
                (
                    ino,
                    [(dentry.name, message.ino) for dentry, message in inode.after(0)],
                    [(dentry.name, message.ino) for dentry, message in _unfinished_in(inode)],
                )
                for ino, inode in inodes
                if isinstance(inode, Queue)
            ],
            self._charged(),
        )

    def _charged(self) -> Charges:
        ledger = self.tree.ledger
        accounts: dict[tuple[str, int], Account] = {
            **{("user", uid): account for uid, account in ledger._users.items()},
            **{("group", gid): account for gid, account in ledger._groups.items()},
        }
        dirs, files, count_bytes, held_bytes = (
            Counter({who: getattr(a, what) for who, a in accounts.items() if getattr(a, what)})
            for what in ("dirs", "files", "bytes", "held_bytes")
        )
        return Charges(dirs, files, count_bytes, held_bytes, ledger.stored_bytes, ledger.inodes)

    def _recounted(self) -> Charges:
        inodes = list(self.tree.inodes.values())
        dirs: Counter[tuple[str, int]] = Counter()
        files, count_bytes, held_bytes = dirs.copy(), dirs.copy(), dirs.copy()
        names: Counter[Inode] = Counter()
        queues = [queue for _, queue in self.tree.root.after(0)]
        for queue in queues:
            dirs.update(_both(queue.uid, queue.gid))
            for dentry, message in [*queue.after(0), *_unfinished_in(queue)]:
                files.update(_both(dentry.payer.uid, dentry.payer.gid))
                names[message] += 1
        for inode in inodes:
            used = inode in (self.tree.root, *queues) or names[inode] or self.opens[inode]
            if not isinstance(inode, End):
                for who in _both(inode.uid, inode.gid):
                    (count_bytes if used else held_bytes)[who] += inode.size + _attribute_bytes(
                        inode
                    )
        return Charges(
            dirs,
            files,
            +count_bytes,
            +held_bytes,
            sum(_content_bytes(inode) + _attribute_bytes(inode) for inode in inodes),
            len(inodes) + sum(count - 1 for count in names.values()),
        )


def _unfinished_in(queue: Inode) -> list[tuple[Dentry, Message]]:
    assert isinstance(queue, Queue)
    dentries = (queue.unfinished or {}).values()
    return [(dentry, dentry.inode) for dentry in dentries if isinstance(dentry.inode, Message)]


def _both(uid: Uid, gid: Gid) -> list[tuple[str, int]]:
    return [("user", uid), ("group", gid)]


def _attribute_bytes(inode: Inode) -> int:
    return sum(len(name) + len(value) + ATTRIBUTE for name, value in (inode.xattrs or {}).items())


def _content_bytes(inode: Inode) -> int:
    """Count the bytes that are stored, chunk by chunk where there are some."""
    if not isinstance(inode, Message):
        return 0
    content = inode._content
    if isinstance(content, bytes | bytearray):
        return len(content)
    # Keeping a chunk takes 160 bytes.
    return sum(len(chunk) + 160 for chunk in content._chunks.values())


TestRecount = Recount.TestCase
TestRecount.settings = settings(max_examples=300, stateful_step_count=50)
