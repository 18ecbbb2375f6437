"""Messages on loan: done, or returned to their old place."""

from stat import S_ISVTX

import pytest

from eventfs.queues import attributes, xattrs
from eventfs.queues.errors import (
    BadValue,
    FollowsItself,
    LimitReached,
    MayNotFollow,
    NotEmpty,
    NotFound,
    NotPermitted,
)
from eventfs.queues.ledger import Limits, Settings
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree
from tests.queues.making import (
    ALICE,
    BOB,
    CAROL,
    NOW,
    OTHER_OWNER,
    OWNER,
    SUPERUSER,
    THEN,
    USERS,
    FakeClock,
    FakeThreads,
    bury_in,
    charged,
    counted,
    create,
    fill,
    follow,
    link,
    message_at,
    mkdir,
    names,
    pass_time,
    put,
    rename,
    rmdir,
    set_rule,
    take,
    unlink,
)

SECOND_NS = 10**9


@pytest.fixture
def worker(tree: Tree) -> Queue:
    """A lease queue of another owner, without a time."""
    worker = mkdir(tree, b"worker", owner=OTHER_OWNER)
    set_rule(tree, worker, xattrs.LEASE, b"")
    return worker


@pytest.fixture
def jobs(tree: Tree, queue: Queue) -> list[Message]:
    """What is to be done: messages `1`, `2` and `3` in `queue`."""
    return fill(tree, queue, b"1", b"2", b"3")


def attempts(tree: Tree, message: Message) -> int:
    return int(attributes.get(tree, message, xattrs.ATTEMPTS))


def claim(tree: Tree, queue: Queue, name: bytes, worker: Queue) -> None:
    rename(tree, queue, name, worker, name)


def give_back(tree: Tree, worker: Queue, name: bytes, queue: Queue) -> None:
    rename(tree, worker, name, queue, name)


def fail(tree: Tree, queue: Queue, name: bytes, worker: Queue, times: int) -> None:
    """Claim a message and give it back, again and again."""
    for _ in range(times):
        claim(tree, queue, name, worker)
        give_back(tree, worker, name, queue)


# Done


@pytest.mark.usefixtures("jobs")
def test_what_is_renamed_into_a_lease_queue_is_lent(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    claim(tree, queue, b"2", worker)
    assert (names(queue), names(worker)) == ([b"1", b"3"], [b"2"])
    assert (counted(tree, queue, xattrs.LENT), counted(tree, worker, xattrs.LENT)) == (1, 0)


@pytest.mark.usefixtures("jobs")
def test_unlinked_it_is_done(tree: Tree, queue: Queue, worker: Queue) -> None:
    claim(tree, queue, b"2", worker)
    unlink(tree, worker, b"2")
    assert counted(tree, queue, xattrs.LENT) == 0
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"3"]


@pytest.mark.usefixtures("jobs")
def test_taken_through_the_port_it_is_done(tree: Tree, queue: Queue, worker: Queue) -> None:
    tree.write(message_at(tree, queue, b"2"), 0, b"work", NOW)
    claim(tree, queue, b"2", worker)
    assert take(tree, worker) == b"work"
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"3"]


@pytest.mark.usefixtures("jobs")
def test_renamed_into_a_third_queue_it_is_done(tree: Tree, queue: Queue, worker: Queue) -> None:
    done = mkdir(tree, b"done")
    claim(tree, queue, b"2", worker)
    rename(tree, worker, b"2", done, b"2")
    assert counted(tree, queue, xattrs.LENT) == 0
    tree.owner_died(OTHER_OWNER, NOW)
    assert (names(queue), names(done)) == ([b"1", b"3"], [b"2"])


@pytest.mark.usefixtures("jobs")
def test_another_name_in_the_lease_queue_changes_nothing(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    claim(tree, queue, b"2", worker)
    rename(tree, worker, b"2", worker, b"mine")
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"2", b"3"]


# Returned


def test_it_returns_to_its_place_when_its_holder_vanishes(
    tree: Tree, queue: Queue, worker: Queue, jobs: list[Message]
) -> None:
    claim(tree, queue, b"2", worker)
    create(tree, queue, b"4")
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"2", b"3", b"4"]
    assert message_at(tree, queue, b"2") is jobs[1]
    assert [attempts(tree, message) for message in jobs] == [0, 1, 0]
    assert counted(tree, queue, xattrs.LENT) == 0


@pytest.mark.usefixtures("jobs")
def test_all_return_in_their_order(tree: Tree, queue: Queue, worker: Queue) -> None:
    for name in (b"3", b"1", b"2"):
        claim(tree, queue, name, worker)
    assert names(queue) == []
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("taken", [[b"1"], [b"3"], [b"1", b"2"], [b"2", b"3"]])
@pytest.mark.usefixtures("jobs")
def test_it_finds_its_place_where_others_have_gone(
    tree: Tree, queue: Queue, worker: Queue, taken: list[bytes]
) -> None:
    create(tree, queue, b"4")
    for name in taken:
        claim(tree, queue, name, worker)
    unlink(tree, queue, b"4")
    create(tree, queue, b"5")
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"2", b"3", b"5"]


def test_renamed_back_it_returns_under_the_name_given(
    tree: Tree, queue: Queue, worker: Queue, jobs: list[Message]
) -> None:
    claim(tree, queue, b"2", worker)
    rename(tree, worker, b"2", queue, b"again")
    assert names(queue) == [b"1", b"again", b"3"]
    assert attempts(tree, jobs[1]) == 1


@pytest.mark.usefixtures("jobs")
def test_renamed_back_it_replaces_what_has_the_name(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    claim(tree, queue, b"2", worker)
    rename(tree, worker, b"2", queue, b"1")
    assert names(queue) == [b"1", b"3"]


def test_by_itself_it_replaces_nothing(
    tree: Tree, queue: Queue, worker: Queue, jobs: list[Message]
) -> None:
    claim(tree, queue, b"2", worker)
    create(tree, queue, b"2")
    tree.owner_died(OTHER_OWNER, NOW)
    first, other, third, last = names(queue)
    assert (first, third, last) == (b"1", b"3", b"2")
    assert message_at(tree, queue, other) is jobs[1]


@pytest.mark.usefixtures("jobs")
def test_handed_on_to_another_worker_it_is_still_the_first_queues(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    second = mkdir(tree, b"second", owner=OWNER)
    set_rule(tree, second, xattrs.LEASE, b"1")
    claim(tree, queue, b"2", worker)
    claim(tree, worker, b"2", second)
    assert counted(tree, queue, xattrs.LENT) == 1
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(second) == [b"2"]
    pass_time(tree, clock, SECOND_NS)
    assert names(queue) == [b"1", b"2", b"3"]
    assert attempts(tree, message_at(tree, queue, b"2")) == 1


@pytest.mark.usefixtures("jobs")
def test_where_the_source_is_gone_the_message_is_too(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    claim(tree, queue, b"2", worker)
    tree.owner_died(OWNER, NOW)
    assert names(worker) == [b"2"]
    tree.owner_died(OTHER_OWNER, NOW)
    assert len(tree.inodes) == 1
    assert not any("files" in what or "bytes" in what for what in charged(tree))


@pytest.mark.usefixtures("jobs")
def test_both_queues_of_one_owner_vanish(tree: Tree, queue: Queue) -> None:
    own = mkdir(tree, b"own")
    set_rule(tree, own, xattrs.LEASE, b"")
    claim(tree, queue, b"2", own)
    tree.owner_died(OWNER, NOW)
    assert len(tree.inodes) == 1


@pytest.mark.usefixtures("jobs")
def test_into_what_has_become_a_topic_it_does_not_return(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    claim(tree, queue, b"2", worker)
    set_rule(tree, queue, xattrs.KEEP, b"no")
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"3"]


@pytest.mark.usefixtures("jobs")
def test_a_sticky_lease_queue_keeps_its_loans(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    set_rule(tree, worker, xattrs.STICKY, b"")
    claim(tree, queue, b"2", worker)
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(worker) == [b"2"]
    set_rule(tree, worker, xattrs.LEASE, b"1")
    pass_time(tree, clock, SECOND_NS)
    assert names(queue) == [b"1", b"2", b"3"]


@pytest.mark.usefixtures("jobs")
def test_a_lease_queue_that_holds_something_is_not_empty(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    claim(tree, queue, b"2", worker)
    with pytest.raises(NotEmpty):
        rmdir(tree, b"worker")
    assert names(worker) == [b"2"]


def test_its_own_messages_go_with_it(tree: Tree, queue: Queue, worker: Queue) -> None:
    message = create(tree, queue, b"1")
    link(tree, message, worker, b"linked")
    create(tree, worker, b"made")
    put(tree, worker, b"sent")
    follow(tree, worker, b"queue")
    create(tree, queue, b"2")
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"2"]
    assert attempts(tree, message) == 0


@pytest.mark.usefixtures("jobs")
def test_followers_get_it_once(tree: Tree, queue: Queue, worker: Queue) -> None:
    mine = mkdir(tree, b"mine")
    follow(tree, mine, b"queue")
    create(tree, queue, b"4")
    claim(tree, queue, b"4", worker)
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"2", b"3", b"4"]
    assert names(mine) == [b"4"]


@pytest.mark.usefixtures("jobs")
def test_those_who_wait_are_woken(tree: Tree, queue: Queue, worker: Queue) -> None:
    class Sleeper:
        woken = 0

        def wake(self) -> None:
            self.woken += 1

    claim(tree, queue, b"2", worker)
    sleeper = Sleeper()
    queue.waiters.add(sleeper)
    tree.owner_died(OTHER_OWNER, NOW)
    assert sleeper.woken == 1


def test_of_a_return_that_nobody_asked_for_the_mount_is_told(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock, jobs: list[Message]
) -> None:
    set_rule(tree, worker, xattrs.LEASE, b"1")
    claim(tree, queue, b"2", worker)
    queue.shown = True
    pass_time(tree, clock, SECOND_NS)
    assert tree.changes == [(worker, b"2", jobs[1]), (queue, b"", None)]


def test_a_packet_returns_too(tree: Tree, queue: Queue, worker: Queue) -> None:
    for text in (b"1", b"2", b"3"):
        put(tree, queue, text)
    first = names(queue)[0]
    claim(tree, queue, first, worker)
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue)[0] == first
    assert [take(tree, queue) for _ in range(3)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("count", [0, 1, 100])
def test_after_any_takings_it_is_first_again(
    tree: Tree, queue: Queue, worker: Queue, count: int
) -> None:
    """Where the list of arrivals was cleaned up meanwhile, and where it wasn't."""
    for number in range(110):
        create(tree, queue, b"%03d" % number)
    claim(tree, queue, b"000", worker)
    for number in range(1, 1 + count):
        unlink(tree, queue, b"%03d" % number)
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"000", *(b"%03d" % number for number in range(1 + count, 110))]
    assert queue.oldest is not None
    assert queue.oldest.name == b"000"


# By time


@pytest.mark.usefixtures("jobs")
def test_it_returns_when_its_time_is_over(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    set_rule(tree, worker, xattrs.LEASE, b"2.5")
    claim(tree, queue, b"1", worker)
    pass_time(tree, clock, SECOND_NS)
    claim(tree, queue, b"2", worker)
    assert tree.timers.next_ns == 2.5 * SECOND_NS
    pass_time(tree, clock, 3 * SECOND_NS // 2 - 1)
    assert names(worker) == [b"1", b"2"]
    pass_time(tree, clock, 1)
    assert (names(queue), names(worker)) == ([b"1", b"3"], [b"2"])
    assert tree.timers.next_ns == 3.5 * SECOND_NS


@pytest.mark.usefixtures("jobs")
def test_a_touch_begins_the_time_anew(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    set_rule(tree, worker, xattrs.LEASE, b"2")
    for name in (b"1", b"2"):
        claim(tree, queue, name, worker)
    pass_time(tree, clock, SECOND_NS)
    tree.leases.touched(message_at(tree, worker, b"1"))
    pass_time(tree, clock, SECOND_NS)
    assert names(worker) == [b"1"]
    pass_time(tree, clock, SECOND_NS)
    assert names(worker) == []


@pytest.mark.usefixtures("jobs")
def test_without_seconds_there_is_no_time(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    claim(tree, queue, b"1", worker)
    pass_time(tree, clock, 10**9 * SECOND_NS)
    assert names(worker) == [b"1"]


@pytest.mark.usefixtures("jobs")
def test_a_shorter_time_holds_for_what_is_there(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    set_rule(tree, worker, xattrs.LEASE, b"100")
    claim(tree, queue, b"1", worker)
    pass_time(tree, clock, 3 * SECOND_NS)
    set_rule(tree, worker, xattrs.LEASE, b"4")
    pass_time(tree, clock, SECOND_NS)
    assert names(worker) == []


@pytest.mark.usefixtures("jobs")
def test_a_time_that_is_over_already_ends_it_at_once(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    claim(tree, queue, b"1", worker)
    pass_time(tree, clock, 3 * SECOND_NS)
    set_rule(tree, worker, xattrs.LEASE, b"1")
    assert names(worker) == []


@pytest.mark.usefixtures("jobs")
def test_without_the_attribute_loans_stay_and_there_are_no_new_ones(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    set_rule(tree, worker, xattrs.LEASE, b"1")
    claim(tree, queue, b"1", worker)
    attributes.remove(tree, worker, xattrs.LEASE, NOW)
    rename(tree, queue, b"2", worker, b"2")
    pass_time(tree, clock, 3 * SECOND_NS)
    assert names(worker) == [b"1", b"2"]
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"3"]


# Who pays


def test_who_claims_pays_and_who_sent_pays_again(tree: Tree, worker: Queue) -> None:
    queue = mkdir(tree, b"open", mode=0o777)
    create(tree, queue, b"1", uid=ALICE)
    rename(tree, queue, b"1", worker, b"1", uid=BOB)
    files = [tree.ledger.payer(uid, USERS).user.files for uid in (ALICE, BOB)]
    assert files == [0, 1]
    rename(tree, worker, b"1", queue, b"1", uid=BOB)
    files = [tree.ledger.payer(uid, USERS).user.files for uid in (ALICE, BOB)]
    assert files == [1, 0]


@pytest.mark.usefixtures("jobs")
def test_a_return_is_never_refused(tree: Tree, queue: Queue, worker: Queue) -> None:
    claim(tree, queue, b"1", worker)
    set_rule(tree, queue, xattrs.MAX_MESSAGES, b"1")
    tree.ledger.change(Settings(default=Limits(max_files=0, max_files_per_dir=0, max_bytes=0)))
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(queue) == [b"1", b"2", b"3"]


@pytest.mark.usefixtures("jobs")
def test_a_full_lease_queue_takes_no_more_even_where_it_drops(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    set_rule(tree, worker, xattrs.OVERFLOW, b"drop-oldest")
    set_rule(tree, worker, xattrs.MAX_MESSAGES, b"1")
    claim(tree, queue, b"1", worker)
    with pytest.raises(LimitReached):
        claim(tree, queue, b"2", worker)
    assert (names(queue), names(worker)) == ([b"2", b"3"], [b"1"])


# What returns too often


def test_it_goes_to_the_dead_letters(
    tree: Tree, queue: Queue, worker: Queue, jobs: list[Message]
) -> None:
    dead = mkdir(tree, b"dead")
    create(tree, dead, b"before")
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"2")
    bury_in(tree, queue, b"dead")
    fail(tree, queue, b"2", worker, 1)
    assert names(queue) == [b"1", b"2", b"3"]
    fail(tree, queue, b"2", worker, 1)
    assert (names(queue), names(dead)) == ([b"1", b"3"], [b"before", b"2"])
    assert message_at(tree, dead, b"2") is jobs[1]
    assert attempts(tree, jobs[1]) == 2
    assert counted(tree, queue, xattrs.DROPPED) == 0


@pytest.mark.usefixtures("jobs")
def test_what_is_given_up_replaces_nothing(tree: Tree, queue: Queue, worker: Queue) -> None:
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"1")
    claim(tree, queue, b"2", worker)
    rename(tree, worker, b"2", queue, b"1")
    assert names(queue) == [b"1", b"3"]
    assert counted(tree, queue, xattrs.DROPPED) == 1


@pytest.mark.usefixtures("jobs")
def test_dead_letters_keep_what_has_the_name(tree: Tree, queue: Queue, worker: Queue) -> None:
    dead = mkdir(tree, b"dead")
    before = create(tree, dead, b"2")
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"1")
    bury_in(tree, queue, b"dead")
    fail(tree, queue, b"2", worker, 1)
    assert len(names(dead)) == 2
    assert message_at(tree, dead, b"2") is before


@pytest.mark.usefixtures("jobs")
def test_followers_of_the_dead_letters_get_it(tree: Tree, queue: Queue, worker: Queue) -> None:
    dead = mkdir(tree, b"dead")
    set_rule(tree, dead, xattrs.KEEP, b"no")
    mine = mkdir(tree, b"mine")
    follow(tree, mine, b"dead")
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"1")
    bury_in(tree, queue, b"dead")
    fail(tree, queue, b"2", worker, 1)
    assert (names(queue), names(dead), names(mine)) == ([b"1", b"3"], [], [b"2"])


@pytest.mark.usefixtures("jobs")
def test_without_dead_letters_it_is_dropped_and_counted(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"1")
    fail(tree, queue, b"2", worker, 1)
    assert names(queue) == [b"1", b"3"]
    assert counted(tree, queue, xattrs.DROPPED) == 1


@pytest.mark.usefixtures("jobs")
def test_full_dead_letters_are_none(tree: Tree, queue: Queue, worker: Queue) -> None:
    dead = mkdir(tree, b"dead")
    create(tree, dead, b"before")
    set_rule(tree, dead, xattrs.MAX_MESSAGES, b"1")
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"1")
    bury_in(tree, queue, b"dead")
    fail(tree, queue, b"2", worker, 1)
    assert names(dead) == [b"before"]
    assert counted(tree, queue, xattrs.DROPPED) == 1


@pytest.mark.usefixtures("jobs")
def test_the_holder_that_vanishes_is_no_dead_letters(
    tree: Tree, queue: Queue, worker: Queue
) -> None:
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"1")
    bury_in(tree, queue, b"worker")
    claim(tree, queue, b"2", worker)
    tree.owner_died(OTHER_OWNER, NOW)
    assert counted(tree, queue, xattrs.DROPPED) == 1
    assert xattrs.DEAD_LETTER not in xattrs.names(queue)


@pytest.mark.usefixtures("jobs")
def test_dead_letters_that_vanish_are_none(tree: Tree, queue: Queue, worker: Queue) -> None:
    mkdir(tree, b"dead")
    set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"1")
    before = charged(tree)
    bury_in(tree, queue, b"dead")
    rmdir(tree, b"dead")
    mkdir(tree, b"dead")
    assert charged(tree) == before
    fail(tree, queue, b"2", worker, 1)
    assert counted(tree, queue, xattrs.DROPPED) == 1


def test_two_queues_with_the_same_message_count_for_themselves(tree: Tree, worker: Queue) -> None:
    topic = mkdir(tree, b"topic")
    set_rule(tree, topic, xattrs.KEEP, b"no")
    ours, theirs = mkdir(tree, b"ours"), mkdir(tree, b"theirs")
    for queue in (ours, theirs):
        follow(tree, queue, b"topic")
        set_rule(tree, queue, xattrs.MAX_ATTEMPTS, b"3")
    message = create(tree, topic, b"1")
    fail(tree, ours, b"1", worker, 2)
    fail(tree, theirs, b"1", worker, 1)
    assert attempts(tree, message) == 1
    fail(tree, theirs, b"1", worker, 1)
    assert attempts(tree, message) == 2
    assert names(theirs) == [b"1"]
    fail(tree, ours, b"1", worker, 1)
    assert (names(ours), names(theirs)) == ([], [b"1"])


@pytest.mark.usefixtures("jobs")
def test_in_another_queue_it_begins_anew(tree: Tree, queue: Queue, worker: Queue) -> None:
    other = mkdir(tree, b"other")
    set_rule(tree, other, xattrs.MAX_ATTEMPTS, b"2")
    fail(tree, queue, b"2", worker, 5)
    assert attempts(tree, message_at(tree, queue, b"2")) == 5
    rename(tree, queue, b"2", other, b"2")
    assert attempts(tree, message_at(tree, other, b"2")) == 0
    fail(tree, other, b"2", worker, 1)
    assert names(other) == [b"2"]
    assert attempts(tree, message_at(tree, other, b"2")) == 1


# What is refused


@pytest.mark.parametrize(
    "value", [b"x", b"-1", b"0", b"0.0", b"1.", b".", b"1e3", b"1 ", b"1" * 20]
)
@pytest.mark.parametrize("name", [xattrs.LEASE, xattrs.TTL])
def test_a_time_is_a_number_of_seconds(tree: Tree, queue: Queue, name: bytes, value: bytes) -> None:
    before = charged(tree)
    with pytest.raises(BadValue):
        set_rule(tree, queue, name, value)
    assert charged(tree) == before
    assert xattrs.names(queue) == []


@pytest.mark.parametrize("value", [b"1", b"0.5", b".5", b"3600", b"999999999.999999999"])
def test_it_may_have_decimals(tree: Tree, queue: Queue, value: bytes) -> None:
    set_rule(tree, queue, xattrs.LEASE, value)
    assert attributes.get(tree, queue, xattrs.LEASE) == value


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"0", b"1.5", b"1" * 20, b"0x10", b" 1"])
@pytest.mark.parametrize("name", [xattrs.MAX_MESSAGES, xattrs.MAX_BYTES, xattrs.MAX_ATTEMPTS])
def test_a_limit_is_a_number(tree: Tree, queue: Queue, name: bytes, value: bytes) -> None:
    set_rule(tree, queue, name, b"7")
    with pytest.raises(BadValue):
        set_rule(tree, queue, name, value)
    assert attributes.get(tree, queue, name) == b"7"


def test_attempts_can_only_be_read(tree: Tree, message: Message) -> None:
    with pytest.raises(NotPermitted):
        attributes.put(tree, message, xattrs.ATTEMPTS, b"1", NOW)
    with pytest.raises(NotPermitted):
        attributes.remove(tree, message, xattrs.ATTEMPTS, NOW)
    assert xattrs.names(message) == []


def test_dead_letters_must_be_there(tree: Tree, queue: Queue) -> None:
    for name in (b"nowhere", b"", b"queue/queue"):
        with pytest.raises(NotFound):
            bury_in(tree, queue, name)


def test_it_takes_the_right_to_add_to_the_dead_letters(
    tree: Tree, queue: Queue, threads: FakeThreads
) -> None:
    mkdir(tree, b"dead", mode=0o755, uid=BOB)
    with pytest.raises(MayNotFollow):
        bury_in(tree, queue, b"dead", uid=ALICE)
    threads.may_act_for = lambda _tid, _uid, _gid: True
    bury_in(tree, queue, b"dead", uid=SUPERUSER)
    threads.may_act_for = lambda _tid, _uid, _gid: False
    mkdir(tree, b"box", mode=0o1733, uid=BOB)
    bury_in(tree, queue, b"box", uid=CAROL)
    assert attributes.get(tree, queue, xattrs.DEAD_LETTER) == b"box"


def test_circles_of_dead_letters_are_refused(tree: Tree, queue: Queue) -> None:
    for name in (b"a", b"b"):
        mkdir(tree, name)
    bury_in(tree, queue, b"a")
    bury_in(tree, tree.queue_named(Name(b"a")), b"b")
    for name in (b"queue", b"a", b"b"):
        with pytest.raises(FollowsItself):
            bury_in(tree, tree.queue_named(Name(b"b")), name)


def test_dead_letters_that_are_followed_back_are_a_circle_too(tree: Tree, queue: Queue) -> None:
    dead = mkdir(tree, b"dead")
    follow(tree, queue, b"dead")
    with pytest.raises(FollowsItself):
        bury_in(tree, queue, b"dead")
    follow(tree, queue)
    bury_in(tree, queue, b"dead")
    with pytest.raises(FollowsItself):
        follow(tree, queue, b"dead")
    follow(tree, dead, b"queue")


def test_removed_the_attribute_means_nothing_any_more(tree: Tree, queue: Queue) -> None:
    mkdir(tree, b"dead")
    bury_in(tree, queue, b"dead")
    attributes.remove(tree, queue, xattrs.DEAD_LETTER, NOW)
    assert queue.dead_letter is None
    bury_in(tree, tree.queue_named(Name(b"dead")), b"queue")


@pytest.mark.usefixtures("jobs")
def test_in_a_sticky_directory_nothing_changes(tree: Tree, worker: Queue) -> None:
    # Whom the kernel lets rename, may claim: the bit is the kernel's affair.
    shared = mkdir(tree, b"shared", mode=0o777 | S_ISVTX)
    create(tree, shared, b"1", uid=BOB, now_ns=THEN)
    rename(tree, shared, b"1", worker, b"1", uid=BOB)
    tree.owner_died(OTHER_OWNER, NOW)
    assert names(shared) == [b"1"]


@pytest.mark.usefixtures("jobs")
def test_another_name_here_begins_the_time_anew(
    tree: Tree, queue: Queue, worker: Queue, clock: FakeClock
) -> None:
    # For those who may not set the message's times.
    set_rule(tree, worker, xattrs.LEASE, b"2")
    claim(tree, queue, b"1", worker)
    pass_time(tree, clock, SECOND_NS)
    rename(tree, worker, b"1", worker, b"mine")
    pass_time(tree, clock, SECOND_NS)
    assert names(worker) == [b"mine"]
    pass_time(tree, clock, SECOND_NS)
    assert names(queue) == [b"1", b"2", b"3"]
