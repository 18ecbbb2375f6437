"""Names and attributes that the kernel doesn't know to be out of date."""

import os
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.daemon import Mounter
from tests.mount.processes import in_child


@pytest.mark.parametrize("end", ["head", "tail"])
@pytest.mark.parametrize(
    "call",
    [os.stat, os.readlink, os.unlink, lambda path: os.open(path, os.O_RDONLY), os.listxattr],
    ids=["stat", "readlink", "unlink", "open", "listxattr"],
)
def test_a_message_that_an_end_removed_is_not_there(
    queue: Path, end: str, call: Callable[[Path], object]
) -> None:
    (queue / "message").write_text("text")
    (queue / "message").read_text()
    (queue / end).unlink()
    with refused(ENOENT):
        call(queue / "message")


def test_a_message_that_head_removed_can_be_made_again(queue: Path) -> None:
    for number in range(10):
        with (queue / "message").open("x") as file:
            file.write(str(number))
        assert (queue / "head").read_text() == str(number)
        (queue / "head").unlink()
    assert os.listdir(queue) == []


def test_head_is_seen_to_move_whoever_moves_it(queue: Path) -> None:
    for number in range(5):
        (queue / str(number)).write_text(str(number))
    for number in range(5):
        assert os.readlink(queue / "head") == str(number)
        assert (queue / "head").lstat().st_size == 1
        assert (queue / "head").read_text() == str(number)
        if number % 2:
            (queue / str(number)).unlink()
        else:
            in_child((queue / "head").unlink)


def test_an_open_message_that_head_removed_has_no_links(queue: Path) -> None:
    with (queue / "message").open("w+") as file:
        assert os.fstat(file.fileno()).st_nlink == 1
        in_child((queue / "head").unlink)
        assert os.fstat(file.fileno()).st_nlink == 0


def test_a_linked_message_that_head_removed_has_one_link_less(queue: Path) -> None:
    with (queue / "message").open("w+") as file:
        os.link(queue / "message", queue / "second")
        assert os.fstat(file.fileno()).st_nlink == 2
        in_child((queue / "head").unlink)
        assert os.fstat(file.fileno()).st_nlink == 1
        assert (queue / "second").stat().st_nlink == 1


def test_a_handle_that_was_only_looked_up_sees_the_links_go(queue: Path) -> None:
    (queue / "message").touch()
    fd = os.open(queue / "message", os.O_PATH)
    try:
        (queue / "head").unlink()
        assert os.fstat(fd).st_nlink == 0
    finally:
        os.close(fd)


#: Lets others put a message into the queue before each lookup of `head`, and take it right after.
RACE = """
from eventfs.mount.operations import Operations
from eventfs.queues.errors import Refused
lookup, readlink, getattr_ = Operations.lookup, Operations.readlink, Operations.getattr
queue = None
def fill(self):
    try:
        self._tree.create(self._inodes[queue], b"message", 0o100644, 0, 0, 0)
    except Refused:
        pass
def empty(self):
    try:
        self._tree.unlink(self._inodes[queue], b"message", 0, 0, 0)
    except Refused:
        pass
def lookup_when_filled(self, request):
    global queue
    if request.name() == b"head":
        queue = request.ino
        fill(self)
    return lookup(self, request)
def readlink_when_emptied(self, request):
    empty(self)
    return readlink(self, request)
def getattr_when_emptied(self, request):
    if queue is not None and request.ino not in (1, queue):
        empty(self)
    return getattr_(self, request)
Operations.lookup = lookup_when_filled
Operations.readlink, Operations.getattr = readlink_when_emptied, getattr_when_emptied
"""


@pytest.mark.parametrize(
    "call",
    [os.readlink, os.lstat, os.stat, lambda path: os.open(path, os.O_RDONLY)],
    ids=["readlink", "lstat", "stat", "open"],
)
def test_a_queue_that_is_filled_and_emptied_at_every_step_is_empty_and_nothing_worse(
    mounter: Mounter, call: Callable[[Path], object]
) -> None:
    queue = mounter("-o", "allow_other", program=RACE).path / "queue"
    queue.mkdir()
    for _ in range(3):  # from the second time on, the kernel has the link in its cache
        with refused(ENOENT):
            call(queue / "head")
