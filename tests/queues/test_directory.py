"""The order of names, against a plain list."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventfs.queues.directory import Dentry, Directory, Sequence
from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.names import Name
from tests.queues.making import NOW, PAYER, THEN


class ListOfNames(RuleBasedStateMachine):
    """A directory and a list of names in the order of their arrival stay the same."""

    def __init__(self) -> None:
        super().__init__()
        self.directory: Directory = Directory(Ino(1), Mode(0), PAYER, THEN)
        # Names with their sequences, oldest first.
        self.names: list[tuple[bytes, int]] = []
        self.last = 10
        self.made = 0
        self.removed: list[Dentry] = []

    @rule(count=st.integers(1, 40), step=st.integers(1, 3))
    def append(self, count: int, step: int) -> None:
        for _ in range(count):
            self.made += 1
            self.last += step
            name = b"%d" % self.made
            inode = Inode(Ino(self.last), Mode(0), PAYER, THEN)
            self.directory.append(Dentry(Name(name), inode, Sequence(self.last), PAYER), NOW)
            self.names.append((name, self.last))

    @precondition(lambda self: self.names)
    @rule(count=st.integers(1, 40))
    def remove_oldest(self, count: int) -> None:
        for _ in range(min(count, len(self.names))):
            assert self.directory.oldest is not None
            self._remove(self.directory.oldest, 0)

    @precondition(lambda self: self.names)
    @rule(count=st.integers(1, 40))
    def remove_newest(self, count: int) -> None:
        for _ in range(min(count, len(self.names))):
            assert self.directory.newest is not None
            self._remove(self.directory.newest, -1)

    @precondition(lambda self: self.names)
    @rule(indices=st.lists(st.integers(0, 999), min_size=1, max_size=20))
    def remove_anywhere(self, indices: list[int]) -> None:
        for index in indices[: len(self.names)]:
            where = index % len(self.names)
            dentry = self.directory.find(Name(self.names[where][0]))
            assert dentry is not None
            self._remove(dentry, where)

    @precondition(lambda self: self.names)
    @rule()
    def give_a_name_again(self) -> None:
        """A name that is removed and comes again arrives anew, at the end."""
        name, _ = self.names[0]
        assert self.directory.oldest is not None
        self._remove(self.directory.oldest, 0)
        self.last += 1
        inode = Inode(Ino(self.last), Mode(0), PAYER, THEN)
        self.directory.append(Dentry(Name(name), inode, Sequence(self.last), PAYER), NOW)
        self.names.append((name, self.last))

    @rule(back=st.integers(0, 150))
    def go_on_after_any_place(self, back: int) -> None:
        """Also after one whose name was removed, or that no name ever had."""
        place = self.last - back
        after = [(dentry.name, dentry.sequence) for dentry, _ in self.directory.after(place)]
        assert after == [(name, sequence) for name, sequence in self.names if sequence > place]

    @invariant()
    def the_order_is_that_of_arrival(self) -> None:
        found = list(self.directory.after(0))
        assert [(dentry.name, dentry.sequence) for dentry, _ in found] == self.names
        numbers = [inode.ino for _, inode in found if isinstance(inode, Inode)]
        assert numbers == [sequence for _, sequence in self.names]
        assert len(self.directory) == len(self.names)

    @invariant()
    def the_oldest_and_the_newest_are_at_the_ends(self) -> None:
        oldest, newest = self.directory.oldest, self.directory.newest
        if self.names:
            assert oldest is not None
            assert newest is not None
            assert (oldest.name, newest.name) == (self.names[0][0], self.names[-1][0])
        else:
            assert oldest is newest is None

    @invariant()
    def each_name_is_found_and_no_other(self) -> None:
        for name, sequence in self.names:
            dentry = self.directory.find(Name(name))
            assert dentry is not None
            assert (dentry.name, dentry.sequence) == (name, sequence)
        assert self.directory.find(Name(b"0")) is None

    @invariant()
    def what_is_removed_leads_nowhere(self) -> None:
        assert all(dentry.inode is None for dentry in self.removed)

    @invariant()
    def removed_names_take_no_more_memory_than_those_that_are_there(self) -> None:
        assert len(self.directory._arrivals) <= 2 * len(self.names) + 16

    def _remove(self, dentry: Dentry, where: int) -> None:
        name, sequence = self.names.pop(where)
        assert (dentry.name, dentry.sequence) == (name, sequence)
        self.directory.remove(dentry, NOW)
        assert self.directory.find(Name(name)) is None
        self.removed.append(dentry)


TestListOfNames = ListOfNames.TestCase
TestListOfNames.settings = settings(max_examples=60, stateful_step_count=30)


def make_directory(*names: bytes) -> Directory:
    directory: Directory = Directory(Ino(1), Mode(0), PAYER, THEN)
    for number, name in enumerate(names, 1):
        inode = Inode(Ino(number), Mode(0), PAYER, THEN)
        directory.append(Dentry(Name(name), inode, Sequence(number), PAYER), THEN)
    return directory


def test_a_directory_has_two_links_when_it_is_made() -> None:
    assert make_directory().links == 2


def test_a_new_name_moves_mtime_and_ctime() -> None:
    directory = make_directory()
    inode = Inode(Ino(9), Mode(0), PAYER, THEN)
    directory.append(Dentry(Name(b"a"), inode, Sequence(9), PAYER), NOW)
    assert (directory.atime_ns, directory.mtime_ns, directory.ctime_ns) == (THEN, NOW, NOW)


def test_a_removed_name_moves_mtime_and_ctime() -> None:
    # The last one too, which is removed by a way of its own.
    for names in ((b"a",), (b"a", b"b")):
        directory = make_directory(*names)
        assert directory.oldest is not None
        directory.remove(directory.oldest, NOW)
        assert (directory.atime_ns, directory.mtime_ns, directory.ctime_ns) == (THEN, NOW, NOW)
