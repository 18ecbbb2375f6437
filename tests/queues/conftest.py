"""A tree, a queue in it, and how hypothesis looks for what is wrong."""

import pytest
from hypothesis import settings

from eventfs.queues.message import Message
from eventfs.queues.queue import Queue
from eventfs.queues.tree import Tree
from tests.queues import making

# No deadline: a slow machine is no failure.
settings.register_profile("rules", deadline=None)
settings.load_profile("rules")


@pytest.fixture
def threads() -> making.FakeThreads:
    """What the tree is told of its callers' threads."""
    return making.FakeThreads()


@pytest.fixture
def clock() -> making.FakeClock:
    """The tree's clock."""
    return making.FakeClock()


@pytest.fixture
def tree(threads: making.FakeThreads, clock: making.FakeClock) -> Tree:
    return making.make_tree(threads=threads, clock=clock)


@pytest.fixture
def queue(tree: Tree) -> Queue:
    """An empty queue of ALICE's."""
    return making.mkdir(tree)


@pytest.fixture
def other_queue(tree: Tree) -> Queue:
    """An empty queue of another owner."""
    return making.mkdir(tree, b"other", owner=making.OTHER_OWNER)


@pytest.fixture
def message(tree: Tree, queue: Queue) -> Message:
    """The queue's only message."""
    return making.create(tree, queue)


@pytest.fixture(params=[making.add_by_create, making.add_by_link], ids=["create", "link"])
def add(request: pytest.FixtureRequest) -> making.Adder:
    """Each way to give a message a name."""
    adder: making.Adder = request.param
    return adder
