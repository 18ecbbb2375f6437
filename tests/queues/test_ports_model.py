"""Ports, followers and names together, against lists; and all charges recounted after each step."""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventfs.queues import attributes, ports, xattrs
from eventfs.queues.errors import FollowsItself, MessageTooLong
from eventfs.queues.ledger import Gid, Limits, Settings
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, TAIL
from eventfs.queues.packet import Packet
from eventfs.queues.queue import Owner, Queue, Tid
from tests.queues.making import (
    ALICE,
    BOB,
    NOW,
    USERS,
    create,
    make_tree,
    mkdir,
    peek,
    rename,
    unlink,
)

NAMES = (b"a", b"b", b"c")
CONTENTS = st.binary(max_size=6).map(lambda content: content.replace(b"\n", b""))
USERS_ = st.sampled_from((ALICE, BOB))
QUEUES = st.sampled_from(NAMES)

#: As many messages as a queue of Bob's may hold: his followers miss some.
BOBS_ROOM = 5


class PortsAndModel(RuleBasedStateMachine):
    """Three queues, of which those of Bob have little room, and what should be in them."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = make_tree()
        self.tree.ledger.change(Settings(users={BOB: Limits(max_files_per_dir=BOBS_ROOM)}))
        self.before = self.charges()
        self.queues: dict[bytes, Queue] = {}
        self.lists: dict[bytes, list[bytes]] = {}
        self.sources: dict[bytes, set[bytes]] = {}
        self.made = 0
        for name in NAMES:
            self.make(name)

    def make(self, name: bytes) -> None:
        uid = BOB if name == b"c" else ALICE
        self.queues[name] = mkdir(self.tree, name, uid=uid, owner=Owner(NAMES.index(name) + 1))
        self.lists[name], self.sources[name] = [], set()

    def user(self, uid: Any) -> ports.User:  # noqa: ANN401  # whichever of the two
        return ports.User(uid, USERS, 0o022, self.tree.ledger.payer(uid, USERS), overrides=False)

    def has_room(self, name: bytes) -> bool:
        return name != b"c" or len(self.lists[name]) < BOBS_ROOM

    def arrive(self, name: bytes, content: bytes) -> None:
        """Let a message arrive, also in followers."""
        self.lists[name].append(content)
        for follower, sources in self.sources.items():
            if name in sources and self.has_room(follower):
                self.arrive(follower, content)

    @rule(name=QUEUES, content=CONTENTS, uid=USERS_)
    def put(self, name: bytes, content: bytes, uid: Any) -> None:  # noqa: ANN401
        if self.has_room(name):
            ports.put(self.tree, self.queues[name], content, self.user(uid), NOW)
            self.arrive(name, content)

    @rule(name=QUEUES, lines=st.lists(CONTENTS, min_size=1, max_size=8), uid=USERS_)
    def put_lines(self, name: bytes, lines: list[bytes], uid: Any) -> None:  # noqa: ANN401
        if self.has_room(name):
            count = ports.put_lines(self.tree, self.queues[name], lines, self.user(uid), NOW)
            for line in lines[:count]:
                assert self.has_room(name)
                self.arrive(name, line)
            assert count == len(lines) or not self.has_room(name)

    @rule(name=QUEUES, content=CONTENTS)
    def make_a_file(self, name: bytes, content: bytes) -> None:
        if self.has_room(name):
            self.made += 1
            message = create(self.tree, self.queues[name], b"file %d" % self.made)
            self.tree.write(message, 0, content, NOW)
            self.arrive(name, content)

    @precondition(lambda self: any(self.lists.values()))
    @rule(data=st.data(), to=QUEUES)
    def move(self, data: st.DataObject, to: bytes) -> None:
        """Move a message, whichever way it came, to another queue."""
        name = data.draw(st.sampled_from([name for name in NAMES if self.lists[name]]))
        place = data.draw(st.integers(0, len(self.lists[name]) - 1))
        if name == to or not self.has_room(to):
            return
        seen = [dentry.name for dentry, _ in self.queues[name].after(0)]
        self.made += 1
        new_name = b"moved %d" % self.made
        rename(self.tree, self.queues[name], seen[place], self.queues[to], new_name)
        self.arrive(to, self.lists[name].pop(place))

    @rule(name=QUEUES, uid=USERS_)
    def take(self, name: bytes, uid: Any) -> None:  # noqa: ANN401
        taken = ports.take(self.tree, self.queues[name], 100, self.user(uid), NOW)
        expected = self.lists[name].pop(0) if self.lists[name] else None
        assert (taken and taken.content) == expected

    @rule(name=QUEUES, room_bytes=st.integers(1, 40))
    def take_lines(self, name: bytes, room_bytes: int) -> None:
        expected = b""
        there = self.lists[name]
        while there and len(expected) + len(there[0]) < room_bytes:
            expected += there.pop(0) + b"\n"
        try:
            queue, user = self.queues[name], self.user(ALICE)
            lines, _ = ports.take_lines(self.tree, queue, room_bytes, user, NOW)
        except MessageTooLong:
            assert not expected
            assert len(there[0]) >= room_bytes
        else:
            assert lines == expected

    @rule(name=QUEUES)
    def look(self, name: bytes) -> None:
        """Look at each message by its name: from then on it is a file."""
        seen = [dentry.name for dentry, _ in self.queues[name].after(0)]
        assert len(set(seen)) == len(seen) == len(self.lists[name])
        for one in seen:
            assert self.queues[name].find(one) is not None

    @precondition(lambda self: any(self.lists.values()))
    @rule(data=st.data(), end=st.sampled_from((HEAD, TAIL)))
    def unlink(self, data: st.DataObject, end: bytes) -> None:
        name = data.draw(st.sampled_from([name for name in NAMES if self.lists[name]]))
        unlink(self.tree, self.queues[name], end)
        self.lists[name].pop(0 if end == HEAD else -1)

    @rule(follower=QUEUES, source=QUEUES)
    def follow(self, follower: bytes, source: bytes) -> None:
        try:
            attributes.follow(self.tree, self.queues[follower], source, ALICE, Tid(1), NOW)
        except FollowsItself:
            assert follower in self.all_sources(source)
        else:
            assert follower not in self.all_sources(source)
            self.sources[follower] = {source}

    def all_sources(self, name: bytes) -> set[bytes]:
        return {name}.union(*(self.all_sources(source) for source in self.sources[name]))

    @rule(name=QUEUES)
    def unfollow(self, name: bytes) -> None:
        if self.sources[name]:
            attributes.remove(self.tree, self.queues[name], xattrs.FOLLOW, NOW)
            self.sources[name] = set()

    @rule(name=QUEUES)
    def vanish_and_come_back(self, name: bytes) -> None:
        self.tree.owner_died(Owner(NAMES.index(name) + 1), NOW)
        for sources in self.sources.values():
            sources.discard(name)
        # What follows nobody any more keeps the attribute, without a name in it.
        for other in NAMES:
            followed = (self.queues[other].xattrs or {}).get(xattrs.FOLLOW)
            if other != name and followed == b"":
                attributes.remove(self.tree, self.queues[other], xattrs.FOLLOW, NOW)
        self.make(name)

    def charges(self) -> tuple[Counter[Any], Counter[Any], int, int]:
        """Recount names, bytes, inodes and what is stored."""
        files: Counter[Any] = Counter()
        count_bytes: Counter[Any] = Counter()
        packets: set[Packet] = set()
        for dentry, _ in list(self.tree.root.after(0)):
            assert isinstance(dentry.inode, Queue)
            for place in dentry.inode.arrivals():
                files[place.payer.user] += 1
                if isinstance(place.inode, Packet) and place.inode.message is None:
                    packets.add(place.inode)
        stored = inodes = 0
        for packet in packets:
            count_bytes[packet.payer.user] += len(packet.content)
            stored += len(packet.content)
            inodes += packet.links
        for inode in self.tree.inodes.values():
            size = (inode.size if isinstance(inode, Message) else 0) + inode.xattr_bytes
            count_bytes[inode.payer.user] += size
            stored += size
            inodes += max(1, inode.links) if isinstance(inode, Message) else 1
        return files, count_bytes, inodes, stored

    @invariant()
    def everything_is_there_in_order_and_charged_once(self) -> None:
        for name, expected in self.lists.items():
            assert [one.content for one in peek(self.queues[name])] == expected
        files, count_bytes, inodes, stored = self.charges()
        for uid in (ALICE, BOB):
            account = self.tree.ledger.payer(uid, Gid(USERS)).user
            assert account.files == files[account]
            assert account.bytes == count_bytes[account]
        assert (self.tree.ledger.inodes, self.tree.ledger.stored_bytes) == (inodes, stored)

    def teardown(self) -> None:
        """Nothing is left when all queues are gone."""
        for number in range(1, len(NAMES) + 1):
            self.tree.owner_died(Owner(number), NOW)
        assert self.charges() == self.before
        assert self.tree.ledger.inodes == 1


TestPortsAndModel = PortsAndModel.TestCase
TestPortsAndModel.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
