"""A message gets another name, or goes to another queue."""

import os
import select
from errno import EACCES, EEXIST, EINVAL, ENOENT, EPERM
from pathlib import Path

import pytest

from tests.mount.calls import RENAME_EXCHANGE, RENAME_NOREPLACE, refused, renameat2
from tests.mount.making import ends, fill, is_gone, listed, messages
from tests.mount.processes import ALICE, BOB, Fork, in_child
from tests.mounts import DEADLINE_S


def rename(source: Path, target: Path, flags: int) -> None:
    """Rename with flags."""
    renameat2(os.fsencode(source), os.fsencode(target), flags)


# In a queue


def test_a_renamed_message_keeps_its_place(queue: Path) -> None:
    fill(queue, "1", "2", "3")
    (queue / "1").rename(queue / "new")
    assert messages(queue) == ["new", "2", "3"]
    assert (queue / "head").readlink() == Path("new")
    assert (queue / "new").read_text() == "1"
    assert not (queue / "1").exists()


def test_what_has_the_name_is_replaced(queue: Path) -> None:
    fill(queue, "1", "2", "3")
    with (queue / "3").open() as replaced:
        (queue / "1").rename(queue / "3")
        assert replaced.read() == "3"
        assert os.fstat(replaced.fileno()).st_nlink == 0
    assert messages(queue) == ["3", "2"]
    assert (queue / "tail").readlink() == Path("2")
    assert (queue / "3").read_text() == "1"


def test_it_is_not_replaced_with_noreplace(queue: Path) -> None:
    fill(queue, "1", "2")
    with refused(EEXIST):
        rename(queue / "1", queue / "2", RENAME_NOREPLACE)
    assert messages(queue) == ["1", "2"]
    rename(queue / "1", queue / "3", RENAME_NOREPLACE)
    assert messages(queue) == ["3", "2"]


def test_two_are_not_exchanged(queue: Path) -> None:
    fill(queue, "1", "2")
    with refused(EINVAL):
        rename(queue / "1", queue / "2", RENAME_EXCHANGE)
    assert messages(queue) == ["1", "2"]


def test_two_names_of_a_message_stay_as_they_are(queue: Path) -> None:
    fill(queue, "1")
    (queue / "2").hardlink_to(queue / "1")
    (queue / "1").rename(queue / "2")
    assert messages(queue) == ["1", "2"]


def test_a_message_of_a_port_is_renamed(queue: Path) -> None:
    (queue / ".pipe").write_bytes(b"1")
    (queue / ".pipe").write_bytes(b"2")
    (queue / (queue / "head").readlink()).rename(queue / "named")
    assert (queue / "head").readlink() == Path("named")
    fd = os.open(queue / ".pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert [os.read(fd, 10), os.read(fd, 10)] == [b"1", b"2"]
    os.close(fd)


def test_who_has_opened_head_unlinks_that_message_under_its_new_name(queue: Path) -> None:
    fill(queue, "1", "2")
    with (queue / "head").open():
        (queue / "1").rename(queue / "new")
        (queue / "head").unlink()
    assert messages(queue) == ["2"]


# From queue to queue


def test_a_message_that_is_moved_arrives_at_the_tail(queue: Path, other_queue: Path) -> None:
    fill(queue, "1", "2")
    fill(other_queue, "a", "b")
    ino = (queue / "1").stat().st_ino
    (queue / "1").rename(other_queue / "1")
    assert messages(queue) == ["2"]
    assert messages(other_queue) == ["a", "b", "1"]
    assert (other_queue / "tail").read_text() == "1"
    assert (other_queue / "1").stat().st_ino == ino


def test_moved_where_the_name_is_taken_it_replaces(queue: Path, other_queue: Path) -> None:
    fill(queue, "1")
    fill(other_queue, "a", "b")
    (queue / "1").rename(other_queue / "a")
    assert messages(queue) == []
    assert messages(other_queue) == ["b", "a"]
    assert (other_queue / "a").read_text() == "1"


def test_an_emptied_queue_has_no_head(queue: Path, other_queue: Path) -> None:
    fill(queue, "1")
    assert (queue / "head").read_text() == "1"
    (queue / "1").rename(other_queue / "1")
    assert listed(queue) == []
    with refused(ENOENT):
        (queue / "head").read_text()


def test_who_holds_what_was_moved_goes_on(queue: Path, other_queue: Path) -> None:
    fill(queue, "1")
    with (queue / "1").open("a") as file:
        (queue / "1").rename(other_queue / "1")
        file.write(" and more")
    assert (other_queue / "1").read_text() == "1 and more"


def test_of_two_consumers_who_opened_it_and_one_who_moves_it_one_gets_it(
    queue: Path, other_queue: Path
) -> None:
    fill(queue, "1", "2")
    with (queue / "head").open() as seen:
        assert seen.read() == "1"
        in_child(lambda: (queue / "1").rename(other_queue / "1"))
        with refused(ENOENT):
            (queue / "head").unlink()
    assert messages(queue) == ["2"]


def test_a_move_wakes_who_waits_at_a_port(queue: Path, other_queue: Path) -> None:
    fill(queue, "1")
    with (other_queue / ".pipe").open("rb", buffering=0) as port, select.epoll() as poller:
        poller.register(port, select.EPOLLIN)
        assert poller.poll(0) == []
        (queue / "1").rename(other_queue / "moved")
        assert poller.poll(DEADLINE_S) == [(port.fileno(), select.EPOLLIN)]
        assert port.read(10) == b"1"


def test_followers_of_the_target_get_what_is_moved_there(
    queue: Path, other_queue: Path, path: Path, fork: Fork
) -> None:
    fork(path.mkdir)
    os.setxattr(path, "user.eventfs_follow", os.fsencode(other_queue.name))
    fill(queue, "1")
    (queue / "1").rename(other_queue / "moved")
    assert messages(path) == ["moved"]
    assert (path / "moved").samefile(other_queue / "moved")


def test_a_move_to_a_topic_only_passes_it_on(
    queue: Path, other_queue: Path, path: Path, fork: Fork
) -> None:
    fork(path.mkdir)
    os.setxattr(path, "user.eventfs_follow", os.fsencode(other_queue.name))
    os.setxattr(other_queue, "user.eventfs_keep", b"no")
    fill(queue, "1")
    (queue / "1").rename(other_queue / "moved")
    assert messages(queue) == messages(other_queue) == []
    assert (path / "moved").stat().st_nlink == 1


def test_to_a_vanished_queue_nothing_is_moved(queue: Path, path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    fd = os.open(path, os.O_DIRECTORY)
    fill(queue, "1")
    owner.end()
    with refused(ENOENT):
        os.rename(queue / "1", "1", dst_dir_fd=fd)
    os.close(fd)
    assert is_gone(path)
    assert messages(queue) == ["1"]


def test_it_takes_the_right_to_write_to_both(queue: Path, path: Path, fork: Fork) -> None:
    fork(path.mkdir, BOB)
    fill(queue, "1")
    queue.chmod(0o777)
    with refused(EACCES):
        in_child(lambda: (queue / "1").rename(path / "1"), ALICE)
    assert messages(queue) == ["1"]


# What can't be renamed


def test_a_message_does_not_go_to_the_root(queue: Path) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / "message").rename(queue.parent / "message")
    assert messages(queue) == ["message"]


def test_a_queue_cannot_be_renamed(queue: Path, other_queue: Path) -> None:
    with refused(EPERM):
        queue.rename(queue.parent / "renamed")
    with refused(EPERM):
        queue.rename(other_queue / "renamed")


@ends
def test_an_end_cannot_be_renamed(queue: Path, other_queue: Path, end: str) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / end).rename(queue / "new")
    with refused(EPERM):
        (queue / end).rename(other_queue / "new")


@ends
def test_nothing_can_be_renamed_to_an_end(queue: Path, other_queue: Path, end: str) -> None:
    fill(queue, "message", "other")
    with refused(EPERM):
        (queue / "message").rename(queue / end)
    with refused(EPERM):
        (queue / "message").rename(other_queue / end)
    assert messages(queue) == ["message", "other"]


@pytest.mark.parametrize("port", [".pipe", ".lines"])
def test_ports_can_be_neither_renamed_nor_replaced(queue: Path, port: str) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / port).rename(queue / "new")
    with refused(EPERM):
        (queue / "message").rename(queue / port)


def test_rename_of_what_is_not_there_says_so(queue: Path) -> None:
    with refused(ENOENT):
        (queue / "missing").rename(queue / "new")
