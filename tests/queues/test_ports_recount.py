"""Ports, followers, topics and names under any limits, against lists and a recount of all charges.

The model knows what is in each queue and who pays for it, and tells from that alone which message
is let in. In which order followers with common limits are served is not its affair: it is told how
many messages arrived in each, and sees to it that those which missed some had no room.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from stat import S_ISGID, S_ISVTX

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventfs.queues import acl, attributes, ports, xattrs
from eventfs.queues.errors import (
    AlreadyExists,
    FollowsItself,
    LimitReached,
    MessageTooLong,
    MountFull,
    NotPermitted,
    QueueGone,
    Refused,
)
from eventfs.queues.inode import Mode
from eventfs.queues.ledger import UNLIMITED, Gid, Limits, Settings, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, TAIL, Name, port_name
from eventfs.queues.packet import Packet
from eventfs.queues.queue import Owner, Queue
from eventfs.queues.tree import ROOT_INO
from tests.queues.making import (
    ALICE,
    ATTRIBUTE,
    BOB,
    NOW,
    STAFF,
    USERS,
    charged,
    create,
    extended_list,
    follow,
    has_room,
    link,
    lookup,
    make_tree,
    mkdir,
    peek,
    put_lines,
    unlink,
    user,
)

#: A user and a group, who pay together.
Pair = tuple[Uid, Gid]

PAIRS = st.sampled_from([(ALICE, USERS), (ALICE, STAFF), (BOB, USERS), (BOB, STAFF)])
QUEUE_NAMES = (b"a", b"b", b"c", b"d")
TEXTS = st.binary(max_size=5).map(lambda text: text.replace(b"\n", b""))

FEW = st.one_of(st.integers(0, 5), st.just(UNLIMITED))
LIMITS = st.builds(
    Limits, st.just(UNLIMITED), FEW, FEW, st.sampled_from([5, 150, 400, UNLIMITED, UNLIMITED])
)
SETTINGS = st.builds(
    Settings,
    st.just(Limits()),
    st.dictionaries(st.sampled_from([ALICE, BOB]), LIMITS, max_size=2),
    st.dictionaries(st.sampled_from([USERS, STAFF]), LIMITS, max_size=2),
    st.sampled_from([10, 400, UNLIMITED, UNLIMITED]),
    st.sampled_from([8, 15, UNLIMITED, UNLIMITED]),
)

DEFAULT_LIST = extended_list(0o660, 6)


def attribute_bytes(attributes: dict[bytes, bytes]) -> int:
    return sum(len(name) + len(value) + ATTRIBUTE for name, value in attributes.items())


@dataclass(eq=False)
class ModelMessage:
    """A message, and its inode once somebody has looked at it."""

    content: bytes
    pair: Pair
    list_bytes: int = 0
    real: Message | None = None
    opens: int = 0


@dataclass(eq=False)
class ModelName:
    """A message's place in a queue, and its name there once somebody has looked at it."""

    message: ModelMessage
    pair: Pair
    name: bytes = b""
    is_given: bool = False
    number: int = 0


@dataclass(eq=False)
class ModelQueue:
    """A queue, and what should be in it."""

    name: bytes
    real: Queue
    pair: Pair
    owner: Owner
    setgid: bool
    isvtx: bool
    names: list[ModelName] = field(default_factory=list)
    sources: list["ModelQueue"] = field(default_factory=list)
    attributes: dict[bytes, bytes] = field(default_factory=dict)
    dropped: int = 0

    @property
    def keeps(self) -> bool:
        return xattrs.KEEP not in self.attributes

    @property
    def list_bytes(self) -> int:
        """What the list of a new message takes."""
        if acl.DEFAULT not in self.attributes:
            return 0
        return attribute_bytes({acl.ACCESS: DEFAULT_LIST})

    def find(self, name: bytes) -> ModelName | None:
        """Look for a name, also for one that a message has only now that somebody looks."""
        for one in self.names:
            if one.name == name:
                return one
        for one in self.names:
            if not one.name and port_name(one.number) == name:
                self.look(one)
                return one
        return None

    def look(self, one: ModelName) -> None:
        """Give a message its name."""
        if not one.name:
            taken = {other.name for other in self.names}
            name: bytes = port_name(one.number)
            while name in taken:
                name += b"+"
            one.name, one.is_given = name, True
            place, found = next(self.real.after(one.number - 1))
            assert (place.name, place.sequence) == (name, one.number)
            is_seen(one.message, found)

    def all_sources(self) -> set["ModelQueue"]:
        return {self}.union(*(source.all_sources() for source in self.sources))


def refusal_of(*, mount: bool, users: bool) -> type[Refused] | None:
    """Return what a refusal is where the mount, or a user or group, has no room."""
    return None if mount and users else LimitReached if mount else MountFull


def is_seen(message: ModelMessage, found: object) -> None:
    """Note that somebody looked at a message, and found always the same."""
    assert isinstance(found, Message)
    assert message.real in {None, found}
    message.real = found


def some_queue(machine: "PortsAndRecount") -> st.SearchStrategy[ModelQueue]:
    return st.sampled_from(list(machine.queues.values()))


QUEUES = st.runner().flatmap(some_queue)


class PortsAndRecount(RuleBasedStateMachine):
    """Queues that follow each other, under limits that change."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = make_tree()
        self.queues: dict[bytes, ModelQueue] = {}
        self.open: list[ModelMessage] = []
        self.last_owner = 0

    @initialize(first=PAIRS, second=PAIRS, third=PAIRS, setgid=st.booleans(), chained=st.booleans())
    def begin(self, first: Pair, second: Pair, third: Pair, *, setgid: bool, chained: bool) -> None:
        for name, pair in zip(QUEUE_NAMES, (first, second, third), strict=False):
            self.make(name, pair, setgid=setgid, isvtx=False)
        self.follow(self.queues[b"b"], ["a"])
        self.follow(self.queues[b"c"], ["b"] if chained else ["a"])

    # Queues

    @rule(settings=SETTINGS)
    def change_limits(self, settings: Settings) -> None:
        self.tree.ledger.change(settings)

    @rule(name=st.sampled_from(QUEUE_NAMES), pair=PAIRS, setgid=st.booleans(), isvtx=st.booleans())
    def make(self, name: bytes, pair: Pair, *, setgid: bool, isvtx: bool) -> None:
        if name in self.queues or self.tree.ledger.inodes >= self.settings.nr_inodes:
            return
        self.last_owner += 1
        owner = Owner(self.last_owner)
        real = mkdir(self.tree, name, mode=0o777, uid=pair[0], gid=pair[1], owner=owner)
        self.tree.chmod(real, Mode(0o777 | S_ISGID * setgid | S_ISVTX * isvtx), NOW)
        self.queues[name] = ModelQueue(name, real, pair, owner, setgid, isvtx)

    @precondition(lambda self: len(self.queues) > 1)
    @rule(queue=QUEUES)
    def vanish(self, queue: ModelQueue) -> None:
        queue.real.holds += 1
        self.tree.owner_died(queue.owner, NOW)
        del self.queues[queue.name]
        for other in self.queues.values():
            if queue in other.sources:
                other.sources.remove(queue)
                other.attributes[xattrs.FOLLOW] = b"/".join(s.name for s in other.sources)
        by = user(self.tree)
        with pytest.raises(QueueGone):
            ports.put(self.tree, queue.real, b"", by, NOW)
        with pytest.raises(QueueGone):
            ports.take_lines(self.tree, queue.real, 100, by, NOW)
        self.tree.unhold(queue.real)

    @rule(queue=QUEUES, attribute=st.sampled_from([xattrs.KEEP, acl.DEFAULT]))
    def make_a_topic_or_a_list_or_undo_it(self, queue: ModelQueue, attribute: bytes) -> None:
        if attribute in queue.attributes:
            attributes.remove(self.tree, queue.real, attribute, NOW)
            del queue.attributes[attribute]
            return
        value = b"no" if attribute == xattrs.KEEP else DEFAULT_LIST
        self._set_attribute(
            queue,
            attribute,
            value,
            lambda: attributes.put(self.tree, queue.real, attribute, value, NOW),
        )

    @rule(queue=QUEUES, sources=st.lists(st.sampled_from("abcd"), max_size=3, unique=True))
    def follow(self, queue: ModelQueue, sources: list[str]) -> None:
        found = [self.queues[name.encode()] for name in sources if name.encode() in self.queues]
        value = b"/".join(source.name for source in found)
        if any(queue in source.all_sources() for source in found):
            with pytest.raises(FollowsItself):
                follow(self.tree, queue.real, value)
        elif self._set_attribute(
            queue, xattrs.FOLLOW, value, lambda: follow(self.tree, queue.real, value)
        ):
            queue.sources = found

    @rule(queue=QUEUES)
    def unfollow(self, queue: ModelQueue) -> None:
        if xattrs.FOLLOW in queue.attributes:
            attributes.remove(self.tree, queue.real, xattrs.FOLLOW, NOW)
            del queue.attributes[xattrs.FOLLOW]
            queue.sources = []

    # What arrives

    @rule(queue=QUEUES, text=TEXTS, pair=PAIRS)
    def put(self, queue: ModelQueue, text: bytes, pair: Pair) -> None:
        def put() -> int:
            ports.put(self.tree, queue.real, text, user(self.tree, *pair), NOW)
            return 1

        self._put(queue, [text], pair, put)

    @rule(queue=QUEUES, lines=st.lists(TEXTS, min_size=1, max_size=6), pair=PAIRS)
    def put_lines(self, queue: ModelQueue, lines: list[bytes], pair: Pair) -> None:
        by = user(self.tree, *pair)
        self._put(queue, lines, pair, lambda: put_lines(self.tree, queue.real, *lines, by=by))

    @rule(queue=QUEUES, data=st.data(), text=TEXTS, pair=PAIRS, again=st.booleans())
    def create(
        self, queue: ModelQueue, data: st.DataObject, text: bytes, pair: Pair, *, again: bool
    ) -> None:
        """Open, write and close a new file, as the shell does; perhaps open it once more before."""
        if not queue.keeps and (queue.list_bytes or not self._has_inode()):
            return
        name = self._some_name(queue, data)
        taken = queue.find(name) is not None
        inode_pair = self._inode_pair(queue, pair)
        refusal = refusal_of(
            mount=(not queue.keeps or self._has_inode()) and self._has_store(queue.list_bytes),
            users=(not queue.keeps or self._has_name(queue, pair))
            and self._has_bytes(inode_pair, queue.list_bytes),
        )
        before = self._lengths()
        if taken or refusal:
            with pytest.raises(AlreadyExists if taken else (LimitReached, MountFull)):
                create(self.tree, queue.real, name, uid=pair[0], gid=pair[1])
            return
        real = create(self.tree, queue.real, name, uid=pair[0], gid=pair[1])
        message = ModelMessage(b"", inode_pair, queue.list_bytes, real)
        self._arrive(queue, [message], pair, before, name)
        self.tree.open(real)
        message.opens = 1
        self._append(message, text)
        if again:
            self.open.append(message)
        else:
            message.opens = 0
            self.tree.close(real)

    @rule(queue=QUEUES, source=QUEUES, data=st.data(), pair=PAIRS)
    def link(self, queue: ModelQueue, source: ModelQueue, data: st.DataObject, pair: Pair) -> None:
        if not source.names:
            return
        message = self._look(source, data.draw(st.sampled_from(source.names)))
        name = self._some_name(queue, data)
        taken = queue.find(name) is not None
        room = not queue.keeps or (self._has_inode() and self._has_name(queue, pair))
        before = self._lengths()
        assert message.real is not None
        if taken or not room:
            with pytest.raises(AlreadyExists if taken else (LimitReached, MountFull)):
                link(self.tree, message.real, queue.real, name, uid=pair[0], gid=pair[1])
        else:
            link(self.tree, message.real, queue.real, name, uid=pair[0], gid=pair[1])
            self._arrive(queue, [message], pair, before, name)

    # What is taken

    @rule(queue=QUEUES, pair=PAIRS, room_bytes=st.sampled_from([0, 2, 1000]))
    def take(self, queue: ModelQueue, pair: Pair, room_bytes: int) -> None:
        def take() -> bytes | None:
            taken = ports.take(self.tree, queue.real, room_bytes, user(self.tree, *pair), NOW)
            return None if taken is None else taken.content

        refusal = self._refusal_of_take(queue, pair, room_bytes)
        if refusal:
            with pytest.raises(refusal):
                take()
        else:
            expected = queue.names.pop(0).message.content if queue.names else None
            assert take() == expected

    @rule(queue=QUEUES, pair=PAIRS, room_bytes=st.integers(0, 30))
    def take_lines(self, queue: ModelQueue, pair: Pair, room_bytes: int) -> None:
        refusal = self._refusal_of_take(queue, pair, room_bytes - 1)
        expected, known = b"", []
        while queue.names and not self._refusal_of_take(
            queue, pair, room_bytes - len(expected) - 1
        ):
            one = queue.names.pop(0)
            expected += one.message.content + b"\n"
            if one.name:
                known.append((one.name, one.message.real))
        by = user(self.tree, *pair)
        if refusal:
            with pytest.raises(refusal):
                ports.take_lines(self.tree, queue.real, room_bytes, by, NOW)
            return
        lines, told = ports.take_lines(self.tree, queue.real, room_bytes, by, NOW)
        assert lines == expected
        assert [(taken.name, taken.message) for taken in told] == known

    @rule(queue=QUEUES, data=st.data())
    def unlink(self, queue: ModelQueue, data: st.DataObject) -> None:
        if not queue.names:
            return
        index = data.draw(st.integers(0, len(queue.names) - 1))
        last = len(queue.names) - 1
        ways = [b"", *[HEAD] * (index == 0), *[TAIL] * (index == last)]
        one = queue.names[index]
        self._look(queue, one)
        unlink(
            self.tree, queue.real, data.draw(st.sampled_from(ways)) or one.name, uid=queue.pair[0]
        )
        del queue.names[index]

    # What is looked at, and changed

    @rule(queue=QUEUES, data=st.data())
    def lookup(self, queue: ModelQueue, data: st.DataObject) -> None:
        name = self._some_name(queue, data)
        expected = queue.find(name)
        found = self.tree.lookup(queue.real, Name(name), ALICE)
        if expected is None:
            assert found is None
        else:
            is_seen(expected.message, found)

    @rule(queue=QUEUES)
    def list_names(self, queue: ModelQueue) -> None:
        for one in queue.names:
            queue.look(one)
        places = list(queue.real.after(0))
        assert [place.name for place, _ in places] == [one.name for one in queue.names]
        for one, (_, inode) in zip(queue.names, places, strict=True):
            is_seen(one.message, inode)

    @rule(queue=QUEUES, data=st.data(), text=TEXTS)
    def append(self, queue: ModelQueue, data: st.DataObject, text: bytes) -> None:
        if queue.names:
            self._append(self._look(queue, data.draw(st.sampled_from(queue.names))), text)

    @rule(queue=QUEUES, data=st.data(), pair=PAIRS)
    def chown(self, queue: ModelQueue, data: st.DataObject, pair: Pair) -> None:
        if not queue.names:
            return
        message = self._look(queue, data.draw(st.sampled_from(queue.names)))
        assert message.real is not None
        try:
            self.tree.chown(message.real, *pair, NOW)
        except LimitReached:
            assert not self._has_bytes(pair, len(message.content) + message.list_bytes)
        else:
            message.pair = pair

    @rule(queue=QUEUES, data=st.data())
    def open_one(self, queue: ModelQueue, data: st.DataObject) -> None:
        if queue.names:
            message = self._look(queue, data.draw(st.sampled_from(queue.names)))
            assert message.real is not None
            self.tree.open(message.real)
            message.opens += 1
            self.open.append(message)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        self._close(data.draw(st.integers(0, len(self.open) - 1)))

    # What must hold after each step

    @invariant()
    def each_queue_has_its_messages_in_order(self) -> None:
        for queue in self.queues.values():
            places = peek(queue.real)
            assert len(places) == len(queue.real) == len(queue.names)
            for one, place in zip(queue.names, places, strict=True):
                assert place.name == one.name
                assert one.number == place.sequence
                assert place.content == one.message.content
            numbers = [one.number for one in queue.names]
            assert numbers == sorted(set(numbers))

    @invariant()
    def names_are_unique_and_given_ones_sort_in_the_order_of_arrival(self) -> None:
        for queue in self.queues.values():
            seen = [one.name for one in queue.names if one.name]
            assert len(set(seen)) == len(seen)
            given = [one.name for one in queue.names if one.is_given]
            assert given == sorted(given)

    @invariant()
    def links_and_owners_are_right(self) -> None:
        counts = Counter(one.message for queue in self.queues.values() for one in queue.names)
        for message in {*counts, *self.open}:
            if message.real is not None:
                assert message.real.links == counts[message]
                assert (message.real.uid, message.real.gid) == message.pair
        seen = {message.real for message in {*counts, *self.open} if message.real is not None}
        assert seen == {i for i in self.tree.inodes.values() if isinstance(i, Message)}

    @invariant()
    def attributes_are_right(self) -> None:
        for queue in self.queues.values():
            assert (queue.real.xattrs or {}) == queue.attributes
            assert attributes.get(self.tree, queue.real, xattrs.DROPPED) == b"%d" % queue.dropped
            followers = attributes.get(self.tree, queue.real, xattrs.FOLLOWERS)
            assert sorted(filter(None, followers.split(b"/"))) == sorted(
                other.name for other in self.queues.values() if queue in other.sources
            )

    @invariant()
    def charges_equal_a_recount(self) -> None:
        assert charged(self.tree) == {what: n for what, n in self._charges().items() if n}

    @invariant()
    def there_is_room_where_a_byte_would_be_let_in(self) -> None:
        for queue in self.queues.values():
            for pair in ((ALICE, USERS), (BOB, STAFF)):
                room = self._refusal_of_put(queue, pair, 1) is None
                assert has_room(self.tree, queue.real, by=user(self.tree, *pair)) is room

    def teardown(self) -> None:
        """Let everything go: only the root is left."""
        while self.open:
            self._close(0)
        for queue in self.queues.values():
            self.tree.owner_died(queue.owner, NOW)
        assert charged(self.tree) == {"inodes": 1}
        assert list(self.tree.inodes) == [ROOT_INO]

    # Charges and limits, from what there is

    @property
    def settings(self) -> Settings:
        return self.tree.ledger.settings

    def _charges(self) -> Counter[str]:
        charges = Counter({"inodes": 1 + len(self.queues)})
        counts: Counter[ModelMessage] = Counter(dict.fromkeys(self.open, 0))
        for queue in self.queues.values():
            count_bytes = attribute_bytes(queue.attributes)
            _charge(charges, queue.pair, dirs=1, count_bytes=count_bytes)
            charges["stored_bytes"] += count_bytes
            for one in queue.names:
                _charge(charges, one.pair, files=1)
                counts[one.message] += 1
        for message, count in counts.items():
            count_bytes = len(message.content) + message.list_bytes
            _charge(charges, message.pair, count_bytes=count_bytes)
            charges["stored_bytes"] += count_bytes
            charges["inodes"] += max(1, count)
        return charges

    def _limits(self, pair: Pair) -> list[tuple[str, Limits]]:
        uid, gid = pair
        return [
            (f"user {uid}", self.settings.users.get(uid, self.settings.default)),
            (f"group {gid}", self.settings.groups.get(gid, self.settings.default)),
        ]

    def _has_inode(self) -> bool:
        return self._charges()["inodes"] < self.settings.nr_inodes

    def _has_store(self, count_bytes: int) -> bool:
        stored = self._charges()["stored_bytes"]
        return not count_bytes or stored + count_bytes <= self.settings.size_bytes

    def _has_bytes(self, pair: Pair, count_bytes: int) -> bool:
        charges = self._charges()
        return not count_bytes or all(
            charges[f"{who} bytes"] + count_bytes <= limits.max_bytes
            for who, limits in self._limits(pair)
        )

    def _has_name(self, queue: ModelQueue, pair: Pair) -> bool:
        charges = self._charges()
        return all(
            len(queue.names) < limits.max_files_per_dir for _, limits in self._limits(queue.pair)
        ) and all(charges[f"{who} files"] < limits.max_files for who, limits in self._limits(pair))

    def _refusal_of_put(
        self, queue: ModelQueue, pair: Pair, count_bytes: int
    ) -> type[Refused] | None:
        """Return what a message that comes through a port is refused with, if it is."""
        count_bytes += queue.list_bytes
        return refusal_of(
            mount=self._has_inode() and self._has_store(count_bytes),
            users=(not queue.keeps or self._has_name(queue, pair))
            and self._has_bytes(self._inode_pair(queue, pair), count_bytes),
        )

    # Inside

    @staticmethod
    def _inode_pair(queue: ModelQueue, pair: Pair) -> Pair:
        return (pair[0], queue.pair[1]) if queue.setgid else pair

    def _some_name(self, queue: ModelQueue, data: st.DataObject) -> bytes:
        """Choose a name: of a client, of what is there, or of what is still to come."""
        there = [port_name(one.number) for one in queue.names]
        future = [port_name(self.tree._last + offset) for offset in (0, 1, 2, 3, 4)]
        ways = [[Name(b"x"), Name(b"y"), Name(b"z")], future, there or future]
        more = data.draw(st.sampled_from([b"", b"", b"", b"+"]))
        name = data.draw(st.sampled_from(data.draw(st.sampled_from(ways))))
        return name if len(name) == 1 else name + more

    def _set_attribute(
        self, queue: ModelQueue, name: bytes, value: bytes, set_it: Callable[[], None]
    ) -> bool:
        growth = attribute_bytes({name: value})
        if name in queue.attributes:
            growth -= attribute_bytes({name: queue.attributes[name]})
        if growth > 0 and not (self._has_store(growth) and self._has_bytes(queue.pair, growth)):
            with pytest.raises((LimitReached, MountFull)):
                set_it()
            return False
        set_it()
        queue.attributes[name] = value
        return True

    def _put(
        self, queue: ModelQueue, lines: list[bytes], pair: Pair, put: Callable[[], int]
    ) -> None:
        before = self._lengths()
        refusal = self._refusal_of_put(queue, pair, len(lines[0]))
        if refusal:
            with pytest.raises(refusal):
                put()
            return
        count = put()
        inode_pair = self._inode_pair(queue, pair)
        messages = [ModelMessage(line, inode_pair, queue.list_bytes) for line in lines]
        assert self._arrive(queue, messages, pair, before) == count

    def _lengths(self) -> dict[ModelQueue, int]:
        return {queue: len(queue.real) for queue in self.queues.values()}

    def _arrive(
        self,
        queue: ModelQueue,
        messages: list[ModelMessage],
        pair: Pair,
        before: dict[ModelQueue, int],
        name: bytes = b"",
    ) -> int:
        """Let as many messages arrive as have room, also in followers; return how many."""
        expected = {
            other: len(other.real) - length for other, length in before.items() if other != queue
        }
        roomy = {other for other in self.queues.values() if self._has_room_as_follower(other)}
        missed: set[ModelQueue] = set()
        count = 0
        for message in messages:
            if not name and self._refusal_of_put(queue, pair, len(message.content)):
                break
            count += 1
            if queue.keeps:
                self._add(queue, message, pair, name)
            self._pass_on(queue, message, name, expected, missed)
        assert not any(expected.values())
        for follower in missed:
            assert not self._has_room_as_follower(follower)
        for other, length in before.items():
            assert other == queue or other in roomy or len(other.real) == length
        return count

    def _pass_on(
        self,
        queue: ModelQueue,
        message: ModelMessage,
        name: bytes,
        expected: dict[ModelQueue, int],
        missed: set[ModelQueue],
    ) -> None:
        reached, pending = {queue}, [queue]
        while pending:
            source = pending.pop()
            for follower in self.queues.values():
                if source not in follower.sources or follower in reached:
                    continue
                reached.add(follower)
                if follower.keeps:
                    if not expected[follower]:
                        follower.dropped += 1
                        missed.add(follower)
                        continue
                    expected[follower] -= 1
                    self._add(follower, message, follower.pair, name)
                pending.append(follower)

    def _has_room_as_follower(self, queue: ModelQueue) -> bool:
        return self._has_inode() and self._has_name(queue, queue.pair)

    def _add(self, queue: ModelQueue, message: ModelMessage, pair: Pair, name: bytes) -> None:
        place = list(queue.real.arrivals())[len(queue.names)]
        is_given = bool(name) and queue.find(name) is not None
        if is_given:
            taken = {one.name for one in queue.names}
            assert place.name not in taken
            assert place.name.startswith(port_name(place.sequence))
            name = place.name
        queue.names.append(ModelName(message, pair, name, is_given, place.sequence))
        if message.list_bytes and message.real is None:
            found = place.inode.message if isinstance(place.inode, Packet) else place.inode
            assert isinstance(found, Message)
            message.real = found

    def _look(self, queue: ModelQueue, one: ModelName) -> ModelMessage:
        queue.look(one)
        is_seen(one.message, lookup(self.tree, queue.real, one.name))
        return one.message

    def _append(self, message: ModelMessage, text: bytes) -> None:
        """Write to an open message."""
        assert message.real is not None
        fits = self._has_store(len(text)) and self._has_bytes(message.pair, len(text))
        offset = len(message.content)
        if fits:
            self.tree.write(message.real, offset, text, NOW)
            message.content += text
        else:
            with pytest.raises((LimitReached, MountFull)):
                self.tree.write(message.real, offset, text, NOW)

    def _close(self, index: int) -> None:
        message = self.open.pop(index)
        assert message.real is not None
        message.opens -= 1
        self.tree.close(message.real)

    @staticmethod
    def _refusal_of_take(queue: ModelQueue, pair: Pair, room_bytes: int) -> type[Refused] | None:
        if not queue.names:
            return None
        message = queue.names[0].message
        if queue.isvtx and pair[0] not in (message.pair[0], queue.pair[0]):
            return NotPermitted
        return MessageTooLong if len(message.content) > room_bytes else None


def _charge(
    charges: Counter[str], pair: Pair, *, dirs: int = 0, files: int = 0, count_bytes: int = 0
) -> None:
    for who in (f"user {pair[0]}", f"group {pair[1]}"):
        charges[f"{who} dirs"] += dirs
        charges[f"{who} files"] += files
        charges[f"{who} bytes"] += count_bytes


TestPortsAndRecount = PortsAndRecount.TestCase
TestPortsAndRecount.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, derandomize=True
)
