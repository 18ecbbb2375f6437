"""Messages that their creators haven't closed yet: nobody's business until they are committed."""

from collections.abc import Callable
from stat import S_IFIFO

import pytest

from eventfs.queues import attributes
from eventfs.queues.errors import LimitReached, NameTaken, NotEmpty, NotFound, NotPermitted
from eventfs.queues.ledger import Limits, Settings
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, Name, port_name
from eventfs.queues.queue import Queue, Tid
from eventfs.queues.tree import Tree
from eventfs.queues.unfinished import Unfinished
from eventfs.queues.xattrs import (
    BYTES,
    DROPPED,
    KEEP,
    LEASE,
    MAX_BYTES,
    MAX_MESSAGES,
    MESSAGES,
    OVERFLOW,
)
from tests.queues.making import (
    ALICE,
    BOB,
    NOW,
    OTHER_OWNER,
    OWNER,
    STAFF,
    THEN,
    USERS,
    FakeThreads,
    charged,
    content,
    create,
    drain,
    entries,
    fill,
    follow,
    has_room,
    link,
    lookup,
    mkdir,
    names,
    put,
    put_lines,
    rename,
    rmdir,
    take,
    unlink,
)

#: The process that makes them, another thread of it, and somebody else.
CREATOR, SIBLING, STRANGER = 7, 8, 9


@pytest.fixture
def threads() -> FakeThreads:
    threads = FakeThreads()
    threads.processes[SIBLING] = CREATOR
    return threads


def begin(tree: Tree, queue: Queue, name: bytes = b"message", **more: int) -> Message:
    """Make an unfinished message with some content."""
    message = create(tree, queue, name, creator=CREATOR, **more)  # type: ignore[arg-type]
    tree.open(message)
    tree.write(message, 0, b"text", THEN)
    return message


def state(tree: Tree, message: Message) -> Unfinished:
    return tree.unfinished.by_ino[message.ino]


def commit(tree: Tree, message: Message) -> None:
    tree.unfinished.commit(state(tree, message), NOW)


def discard(tree: Tree, message: Message) -> None:
    tree.unfinished.discard(state(tree, message), NOW)


def found(tree: Tree, queue: Queue, name: bytes, tid: int) -> Message | None:
    unfinished = tree.unfinished.find(queue, Name(name), Tid(tid))
    return unfinished and unfinished.message


class Waiter:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


# Before it is committed


def test_it_is_in_nobodys_view(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"before")
    begin(tree, queue)
    assert [entry.name for entry in entries(tree, queue)][2:] == [b"head", b"before", b"tail"]
    assert attributes.get(tree, queue, MESSAGES) == b"1"
    assert attributes.get(tree, queue, BYTES) == b"0"
    with pytest.raises(NotFound):
        lookup(tree, queue, b"message")


def test_an_otherwise_empty_queue_is_empty(tree: Tree, queue: Queue) -> None:
    begin(tree, queue)
    assert not len(queue)
    assert queue.find(HEAD) is None
    assert take(tree, queue) is None


def test_its_queues_times_stay(tree: Tree, queue: Queue) -> None:
    create(tree, queue, creator=CREATOR, now_ns=NOW)
    assert (queue.mtime_ns, queue.ctime_ns) == (THEN, THEN)


def test_nobody_is_woken(tree: Tree, queue: Queue) -> None:
    waiter = Waiter()
    queue.waiters.add(waiter)
    begin(tree, queue)
    assert not waiter.woken


def test_it_passes_to_no_follower(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    follow(tree, other_queue, b"queue")
    begin(tree, queue)
    assert names(other_queue) == []


@pytest.mark.parametrize("tid", [CREATOR, SIBLING])
def test_its_creators_threads_find_it(tree: Tree, queue: Queue, tid: int) -> None:
    message = begin(tree, queue)
    assert found(tree, queue, b"message", tid) is message
    assert found(tree, queue, b"another", tid) is None


@pytest.mark.parametrize("tid", [STRANGER, 0])
def test_no_other_thread_finds_it(tree: Tree, queue: Queue, tid: int) -> None:
    begin(tree, queue)
    assert found(tree, queue, b"message", tid) is None


def test_threads_that_cannot_be_seen_are_not_taken_for_one_process(
    tree: Tree, queue: Queue
) -> None:
    create(tree, queue, creator=0)
    assert found(tree, queue, b"message", 0) is None


def test_there_is_none_in_the_root(tree: Tree, queue: Queue) -> None:
    begin(tree, queue)
    assert tree.unfinished.find(tree.root, Name(b"message"), Tid(CREATOR)) is None


def _create(tree: Tree, queue: Queue) -> object:
    return create(tree, queue)


def _begin(tree: Tree, queue: Queue) -> object:
    return create(tree, queue, creator=STRANGER)


def _link(tree: Tree, queue: Queue) -> object:
    return link(tree, create(tree, queue, b"other"), queue, b"message")


def _rename(tree: Tree, queue: Queue) -> None:
    create(tree, queue, b"other")
    rename(tree, queue, b"other", queue, b"message")


def _rename_from_elsewhere(tree: Tree, queue: Queue) -> None:
    elsewhere = mkdir(tree, b"elsewhere")
    create(tree, elsewhere)
    rename(tree, elsewhere, b"message", queue, b"message", replaces=False)


@pytest.mark.parametrize("way", [_create, _begin, _link, _rename, _rename_from_elsewhere])
def test_its_name_is_taken(tree: Tree, queue: Queue, way: Callable[[Tree, Queue], object]) -> None:
    message = begin(tree, queue)
    with pytest.raises(NameTaken):
        way(tree, queue)
    assert found(tree, queue, b"message", CREATOR) is message


def test_what_could_never_be_there_is_refused_as_ever(tree: Tree, queue: Queue) -> None:
    with pytest.raises(NotPermitted):
        create(tree, queue, mode=S_IFIFO, creator=CREATOR)
    with pytest.raises(NotPermitted):
        create(tree, queue, HEAD, creator=CREATOR)
    with pytest.raises(NotPermitted):
        create(tree, tree.root, creator=CREATOR)


def test_it_cannot_be_linked_or_renamed(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    message = begin(tree, queue)
    with pytest.raises(NotFound):
        link(tree, message, other_queue, b"link")
    with pytest.raises(NotFound):
        rename(tree, queue, b"message", other_queue, b"message")


def test_a_port_gives_its_name_to_nothing_else(tree: Tree, queue: Queue) -> None:
    # It takes a number itself, and the port's message the next.
    name = port_name(tree.next_number() + 2)
    message = begin(tree, queue, name)
    put(tree, queue)
    assert queue.find(name) is None
    assert names(queue) == [name + b"+"]
    commit(tree, message)
    assert names(queue) == [name + b"+", name]


def test_what_comes_through_a_source_gets_another_name(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    follow(tree, other_queue, b"queue")
    message = begin(tree, other_queue)
    create(tree, queue)
    assert names(other_queue) != [b"message"]
    commit(tree, message)
    assert names(other_queue)[1:] == [b"message"]


# Committing


def test_the_order_is_that_of_commits(tree: Tree, queue: Queue) -> None:
    first, second = begin(tree, queue, b"first"), begin(tree, queue, b"second")
    fill(tree, queue, b"at once")
    commit(tree, second)
    put(tree, queue)
    commit(tree, first)
    shown = names(queue)
    assert (shown[:2], shown[3:]) == ([b"at once", b"second"], [b"first"])
    assert [dentry.sequence for dentry, _ in queue.after(0)] == sorted(
        dentry.sequence for dentry, _ in queue.after(0)
    )


def test_committed_it_is_a_message_like_any_other(tree: Tree, queue: Queue) -> None:
    message = begin(tree, queue)
    commit(tree, message)
    assert lookup(tree, queue, b"message") is message
    assert (message.links, content(message)) == (1, b"text")
    assert (queue.mtime_ns, queue.ctime_ns) == (NOW, NOW)
    assert attributes.get(tree, queue, MESSAGES) == b"1"
    assert not tree.unfinished.by_ino
    assert take(tree, queue) == b"text"


def test_who_waits_is_woken(tree: Tree, queue: Queue) -> None:
    message, waiter = begin(tree, queue), Waiter()
    queue.waiters.add(waiter)
    commit(tree, message)
    assert waiter.woken == 1


def test_followers_get_it(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    follow(tree, other_queue, b"queue")
    message = begin(tree, queue)
    commit(tree, message)
    assert lookup(tree, other_queue, b"message") is message
    assert message.links == 2


@pytest.mark.parametrize("shown", [True, False])
def test_whoever_remembers_its_queues_attributes_is_to_be_told(
    tree: Tree, queue: Queue, *, shown: bool
) -> None:
    message = begin(tree, queue)
    queue.shown = shown
    commit(tree, message)
    assert tree.changes == [(queue, b"", None)] * shown


def test_a_topic_passes_it_on_and_keeps_nothing(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    attributes.put(tree, queue, KEEP, b"no", NOW)
    follow(tree, other_queue, b"queue")
    before = charged(tree)
    message = begin(tree, queue)
    assert found(tree, queue, b"message", CREATOR) is message
    commit(tree, message)
    tree.close(message)
    assert (names(queue), names(other_queue)) == ([], [b"message"])
    assert drain(tree, other_queue) == [b"text"]
    assert charged(tree) == before


def test_a_topic_without_followers_loses_it(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, KEEP, b"no", NOW)
    before = charged(tree)
    message = begin(tree, queue)
    commit(tree, message)
    assert message.links == 0
    tree.close(message)
    assert charged(tree) == before


# Giving it up


@pytest.mark.parametrize("tid", [CREATOR, SIBLING])
def test_its_creator_unlinks_it(tree: Tree, queue: Queue, tid: int) -> None:
    before = charged(tree)
    message = begin(tree, queue)
    assert unlink(tree, queue, b"message", tid=tid) is message
    assert (queue.mtime_ns, message.ctime_ns) == (THEN, NOW)
    assert content(message) == b"text"
    tree.close(message)
    assert charged(tree) == before
    assert message.ino not in tree.inodes


def test_nobody_else_unlinks_it(tree: Tree, queue: Queue) -> None:
    message = begin(tree, queue)
    with pytest.raises(NotFound):
        unlink(tree, queue, b"message", tid=STRANGER)
    assert message.links == 1


def test_discarded_its_name_is_free(tree: Tree, queue: Queue) -> None:
    message = begin(tree, queue)
    discard(tree, message)
    assert create(tree, queue) is not message


# Its queue


def test_its_queue_is_not_empty_to_rmdir(tree: Tree, queue: Queue) -> None:
    message = begin(tree, queue)
    with pytest.raises(NotEmpty):
        rmdir(tree)
    discard(tree, message)
    rmdir(tree)


def test_it_vanishes_with_its_queue(tree: Tree, queue: Queue) -> None:
    before, message, unheld = (
        charged(tree),
        begin(tree, queue),
        create(tree, queue, b"2", creator=1),
    )
    [vanished] = tree.owner_died(OWNER, NOW)
    assert vanished.held == [(b"message", message)]
    assert not tree.unfinished.by_ino
    assert (message.links, content(message)) == (0, b"text")
    assert unheld.ino not in tree.inodes
    with pytest.raises(NotFound):
        unlink(tree, queue, b"message", tid=CREATOR)
    tree.close(message)
    assert charged(tree).keys() < before.keys()


# Limits


def test_it_is_charged_as_any_message(tree: Tree, queue: Queue) -> None:
    before = charged(tree)
    create(tree, queue, uid=BOB, gid=STAFF)
    ordinary = charged(tree)
    unlink(tree, queue, b"message")
    assert charged(tree) == before
    message = create(tree, queue, uid=BOB, gid=STAFF, creator=CREATOR)
    assert charged(tree) == ordinary
    commit(tree, message)
    assert charged(tree) == ordinary


def per_queue(count: int) -> Settings:
    return Settings(Limits(max_files_per_dir=count))


@pytest.mark.parametrize(
    "way",
    [
        lambda tree, queue: create(tree, queue, b"2"),
        lambda tree, queue: create(tree, queue, b"2", creator=STRANGER),
        put,
        lambda tree, queue: put_lines(tree, queue, b"1", b"2"),
        lambda tree, queue: rename(tree, mkdir_with_message(tree), b"message", queue, b"2"),
    ],
    ids=["create", "create unfinished", "put", "put lines", "rename"],
)
def test_its_place_counts(tree: Tree, queue: Queue, way: Callable[[Tree, Queue], object]) -> None:
    tree.ledger.change(per_queue(1))
    begin(tree, queue)
    assert not has_room(tree, queue)
    with pytest.raises(LimitReached):
        way(tree, queue)


def mkdir_with_message(tree: Tree) -> Queue:
    queue = mkdir(tree, b"elsewhere", owner=OTHER_OWNER)
    create(tree, queue)
    return queue


def test_a_follower_misses_what_it_has_no_place_for(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    follow(tree, other_queue, b"queue")
    tree.ledger.change(per_queue(1))
    begin(tree, other_queue)
    create(tree, queue)
    assert attributes.get(tree, other_queue, DROPPED) == b"1"


def test_to_commit_is_never_refused(tree: Tree, queue: Queue) -> None:
    message = begin(tree, queue)
    nothing = Limits(max_files=0, max_files_per_dir=0, max_bytes=0)
    tree.ledger.change(Settings(nothing, size_bytes=0, nr_inodes=0))
    commit(tree, message)
    assert names(queue) == [b"message"]


def test_chown_moves_its_bytes_and_not_its_name(tree: Tree, queue: Queue) -> None:
    message = begin(tree, queue)
    tree.chown(message, BOB, STAFF, NOW)
    alice, bob = tree.ledger.payer(ALICE, USERS).user, tree.ledger.payer(BOB, STAFF).user
    assert (alice.files, alice.bytes, bob.files, bob.bytes) == (1, 0, 0, 4)
    commit(tree, message)
    assert (alice.files, alice.bytes, bob.files, bob.bytes) == (1, 0, 0, 4)


# A queue's own limits


def test_it_counts_for_its_queues_limits(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, MAX_MESSAGES, b"1", NOW)
    attributes.put(tree, queue, MAX_BYTES, b"10", NOW)
    message = begin(tree, queue)
    with pytest.raises(LimitReached):
        create(tree, queue, b"other")
    tree.write(message, 0, bytes(10), NOW)
    with pytest.raises(LimitReached):
        tree.write(message, 10, b"x", NOW)
    commit(tree, message)
    assert names(queue) == [b"message"]
    with pytest.raises(LimitReached):
        tree.write(message, 10, b"x", NOW)


def test_a_ring_drops_for_it_when_it_arrives(tree: Tree, queue: Queue) -> None:
    attributes.put(tree, queue, OVERFLOW, b"drop-oldest", NOW)
    attributes.put(tree, queue, MAX_MESSAGES, b"1", NOW)
    create(tree, queue, b"old")
    message = begin(tree, queue)
    assert names(queue) == [b"old"]
    commit(tree, message)
    assert names(queue) == [b"message"]


def test_what_returns_leaves_its_name_to_it(tree: Tree, queue: Queue, other_queue: Queue) -> None:
    attributes.put(tree, other_queue, LEASE, b"", NOW)
    returned = create(tree, queue, b"message")
    rename(tree, queue, b"message", other_queue, b"held")
    message = begin(tree, queue)
    tree.owner_died(OTHER_OWNER, NOW)
    (name,) = names(queue)
    assert name != b"message"
    assert lookup(tree, queue, name) is returned
    commit(tree, message)
    assert names(queue) == [name, b"message"]
