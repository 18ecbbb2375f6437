"""What inotify tells."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.daemon import Mounter
from tests.mount.inotify import Event, Watch
from tests.mount.making import STICKY, is_gone
from tests.mount.processes import Fork, in_child


def test_inotify_tells_of_what_others_do_in_a_queue(queue: Path) -> None:
    with Watch(queue) as watch:
        in_child(lambda: (queue / "message").write_text("text"))
        in_child((queue / "message").unlink)
        assert watch.events() == [
            Event("IN_CREATE", "message"),
            Event("IN_MODIFY", "message"),
            Event("IN_CLOSE_WRITE", "message"),
            Event("IN_DELETE", "message"),
        ]


def test_inotify_tells_of_links(queue: Path, path: Path, fork: Fork) -> None:
    fork(path.mkdir)
    (path / "message").touch()
    with Watch(queue) as watch:
        in_child(lambda: os.link(path / "message", queue / "linked"))
        assert watch.events() == [Event("IN_CREATE", "linked")]


def test_inotify_tells_of_popping_by_the_name_that_was_used(queue: Path) -> None:
    (queue / "message").touch()
    with Watch(queue) as watch:
        in_child((queue / "head").unlink)
        assert watch.events() == [Event("IN_DELETE", "head")]


def test_inotify_tells_of_new_and_removed_queues(root: Path, path: Path, fork: Fork) -> None:
    with Watch(root) as watch:
        fork(path.mkdir)
        path.rmdir()
        assert watch.events() == [Event("IN_CREATE", path.name), Event("IN_DELETE", path.name)]


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_inotify_tells_of_a_queue_that_vanishes(path: Path, fork: Fork, *, filled: bool) -> None:
    owner = fork(path.mkdir)
    if filled:
        (path / "message").write_text("text")
        (path / "head").read_text()
    with Watch(path) as watch:
        owner.end()
        events = [event.what for event in watch.events_until("IN_DELETE_SELF")]
        assert events.count("IN_DELETE_SELF") == 1


def open_and_pop(path: Path) -> int:
    fd = os.open(path / "message", os.O_RDONLY)
    in_child((path / "head").unlink)
    return fd


def open_and_link(path: Path) -> int:
    fd = os.open(path / "message", os.O_RDONLY)
    os.link(path / "message", path / "linked")
    return fd


#: What can be held of a queue, so that the kernel keeps a name in it: how to get a handle on it.
HOLD: dict[str, Callable[[Path], int]] = {
    "an open message": lambda path: os.open(path / "message", os.O_RDONLY),
    "a message that was looked up": lambda path: os.open(path / "message", os.O_PATH),
    "head": lambda path: os.open(path / "head", os.O_PATH | os.O_NOFOLLOW),
    "tail": lambda path: os.open(path / "tail", os.O_PATH | os.O_NOFOLLOW),
    "a popped message": open_and_pop,
    "a linked message": open_and_link,
}


@pytest.mark.parametrize("hold", HOLD.values(), ids=HOLD.keys())
def test_inotify_tells_of_a_queue_that_vanished_when_nothing_of_it_is_held_any_more(
    path: Path, fork: Fork, hold: Callable[[Path], int]
) -> None:
    owner = fork(path.mkdir)
    (path / "message").write_text("text")
    with Watch(path) as watch:
        fd = hold(path)
        owner.end()
        # As on tmpfs: the kernel keeps a directory as long as somebody has what was in it.
        os.close(fd)
        watch.events_until("IN_DELETE_SELF")


#: Lets the daemon's thread that tells the kernel of deaths come late, as on a busy machine.
LATE = """
import time
from eventfs.mount.notifier import Notifier
forget_queue = Notifier._forget_queue
def forget_queue_late(*arguments):
    time.sleep(0.02)
    forget_queue(*arguments)
Notifier._forget_queue = forget_queue_late
"""


def test_inotify_tells_of_a_queue_that_vanishes_though_somebody_looks_before_the_kernel_is_told(
    mounter: Mounter, fork: Fork
) -> None:
    """Who looks makes the kernel drop the name, and then it has nothing left to tell of."""
    path = mounter("-o", "allow_other", program=LATE).path / "fated"
    owner = fork(path.mkdir)
    with Watch(path) as watch:
        owner.end()
        assert is_gone(path)
        watch.events_until("IN_DELETE_SELF")


def test_inotify_tells_of_a_sticky_queue_that_vanishes_with_its_attribute(
    path: Path, fork: Fork
) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"")
    owner.end()
    with Watch(path) as watch:
        os.removexattr(path, STICKY)
        watch.events_until("IN_DELETE_SELF")


def test_inotify_tells_of_a_queue_that_is_removed(path: Path, fork: Fork) -> None:
    fork(path.mkdir)
    with Watch(path) as watch:
        in_child(path.rmdir)
        watch.events_until("IN_DELETE_SELF")


def test_a_watched_message_that_is_elsewhere_too_is_not_reported_as_deleted(
    path: Path, queue: Path, fork: Fork
) -> None:
    owner = fork(path.mkdir)
    (path / "there").touch()
    os.link(path / "there", queue / "here")
    with Watch(queue / "here") as message, Watch(path) as watch:
        owner.end()
        watch.events_until("IN_DELETE_SELF")
        (queue / "here").write_text("text")
        whats = [event.what for event in message.events()]
        assert "IN_DELETE_SELF" not in whats
        assert "IN_MODIFY" in whats
