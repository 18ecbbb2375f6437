"""What readdir shows, also to readers that pause."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventfs.queues.queue import Queue, Root
from eventfs.queues.tree import Entry, Tree
from tests.queues.making import (
    BOB,
    OWNER,
    create,
    end,
    entries,
    fill,
    link,
    listing,
    lookup,
    make_tree,
    mkdir,
    names,
    rmdir,
    some,
    unlink,
)


def test_an_empty_queue_lists_itself_and_its_parent(tree: Tree, queue: Queue) -> None:
    assert listing(tree, queue) == [b".", b".."]


def test_a_queue_lists_head_the_messages_in_order_and_tail(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"z", b"a", b"m")
    assert listing(tree, queue) == [b".", b"..", b"head", b"z", b"a", b"m", b"tail"]


def test_a_single_message_has_both_links(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    assert listing(tree, queue) == [b".", b"..", b"head", b"a", b"tail"]


def test_a_queue_that_became_empty_shows_no_links(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a")
    unlink(tree, queue, b"head")
    assert listing(tree, queue) == [b".", b".."]


def test_the_root_lists_the_queues_as_they_were_made_and_no_links(tree: Tree) -> None:
    for name in (b"z", b"head", b"a"):
        mkdir(tree, name)
    assert listing(tree, tree.root) == [b".", b"..", b"z", b"head", b"a"]


def test_each_line_leads_to_what_a_lookup_finds(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b")
    dot, dot_dot, *lines = entries(tree, queue)
    assert (dot.inode, dot_dot.inode) == (queue, tree.root)
    assert [line.inode for line in lines] == [
        lookup(tree, queue, name) for name in (b"head", b"a", b"b", b"tail")
    ]


def test_each_line_of_the_root_leads_to_a_queue(tree: Tree, queue: Queue) -> None:
    assert [line.inode for line in entries(tree, tree.root)] == [tree.root, tree.root, queue]


def test_no_inode_number_is_zero(tree: Tree, queue: Queue) -> None:
    # Readers skip such lines.
    fill(tree, queue, b"a")
    assert all(line.inode.ino for line in entries(tree, queue))


def test_the_links_are_those_that_the_reader_sees(tree: Tree) -> None:
    queue = mkdir(tree, mode=0o1777)
    fill(tree, queue, b"a")
    _, _, head, _, tail = entries(tree, queue, viewer=BOB)
    assert head.inode is end(tree, queue, b"head", viewer=BOB)
    assert tail.inode is end(tree, queue, b"tail", viewer=BOB)


def test_places_grow_from_line_to_line(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b")
    places = [line.place for line in entries(tree, queue)]
    assert places == sorted(set(places))
    # The beginning's place is nobody's; and the kernel's offsets are signed.
    assert places[0] > 0
    assert places[-1] < 2**63


def test_who_goes_on_after_any_line_sees_the_rest(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b")
    lines = list(entries(tree, queue))
    for number, line in enumerate(lines, 1):
        assert list(entries(tree, queue, after=line.place)) == lines[number:]


def test_a_message_that_comes_again_under_its_name_is_a_new_arrival(
    tree: Tree, queue: Queue
) -> None:
    a, _ = fill(tree, queue, b"a", b"b")
    link(tree, a, queue, b"spare")
    unlink(tree, queue, b"a")
    link(tree, a, queue, b"a")
    assert names(queue) == [b"b", b"spare", b"a"]


# A reader that pauses

#: How a story goes on: some lines are read, names are made, or the one at an index goes, for good
#: or to come again.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(1, 5)),
        st.tuples(st.just("make"), st.integers(1, 12)),
        st.tuples(st.just("remove"), st.integers(0, 40)),
        st.tuples(st.just("remove many"), st.integers(1, 40)),
        st.tuples(st.just("make again"), st.integers(0, 40)),
    ),
    max_size=40,
)


class Story:
    """What happens in a directory while somebody reads it, with pauses."""

    def __init__(
        self,
        tree: Tree,
        directory: Root | Queue,
        make: Callable[[bytes], object],
        remove: Callable[[bytes], object],
    ) -> None:
        self.tree = tree
        self.directory = directory
        self.make = make
        self.remove = remove
        self.made = 0
        self.lines: list[Entry] = []
        self.throughout = set(names(directory))

    def play(self, steps: list[tuple[str, int]]) -> None:
        """Play the steps, and then read to the end."""
        for verb, number in steps:
            if verb == "read":
                self._read(number)
            elif verb == "make":
                self._make(number)
            else:
                many = verb == "remove many"
                for index in range(number) if many else [number]:
                    self._remove(index, again=verb == "make again")
        while self._read(3):
            pass

    def _read(self, count: int) -> bool:
        """Read some lines, if there are any more."""
        place = self.lines[-1].place if self.lines else 0
        lines = some(entries(self.tree, self.directory, after=place), count)
        self.lines += lines
        # Nothing is shown that isn't there.
        assert {line.name for line in lines} <= set(listing(self.tree, self.directory))
        return bool(lines)

    def _make(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.make(b"new %d" % self.made)

    def _remove(self, index: int, *, again: bool) -> None:
        there = names(self.directory)
        if there:
            name = there[index * 7 % len(there)]
            self.throughout.discard(name)
            self.remove(name)
            if again:
                self.make(name)


def check(story: Story, before: list[bytes]) -> list[bytes]:
    """Check what holds for all directories; return the names that were shown."""
    shown: list[bytes] = [line.name for line in story.lines]
    assert shown[:2] == [b".", b".."]
    # None is lost or seen twice, and they stand in order.
    assert [name for name in shown if name in story.throughout] == [
        name for name in before if name in story.throughout
    ]
    places = [line.place for line in story.lines]
    assert places == sorted(set(places))
    return shown


@given(count=st.integers(0, 60), steps=STEPS)
@settings(max_examples=150)
def test_a_reader_of_a_queue_loses_nothing_and_sees_nothing_twice(
    count: int, steps: list[tuple[str, int]]
) -> None:
    tree = make_tree()
    queue = mkdir(tree)
    before = [b"%d" % number for number in range(count)]
    # A message that is older than all others, and comes by another name each time.
    oldest = create(tree, mkdir(tree, b"elsewhere"))
    fill(tree, queue, *before)

    def make(name: bytes) -> None:
        if name.endswith(b"2"):
            link(tree, oldest, queue, name)
        else:
            create(tree, queue, name)

    story = Story(
        tree,
        queue,
        make=make,
        remove=lambda name: unlink(tree, queue, name),
    )
    story.play(steps)
    shown = check(story, before)
    assert b"head" not in shown[3:]
    assert b"tail" not in shown[:-1]
    assert len(shown) == 2 or shown[2] == b"head"
    assert not story.throughout or shown[-1] == b"tail"


@given(count=st.integers(0, 60), steps=STEPS)
@settings(max_examples=100)
def test_a_reader_of_the_root_loses_nothing_and_sees_nothing_twice(
    count: int, steps: list[tuple[str, int]]
) -> None:
    tree = make_tree()
    before = [b"%d" % number for number in range(count)]
    for name in before:
        mkdir(tree, name)
    story = Story(
        tree,
        tree.root,
        make=lambda name: mkdir(tree, name),
        remove=lambda name: rmdir(tree, name),
    )
    story.play(steps)
    check(story, before)


def test_a_reader_who_paused_sees_what_arrived_meanwhile(tree: Tree, queue: Queue) -> None:
    fill(tree, queue, b"a", b"b")
    first = some(entries(tree, queue), 4)
    assert first[-1].name == b"a"
    fill(tree, queue, b"c")
    assert [line.name for line in entries(tree, queue, after=first[-1].place)] == [
        b"b",
        b"c",
        b"tail",
    ]


def test_a_reader_who_paused_sees_a_link_to_an_old_message_that_arrived_meanwhile(
    tree: Tree, queue: Queue, other_queue: Queue
) -> None:
    # Its place is its own: not that of its inode's first name.
    old = create(tree, other_queue)
    fill(tree, queue, b"a", b"b")
    place = some(entries(tree, queue), 4)[-1].place
    link(tree, old, queue, b"c")
    rest = [line.name for line in entries(tree, queue, after=place)]
    assert rest == [b"b", b"c", b"tail"]


def test_a_reader_who_paused_in_a_queue_that_vanished_sees_nothing_more(
    tree: Tree, queue: Queue
) -> None:
    fill(tree, queue, b"a", b"b")
    first = some(entries(tree, queue), 4)
    queue.holds += 1
    tree.owner_died(OWNER, 2_000)
    assert list(entries(tree, queue, after=first[-1].place)) == []


@pytest.mark.parametrize(
    ("lines", "rest"),
    [
        (2, [b"head", b"d", b"tail"]),
        (3, [b"d", b"tail"]),
        (6, [b"d", b"tail"]),
        (7, []),  # the reader has seen the tail
    ],
)
def test_a_reader_who_paused_while_the_queue_was_emptied_and_filled_sees_only_the_new(
    tree: Tree, queue: Queue, lines: int, rest: list[bytes]
) -> None:
    fill(tree, queue, b"a", b"b", b"c")
    place = some(entries(tree, queue), lines)[-1].place
    while len(queue):
        unlink(tree, queue, b"head")
    fill(tree, queue, b"d")
    assert [line.name for line in entries(tree, queue, after=place)] == rest
