"""A queue's own limits, and what is done beyond them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfs.queues import attributes, xattrs
from eventfs.queues.bounds import Ages
from eventfs.queues.directory import Sequence
from eventfs.queues.errors import BadValue, LimitReached, NotFound
from eventfs.queues.ledger import Limits, Settings
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD
from eventfs.queues.queue import End, Queue, Tid
from eventfs.queues.tree import Tree
from tests.queues.making import (
    NOW,
    OTHER_OWNER,
    FakeClock,
    charged,
    content,
    counted,
    create,
    end,
    fill,
    follow,
    has_room,
    link,
    message_at,
    mkdir,
    names,
    pass_time,
    put,
    put_lines,
    rename,
    set_rule,
    take,
    take_lines,
    unlink,
)

SECOND_NS = 10**9


@pytest.fixture
def ring(tree: Tree, queue: Queue) -> Queue:
    """Keep the newest two messages."""
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"2")
    set_rule(tree, queue, xattrs.OVERFLOW, b"drop-oldest")
    return queue


def made(tree: Tree, queue: Queue, name: bytes, size: int) -> Message:
    """Make a message of so many bytes."""
    message = create(tree, queue, name)
    tree.write(message, 0, bytes(size), NOW)
    return message


# Too many messages


def test_what_is_too_much_is_refused(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    elsewhere = create(tree, other_queue, b"3")
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"2")
    fill(tree, queue, b"1", b"2")
    before = charged(tree)
    for attempt in (
        lambda: create(tree, queue, b"3"),
        lambda: link(tree, elsewhere, queue, b"3"),
        lambda: rename(tree, other_queue, b"3", queue, b"3"),
        lambda: put(tree, queue),
        lambda: put_lines(tree, queue, b"3"),
    ):
        with pytest.raises(LimitReached):
            attempt()
    assert names(queue) == [b"1", b"2"]
    assert charged(tree) == before
    assert counted(tree, queue, xattrs.DROPPED) == 0


def test_who_has_gone_makes_room(tree: Tree, queue: Queue) -> None:
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"1")
    put(tree, queue)
    assert not has_room(tree, queue)
    take(tree, queue)
    assert has_room(tree, queue)
    put(tree, queue)


def test_in_the_place_of_another_there_is_room(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"1")
    create(tree, queue, b"1")
    new = create(tree, other_queue, b"1")
    rename(tree, other_queue, b"1", queue, b"1")
    assert message_at(tree, queue, b"1") is new


def test_of_many_lines_as_many_come_as_there_is_room_for(tree: Tree, queue: Queue) -> None:
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"2")
    assert put_lines(tree, queue, b"1", b"2", b"3") == 2
    assert take_lines(tree, queue) == b"1\n2\n"


def test_a_limit_below_what_is_there_takes_nothing(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"1", b"2", b"3")
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"2")
    assert len(queue) == 3
    unlink(tree, queue, HEAD)
    with pytest.raises(LimitReached):
        create(tree, queue, b"4")


def test_a_full_follower_misses_the_message(tree: Tree, queue: Queue) -> None:
    mine = mkdir(tree, b"mine")
    follow(tree, mine, b"queue")
    set_rule(tree, mine, xattrs.MAX_MESSAGES, b"1")
    fill(tree, queue, b"1", b"2")
    assert names(mine) == [b"1"]
    assert counted(tree, mine, xattrs.DROPPED) == 1


# The oldest are dropped


def test_the_oldest_is_dropped_and_counted(tree: Tree, ring: Queue, other_queue: Queue) -> None:
    elsewhere = create(tree, other_queue, b"5")
    create(tree, other_queue, b"6")
    fill(tree, ring, b"1", b"2", b"3")
    assert names(ring) == [b"2", b"3"]
    put(tree, ring, b"4")
    link(tree, elsewhere, ring, b"5")
    rename(tree, other_queue, b"6", ring, b"6")
    assert names(ring) == [b"5", b"6"]
    assert counted(tree, ring, xattrs.DROPPED) == 4


def test_of_many_lines_the_last_stay(tree: Tree, ring: Queue) -> None:
    assert put_lines(tree, ring, b"1", b"2", b"3", b"4") == 4
    assert put_lines(tree, ring, b"5") == 1
    assert take_lines(tree, ring) == b"4\n5\n"
    assert counted(tree, ring, xattrs.DROPPED) == 3


def test_there_is_always_room(tree: Tree, ring: Queue) -> None:
    put_lines(tree, ring, b"1", b"2")
    assert has_room(tree, ring)


def test_a_follower_gets_the_newest(tree: Tree, queue: Queue) -> None:
    mine = mkdir(tree, b"mine")
    follow(tree, mine, b"queue")
    set_rule(tree, mine, xattrs.OVERFLOW, b"drop-oldest")
    set_rule(tree, mine, xattrs.MAX_MESSAGES, b"1")
    fill(tree, queue, b"1", b"2")
    assert names(mine) == [b"2"]
    assert counted(tree, mine, xattrs.DROPPED) == 1


def test_a_limit_below_what_is_there_drops_at_once(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"1", b"2", b"3")
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"1")
    set_rule(tree, queue, xattrs.OVERFLOW, b"drop-oldest")
    assert names(queue) == [b"3"]


def test_removed_a_limit_is_none(tree: Tree, ring: Queue) -> None:
    attributes.remove(tree, ring, xattrs.MAX_MESSAGES, NOW)
    fill(tree, ring, b"1", b"2", b"3")
    attributes.remove(tree, ring, xattrs.OVERFLOW, NOW)
    assert len(ring) == 3
    assert ring.bounds is None


def test_other_names_of_what_is_dropped_stay(tree: Tree, ring: Queue, other_queue: Queue) -> None:
    message = create(tree, ring, b"1")
    link(tree, message, other_queue, b"1")
    fill(tree, ring, b"2", b"3")
    assert names(other_queue) == [b"1"]
    assert message.links == 1


def test_what_is_open_goes_on(tree: Tree, ring: Queue) -> None:
    message = create(tree, ring, b"1")
    tree.open(message)
    tree.write(message, 0, b"text", NOW)
    fill(tree, ring, b"2", b"3")
    assert content(message) == b"text"
    assert message.links == 0
    tree.close(message)
    assert message.ino not in tree.inodes


def test_who_has_opened_what_is_dropped_was_too_slow(tree: Tree, ring: Queue) -> None:
    fill(tree, ring, b"1", b"2")
    head = end(tree, ring, HEAD)
    assert isinstance(head, End)
    tree.sightings.follow(Tid(7), head)
    tree.sightings.opened(Tid(7), message_at(tree, ring, b"1"))
    create(tree, ring, b"3")
    with pytest.raises(NotFound):
        unlink(tree, ring, HEAD, tid=7)
    assert names(ring) == [b"2", b"3"]


def test_of_what_is_dropped_the_mount_is_told(tree: Tree, ring: Queue) -> None:
    first, *_ = fill(tree, ring, b"1", b"2", b"3")
    assert tree.changes == [(ring, b"1", first)]


def test_what_a_users_limits_do_not_allow_is_refused_and_drops_nothing(
    tree: Tree, ring: Queue
) -> None:
    fill(tree, ring, b"1", b"2")
    tree.ledger.change(Settings(default=Limits(max_files=2)))
    with pytest.raises(LimitReached):
        create(tree, ring, b"3")
    assert names(ring) == [b"1", b"2"]


def test_what_is_on_loan_here_is_not_dropped(tree: Tree, ring: Queue, other_queue: Queue) -> None:
    set_rule(tree, ring, xattrs.LEASE, b"")
    create(tree, other_queue, b"1")
    rename(tree, other_queue, b"1", ring, b"1")
    fill(tree, ring, b"2", b"3")
    assert names(ring) == [b"1", b"3"]


def test_what_returns_as_the_oldest_is_dropped(tree: Tree, ring: Queue) -> None:
    worker = mkdir(tree, b"worker", owner=OTHER_OWNER)
    set_rule(tree, worker, xattrs.LEASE, b"")
    fill(tree, ring, b"1", b"2")
    rename(tree, ring, b"1", worker, b"1")
    create(tree, ring, b"3")
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(ring) == [b"2", b"3"]
    assert counted(tree, ring, xattrs.DROPPED) == 1


# Too many bytes


def test_bytes_beyond_the_limit_are_refused(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    elsewhere = made(tree, other_queue, b"2", 5)
    set_rule(tree, queue, xattrs.MAX_BYTES, b"10")
    message = made(tree, queue, b"1", 6)
    for attempt in (
        lambda: link(tree, elsewhere, queue, b"2"),
        lambda: rename(tree, other_queue, b"2", queue, b"2"),
        lambda: put(tree, queue, b"12345"),
        lambda: tree.write(message, 6, b"12345", NOW),
        lambda: tree.truncate(message, 11, NOW),
    ):
        before = charged(tree)
        with pytest.raises(LimitReached):
            attempt()
        assert charged(tree) == before
    assert (names(queue), message.size) == ([b"1"], 6)
    put(tree, queue, b"1234")
    assert not has_room(tree, queue)


def test_fewer_bytes_make_room(tree: Tree, queue: Queue) -> None:
    set_rule(tree, queue, xattrs.MAX_BYTES, b"10")
    message = made(tree, queue, b"1", 10)
    tree.truncate(message, 4, NOW)
    put(tree, queue, b"123456")
    unlink(tree, queue, b"1")
    put(tree, queue, b"1234")


def test_in_the_place_of_another_only_the_difference_counts(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    set_rule(tree, queue, xattrs.MAX_BYTES, b"10")
    made(tree, queue, b"1", 6)
    made(tree, queue, b"2", 4)
    made(tree, other_queue, b"7", 7)
    made(tree, other_queue, b"6", 6)
    with pytest.raises(LimitReached):
        rename(tree, other_queue, b"7", queue, b"1")
    rename(tree, other_queue, b"6", queue, b"1")
    assert names(queue) == [b"2", b"1"]


def test_a_message_counts_for_each_of_its_names(tree: Tree, queue: Queue) -> None:
    set_rule(tree, queue, xattrs.MAX_BYTES, b"10")
    message = made(tree, queue, b"1", 3)
    link(tree, message, queue, b"2")
    assert counted(tree, queue, xattrs.BYTES) == 6
    tree.write(message, 0, bytes(5), NOW)
    with pytest.raises(LimitReached):
        tree.write(message, 0, bytes(6), NOW)


def test_a_packet_that_became_a_message_may_grow_to_the_limit(tree: Tree, queue: Queue) -> None:
    mine = mkdir(tree, b"mine")
    follow(tree, mine, b"queue")
    set_rule(tree, mine, xattrs.MAX_BYTES, b"10")
    put(tree, queue, b"123")
    message = message_at(tree, queue, names(queue)[0])
    tree.write(message, 3, bytes(7), NOW)
    with pytest.raises(LimitReached):
        tree.write(message, 10, b"x", NOW)
    assert len(drained := take(tree, mine) or b"") == len(drained) == 10


def test_the_oldest_are_dropped_for_bytes(tree: Tree, queue: Queue) -> None:
    set_rule(tree, queue, xattrs.OVERFLOW, b"drop-oldest")
    set_rule(tree, queue, xattrs.MAX_BYTES, b"10")
    for name in (b"1", b"2", b"3"):
        made(tree, queue, name, 4)
    assert names(queue) == [b"2", b"3"]
    put(tree, queue, bytes(10))
    assert len(queue) == 1
    assert counted(tree, queue, xattrs.DROPPED) == 3


def test_a_message_that_grows_drops_others(tree: Tree, queue: Queue) -> None:
    set_rule(tree, queue, xattrs.OVERFLOW, b"drop-oldest")
    set_rule(tree, queue, xattrs.MAX_BYTES, b"10")
    oldest = made(tree, queue, b"1", 4)
    made(tree, queue, b"2", 4)
    tree.write(oldest, 4, bytes(6), NOW)
    assert names(queue) == [b"1"]
    with pytest.raises(LimitReached):
        tree.write(oldest, 10, b"x", NOW)


def test_what_can_never_fit_is_refused_and_drops_nothing(tree: Tree, queue: Queue) -> None:
    set_rule(tree, queue, xattrs.OVERFLOW, b"drop-oldest")
    set_rule(tree, queue, xattrs.MAX_BYTES, b"10")
    made(tree, queue, b"1", 4)
    with pytest.raises(LimitReached):
        put(tree, queue, bytes(11))
    assert put_lines(tree, queue, b"2", bytes(11), b"3") == 1
    assert len(queue) == 2


# Too old


def test_what_is_too_old_goes_and_is_counted(tree: Tree, queue: Queue, clock: FakeClock) -> None:
    set_rule(tree, queue, xattrs.TTL, b"2")
    create(tree, queue, b"1")
    pass_time(tree, clock, SECOND_NS)
    put(tree, queue, b"2")
    pass_time(tree, clock, SECOND_NS)
    assert len(queue) == 2
    pass_time(tree, clock, SECOND_NS // 10)
    assert take(tree, queue) == b"2"
    assert counted(tree, queue, xattrs.EXPIRED) == 1
    assert counted(tree, queue, xattrs.DROPPED) == 0


def test_what_was_there_before_counts_from_then_on(
    tree: Tree, queue: Queue, clock: FakeClock
) -> None:
    create(tree, queue, b"1")
    pass_time(tree, clock, 100 * SECOND_NS)
    set_rule(tree, queue, xattrs.TTL, b"2")
    pass_time(tree, clock, SECOND_NS)
    assert names(queue) == [b"1"]
    pass_time(tree, clock, 2 * SECOND_NS)
    assert names(queue) == []


def test_it_is_as_old_as_its_arrival_here(
    tree: Tree, queue: Queue, other_queue: Queue, clock: FakeClock
) -> None:
    set_rule(tree, queue, xattrs.TTL, b"2")
    create(tree, other_queue, b"1")
    pass_time(tree, clock, 100 * SECOND_NS)
    rename(tree, other_queue, b"1", queue, b"1")
    pass_time(tree, clock, SECOND_NS)
    assert names(queue) == [b"1"]


def test_what_returns_is_as_old_as_it_is(tree: Tree, queue: Queue, clock: FakeClock) -> None:
    worker = mkdir(tree, b"worker", owner=OTHER_OWNER)
    set_rule(tree, worker, xattrs.LEASE, b"")
    set_rule(tree, queue, xattrs.TTL, b"2")
    fill(tree, queue, b"1")
    rename(tree, queue, b"1", worker, b"1")
    pass_time(tree, clock, 3 * SECOND_NS)
    create(tree, queue, b"2")
    assert names(worker) == [b"1"]
    tree.owner_died(OTHER_OWNER, NOW)
    pass_time(tree, clock, 0)
    assert names(queue) == [b"2"]
    assert counted(tree, queue, xattrs.EXPIRED) == 1


def test_what_is_on_loan_here_does_not_expire_here(
    tree: Tree, queue: Queue, other_queue: Queue, clock: FakeClock
) -> None:
    set_rule(tree, queue, xattrs.LEASE, b"")
    set_rule(tree, queue, xattrs.TTL, b"2")
    create(tree, other_queue, b"1")
    rename(tree, other_queue, b"1", queue, b"1")
    create(tree, queue, b"2")
    pass_time(tree, clock, 3 * SECOND_NS)
    assert names(queue) == [b"1"]


def test_thousands_expire_a_part_at_a_time(tree: Tree, queue: Queue, clock: FakeClock) -> None:
    set_rule(tree, queue, xattrs.TTL, b"2")
    put_lines(tree, queue, *[b"line"] * 1000)
    pass_time(tree, clock, 3 * SECOND_NS)
    assert 0 < len(queue) < 1000
    while len(queue):
        before = len(queue)
        pass_time(tree, clock, 0)
        assert len(queue) < before
    assert tree.timers.next_ns > clock.time_ns


def test_an_empty_queue_is_not_looked_at_for_ever(
    tree: Tree, queue: Queue, clock: FakeClock
) -> None:
    set_rule(tree, queue, xattrs.TTL, b"2")
    put(tree, queue)
    take(tree, queue)
    pass_time(tree, clock, 3 * SECOND_NS)
    assert not tree.timers._due


@given(
    ttl_ns=st.integers(1, 1000),
    steps_ns=st.lists(st.integers(0, 300), max_size=60),
)
def test_ages_are_never_too_high_and_almost_right(ttl_ns: int, steps_ns: list[int]) -> None:
    """No message goes before its time, and none stays much longer."""
    ages = Ages(ttl_ns)
    now_ns = 0
    arrived_ns: list[int] = []
    for step_ns in steps_ns:
        now_ns += step_ns
        before = ages.expired_before(now_ns, Sequence(len(arrived_ns)))
        for sequence, time_ns in enumerate(arrived_ns):
            if sequence < before:
                assert now_ns - time_ns >= ttl_ns
            else:
                assert now_ns - time_ns < ttl_ns + 2 * (ttl_ns // 64) + 1
        ages.note(Sequence(len(arrived_ns)), now_ns)
        arrived_ns.append(now_ns)


# What is refused


@pytest.mark.parametrize("value", [b"", b"drop", b"Reject", b"drop-newest", b"reject "])
def test_overflow_is_one_of_two(tree: Tree, queue: Queue, value: bytes) -> None:
    with pytest.raises(BadValue):
        set_rule(tree, queue, xattrs.OVERFLOW, value)
    set_rule(tree, queue, xattrs.OVERFLOW, b"reject")


def test_of_a_message_these_are_ordinary_attributes(tree: Tree, message: Message) -> None:
    attributes.put(tree, message, xattrs.MAX_MESSAGES, b"anything", NOW)
    assert attributes.get(tree, message, xattrs.MAX_MESSAGES) == b"anything"


def test_what_was_lost_can_only_be_read(tree: Tree, queue: Queue) -> None:
    for name in (xattrs.DROPPED, xattrs.EXPIRED, xattrs.LENT):
        assert attributes.get(tree, queue, name) == b"0"
        assert name not in xattrs.names(queue)
