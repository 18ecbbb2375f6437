"""Who has opened a message through `head` or `tail` unlinks that message through it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventfs.queues.errors import NotFound, NotPermitted
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import MAX_SIGHTINGS, Queue, Tid
from eventfs.queues.tree import Tree
from tests.queues.making import (
    ALICE,
    BOB,
    CAROL,
    NOW,
    OWNER,
    FakeThreads,
    create,
    end,
    fill,
    link,
    lookup,
    make_tree,
    mkdir,
    names,
    unlink,
)

# Threads, each of its own process unless a test says otherwise.
ONE, OTHER, THIRD = Tid(1), Tid(2), Tid(3)
ANONYMOUS = Tid(0)


@pytest.fixture
def queue(tree: Tree) -> Queue:
    """A queue of a, b and c."""
    queue = mkdir(tree)
    fill(tree, queue, b"a", b"b", b"c")
    return queue


def read_link(tree: Tree, queue: Queue, tid: Tid, name: bytes = b"head") -> Message:
    """Be told where a link leads to, and return what is there."""
    target = tree.sightings.follow(tid, end(tree, queue, name))
    message = lookup(tree, queue, target)
    assert isinstance(message, Message)
    return message


def open_link(tree: Tree, queue: Queue, tid: Tid, name: bytes = b"head") -> Message:
    """Open a message through a link."""
    message = read_link(tree, queue, tid, name)
    tree.sightings.opened(tid, message)
    return message


# Consumers that compete


def test_who_opened_head_unlinks_what_was_opened(tree: Tree, queue: Queue) -> None:
    opened = open_link(tree, queue, ONE)
    assert unlink(tree, queue, b"head", tid=ONE) is opened
    assert names(queue) == [b"b", b"c"]


def test_who_opened_tail_unlinks_what_was_opened_though_tail_has_moved(
    tree: Tree, queue: Queue
) -> None:
    opened = open_link(tree, queue, ONE, b"tail")
    fill(tree, queue, b"d")
    assert unlink(tree, queue, b"tail", tid=ONE) is opened
    assert names(queue) == [b"a", b"b", b"d"]


@pytest.mark.parametrize("faster", [b"head", b"a"])
def test_who_was_too_slow_is_told_so_and_removes_nothing_unread(
    tree: Tree, queue: Queue, faster: bytes
) -> None:
    open_link(tree, queue, ONE)
    open_link(tree, queue, OTHER)
    unlink(tree, queue, faster, tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"b", b"c"]


def test_who_was_told_and_looks_again_gets_the_next(tree: Tree, queue: Queue) -> None:
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"a", tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)
    opened = open_link(tree, queue, ONE)
    assert unlink(tree, queue, b"head", tid=ONE) is opened
    assert names(queue) == [b"c"]


@pytest.mark.parametrize("others", [[], [b"b"]], ids=["in an empty queue", "in a filled one"])
def test_who_was_told_and_does_not_look_again_unlinks_as_rm_does(
    tree: Tree, others: list[bytes]
) -> None:
    queue = mkdir(tree)
    fill(tree, queue, b"a", *others)
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"head", tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)
    fill(tree, queue, b"c")
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [*others, b"c"][1:]


def test_a_thread_counts_for_itself_also_in_one_process(
    tree: Tree, queue: Queue, threads: FakeThreads
) -> None:
    # Threads may be competing consumers.
    threads.processes = {ONE: 1, OTHER: 1}
    open_link(tree, queue, ONE)
    open_link(tree, queue, OTHER)
    unlink(tree, queue, b"head", tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"b", b"c"]


def test_too_slow_in_a_queue_that_became_empty_is_too_slow_all_the_same(tree: Tree) -> None:
    queue = mkdir(tree)
    fill(tree, queue, b"a")
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"a", tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)


def test_a_message_that_came_again_under_its_name_is_another(tree: Tree, queue: Queue) -> None:
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"a", tid=OTHER)
    fill(tree, queue, b"a")
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"b", b"c", b"a"]


# Who hasn't looked


def test_who_has_opened_nothing_unlinks_what_the_link_leads_to(tree: Tree, queue: Queue) -> None:
    # As rm(1) does.
    unlink(tree, queue, b"head", tid=ONE)
    unlink(tree, queue, b"tail", tid=ONE)
    assert names(queue) == [b"b"]


def test_an_open_counts_for_one_unlink(tree: Tree, queue: Queue) -> None:
    open_link(tree, queue, ONE)
    for rest in ([b"b", b"c"], [b"c"], []):
        unlink(tree, queue, b"head", tid=ONE)
        assert names(queue) == rest


def test_head_and_tail_are_two_links(tree: Tree, queue: Queue) -> None:
    open_link(tree, queue, ONE, b"head")
    assert open_link(tree, queue, ONE, b"tail") is unlink(tree, queue, b"tail", tid=ONE)
    assert names(queue) == [b"a", b"b"]
    unlink(tree, queue, b"a", tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)


def test_each_queue_counts_for_itself(tree: Tree, queue: Queue) -> None:
    other_queue = mkdir(tree, b"other")
    fill(tree, other_queue, b"x", b"y")
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"head", tid=OTHER)
    unlink(tree, other_queue, b"head", tid=ONE)
    assert names(other_queue) == [b"y"]
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)


def test_who_opened_through_two_queues_unlinks_in_each_what_was_opened(
    tree: Tree, queue: Queue
) -> None:
    other_queue = mkdir(tree, b"other")
    [x] = fill(tree, other_queue, b"x")
    link(tree, x, queue, b"x")
    open_link(tree, queue, ONE)
    open_link(tree, other_queue, ONE)
    unlink(tree, other_queue, b"head", tid=ONE)
    unlink(tree, queue, b"head", tid=ONE)
    assert (names(queue), names(other_queue)) == ([b"b", b"c", b"x"], [])


def test_who_only_reads_the_link_has_not_opened(tree: Tree, queue: Queue) -> None:
    read_link(tree, queue, ONE)
    unlink(tree, queue, b"a", tid=OTHER)
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"c"]


def test_who_reads_the_link_again_has_looked_anew(tree: Tree, queue: Queue) -> None:
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"a", tid=OTHER)
    read_link(tree, queue, ONE)
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"c"]


def test_who_opens_a_message_by_its_name_has_not_opened_it_through_a_link(
    tree: Tree, queue: Queue
) -> None:
    assert queue.oldest is not None
    message = queue.oldest.inode
    assert isinstance(message, Message)
    tree.sightings.opened(ONE, message)
    unlink(tree, queue, b"a", tid=OTHER)
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"c"]


def test_who_read_the_link_and_then_opened_another_message_has_not_opened_through_it(
    tree: Tree, queue: Queue
) -> None:
    first = read_link(tree, queue, ONE)
    assert queue.newest is not None
    assert isinstance(queue.newest.inode, Message)
    tree.sightings.opened(ONE, queue.newest.inode)
    # Not even when it opens that one later: it may have done so by its name.
    tree.sightings.opened(ONE, first)
    unlink(tree, queue, b"a", tid=OTHER)
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"c"]


def test_who_unlinked_what_it_opened_by_its_name_has_not_looked_since(
    tree: Tree, queue: Queue
) -> None:
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"a", tid=ONE)
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"c"]


def test_who_unlinked_another_by_its_name_still_means_what_it_opened(
    tree: Tree, queue: Queue
) -> None:
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"b", tid=ONE)
    unlink(tree, queue, b"a", tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)


def test_who_opened_one_message_through_both_links_is_not_its_own_rival(tree: Tree) -> None:
    queue = mkdir(tree)
    fill(tree, queue, b"a")
    open_link(tree, queue, ONE, b"head")
    open_link(tree, queue, ONE, b"tail")
    unlink(tree, queue, b"head", tid=ONE)
    fill(tree, queue, b"b")
    unlink(tree, queue, b"tail", tid=ONE)
    assert names(queue) == []


# Threads that work together


def test_a_thread_that_opened_nothing_unlinks_for_one_of_its_process(
    tree: Tree, queue: Queue, threads: FakeThreads
) -> None:
    threads.processes = {ONE: 1, OTHER: 1}
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"head", tid=OTHER)
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"c"]


def test_a_thread_of_another_process_is_a_rival(
    tree: Tree, queue: Queue, threads: FakeThreads
) -> None:
    threads.processes = {ONE: 1, OTHER: 1, THIRD: 3}
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"head", tid=THIRD)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"b", b"c"]


# Threads that can't be told apart


def test_a_thread_that_cannot_be_told_from_others_unlinks_as_rm_does(
    tree: Tree, queue: Queue
) -> None:
    open_link(tree, queue, ANONYMOUS)
    unlink(tree, queue, b"a", tid=ONE)
    unlink(tree, queue, b"head", tid=ANONYMOUS)
    assert names(queue) == [b"c"]


def test_a_thread_with_the_number_of_one_that_is_gone_is_not_refused(
    tree: Tree, queue: Queue, threads: FakeThreads
) -> None:
    open_link(tree, queue, ONE)
    unlink(tree, queue, b"a", tid=OTHER)
    threads.starts_ns[ONE] = threads.clock_ns + 1
    unlink(tree, queue, b"head", tid=ONE)
    assert names(queue) == [b"c"]


def test_a_thread_with_the_number_of_one_that_is_gone_does_not_mean_what_that_one_opened(
    tree: Tree, queue: Queue, threads: FakeThreads
) -> None:
    # `cat tail`; many messages and many processes later, `rm tail`.
    open_link(tree, queue, ONE, b"tail")
    fill(tree, queue, b"d")
    threads.starts_ns[ONE] = threads.clock_ns + 1
    unlink(tree, queue, b"tail", tid=ONE)
    assert names(queue) == [b"a", b"b", b"c"]


# What is refused for other reasons


def test_with_s_isvtx_the_right_is_that_to_the_message_that_was_opened(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o1777, uid=ALICE)
    create(tree, queue, b"bobs", uid=BOB)
    open_link(tree, queue, ONE, b"tail")
    create(tree, queue, b"carols", uid=CAROL)
    with pytest.raises(NotPermitted):
        unlink(tree, queue, b"tail", uid=CAROL, tid=ONE)
    assert names(queue) == [b"bobs", b"carols"]


def test_who_may_not_pop_still_means_what_it_opened(tree: Tree) -> None:
    # A refusal changes nothing. Else the second attempt would remove what nobody has read.
    queue = mkdir(tree, mode=0o1777, uid=ALICE)
    create(tree, queue, b"bobs", uid=BOB)
    create(tree, queue, b"carols", uid=CAROL)
    open_link(tree, queue, ONE)
    with pytest.raises(NotPermitted):
        unlink(tree, queue, b"head", uid=CAROL, tid=ONE)
    unlink(tree, queue, b"bobs", uid=BOB, tid=OTHER)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", uid=CAROL, tid=ONE)
    assert names(queue) == [b"carols"]


# What looking takes


def test_those_who_look_and_never_unlink_do_not_fill_the_memory(tree: Tree, queue: Queue) -> None:
    for number in range(1, 2 * MAX_SIGHTINGS):
        open_link(tree, queue, Tid(number))
        read_link(tree, queue, Tid(number))
        open_link(tree, queue, Tid(number))
    for number in range(1, 2 * MAX_SIGHTINGS):
        read_link(tree, queue, Tid(-number))
    assert len(queue.sightings) == MAX_SIGHTINGS
    assert len(tree.sightings._followed) == MAX_SIGHTINGS


def test_those_who_look_and_unlink_leave_nothing_behind(tree: Tree, queue: Queue) -> None:
    for tid in (ONE, OTHER, THIRD):
        open_link(tree, queue, tid)
        unlink(tree, queue, b"head", tid=tid)
    assert (queue.sightings._by_key, queue.sightings._by_dentry) == ({}, {})
    assert tree.sightings._followed == {}


def test_the_one_that_opened_longest_ago_is_forgotten_first(tree: Tree, queue: Queue) -> None:
    for number in range(1, MAX_SIGHTINGS + 2):
        open_link(tree, queue, Tid(number))
    unlink(tree, queue, b"a", tid=-1)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=2)
    unlink(tree, queue, b"head", tid=1)
    assert names(queue) == [b"c"]


def test_the_one_that_followed_longest_ago_is_forgotten_first(tree: Tree, queue: Queue) -> None:
    for number in range(1, MAX_SIGHTINGS + 1):
        read_link(tree, queue, Tid(number))
    # The second looks again, and two others come before it can open.
    message = read_link(tree, queue, Tid(2))
    read_link(tree, queue, Tid(MAX_SIGHTINGS + 1))
    read_link(tree, queue, Tid(MAX_SIGHTINGS + 2))
    tree.sightings.opened(Tid(2), message)
    unlink(tree, queue, b"a", tid=-1)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=2)


def test_looking_keeps_no_message_in_memory(tree: Tree, queue: Queue) -> None:
    opened = open_link(tree, queue, ONE)
    read_link(tree, queue, OTHER)
    unlink(tree, queue, b"a")
    assert opened.ino not in tree.inodes
    sighting = queue.sightings.find((ONE, Name(b"head")))
    assert sighting is not None
    assert sighting.dentry.inode is None


def test_a_link_in_a_vanished_queue_leads_nowhere_for_who_opened_it(
    tree: Tree, queue: Queue
) -> None:
    queue.holds += 1
    open_link(tree, queue, ONE)
    tree.owner_died(OWNER, NOW)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"head", tid=ONE)


# Whatever the interleaving

CONSUMERS = st.sampled_from([Tid(number) for number in range(1, 5)])


class CompetingConsumers(RuleBasedStateMachine):
    """Each message is unlinked by one consumer, who had opened it, and in order."""

    def __init__(self) -> None:
        super().__init__()
        threads = FakeThreads()
        # Two of the four are of one process.
        threads.processes = {1: 1, 2: 1}
        self.tree = make_tree(threads=threads)
        self.queue = mkdir(self.tree)
        self.made: list[bytes] = []
        self.taken: list[bytes] = []
        # What each consumer was told that head leads to, and what it has opened.
        self.told: dict[Tid, tuple[bytes, Message]] = {}
        self.opened: dict[Tid, bytes] = {}

    @rule(count=st.integers(1, 3))
    def publish(self, count: int) -> None:
        for _ in range(count):
            name = b"%d" % len(self.made)
            self.made.append(name)
            create(self.tree, self.queue, name)

    @rule(tid=CONSUMERS)
    def follow_head(self, tid: Tid) -> None:
        if tid not in self.opened and len(self.queue):
            message = read_link(self.tree, self.queue, tid)
            self.told[tid] = names(self.queue)[0], message

    @rule(tid=CONSUMERS)
    def open_it(self, tid: Tid) -> None:
        name, message = self.told.pop(tid, (b"", None))
        if message is not None and name in names(self.queue):
            self.tree.sightings.opened(tid, message)
            self.opened[tid] = name

    @rule(tid=CONSUMERS)
    def unlink_head(self, tid: Tid) -> None:
        name = self.opened.pop(tid, None)
        if name is None:
            return
        if name in self.taken:
            with pytest.raises(NotFound):
                unlink(self.tree, self.queue, b"head", tid=tid)
        else:
            unlink(self.tree, self.queue, b"head", tid=tid)
            self.taken.append(name)

    @rule(tid=CONSUMERS)
    def unlink_by_name(self, tid: Tid) -> None:
        name = self.opened.pop(tid, None)
        if name is None:
            return
        if name in self.taken:
            with pytest.raises(NotFound):
                unlink(self.tree, self.queue, name, tid=tid)
            # It is still the message that this thread means by head.
            self.opened[tid] = name
        else:
            unlink(self.tree, self.queue, name, tid=tid)
            self.taken.append(name)

    @invariant()
    def none_is_lost_and_all_are_in_order(self) -> None:
        assert self.taken + names(self.queue) == self.made


TestCompetingConsumers = CompetingConsumers.TestCase
TestCompetingConsumers.settings = settings(max_examples=60, stateful_step_count=40)
