"""The whole tree against a model that is written the naive way.

The model keeps plain lists, counts links by looking for them, and never frees anything. It knows
which refusal each operation deserves. After each step, all that can be seen of the tree has to be
as the model says, so a refused operation must have changed nothing.
"""

from collections.abc import Callable
from stat import S_IFIFO, S_IFREG, S_ISVTX
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from eventfs.queues import attributes
from eventfs.queues.errors import (
    AlreadyExists,
    IsADirectory,
    NameTaken,
    NameTooLong,
    NoSuchAttribute,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    Refused,
    Stale,
)
from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Account, Uid
from eventfs.queues.names import HEAD, TAIL
from eventfs.queues.queue import End, Owner, Queue, Tid
from eventfs.queues.tree import ROOT_INO, Tree
from eventfs.queues.xattrs import STICKY
from tests.queues import making
from tests.queues.making import (
    ALICE,
    BOB,
    CAROL,
    THEN,
    FakeThreads,
    create,
    entries,
    link,
    lookup,
    make_tree,
    mkdir,
    names,
    rename,
    rmdir,
    unlink,
)
from tests.queues.model import (
    LINKS,
    Model,
    ModelEnd,
    ModelInode,
    ModelMessage,
    ModelName,
    ModelQueue,
)

PORTS = (b".pipe", b".lines")
RESERVED = (*LINKS, *PORTS)


T = TypeVar("T")


def one_of_its(choices: Callable[[Model], list[T]]) -> st.SearchStrategy[T]:
    """Choose among what the machine's model has at that moment."""
    runner: st.SearchStrategy[TreeAndModel] = st.runner()
    return runner.flatmap(lambda machine: st.sampled_from(choices(machine.model)))


QUEUES = one_of_its(Model.known_queues)
MESSAGES = one_of_its(Model.known_messages)
UNFINISHED = one_of_its(Model.unfinished)
OPEN = one_of_its(lambda model: [message for message in model.messages if message.opens])
HELD = one_of_its(Model.held)

# Few names, so that they meet.
QUEUE_NAMES = st.sampled_from([b"p", b"q", b"r", b"head"])
NAMES = st.sampled_from(
    [*(b"%d" % number for number in range(5)), *RESERVED, b"x" * 255, b"x" * 256]
)
OWNERS = st.sampled_from([Owner(1), Owner(2), Owner(3)])
USERS = st.sampled_from([ALICE, BOB, CAROL])
#: None of them follows links, so which one it is tells only what it may do.
PRIVILEGED = 2
THREADS = st.sampled_from([0, 1, PRIVILEGED])
#: Who makes the unfinished messages.
CREATOR = 1


def spent(account: Account) -> tuple[int, int, int]:
    return account.dirs, account.files, account.bytes


def has_queues(machine: "TreeAndModel") -> bool:
    return bool(machine.model.known_queues())


def has_unfinished(machine: "TreeAndModel") -> bool:
    return bool(machine.model.unfinished())


def has_messages(machine: "TreeAndModel") -> bool:
    return has_queues(machine) and bool(machine.model.known_messages())


class TreeAndModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        threads = FakeThreads()
        threads.may_act_for = lambda tid, _uid, _gid: tid == PRIVILEGED
        self.tree: Tree = make_tree(threads=threads)
        self.model: Model = Model()
        self.now_ns = THEN
        #: Who had which number first. The inodes stay in memory, so identity tells them apart.
        self.numbers: dict[Ino, Inode] = {}

    @initialize(isvtx=st.booleans())
    def begin_with_messages_of_different_users(self, *, isvtx: bool) -> None:
        for name, owner, bit in ((b"p", Owner(1), isvtx), (b"q", Owner(2), True)):
            self.mkdir(name, owner, ALICE, isvtx=bit)
            for number, uid in enumerate((ALICE, BOB, CAROL)):
                self.create(self.model.queues[-1], b"%d" % number, uid)

    # Making queues

    @rule(name=QUEUE_NAMES, owner=OWNERS, uid=USERS, isvtx=st.booleans())
    def mkdir(self, name: bytes, owner: Owner, uid: Uid, *, isvtx: bool) -> None:
        taken = name in [queue.name for queue in self.model.in_root()]
        mode = 0o755 | S_ISVTX * isvtx
        queue = self._do(
            AlreadyExists if taken else None,
            lambda: mkdir(self.tree, name, mode=mode, uid=uid, owner=owner, now_ns=self.now_ns),
        )
        if queue is not None:  # an empty queue counts as false
            self.model.root_mtime_ns = self.now_ns
            made = ModelQueue(queue, name, uid, owner, isvtx)
            made.mtime_ns = made.ctime_ns = self.now_ns
            self.model.queues.append(made)

    @rule(name=st.one_of(QUEUE_NAMES, NAMES))
    def rmdir(self, name: bytes) -> None:
        found = [queue for queue in self.model.in_root() if queue.name == name]
        refusal: type[Refused] | None = None
        if len(name) > 255:
            refusal = NameTooLong
        elif not found:
            refusal = NotFound
        elif found[0].messages or found[0].unfinished:
            refusal = NotEmpty
        gone = self._do(refusal, lambda: rmdir(self.tree, name, now_ns=self.now_ns))
        if gone is not None:
            assert gone is found[0].real
            self._vanish(found[0])

    # Making messages

    @precondition(has_queues)
    @rule(queue=QUEUES, name=NAMES, uid=USERS)
    def create(self, queue: ModelQueue, name: bytes, uid: Uid) -> None:
        refusal = self._refusal_of_new(queue, name)
        if refusal is None and name in RESERVED:
            refusal = NotPermitted
        message = self._do(
            refusal, lambda: create(self.tree, queue.real, name, uid=uid, now_ns=self.now_ns)
        )
        if message is not None:
            made = ModelMessage(message, uid, mtime_ns=self.now_ns, ctime_ns=self.now_ns)
            self.model.messages.append(made)
            self._arrive(queue, name, made, uid)

    @precondition(has_queues)
    @rule(queue=QUEUES, count=st.integers(1, 20))
    def create_many(self, queue: ModelQueue, count: int) -> None:
        """Make so many that removing them leaves enough holes to be swept."""
        for _ in range(count):
            self.create(queue, b"many %d" % len(self.model.messages), ALICE)

    @precondition(has_queues)
    @rule(queue=QUEUES, name=NAMES, uid=USERS)
    def create_unfinished(self, queue: ModelQueue, name: bytes, uid: Uid) -> None:
        refusal = self._refusal_of_new(queue, name)
        if refusal is None and name in RESERVED:
            refusal = NotPermitted
        message = self._do(
            refusal,
            lambda: create(
                self.tree, queue.real, name, uid=uid, now_ns=self.now_ns, creator=CREATOR
            ),
        )
        if message is not None:
            made = ModelMessage(message, uid, mtime_ns=self.now_ns, ctime_ns=self.now_ns)
            self.model.messages.append(made)
            queue.unfinished.append(ModelName(name, made, uid))

    @precondition(has_unfinished)
    @rule(unfinished=UNFINISHED)
    def commit(self, unfinished: tuple[ModelQueue, ModelName]) -> None:
        self._tick()
        queue, name = unfinished
        found = self.tree.unfinished.by_ino[name.message.real.ino]
        self.tree.unfinished.commit(found, self.now_ns)
        queue.unfinished.remove(name)
        self._arrive(queue, *name)

    @precondition(has_unfinished)
    @rule(unfinished=UNFINISHED)
    def discard(self, unfinished: tuple[ModelQueue, ModelName]) -> None:
        self._tick()
        queue, name = unfinished
        found = self.tree.unfinished.by_ino[name.message.real.ino]
        self.tree.unfinished.discard(found, self.now_ns)
        queue.unfinished.remove(name)
        name.message.ctime_ns = self.now_ns

    @precondition(has_messages)
    @rule(message=MESSAGES, queue=QUEUES, name=NAMES, uid=USERS)
    def link(self, message: ModelMessage, queue: ModelQueue, name: bytes, uid: Uid) -> None:
        refusal = self._refusal_of_new(queue, name)
        if refusal is None and name in RESERVED:
            refusal = NotPermitted
        if refusal is None and (not self.model.links(message) or self.model.is_unfinished(message)):
            refusal = NotFound
        linked = self._do(
            refusal,
            lambda: link(self.tree, message.real, queue.real, name, uid=uid, now_ns=self.now_ns),
        )
        if linked is not None:
            assert linked is message.real
            message.ctime_ns = self.now_ns
            self._arrive(queue, name, message, uid)

    # Removing messages

    @precondition(has_queues)
    @rule(queue=QUEUES, name=st.one_of(st.sampled_from(LINKS), NAMES), uid=USERS, tid=THREADS)
    def unlink(self, queue: ModelQueue, name: bytes, uid: Uid, tid: int) -> None:
        refusal = self._refusal_of_missing(queue, name)
        if name in PORTS and not queue.vanished:
            refusal = NotPermitted
        place = queue.shown(name)
        unfinished = queue.unfinished_named(name)
        if unfinished is not None and tid == CREATOR:
            refusal = None
        if place is not None and name in LINKS and queue.isvtx:
            owners = (queue.uid, queue.messages[place].message.uid)
            refusal = None if uid in owners or tid == PRIVILEGED else NotPermitted
        gone = self._do(
            refusal,
            lambda: unlink(self.tree, queue.real, name, uid=uid, tid=tid, now_ns=self.now_ns),
        )
        if gone is not None and unfinished is not None:
            queue.unfinished.remove(unfinished)
            assert gone is unfinished.message.real
            unfinished.message.ctime_ns = self.now_ns
        elif gone is not None:
            assert place is not None
            message = queue.messages.pop(place).message
            assert gone is message.real
            message.ctime_ns = queue.mtime_ns = queue.ctime_ns = self.now_ns

    @precondition(has_queues)
    @rule(queue=QUEUES, places=st.lists(st.integers(0, 99), min_size=1, max_size=30))
    def unlink_many(self, queue: ModelQueue, places: list[int]) -> None:
        for place in places[: len(queue.messages)]:
            name = queue.messages[place % len(queue.messages)]
            self.unlink(queue, name.name, CAROL, 0)

    # Renaming

    @precondition(has_queues)
    @rule(queue=QUEUES, name=NAMES, other=QUEUES, new_name=NAMES, uid=USERS, replaces=st.booleans())
    def rename(  # noqa: PLR0913  # as renameat2(2) has them
        self,
        queue: ModelQueue,
        name: bytes,
        other: ModelQueue,
        new_name: bytes,
        uid: Uid,
        *,
        replaces: bool,
    ) -> None:
        place, taken = queue.shown(name), other.shown(new_name)
        refusal: type[Refused] | None = None
        if max(len(name), len(new_name)) > 255:
            refusal = NameTooLong
        elif name in RESERVED:
            refusal = NotPermitted
        elif place is None or other.vanished:
            refusal = NotFound
        elif new_name in RESERVED:
            refusal = NotPermitted
        elif other.unfinished_named(new_name) is not None:
            refusal = NameTaken
        elif taken is not None and not replaces:
            refusal = AlreadyExists
        done = self._do(
            refusal, lambda: self._rename(queue, name, other, new_name, uid, replaces=replaces)
        )
        if done is not None:
            assert place is not None
            self._renamed(queue, queue.messages[place], other, new_name, uid)

    def _rename(  # noqa: PLR0913  # as above
        self,
        queue: ModelQueue,
        name: bytes,
        other: ModelQueue,
        new_name: bytes,
        uid: Uid,
        *,
        replaces: bool,
    ) -> bool:
        rename(
            self.tree,
            queue.real,
            name,
            other.real,
            new_name,
            uid=uid,
            now_ns=self.now_ns,
            replaces=replaces,
        )
        return True

    def _renamed(  # as above
        self,
        queue: ModelQueue,
        moved: ModelName,
        other: ModelQueue,
        new_name: bytes,
        uid: Uid,
    ) -> None:
        replaced = [one for one in other.messages if one.name == new_name]
        if any(one.message is moved.message for one in replaced):
            return
        place = queue.messages.index(moved)
        if queue is other:
            queue.messages[place] = moved._replace(name=new_name)
        else:
            del queue.messages[place]
            other.messages.append(ModelName(new_name, moved.message, uid))
        for one in replaced:
            other.messages.remove(one)
            one.message.ctime_ns = self.now_ns
        moved.message.ctime_ns = queue.ctime_ns = other.ctime_ns = self.now_ns
        queue.mtime_ns = other.mtime_ns = self.now_ns

    # What never works

    @precondition(has_queues)
    @rule(queue=QUEUES, other=QUEUES, name=NAMES)
    def make_in_a_queue_what_cannot_be_there(
        self, queue: ModelQueue, other: ModelQueue, name: bytes
    ) -> None:
        refusal = self._refusal_of_new(queue, name) or NotPermitted
        of_mkdir = NotPermitted if refusal is NameTaken else refusal
        self._do(of_mkdir, lambda: mkdir(self.tree, name, directory=queue.real))
        self._do(refusal, lambda: create(self.tree, queue.real, name, mode=S_IFIFO | 0o644))
        self._do(refusal, lambda: link(self.tree, other.real, queue.real, name))
        refusal = self._refusal_of_missing(queue, name) or NotADirectory
        self._do(refusal, lambda: rmdir(self.tree, name, directory=queue.real))

    @rule(name=st.one_of(QUEUE_NAMES, NAMES))
    def treat_the_root_as_a_queue(self, name: bytes) -> None:
        taken = name in [queue.name for queue in self.model.in_root()]
        of_create: type[Refused] = AlreadyExists if taken else NotPermitted
        of_unlink: type[Refused] = IsADirectory if taken else NotFound
        if len(name) > 255:
            of_create = of_unlink = NameTooLong
        self._do(of_create, lambda: create(self.tree, self.tree.root, name))
        self._do(of_unlink, lambda: unlink(self.tree, self.tree.root, name))

    # What is done to messages and queues

    @precondition(has_messages)
    @rule(message=MESSAGES, text=st.binary(min_size=1, max_size=5))
    def append(self, message: ModelMessage, text: bytes) -> None:
        """Open, write and close, as the shell's >> does."""
        self._tick()
        self.tree.open(message.real)
        self.tree.write(message.real, len(message.content), text, self.now_ns)
        self.tree.close(message.real)
        message.content += text
        message.mtime_ns = message.ctime_ns = self.now_ns

    @precondition(has_messages)
    @rule(message=MESSAGES, size=st.integers(0, 20))
    def truncate(self, message: ModelMessage, size: int) -> None:
        self._tick()
        self.tree.truncate(message.real, size, self.now_ns)
        message.content = message.content[:size].ljust(size, b"\0")
        message.mtime_ns = message.ctime_ns = self.now_ns

    @precondition(has_messages)
    @rule(message=MESSAGES, uid=USERS)
    def chown(self, message: ModelMessage, uid: Uid) -> None:
        self._tick()
        self.tree.chown(message.real, uid, None, self.now_ns)
        message.uid = uid
        message.ctime_ns = self.now_ns

    @precondition(has_queues)
    @rule(queue=QUEUES, isvtx=st.booleans(), uid=USERS)
    def chmod_and_chown_a_queue(self, queue: ModelQueue, uid: Uid, *, isvtx: bool) -> None:
        self._tick()
        self.tree.chmod(queue.real, Mode(0o755 | S_ISVTX * isvtx), self.now_ns)
        self.tree.chown(queue.real, uid, None, self.now_ns)
        queue.isvtx, queue.uid = isvtx, uid
        queue.ctime_ns = self.now_ns

    # Fate

    @rule(owner=OWNERS)
    def owner_died(self, owner: Owner) -> None:
        self._tick()
        vanished = self.tree.owner_died(owner, self.now_ns)
        theirs = [queue for queue in self.model.in_root() if queue.owner == owner]
        told = dict(vanished)
        assert len(vanished) == len(told)
        assert told == {
            queue.real: self._held_in(queue) for queue in theirs if queue.sticky is None
        }
        for queue in theirs:
            queue.owner = None
            if queue.sticky is None:
                self._vanish(queue)

    @precondition(has_queues)
    @rule(queue=QUEUES, value=st.binary(max_size=2))
    def make_sticky(self, queue: ModelQueue, value: bytes) -> None:
        self._tick()
        attributes.put(self.tree, queue.real, STICKY, value, self.now_ns)
        queue.sticky = value
        queue.ctime_ns = self.now_ns

    @precondition(has_queues)
    @rule(queue=QUEUES)
    def make_unsticky(self, queue: ModelQueue) -> None:
        told = self._do(
            NoSuchAttribute if queue.sticky is None else None,
            lambda: [attributes.remove(self.tree, queue.real, STICKY, self.now_ns)],
        )
        if told is None:
            return
        queue.sticky = None
        queue.ctime_ns = self.now_ns
        if queue.owner is None and not queue.vanished:
            assert told == [(queue.real, self._held_in(queue))]
            self._vanish(queue)
        else:
            assert told == [None]

    # Lookups and open handles

    @precondition(has_queues)
    @rule(queue=QUEUES, name=st.one_of(st.sampled_from(LINKS), NAMES), viewer=USERS)
    def lookup(self, queue: ModelQueue, name: bytes, viewer: Uid) -> None:
        if name in PORTS and not queue.vanished:
            return  # see test_ports
        found = self._do(
            self._refusal_of_missing(queue, name),
            lambda: lookup(self.tree, queue.real, name, viewer=viewer),
        )
        if found is not None:
            self._hold(queue, name, found, viewer)

    @rule(name=QUEUE_NAMES)
    def lookup_in_the_root(self, name: bytes) -> None:
        there = [queue for queue in self.model.in_root() if queue.name == name]
        found = self._do(
            None if there else NotFound, lambda: lookup(self.tree, self.tree.root, name)
        )
        if found is not None:
            assert found is there[0].real
            found.holds += 1
            there[0].holds += 1

    @precondition(has_messages)
    @rule(message=MESSAGES)
    def open(self, message: ModelMessage) -> None:
        self.tree.open(message.real)
        message.opens += 1

    @precondition(lambda self: any(message.opens for message in self.model.messages))
    @rule(message=OPEN)
    def close(self, message: ModelMessage) -> None:
        message.opens -= 1
        self.tree.close(message.real)

    @precondition(has_queues)
    @rule(queue=QUEUES, viewer=USERS)
    def list_as_readdirplus_does(self, queue: ModelQueue, viewer: Uid) -> None:
        """Each line but the first two is a lookup."""
        _, _, *lines = list(entries(self.tree, queue.real, viewer=viewer))
        for line in lines:
            self._hold(queue, line.name, line.inode, viewer)
        shown = [name.name for name in queue.messages]
        assert [line.name for line in lines] == ([b"head", *shown, b"tail"] if shown else [])

    @precondition(lambda self: self.model.held())
    @rule(inode=HELD, count=st.integers(1, 3))
    def let_go(self, inode: ModelInode, count: int) -> None:
        count = min(count, inode.holds)
        inode.holds -= count
        self.tree.unhold(inode.real, count)

    # What must hold after each step

    @invariant()
    def the_root_has_the_queues_in_order(self) -> None:
        there = self.model.in_root()
        assert names(self.tree.root) == [queue.name for queue in there]
        root = self.tree.root
        assert root.links == 2 + len(there)
        assert root.mtime_ns == root.ctime_ns == self.model.root_mtime_ns

    @invariant()
    def each_queue_has_its_messages_in_order(self) -> None:
        for queue in self.model.known_queues():
            real = queue.real
            assert [(dentry.name, inode) for dentry, inode in real.after(0)] == [
                (name.name, name.message.real) for name in queue.messages
            ]
            places = [dentry.sequence for dentry, _ in real.after(0)]
            assert places == sorted(set(places))
            assert (real.vanished, real.links) == (queue.vanished, 0 if queue.vanished else 2)
            assert (real.mtime_ns, real.ctime_ns) == (queue.mtime_ns, queue.ctime_ns)
            assert (real.uid, real.is_sticky) == (queue.uid, queue.sticky is not None)
            assert real.places == len(queue.messages) + len(queue.unfinished)
            if queue.messages:
                head, tail = real.find(HEAD), real.find(TAIL)
                assert head is not None
                assert tail is not None
                assert (head.name, tail.name) == (queue.messages[0].name, queue.messages[-1].name)
            else:
                assert real.find(HEAD) is real.find(TAIL) is None

    @invariant()
    def each_message_is_what_it_was_made_to_be(self) -> None:
        for message in self.model.known_messages():
            real = message.real
            assert real.links == self.model.links(message)
            assert real.read(0, 100, self.now_ns) == message.content
            assert real.size == len(message.content)
            assert (real.uid, real.mode) == (message.uid, S_IFREG | 0o644)
            assert (real.mtime_ns, real.ctime_ns) == (message.mtime_ns, message.ctime_ns)

    @invariant()
    def each_link_leads_to_its_queues_end(self) -> None:
        for end in self.model.ends:
            if not end.holds:
                continue
            place = end.queue.shown(end.name)
            if place is None:
                with pytest.raises((Stale, NotFound)):
                    end.real.dentry(Tid(1))
            else:
                assert end.real.dentry(Tid(1)).name == end.queue.messages[place].name
            assert end.real.uid == end.uid

    @invariant()
    def in_memory_is_what_has_a_name_or_is_held_and_nothing_else(self) -> None:
        expected: set[Inode] = {
            self.tree.root,
            *(queue.real for queue in self.model.known_queues()),
            *(message.real for message in self.model.known_messages()),
            *(end.real for end in self.model.ends if end.holds),
        }
        assert set(self.tree.inodes.values()) == expected
        assert {inode.ino: inode for inode in expected} == self.tree.inodes

    @invariant()
    def no_inode_number_is_used_twice(self) -> None:
        for ino, inode in self.tree.inodes.items():
            assert self.numbers.setdefault(ino, inode) is inode

    @invariant()
    def the_owners_are_those_of_the_queues_there_are(self) -> None:
        owners: dict[Owner, set[Queue]] = {}
        for queue in self.model.in_root():
            assert queue.real.owner == queue.owner
            if queue.owner is not None:
                owners.setdefault(queue.owner, set()).add(queue.real)
        assert self.tree._owned == owners
        for number in range(1, 5):
            assert self.tree.owns(Owner(number)) == (number in owners)

    @invariant()
    def everybody_is_charged_for_what_is_theirs(self) -> None:
        charges = self.model.charges()
        ledger = self.tree.ledger
        for uid, account in ledger._users.items():
            assert spent(account) == charges.get(uid, (0, 0, 0))
        assert charges.keys() <= ledger._users.keys()
        # All are of one group, but for the root, which is charged nothing.
        total = tuple(map(sum, zip(*charges.values(), strict=True))) or (0, 0, 0)
        assert spent(ledger.payer(ALICE, making.USERS).group) == total

    @invariant()
    def the_mount_knows_what_is_stored(self) -> None:
        inodes = self.tree.inodes.values()
        more_names = sum(max(0, self.model.links(message) - 1) for message in self.model.messages)
        assert self.tree.ledger.inodes == len(inodes) + more_names
        assert self.tree.ledger.stored_bytes == sum(inode.stored_bytes for inode in inodes)

    def teardown(self) -> None:
        """Let everything go: only the root is left."""
        for queue in self.model.in_root():
            if queue.sticky is not None:
                self.make_unsticky(queue)
        for number in range(1, 4):
            self.owner_died(Owner(number))
        for message in self.model.messages:
            for _ in range(message.opens):
                self.close(message)
        for inode in self.model.held():
            self.let_go(inode, inode.holds)
        assert self.tree.inodes == {ROOT_INO: self.tree.root}
        ledger = self.tree.ledger
        assert (ledger.inodes, ledger.stored_bytes) == (1, 0)
        assert {spent(account) for account in ledger._users.values()} <= {(0, 0, 0)}

    # Inside

    def _tick(self) -> None:
        self.now_ns += 1

    def _do(self, refusal: type[Refused] | None, action: Callable[[], T]) -> T | None:
        """Do something that must be refused just so, or not at all."""
        self._tick()
        if refusal is None:
            return action()
        with pytest.raises(Refused) as caught:
            action()
        assert caught.type is refusal
        return None

    @staticmethod
    def _refusal_of_new(queue: ModelQueue, name: bytes) -> type[Refused] | None:
        if len(name) > 255:
            return NameTooLong
        if queue.vanished:
            return NotFound
        if queue.unfinished_named(name) is not None:
            return NameTaken
        return None if queue.shown(name) is None else AlreadyExists

    @staticmethod
    def _refusal_of_missing(queue: ModelQueue, name: bytes) -> type[Refused] | None:
        if len(name) > 255:
            return NameTooLong
        return NotFound if queue.shown(name) is None else None

    def _arrive(self, queue: ModelQueue, name: bytes, message: ModelMessage, maker: Uid) -> None:
        queue.messages.append(ModelName(name, message, maker))
        queue.mtime_ns = queue.ctime_ns = self.now_ns

    def _vanish(self, queue: ModelQueue) -> None:
        queue.vanished = True
        self.model.root_mtime_ns = self.now_ns
        for name in queue.messages:
            name.message.ctime_ns = queue.mtime_ns = queue.ctime_ns = self.now_ns
        queue.messages.clear()
        for name in queue.unfinished:
            name.message.ctime_ns = self.now_ns
        queue.unfinished.clear()

    def _held_in(self, queue: ModelQueue) -> list[tuple[bytes, Inode]]:
        ends = [end for end in self.model.ends if end.queue is queue and end.holds]
        return [
            *(
                (name.name, name.message.real)
                for name in queue.messages
                if name.message.holds or name.message.opens
            ),
            *((end.name, end.real) for end in sorted(ends, key=lambda end: end.real.ino)),
            *(
                (name.name, name.message.real)
                for name in queue.unfinished
                if name.message.holds or name.message.opens
            ),
        ]

    def _hold(self, queue: ModelQueue, name: bytes, found: Inode, viewer: Uid) -> None:
        """Count a lookup of what the model finds there too."""
        found.holds += 1
        if name not in LINKS:
            place = queue.shown(name)
            assert place is not None
            message = queue.messages[place].message
            assert found is message.real
            message.holds += 1
            return
        assert isinstance(found, End)
        uid = queue.end_uid(viewer)
        for end in self.model.ends:
            if (end.queue, end.name, end.uid) == (queue, name, uid) and end.holds:
                break
        else:
            # A number of its own is checked by the invariant.
            end = ModelEnd(found, queue, name, uid)
            self.model.ends.append(end)
        assert found is end.real
        end.holds += 1


TestTreeAndModel = TreeAndModel.TestCase
TestTreeAndModel.settings = settings(max_examples=60, stateful_step_count=50)
