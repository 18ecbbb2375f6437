"""What goes through `.pipe` and `.lines`, and what is seen of it by name."""

from collections.abc import Callable
from stat import S_IFREG, S_IMODE, S_ISGID, S_ISREG, S_ISVTX

import pytest

from eventfs.queues import acl, attributes, ports, xattrs
from eventfs.queues.acl import Acl
from eventfs.queues.errors import (
    AlreadyExists,
    LimitReached,
    MessageTooLong,
    MountFull,
    NotFound,
    NotPermitted,
    QueueGone,
    Refused,
)
from eventfs.queues.inode import Mode
from eventfs.queues.ledger import Gid, Limits, Settings, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, LINES, PIPE, TAIL, Name
from eventfs.queues.ports import MAX_MESSAGE_BYTES
from eventfs.queues.queue import Port, Queue, Tid, Waiter
from eventfs.queues.tree import Tree
from tests.queues.making import (
    ALICE,
    BOB,
    CAROL,
    NOW,
    OWNER,
    STAFF,
    THEN,
    USERS,
    charged,
    content,
    create,
    drain,
    end,
    extended_list,
    has_room,
    link,
    listing,
    lookup,
    message_at,
    mkdir,
    names,
    peek,
    put,
    put_lines,
    rename,
    rmdir,
    take,
    take_lines,
    times,
    unlink,
    user,
)

MINIMAL_LIST = Acl.of_mode(0o640).encode()


EXTENDED_LIST = extended_list(0o670, 0o6)

#: Each way to put one message through a port.
Putter = Callable[[Tree, Queue, bytes], None]


def put_as_line(tree: Tree, queue: Queue, line: bytes) -> None:
    assert put_lines(tree, queue, line) == 1


@pytest.fixture(params=[put, put_as_line], ids=["pipe", "lines"])
def put_one(request: pytest.FixtureRequest) -> Putter:
    """Each port, to put one message through."""
    putter: Putter = request.param
    return putter


@pytest.fixture(params=[PIPE, LINES], ids=["pipe", "lines"])
def port_name(request: pytest.FixtureRequest) -> Name:
    """Each port's name."""
    name: Name = request.param
    return name


@pytest.fixture
def port(tree: Tree, queue: Queue, port_name: Name) -> Port:
    """Each port of the queue, as the kernel knows it."""
    return port_of(tree, queue, port_name)


def port_of(tree: Tree, queue: Queue, name: bytes = PIPE) -> Port:
    inode = lookup(tree, queue, name)
    assert isinstance(inode, Port)
    return inode


# The inode of a port


def test_an_empty_queue_has_ports_that_no_listing_shows(
    tree: Tree, queue: Queue, port: Port
) -> None:
    assert S_ISREG(port.mode)
    assert (port.size, port.blocks, port.links) == (0, 0, 1)
    assert listing(tree, queue) == [b".", b".."]
    assert len(queue) == 0


def test_a_port_does_not_count_as_a_message(tree: Tree, queue: Queue, port_name: Name) -> None:
    tree.ledger.change(Settings(default=Limits(max_files=0, max_bytes=0)))
    port_of(tree, queue, port_name)
    assert rmdir(tree) is queue


def test_a_port_is_one_inode_as_long_as_it_is_held(tree: Tree, queue: Queue, port: Port) -> None:
    port.holds += 1
    assert lookup(tree, queue, port.name) is port
    tree.unhold(port)
    assert port.ino not in tree.inodes
    assert port_of(tree, queue, port.name).ino != port.ino


def test_the_two_ports_are_two_inodes(tree: Tree, queue: Queue) -> None:
    assert port_of(tree, queue, PIPE).ino != port_of(tree, queue, LINES).ino


def test_a_forgotten_port_costs_nothing(tree: Tree, queue: Queue, port_name: Name) -> None:
    before = charged(tree)
    port = port_of(tree, queue, port_name)
    port.holds += 1
    tree.unhold(port)
    assert charged(tree) == before


@pytest.mark.parametrize(
    ("queue_mode", "port_mode"),
    [
        (0o755, 0o600),
        (0o777, 0o666),
        (0o1777, 0o666),
        (0o2770, 0o660),
        (0o702, 0o606),
        (0o020, 0o060),
        (0o555, 0o000),
        (0o000, 0o000),
    ],
)
def test_a_port_is_readable_and_writable_for_whoever_may_write_to_the_queue(
    tree: Tree, port_name: Name, queue_mode: int, port_mode: int
) -> None:
    port = port_of(tree, mkdir(tree, mode=queue_mode), port_name)
    assert oct(port.mode) == oct(S_IFREG | port_mode)


def test_a_port_follows_chmod_and_chown_of_its_queue(tree: Tree, queue: Queue, port: Port) -> None:
    port.holds += 1
    tree.chmod(queue, Mode(0o070), NOW)
    tree.chown(queue, BOB, STAFF, NOW)
    assert port_of(tree, queue, port.name) is port
    assert (port.uid, port.gid, S_IMODE(port.mode)) == (BOB, STAFF, 0o060)
    assert times(port) == times(queue)


def test_a_port_has_the_times_of_its_queue(tree: Tree, queue: Queue, port_name: Name) -> None:
    put(tree, queue, now_ns=NOW)
    assert times(port_of(tree, queue, port_name)) == times(queue) == (THEN, NOW, NOW)


@pytest.mark.parametrize(
    ("mode", "named", "port_mode", "port_named"),
    [
        (0o770, 0o7, 0o660, 0o6),
        (0o770, 0o5, 0o660, 0o0),
        (0o720, 0o2, 0o660, 0o6),
        (0o772, 0o3, 0o666, 0o6),
    ],
)
def test_a_port_follows_the_access_control_list_of_its_queue(  # noqa: PLR0913  # a table
    tree: Tree, queue: Queue, mode: int, named: int, port_mode: int, port_named: int
) -> None:
    attributes.put(tree, queue, acl.ACCESS, extended_list(mode, named), NOW)
    port = port_of(tree, queue)
    assert oct(S_IMODE(port.mode)) == oct(port_mode)
    assert attributes.get(tree, port, acl.ACCESS) == extended_list(port_mode, port_named)


def test_a_list_without_the_right_to_write_still_is_one_for_the_port(
    tree: Tree, queue: Queue
) -> None:
    attributes.put(tree, queue, acl.ACCESS, extended_list(0o750, 0o7), NOW)
    port = port_of(tree, queue)
    access = Acl.decode(attributes.get(tree, port, acl.ACCESS))
    assert not access.allows(0o2, ALICE, USERS, BOB, ())
    assert not access.allows(0o4, ALICE, USERS, BOB, ())
    assert S_IMODE(port.mode) & 0o070


def test_a_port_loses_its_list_with_its_queue(tree: Tree, queue: Queue, port: Port) -> None:
    port.holds += 1
    attributes.put(tree, queue, acl.ACCESS, EXTENDED_LIST, NOW)
    assert port_of(tree, queue, port.name).xattrs
    attributes.remove(tree, queue, acl.ACCESS, NOW)
    assert port_of(tree, queue, port.name).xattrs is None


def test_the_list_of_a_port_costs_nothing(tree: Tree, queue: Queue, port_name: Name) -> None:
    attributes.put(tree, queue, acl.ACCESS, EXTENDED_LIST, NOW)
    before = charged(tree)
    port = port_of(tree, queue, port_name)
    assert charged(tree) == before | {"inodes": before["inodes"] + 1}
    port.holds += 1
    tree.unhold(port)
    assert charged(tree) == before


def test_a_port_can_not_be_unlinked(tree: Tree, queue: Queue, port_name: Name) -> None:
    with pytest.raises(NotPermitted):
        unlink(tree, queue, port_name)
    put(tree, queue)
    with pytest.raises(NotPermitted):
        unlink(tree, queue, port_name)
    assert len(queue) == 1


def test_a_port_can_not_be_made(tree: Tree, queue: Queue, port_name: Name) -> None:
    with pytest.raises(NotPermitted):
        create(tree, queue, port_name)
    with pytest.raises(NotPermitted):
        link(tree, create(tree, queue), queue, port_name)
    with pytest.raises(NotPermitted):
        mkdir(tree, port_name, directory=queue)
    assert names(queue) == [b"message"]


def test_a_port_can_not_be_linked(tree: Tree, queue: Queue, other_queue: Queue, port: Port) -> None:
    for directory in (queue, other_queue):
        with pytest.raises(NotPermitted):
            link(tree, port, directory, b"name")
    assert port.links == 1


def test_a_port_can_not_be_changed(tree: Tree, port: Port) -> None:
    with pytest.raises(NotPermitted):
        tree.check_changeable(port)


@pytest.mark.parametrize("name", [b"user.x", xattrs.STICKY, xattrs.FOLLOW, acl.ACCESS])
def test_a_port_can_be_given_no_attribute_and_none_be_taken(
    tree: Tree, queue: Queue, port: Port, name: bytes
) -> None:
    attributes.put(tree, queue, acl.ACCESS, EXTENDED_LIST, NOW)
    port = port_of(tree, queue, port.name)
    before = dict(port.xattrs or {})
    with pytest.raises(NotPermitted):
        attributes.put(tree, port, name, EXTENDED_LIST, NOW)
    with pytest.raises(NotPermitted):
        attributes.remove(tree, port, name, NOW)
    assert port.xattrs == before


def test_the_root_has_no_ports(tree: Tree, port_name: Name) -> None:
    with pytest.raises(NotFound):
        lookup(tree, tree.root, port_name)
    assert isinstance(mkdir(tree, port_name), Queue)


def test_a_vanished_queue_has_no_ports_and_those_held_are_told(
    tree: Tree, queue: Queue, port: Port
) -> None:
    port.holds += 1
    ((vanished, held),) = tree.owner_died(OWNER, NOW)
    assert (vanished, held) == (queue, [(port.name, port)])
    assert port.links == 0
    with pytest.raises(NotFound):
        lookup(tree, queue, port.name)
    tree.unhold(port)
    assert list(tree.inodes.values()) == [tree.root]


# One call, one message


def test_what_is_put_is_taken_in_order_whole_and_once(
    tree: Tree, queue: Queue, put_one: Putter
) -> None:
    for text in (b"a", b"bc", b"def"):
        put_one(tree, queue, text)
    assert [take(tree, queue) for _ in range(4)] == [b"a", b"bc", b"def", None]
    assert len(queue) == 0


def test_an_empty_message_is_a_message(tree: Tree, queue: Queue, put_one: Putter) -> None:
    put_one(tree, queue, b"")
    assert len(queue) == 1
    assert take(tree, queue) == b""
    assert take(tree, queue) is None


def test_an_empty_message_takes_no_room_in_a_buffer(tree: Tree, queue: Queue) -> None:
    put(tree, queue, b"")
    assert take(tree, queue, 0) == b""


def test_putting_and_taking_move_the_times_of_the_queue(tree: Tree, queue: Queue) -> None:
    put(tree, queue, now_ns=NOW)
    assert times(queue) == (THEN, NOW, NOW)
    ports.take(tree, queue, 100, user(tree), NOW + 1)
    assert times(queue) == (THEN, NOW + 1, NOW + 1)
    put_lines(tree, queue, b"a", b"b", now_ns=NOW + 2)
    assert times(queue) == (THEN, NOW + 2, NOW + 2)
    ports.take_lines(tree, queue, 100, user(tree), NOW + 3)
    assert times(queue) == (THEN, NOW + 3, NOW + 3)


def test_a_message_larger_than_the_buffer_stays(tree: Tree, queue: Queue, put_one: Putter) -> None:
    put_one(tree, queue, b"four")
    before = charged(tree)
    with pytest.raises(MessageTooLong):
        take(tree, queue, 3)
    assert charged(tree) == before
    assert take(tree, queue, 4) == b"four"


def test_the_largest_message_comes_through(tree: Tree, queue: Queue, put_one: Putter) -> None:
    largest = bytes(MAX_MESSAGE_BYTES)
    put_one(tree, queue, largest)
    assert take(tree, queue) == largest


def test_a_message_of_a_byte_more_than_the_largest_is_refused(
    tree: Tree, queue: Queue, put_one: Putter
) -> None:
    before = charged(tree)
    with pytest.raises(MessageTooLong):
        put_one(tree, queue, bytes(MAX_MESSAGE_BYTES + 1))
    assert charged(tree) == before
    assert take(tree, queue) is None


def test_a_line_that_is_too_long_ends_its_batch(tree: Tree, queue: Queue) -> None:
    assert put_lines(tree, queue, b"a", b"b", bytes(MAX_MESSAGE_BYTES + 1), b"c") == 2
    assert drain(tree, queue) == [b"a", b"b"]


@pytest.mark.parametrize("act", [put, put_lines, take, take_lines])
def test_the_ports_of_a_vanished_queue_are_gone(
    tree: Tree, queue: Queue, act: Callable[..., object]
) -> None:
    put(tree, queue)
    queue.holds += 1
    tree.owner_died(OWNER, NOW)
    before = charged(tree)
    with pytest.raises(QueueGone):
        act(tree, queue, *([b"text"] if act in {put, put_lines} else []))
    assert charged(tree) == before


# Many messages in a call


def test_lines_are_taken_each_with_a_newline(tree: Tree, queue: Queue) -> None:
    assert put_lines(tree, queue, b"a", b"", b"bc") == 3
    assert take_lines(tree, queue) == b"a\n\nbc\n"
    assert take_lines(tree, queue) == b""


@pytest.mark.parametrize(
    ("room_bytes", "first", "then"),
    [
        (3, b"ab\n", b"c\ndef\n"),
        (4, b"ab\n", b"c\ndef\n"),
        (5, b"ab\nc\n", b"def\n"),
        (8, b"ab\nc\n", b"def\n"),
        (9, b"ab\nc\ndef\n", b""),
    ],
)
@pytest.mark.parametrize("looked_at", [(), (b"ab",), (b"c",), (b"ab", b"def")])
def test_as_many_whole_lines_are_taken_as_fit(  # noqa: PLR0913  # two tables
    tree: Tree,
    queue: Queue,
    room_bytes: int,
    first: bytes,
    then: bytes,
    looked_at: tuple[bytes, ...],
) -> None:
    for line in (b"ab", b"c", b"def"):
        if line in looked_at:
            tree.write(create(tree, queue, line), 0, line, NOW)
        else:
            put(tree, queue, line)
    assert take_lines(tree, queue, room_bytes) == first
    assert take_lines(tree, queue) == then


@pytest.mark.parametrize("room_bytes", [0, 1, 2])
def test_a_first_line_that_does_not_fit_with_its_newline_stays(
    tree: Tree, queue: Queue, put_one: Putter, room_bytes: int
) -> None:
    put_one(tree, queue, b"ab")
    with pytest.raises(MessageTooLong):
        take_lines(tree, queue, room_bytes)
    assert drain(tree, queue) == [b"ab"]


def test_lines_taken_skip_what_was_unlinked_among_them(tree: Tree, queue: Queue) -> None:
    put_lines(tree, queue, *(b"%d" % number for number in range(6)))
    for name in names(queue)[1:6:2]:
        unlink(tree, queue, name)
    put_lines(tree, queue, b"6", b"7")
    assert take_lines(tree, queue) == b"0\n2\n4\n6\n7\n"
    assert len(queue) == 0


def test_a_batch_wakes_those_who_wait(tree: Tree, queue: Queue) -> None:
    class Sleeper:
        def __init__(self) -> None:
            self.woken = 0

        def wake(self) -> None:
            self.woken += 1

    sleeper = Sleeper()
    waiter: Waiter = sleeper
    queue.waiters.add(waiter)
    put_lines(tree, queue, b"a", b"b")
    put(tree, queue)
    create(tree, queue)
    tree.owner_died(OWNER, NOW)
    assert sleeper.woken == 4


# What is seen by name


def test_a_message_that_came_through_a_port_is_a_file(
    tree: Tree, queue: Queue, put_one: Putter
) -> None:
    put_one(tree, queue, b"text")
    (name,) = names(queue)
    message = message_at(tree, queue, name)
    assert content(message) == b"text"
    assert (message.size, message.links) == (4, 1)
    assert (message.uid, message.gid) == (ALICE, USERS)
    assert oct(message.mode) == oct(S_IFREG | 0o644)
    assert times(message)[1:] == (NOW, NOW)


@pytest.mark.parametrize(
    ("umask", "mode"), [(0, 0o666), (0o022, 0o644), (0o077, 0o600), (0o777, 0)]
)
def test_a_message_has_the_mode_that_the_umask_of_the_opener_leaves(
    tree: Tree, queue: Queue, umask: int, mode: int
) -> None:
    put(tree, queue, by=user(tree, umask=umask))
    put_lines(tree, queue, b"a", b"b", by=user(tree, umask=umask))
    assert {oct(message.mode) for _, message in queue.after(0)} == {oct(S_IFREG | mode)}


def test_a_message_belongs_to_who_opened_the_port(tree: Tree, queue: Queue) -> None:
    put(tree, queue, by=user(tree, BOB, STAFF))
    put_lines(tree, queue, b"a", by=user(tree, BOB, STAFF))
    assert {(message.uid, message.gid) for _, message in queue.after(0)} == {(BOB, STAFF)}


def test_a_message_has_one_inode_number_however_it_is_found(
    tree: Tree, queue: Queue, put_one: Putter
) -> None:
    put_one(tree, queue, b"text")
    message = end(tree, queue, HEAD).queue.find(HEAD)
    assert message is not None
    name = message.name
    found = message_at(tree, queue, name)
    last = queue.find(TAIL)
    assert last is not None
    assert found is message.inode is last.inode
    assert [inode for _, inode in queue.after(0)] == [found]
    assert tree.inodes[found.ino] is found


@pytest.mark.parametrize("first_look", [HEAD, TAIL, None])
def test_looking_at_some_messages_keeps_their_order(
    tree: Tree, queue: Queue, first_look: Name | None
) -> None:
    put_lines(tree, queue, b"a", b"b", b"c")
    if first_look is not None:
        assert queue.find(first_look) is not None
    seen = names(queue)
    assert [content(message_at(tree, queue, name)) for name in seen] == [b"a", b"b", b"c"]
    assert listing(tree, queue) == [b".", b"..", HEAD, *seen, TAIL]


def test_a_message_is_found_by_the_name_that_it_will_have_before_any_other_look(
    tree: Tree, queue: Queue
) -> None:
    put_lines(tree, queue, b"a", b"b", b"c")
    first = queue.first
    assert first is not None
    later = Name(b"%016x" % (first.sequence + 1))
    assert content(message_at(tree, queue, later)) == b"b"
    assert names(queue)[1] == later


@pytest.mark.parametrize(
    "name",
    [b"%x", b"%015x", b"%017x", b"0x%014x", b" %015x", b"%016X+", b"-%015x", b"%016x "],
)
def test_a_name_that_only_resembles_that_of_a_message_leads_nowhere(
    tree: Tree, queue: Queue, name: bytes
) -> None:
    put_lines(tree, queue, *20 * [b"text"])
    first = queue.first
    assert first is not None
    number = first.sequence + 15 - first.sequence % 16
    with pytest.raises(NotFound):
        lookup(tree, queue, name % number)


@pytest.mark.parametrize("offset", [-2, -1, 3, 2**60])
def test_a_number_of_no_message_here_leads_nowhere(tree: Tree, queue: Queue, offset: int) -> None:
    put_lines(tree, mkdir(tree, b"other"), b"1", b"2")
    put_lines(tree, queue, b"a", b"b", b"c")
    first = queue.first
    assert first is not None
    with pytest.raises(NotFound):
        lookup(tree, queue, b"%016x" % (first.sequence + offset))


def test_a_taken_message_is_not_found_by_the_name_that_it_would_have_had(
    tree: Tree, queue: Queue
) -> None:
    put_lines(tree, queue, b"a", b"b", b"c")
    dentries = list(queue.arrivals())
    take(tree, queue)
    with pytest.raises(NotFound):
        lookup(tree, queue, b"%016x" % dentries[0].sequence)
    message = message_at(tree, queue, b"%016x" % dentries[1].sequence)
    assert content(message) == b"b"


def test_names_sort_in_the_order_of_arrival_and_are_unique_in_the_mount(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    for number in range(20):
        put(tree, queue, b"%d" % number)
        put_lines(tree, other_queue, b"x", b"y")
        if number % 3 == 0:
            names(other_queue)
            assert queue.find(TAIL) is not None
        if number % 5 == 0:
            take(tree, queue)
    here, there = names(queue), names(other_queue)
    assert here == sorted(here)
    assert there == sorted(there)
    assert len({*here, *there}) == 16 + 40


def test_a_name_that_a_client_has_taken_before_is_left_to_it(tree: Tree, queue: Queue) -> None:
    put(tree, queue, b"first")
    first = queue.first
    assert first is not None
    # What the client makes takes a number too, and so does the next message.
    future = b"%016x" % (first.sequence + 2)
    theirs = create(tree, queue, future)
    put(tree, queue, b"second")
    put(tree, queue, b"third")
    assert message_at(tree, queue, future) is theirs
    seen = names(queue)
    assert seen == [seen[0], future, future + b"+", seen[3]]
    assert seen == sorted(set(seen))
    assert content(message_at(tree, queue, future + b"+")) == b"second"


def test_all_names_that_a_client_has_taken_are_left_to_it(tree: Tree, queue: Queue) -> None:
    put(tree, queue)
    first = queue.first
    assert first is not None
    future = b"%016x" % (first.sequence + 4)
    for more in (b"", b"+", b"++"):
        create(tree, queue, future + more)
    put(tree, queue, b"text")
    assert names(queue)[-1] == future + b"+++"
    assert len(set(names(queue))) == 5


def test_the_name_of_a_message_nobody_has_looked_at_is_taken(
    tree: Tree, queue: Queue, message: Message
) -> None:
    put(tree, queue)
    name = b"%016x" % list(queue.arrivals())[1].sequence
    with pytest.raises(AlreadyExists):
        create(tree, queue, name)
    with pytest.raises(AlreadyExists):
        link(tree, message, queue, name)
    assert names(queue) == [b"message", name]


def test_a_message_can_be_unlinked_by_a_name_that_nobody_has_looked_at(
    tree: Tree, queue: Queue
) -> None:
    before = charged(tree)
    put_lines(tree, queue, b"a", b"b")
    unlink(tree, queue, b"%016x" % list(queue.arrivals())[1].sequence)
    assert drain(tree, queue) == [b"a"]
    assert charged(tree) == before


@pytest.mark.parametrize(("name", "rest"), [(HEAD, [b"b", b"c"]), (TAIL, [b"a", b"b"])])
def test_head_and_tail_lead_to_messages_that_came_through_ports(
    tree: Tree, queue: Queue, name: Name, rest: list[bytes]
) -> None:
    put_lines(tree, queue, b"a", b"b", b"c")
    assert end(tree, queue, name).size == 16
    unlink(tree, queue, name)
    assert drain(tree, queue) == rest


def test_a_listing_goes_on_behind_messages_that_were_taken(tree: Tree, queue: Queue) -> None:
    put_lines(tree, queue, b"a", b"b", b"c")
    seen = tree.entries(queue, 0, ALICE)
    *_, last = (next(seen) for _ in range(4))
    take_lines(tree, queue, 4)
    put(tree, queue, b"d")
    rest = list(tree.entries(queue, last.place, ALICE))
    assert [content(entry.inode) for entry in rest if isinstance(entry.inode, Message)] == [
        b"c",
        b"d",
    ]


def test_a_queue_with_messages_from_a_port_is_not_empty(tree: Tree, queue: Queue) -> None:
    put(tree, queue)
    with pytest.raises(Refused):
        rmdir(tree)
    take(tree, queue)
    rmdir(tree)


def test_a_message_that_was_looked_at_can_be_linked_and_written(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    put(tree, queue, b"text")
    message = message_at(tree, queue, names(queue)[0])
    link(tree, message, other_queue, b"more")
    tree.open(message)
    tree.write(message, 4, b" and more", NOW)
    tree.close(message)
    assert message.links == 2
    assert take(tree, queue) == take(tree, other_queue) == b"text and more"


# Limits


def limits_of_each(**limits: int) -> dict[str, Settings]:
    """Limit ALICE, her group, or everybody."""
    limited = Limits(**limits)
    return {
        "user": Settings(users={ALICE: limited}),
        "group": Settings(groups={USERS: limited}),
        "default": Settings(default=limited),
    }


#: What lets two messages of four bytes in, and no more; and the error of the third.
LIMITS: dict[str, tuple[Settings, type[Refused]]] = {
    **{
        f"{who} {what}": (settings, LimitReached)
        for what, room in (("max_files", 2), ("max_files_per_dir", 2), ("max_bytes", 11))
        for who, settings in limits_of_each(**{what: room}).items()
    },
    "mount size": (Settings(size_bytes=11), MountFull),
    # The root and the queue are inodes too.
    "mount nr_inodes": (Settings(nr_inodes=4), MountFull),
}


@pytest.fixture(params=LIMITS)
def limited(request: pytest.FixtureRequest, tree: Tree, queue: Queue) -> type[Refused]:
    """Each limit that lets two messages of four bytes into the queue: what the third meets."""
    del queue
    settings, refusal = LIMITS[request.param]
    tree.ledger.change(settings)
    return refusal


def test_what_a_limit_refuses_is_neither_there_nor_charged(
    tree: Tree, queue: Queue, put_one: Putter, limited: type[Refused]
) -> None:
    put_one(tree, queue, b"1111")
    put_one(tree, queue, b"2222")
    before = charged(tree)
    with pytest.raises(limited) as caught:
        put_one(tree, queue, b"3333")
    assert caught.type is limited
    assert charged(tree) == before
    assert times(queue) == (THEN, NOW, NOW)
    assert drain(tree, queue) == [b"1111", b"2222"]


def test_room_that_appears_is_used(
    tree: Tree, queue: Queue, put_one: Putter, limited: type[Refused]
) -> None:
    for number in range(10):
        put_one(tree, queue, b"%4d" % number)
        if number:
            with pytest.raises(limited):
                put_one(tree, queue, b"more")
            assert take(tree, queue) == b"%4d" % (number - 1)


@pytest.mark.usefixtures("limited")
def test_of_a_batch_over_a_limit_the_beginning_is_in_and_the_rest_is_not_charged(
    tree: Tree, queue: Queue
) -> None:
    before = charged(tree)
    assert put_lines(tree, queue, b"1111", b"2222", b"3333", b"4444") == 2
    assert charged(tree) == before | {
        "inodes": before["inodes"] + 2,
        "stored_bytes": 8,
        **{f"{who} files": 2 for who in ("user 1000", "group 100")},
        **{f"{who} bytes": 8 for who in ("user 1000", "group 100")},
    }
    assert take_lines(tree, queue) == b"1111\n2222\n"
    assert charged(tree) == before


def test_a_batch_of_which_nothing_fits_is_refused(
    tree: Tree, queue: Queue, limited: type[Refused]
) -> None:
    put_lines(tree, queue, b"1111", b"2222")
    before = charged(tree)
    with pytest.raises(limited):
        put_lines(tree, queue, b"3333", b"4444")
    assert charged(tree) == before


@pytest.mark.parametrize("what", ["user max_bytes", "group max_bytes", "mount size"])
def test_a_limit_of_bytes_lets_empty_messages_in(tree: Tree, queue: Queue, what: str) -> None:
    tree.ledger.change(LIMITS[what][0])
    assert put_lines(tree, queue, b"1234", b"5678", b"901") == 3
    put(tree, queue, b"")
    assert put_lines(tree, queue, b"", b"", b"1") == 2


def test_a_limit_of_bytes_stops_a_batch_at_the_first_line_that_does_not_fit(
    tree: Tree, queue: Queue
) -> None:
    tree.ledger.change(LIMITS["user max_bytes"][0])
    assert put_lines(tree, queue, b"123456", b"789012", b"3") == 1
    assert drain(tree, queue) == [b"123456"]


def test_files_per_queue_are_limited_for_the_owner_of_the_queue_whoever_puts(
    tree: Tree, queue: Queue
) -> None:
    tree.ledger.change(Settings(users={ALICE: Limits(max_files_per_dir=1)}))
    put(tree, queue, by=user(tree, BOB))
    with pytest.raises(LimitReached):
        put(tree, queue, by=user(tree, BOB))
    with pytest.raises(LimitReached):
        put_lines(tree, queue, b"a", b"b", by=user(tree, BOB))
    put(tree, mkdir(tree, b"bobs", uid=BOB), by=user(tree, ALICE))


def test_lowered_limits_let_nothing_in_and_what_is_there_out(
    tree: Tree, queue: Queue, put_one: Putter
) -> None:
    before = charged(tree)
    put_lines(tree, queue, b"a", b"b", b"c")
    tree.ledger.change(
        Settings(
            default=Limits(max_files=1, max_files_per_dir=1, max_bytes=1), size_bytes=1, nr_inodes=1
        )
    )
    with pytest.raises((LimitReached, MountFull)):
        put_one(tree, queue, b"d")
    assert not has_room(tree, queue)
    assert take_lines(tree, queue) == b"a\nb\nc\n"
    assert charged(tree) == before


def test_there_is_room_until_a_message_of_a_byte_is_refused(
    tree: Tree, queue: Queue, limited: type[Refused]
) -> None:
    while has_room(tree, queue):
        put(tree, queue, b"1")
    with pytest.raises(limited):
        put(tree, queue, b"1")
    take(tree, queue)
    assert has_room(tree, queue)
    put(tree, queue, b"1")


def test_room_is_that_of_who_asks(tree: Tree, queue: Queue) -> None:
    tree.ledger.change(Settings(users={BOB: Limits(max_files=0)}))
    assert has_room(tree, queue)
    assert not has_room(tree, queue, by=user(tree, BOB))


@pytest.mark.parametrize("what", ["max_files", "max_bytes"])
@pytest.mark.parametrize("setgid", [False, True])
def test_there_is_room_where_a_message_would_be_let_in_though_another_group_has_none(
    tree: Tree, queue: Queue, what: str, *, setgid: bool
) -> None:
    put_lines(tree, queue, b"1", b"2")
    put_lines(tree, queue, b"3", b"4", by=user(tree, BOB, STAFF))
    mixed = mkdir(tree, b"mixed", mode=0o777, gid=STAFF)
    tree.chmod(mixed, Mode(0o777 | S_ISGID * setgid), NOW)
    for full in (USERS, STAFF):
        tree.ledger.change(Settings(groups={full: Limits(**{what: 1})}))
        expected = has_room(tree, mixed)
        if expected:
            put(tree, mixed, b"1")
            take(tree, mixed)
        else:
            with pytest.raises(LimitReached):
                put(tree, mixed, b"1")


# Groups and lists that are passed on


def test_s_isgid_gives_messages_the_group_of_the_queue(tree: Tree, put_one: Putter) -> None:
    queue = mkdir(tree, mode=0o777, gid=STAFF)
    tree.chmod(queue, Mode(0o777 | S_ISGID), NOW)
    before = charged(tree)
    put_one(tree, queue, b"text")
    # The name is charged to who made it; the bytes, to the inode's group.
    assert charged(tree) == before | {
        "inodes": before["inodes"] + 1,
        "stored_bytes": 4,
        "user 1000 files": 1,
        "user 1000 bytes": 4,
        "group 100 files": 1,
        "group 50 bytes": 4,
    }
    message = message_at(tree, queue, names(queue)[0])
    assert (message.uid, message.gid) == (ALICE, STAFF)
    take(tree, queue)
    assert charged(tree) == before


@pytest.mark.parametrize(("gid", "fits"), [(STAFF, 2), (USERS, 3)])
def test_with_s_isgid_the_bytes_are_limited_for_the_group_of_the_queue(
    tree: Tree, gid: Gid, fits: int
) -> None:
    queue = mkdir(tree, mode=0o777, gid=STAFF)
    tree.chmod(queue, Mode(0o777 | S_ISGID), NOW)
    tree.ledger.change(Settings(groups={gid: Limits(max_bytes=8)}))
    assert put_lines(tree, queue, b"1111", b"2222", b"3333") == fits
    assert has_room(tree, queue) is (fits == 3)


@pytest.mark.parametrize(
    ("default", "mode"), [(MINIMAL_LIST, 0o640), (extended_list(0o770, 0o7), 0o660)]
)
def test_a_default_list_is_passed_on_instead_of_the_umask(
    tree: Tree, queue: Queue, put_one: Putter, default: bytes, mode: int
) -> None:
    attributes.put(tree, queue, acl.DEFAULT, default, NOW)
    put_one(tree, queue, b"text")
    message = message_at(tree, queue, names(queue)[0])
    assert oct(message.mode) == oct(S_IFREG | mode)
    assert content(message) == b"text"
    listed = default is not MINIMAL_LIST
    assert (message.xattrs or {}).keys() == ({acl.ACCESS} if listed else set())


@pytest.mark.parametrize("default", [MINIMAL_LIST, EXTENDED_LIST], ids=["mode", "list"])
def test_messages_with_lists_keep_their_order_and_have_names_that_sort(
    tree: Tree, queue: Queue, default: bytes
) -> None:
    put(tree, queue, b"a")
    attributes.put(tree, queue, acl.DEFAULT, default, NOW)
    before = charged(tree)
    put(tree, queue, b"b")
    put_lines(tree, queue, b"c", b"d")
    seen = names(queue)
    assert seen == sorted(set(seen))
    assert take_lines(tree, queue) == b"a\nb\nc\nd\n"
    del before["user 1000 files"], before["group 100 files"]
    before |= {what: before[what] - 1 for what in before if not what.endswith(" dirs")}
    assert charged(tree) == before


@pytest.mark.parametrize("default", [MINIMAL_LIST, EXTENDED_LIST], ids=["mode", "list"])
def test_a_message_with_a_list_is_no_larger_than_others(
    tree: Tree, queue: Queue, put_one: Putter, default: bytes
) -> None:
    attributes.put(tree, queue, acl.DEFAULT, default, NOW)
    put_one(tree, queue, bytes(MAX_MESSAGE_BYTES))
    with pytest.raises(MessageTooLong):
        put_one(tree, queue, bytes(MAX_MESSAGE_BYTES + 1))
    assert len(queue) == 1


@pytest.mark.parametrize("what", [what for what in LIMITS if "bytes" not in what])
@pytest.mark.parametrize("default", [MINIMAL_LIST, EXTENDED_LIST], ids=["mode", "list"])
def test_a_message_with_a_list_is_refused_as_others_are(
    tree: Tree, queue: Queue, put_one: Putter, what: str, default: bytes
) -> None:
    attributes.put(tree, queue, acl.DEFAULT, default, NOW)
    settings, refusal = LIMITS[what]
    stored = tree.ledger.stored_bytes
    put_one(tree, queue, b"1111")
    each = tree.ledger.stored_bytes - stored
    take(tree, queue)
    if what == "mount size":
        settings = Settings(size_bytes=stored + 2 * each + 3)
    tree.ledger.change(settings)
    put_one(tree, queue, b"1111")
    put_one(tree, queue, b"2222")
    before = charged(tree)
    with pytest.raises(refusal) as caught:
        put_one(tree, queue, b"3333")
    assert caught.type is refusal
    assert charged(tree) == before
    assert drain(tree, queue) == [b"1111", b"2222"]


@pytest.mark.parametrize("where", ["users", "groups", "mount"])
@pytest.mark.parametrize("short_bytes", [1, 4, 5, 100, 170])
def test_a_message_is_refused_where_its_list_leaves_too_little_room(
    tree: Tree, queue: Queue, put_one: Putter, where: str, short_bytes: int
) -> None:
    attributes.put(tree, queue, acl.DEFAULT, EXTENDED_LIST, NOW)
    before = charged(tree)
    put_one(tree, queue, b"text")
    each = tree.ledger.stored_bytes - before["stored_bytes"]
    take(tree, queue)
    room = before["stored_bytes"] + each - short_bytes
    limits = Limits(max_bytes=room)
    tree.ledger.change(
        {
            "users": Settings(users={ALICE: limits}),
            "groups": Settings(groups={USERS: limits}),
            "mount": Settings(size_bytes=room),
        }[where]
    )
    with pytest.raises(MountFull if where == "mount" else LimitReached):
        put_one(tree, queue, b"text")
    assert has_room(tree, queue) is (short_bytes < len(b"text"))
    assert charged(tree) == before
    assert len(queue) == 0
    assert len(tree.inodes) == 2


# Whose messages may be taken


@pytest.fixture
def shared(tree: Tree) -> Queue:
    """A queue of ALICE's with S_ISVTX, like /tmp."""
    queue = mkdir(tree, b"shared", mode=0o777)
    tree.chmod(queue, Mode(0o777 | S_ISVTX), NOW)
    return queue


@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize("act", [take, take_lines])
def test_of_a_queue_with_s_isvtx_nobody_takes_what_is_anothers(
    tree: Tree, shared: Queue, act: Callable[..., bytes], *, looked_at: bool
) -> None:
    put(tree, shared, b"bobs", by=user(tree, BOB))
    if looked_at:
        names(shared)
    before = charged(tree)
    with pytest.raises(NotPermitted):
        act(tree, shared, by=user(tree, CAROL))
    assert charged(tree) == before
    assert drain(tree, shared) == [b"bobs"]


@pytest.mark.parametrize(
    ("uid", "overrides"), [(BOB, False), (ALICE, False), (CAROL, True)], ids=["own", "queue", "cap"]
)
@pytest.mark.parametrize("looked_at", [False, True])
def test_of_a_queue_with_s_isvtx_its_owner_and_the_privileged_take_all_and_others_their_own(
    tree: Tree, shared: Queue, uid: Uid, *, overrides: bool, looked_at: bool
) -> None:
    put_lines(tree, shared, b"1", b"2", b"3", by=user(tree, BOB))
    if looked_at:
        names(shared)
    by = user(tree, uid, overrides=overrides)
    assert take(tree, shared, by=by) == b"1"
    assert take_lines(tree, shared, by=by) == b"2\n3\n"


def test_lines_are_taken_up_to_the_first_that_is_anothers(tree: Tree, shared: Queue) -> None:
    put_lines(tree, shared, b"1", b"2", by=user(tree, BOB))
    put_lines(tree, shared, b"3", by=user(tree, CAROL))
    put_lines(tree, shared, b"4", by=user(tree, BOB))
    assert take_lines(tree, shared, by=user(tree, BOB)) == b"1\n2\n"
    with pytest.raises(NotPermitted):
        take_lines(tree, shared, by=user(tree, BOB))
    assert take_lines(tree, shared, by=user(tree, CAROL)) == b"3\n"
    assert take_lines(tree, shared, by=user(tree, BOB)) == b"4\n"


def test_a_message_that_was_given_away_is_its_new_owners(tree: Tree, shared: Queue) -> None:
    put(tree, shared, b"text", by=user(tree, BOB))
    tree.chown(message_at(tree, shared, names(shared)[0]), CAROL, None, NOW)
    with pytest.raises(NotPermitted):
        take(tree, shared, by=user(tree, BOB))
    assert take(tree, shared, by=user(tree, CAROL)) == b"text"


# Messages that came as files


def test_files_and_messages_from_ports_are_taken_in_the_order_of_arrival(
    tree: Tree, queue: Queue
) -> None:
    put(tree, queue, b"1")
    tree.write(create(tree, queue, b"zzz"), 0, b"2", NOW)
    put_lines(tree, queue, b"3", b"4")
    tree.write(create(tree, queue, b"aaa"), 0, b"5", NOW)
    assert drain(tree, queue) == [b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize("act", [take, take_lines])
def test_a_taken_file_is_gone_and_its_open_handle_goes_on(
    tree: Tree, queue: Queue, act: Callable[..., bytes]
) -> None:
    before = charged(tree)
    message = create(tree, queue)
    tree.open(message)
    tree.write(message, 0, b"text", NOW)
    assert act(tree, queue).removesuffix(b"\n") == b"text"
    assert message.links == 0
    tree.write(message, 4, b" and more", NOW)
    assert content(message) == b"text and more"
    assert charged(tree)["user 1000 bytes"] == 13
    tree.close(message)
    assert charged(tree) == before


def test_a_taken_file_that_is_linked_elsewhere_stays_there(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    message = create(tree, queue)
    tree.write(message, 0, b"text", NOW)
    link(tree, message, other_queue, b"elsewhere")
    assert take(tree, queue) == b"text"
    assert message.links == 1
    assert message_at(tree, other_queue, b"elsewhere") is message
    assert take(tree, other_queue) == b"text"


def test_a_file_with_holes_is_taken_with_zeros_in_them(tree: Tree, queue: Queue) -> None:
    before = charged(tree)
    message = create(tree, queue)
    tree.write(message, 0, b"begin", NOW)
    tree.write(message, 600_000, b"end", NOW)
    assert take(tree, queue) == b"begin".ljust(600_000, b"\0") + b"end"
    tree.truncate(create(tree, queue), 5, NOW)
    assert take(tree, queue) == bytes(5)
    assert charged(tree) == before


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 2**40, 2**63 - 1])
@pytest.mark.parametrize("act", [take, take_lines])
def test_a_file_too_large_for_any_buffer_stays(
    tree: Tree, queue: Queue, act: Callable[..., bytes], size: int
) -> None:
    message = create(tree, queue)
    tree.truncate(message, size, NOW)
    with pytest.raises(MessageTooLong):
        act(tree, queue)
    assert (message.size, message.links, len(queue)) == (size, 1, 1)


def test_a_large_file_is_taken_as_bytes_of_its_own(tree: Tree, queue: Queue) -> None:
    message = create(tree, queue)
    tree.open(message)
    tree.write(message, 0, bytearray(100_000), NOW)
    taken = take(tree, queue)
    tree.write(message, 0, b"changed", NOW)
    assert taken == bytes(100_000)


def test_what_was_taken_is_told_by_name_only_if_somebody_has_looked_at_it(
    tree: Tree, queue: Queue
) -> None:
    put_lines(tree, queue, b"a", b"b")
    unseen = ports.take(tree, queue, 100, user(tree), NOW)
    (name,) = names(queue)
    message = message_at(tree, queue, name)
    seen = ports.take(tree, queue, 100, user(tree), NOW)
    assert unseen is not None
    assert seen is not None
    assert unseen.message is None
    assert (seen.name, seen.message) == (name, message)


def test_lines_that_were_taken_are_told_by_name_where_somebody_has_looked_at_them(
    tree: Tree, queue: Queue
) -> None:
    put_lines(tree, queue, b"a", b"b", b"c")
    message = message_at(tree, queue, b"%016x" % list(queue.arrivals())[1].sequence)
    created = create(tree, queue, b"d")
    lines, known = ports.take_lines(tree, queue, 100, user(tree), NOW)
    assert lines == b"a\nb\nc\n\n"
    assert [taken.message for taken in known] == [message, created]
    assert [taken.name for taken in known][1] == b"d"


# What is left


def take_each(tree: Tree, queue: Queue) -> None:
    while take(tree, queue) is not None:
        pass


def take_all_lines(tree: Tree, queue: Queue) -> None:
    take_lines(tree, queue)


def unlink_each(tree: Tree, queue: Queue) -> None:
    for name in names(queue):
        unlink(tree, queue, name)


def pop_each_head(tree: Tree, queue: Queue) -> None:
    while len(queue):
        unlink(tree, queue, HEAD)


def look_and_take(tree: Tree, queue: Queue) -> None:
    names(queue)
    take_lines(tree, queue, 4)
    take_each(tree, queue)


@pytest.mark.parametrize(
    "empty", [take_each, take_all_lines, unlink_each, pop_each_head, look_and_take]
)
def test_nothing_is_left_of_messages_that_are_gone_whichever_way(
    tree: Tree, queue: Queue, empty: Callable[[Tree, Queue], None]
) -> None:
    before, inodes = charged(tree), dict(tree.inodes)
    for by in (user(tree), user(tree, BOB, STAFF)):
        put(tree, queue, b"a", by=by)
        put_lines(tree, queue, b"bc", b"", b"def", by=by)
        create(tree, queue, b"file %d" % by.uid)
    empty(tree, queue)
    assert charged(tree) == before
    assert tree.inodes == inodes


@pytest.mark.parametrize("looked_at", [False, True])
def test_nothing_is_left_of_the_messages_of_a_vanished_queue(
    tree: Tree, *, looked_at: bool
) -> None:
    before, inodes = charged(tree), dict(tree.inodes)
    queue = mkdir(tree)
    put_lines(tree, queue, b"bc", b"", b"def", by=user(tree, BOB, STAFF))
    if looked_at:
        assert queue.find(TAIL) is not None
    tree.owner_died(OWNER, NOW)
    assert charged(tree) == before
    assert tree.inodes == inodes


def test_a_held_message_of_a_vanished_queue_is_told_with_its_name(tree: Tree, queue: Queue) -> None:
    put_lines(tree, queue, b"a", b"b")
    name = b"%016x" % list(queue.arrivals())[1].sequence
    message = message_at(tree, queue, name)
    message.holds += 1
    ((_, held),) = tree.owner_died(OWNER, NOW)
    assert held == [(name, message)]
    tree.unhold(message)
    assert list(tree.inodes.values()) == [tree.root]


def test_messages_nobody_looks_at_have_no_inode(tree: Tree, queue: Queue) -> None:
    put(tree, queue)
    put_lines(tree, queue, *100 * [b"text"])
    assert len(tree.inodes) == 2
    # ... but count as inodes, since they take memory as well.
    assert tree.ledger.inodes == 103


def test_messages_are_charged_to_who_opened_the_port_and_to_nobody_else(
    tree: Tree, queue: Queue, put_one: Putter
) -> None:
    before = charged(tree)
    put_one(tree, queue, b"text")
    message_at(tree, queue, names(queue)[0])
    take(tree, queue)
    put_one(tree, queue, b"text")
    put_lines(tree, queue, b"1", b"23", by=user(tree, BOB, STAFF))
    assert charged(tree) == before | {
        "inodes": before["inodes"] + 3,
        "stored_bytes": 7,
        "user 1000 files": 1,
        "user 1000 bytes": 4,
        "group 100 files": 1,
        "group 100 bytes": 4,
        "user 1001 files": 2,
        "user 1001 bytes": 3,
        "group 50 files": 2,
        "group 50 bytes": 3,
    }


# Lines that nobody looks at


def test_lines_leave_as_they_came_however_much_is_read_at_once(tree: Tree, queue: Queue) -> None:
    lines = [b"%d" % number for number in range(1000)]
    put_lines(tree, queue, *lines[:600])
    put_lines(tree, queue, *lines[600:])
    taken = b""
    while len(queue):
        before = len(queue)
        taken += take_lines(tree, queue, 50)
        assert before - 50 <= len(queue) < before
        batch = queue.next_batch
        assert (batch is None) == (len(queue) == 0)
    assert taken.splitlines() == lines


@pytest.mark.parametrize("count", [0, 1, 299, 300, 301, 599])
def test_a_look_finds_each_line_at_its_place_whatever_has_gone(
    tree: Tree, queue: Queue, count: int
) -> None:
    before = charged(tree)
    for start in (0, 300):
        put_lines(tree, queue, *[b"%03d" % number for number in range(start, start + 300)])
    if count:
        take_lines(tree, queue, 4 * count)
    left = [b"%03d" % number for number in range(count, 600)]
    found = [content(message_at(tree, queue, name)) for name in names(queue)]
    assert found == left
    assert names(queue) == sorted(names(queue))
    assert drain(tree, queue) == left
    assert charged(tree) == before


def test_what_comes_after_lines_stands_behind_them(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    create(tree, other_queue, b"moved")
    put_lines(tree, queue, b"1", b"2")
    put(tree, queue, b"3")
    put_lines(tree, queue, b"4")
    create(tree, queue, b"made")
    put_lines(tree, queue, b"5")
    rename(tree, other_queue, b"moved", queue, b"moved")
    assert [one.content for one in peek(queue)] == [b"1", b"2", b"3", b"4", b"", b"5", b""]
    assert names(queue)[4::2] == [b"made", b"moved"]


def test_the_end_of_many_lines_is_found_by_a_look_at_tail(tree: Tree, queue: Queue) -> None:
    put_lines(tree, queue, b"1", b"2", b"3")
    assert content(message_at(tree, queue, end(tree, queue, TAIL).dentry(Tid(1)).name)) == b"3"
    assert queue.oldest_ns == NOW
    assert queue.content_bytes() == 3
