"""No operation takes longer in a long queue.

What is counted is the lines of Python that are executed, which is the same on every machine and in
every run. What C code does inside one line doesn't show here; the benchmarks measure that.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import eventfs.queues
from eventfs.queues.errors import Refused
from eventfs.queues.message import Message
from eventfs.queues.queue import MAX_SIGHTINGS, Owner, Queue, Tid
from eventfs.queues.tree import Tree
from tests.queues.making import (
    NOW,
    OTHER_OWNER,
    OWNER,
    create,
    end,
    entries,
    link,
    lookup,
    make_tree,
    mkdir,
    names,
    rmdir,
    some,
    unlink,
)

SHORT, LONG = 1_000, 10_000


def count_lines(action: Callable[[], object], files: str = eventfs.queues.__path__[0]) -> int:
    """Count the lines of the rules that *action* executes.

    Each turn of a loop in a single line counts too. Of other code nothing counts: anything may run
    at any time, such as the garbage collector and who listens to it.
    """
    lines = 0

    def enter(frame: FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401  # or None
        return count if frame.f_code.co_filename.startswith(files) else None

    def count(_frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        action()
    finally:
        sys.settrace(before)
    return lines


def make_queue(length: int) -> tuple[Tree, Queue]:
    """Make a queue of messages that are called 0, 1, 2..."""
    tree = make_tree()
    queue = mkdir(tree)
    for number in range(length):
        create(tree, queue, b"%d" % number)
    return tree, queue


def loop(turns: int) -> None:
    for _ in range(turns):
        pass


def comprehend(turns: int) -> None:
    [turn for turn in range(turns)]  # noqa: C416  # it is the loop that matters


@pytest.mark.parametrize("work", [loop, comprehend])
def test_the_counter_counts_what_loops_do(work: Callable[[int], None]) -> None:
    fewer = count_lines(lambda: work(100), __file__)
    more = count_lines(lambda: work(1100), __file__)
    assert more - fewer >= 1000


# Taking away all messages of a queue, one after the other


def scattered(length: int) -> Iterator[int]:
    """All numbers below *length* in an order that looks random."""
    return (number * 7919 % length for number in range(length))


def take_all(tree: Tree, queue: Queue, which: Iterator[bytes]) -> None:
    for name in which:
        unlink(tree, queue, name)


ORDERS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "oldest first, through head": lambda length: (b"head" for _ in range(length)),
    "newest first, through tail": lambda length: (b"tail" for _ in range(length)),
    "anywhere": lambda length: (b"%d" % number for number in scattered(length)),
    "all but the oldest, oldest first": lambda length: (b"%d" % n for n in range(1, length)),
    "outwards from the middle": lambda length: (
        b"%d" % (length // 2 + (-number // 2 if number % 2 else number // 2))
        for number in range(length)
    ),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_taking_a_message_takes_the_same_in_a_long_queue(
    order: Callable[[int], Iterator[bytes]],
) -> None:
    lines_each = {}
    for length in (SHORT, LONG):
        tree, queue = make_queue(length)
        lines = count_lines(lambda: take_all(tree, queue, order(length)))  # noqa: B023
        assert len(queue) <= 1
        lines_each[length] = lines / length
    assert lines_each[LONG] <= 1.05 * lines_each[SHORT]


# Messages that come and go while others stay

#: Of the names that are there, oldest first, where the one stands that goes next.
PLACES = {"newest": -1, "newest but one": -2, "oldest": 0, "oldest but one": 1}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_messages_come_and_go_as_fast_in_a_long_queue_with_holes(place: int) -> None:
    lines_each = {}
    for length in (300, 3_000):
        tree, queue = make_queue(2 * length)
        for number in range(1, 2 * length, 2):
            unlink(tree, queue, b"%d" % number)
        # So many that all that stayed may have gone, and holes were swept more than once.
        steps = []
        there = deque(names(queue))
        for number in range(3 * length):
            there.append(b"new %d" % number)
            steps.append((there[-1], there[place]))
            del there[place]
        lines = count_lines(lambda: come_and_go(tree, queue, steps))  # noqa: B023
        assert names(queue) == list(there)
        lines_each[length] = lines / len(steps)
    assert lines_each[3_000] <= 1.05 * lines_each[300]


def come_and_go(tree: Tree, queue: Queue, steps: list[tuple[bytes, bytes]]) -> None:
    for new, gone in steps:
        create(tree, queue, new)
        unlink(tree, queue, gone)


# Single operations


def refused(action: Callable[[], object]) -> None:
    with pytest.raises(Refused):
        action()


def follow(tree: Tree, queue: Queue, name: bytes) -> None:
    tree.sightings.follow(Tid(1), end(tree, queue, name))


def open_head(tree: Tree, queue: Queue, tid: Tid) -> None:
    link = end(tree, queue, b"head")
    tree.sightings.follow(tid, link)
    message = link.dentry(tid).inode
    assert isinstance(message, Message)
    tree.sightings.opened(tid, message)


OPERATIONS: dict[str, Callable[[Tree, Queue], object]] = {
    "create": lambda tree, queue: create(tree, queue, b"new"),
    "create what exists": lambda tree, queue: refused(lambda: create(tree, queue, b"500")),
    "link": lambda tree, queue: link(tree, lookup(tree, queue, b"500"), queue, b"new"),
    "look up": lambda tree, queue: lookup(tree, queue, b"500"),
    "look up what isn't there": lambda tree, queue: refused(lambda: lookup(tree, queue, b"new")),
    "follow head": lambda tree, queue: follow(tree, queue, b"head"),
    "follow tail": lambda tree, queue: follow(tree, queue, b"tail"),
    "open head": lambda tree, queue: open_head(tree, queue, Tid(1)),
    "stat": lambda _, queue: (queue.size, queue.blocks, queue.links, len(queue)),
    "begin to list": lambda tree, queue: some(entries(tree, queue), 10),
    "go on listing": lambda tree, queue: some(entries(tree, queue, after=500), 10),
    "mkdir": lambda tree, _: mkdir(tree, b"new"),
    "rmdir": lambda tree, _: rmdir(tree, b"empty"),
    "death of another owner": lambda tree, _: tree.owner_died(OTHER_OWNER, NOW),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_takes_the_same_in_a_long_queue(
    operation: Callable[[Tree, Queue], object],
) -> None:
    lines = []
    for length in (SHORT, LONG):
        tree, queue = make_queue(length)
        mkdir(tree, b"empty", owner=OTHER_OWNER)
        lines.append(count_lines(lambda: operation(tree, queue)))  # noqa: B023
    assert lines[0] == lines[1]


@pytest.mark.parametrize("name", [b"head", b"tail", b"5"])
def test_taking_a_message_takes_the_same_however_many_have_looked(name: bytes) -> None:
    # As `cat head` does in a shell's loop: a new process each time, which never unlinks.
    lines = []
    for watchers in (1, MAX_SIGHTINGS):
        tree, queue = make_queue(10)
        for number in range(watchers):
            open_head(tree, queue, Tid(number + 2))
        unlink(tree, queue, b"0")
        lines.append(count_lines(lambda: unlink(tree, queue, name, tid=1)))  # noqa: B023
    assert lines[0] == lines[1]


# Many queues


def test_an_owners_death_takes_the_same_among_many_queues() -> None:
    lines = []
    for others in (10, 5_000):
        tree = make_tree()
        for number in range(others):
            mkdir(tree, b"%d" % number, owner=Owner(100 + number))
            if number == others // 2:
                create(tree, mkdir(tree))
        lines.append(count_lines(lambda: tree.owner_died(OWNER, NOW)))  # noqa: B023
        assert len(tree.root) == others
    assert lines[0] == lines[1]


def test_a_queue_vanishes_as_fast_per_message_when_it_is_long() -> None:
    lines_each = []
    for length in (SHORT, LONG):
        tree, _ = make_queue(length)
        lines = count_lines(lambda: tree.owner_died(OWNER, NOW))  # noqa: B023
        lines_each.append(lines / length)
    assert lines_each[1] <= 1.05 * lines_each[0]
