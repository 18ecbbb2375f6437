"""Unlinking `head` and `tail`, and who may."""

import os
import signal
from errno import (
    EACCES,
    ENOENT,
    ENOTDIR,
    EPERM,
)
from pathlib import Path

import pytest

from tests.mount.calls import (
    refused,
)
from tests.mount.making import (
    ends,
    fill,
    listed,
    messages,
)
from tests.mount.processes import ALICE, BOB, CAROL, Forked, in_child


def test_unlinking_head_removes_the_oldest_message_and_moves_the_link(queue: Path) -> None:
    fill(queue, "1", "2", "3")
    (queue / "head").unlink()
    assert listed(queue) == ["head", "2", "3", "tail"]
    assert os.readlink(queue / "head") == "2"


def test_unlinking_tail_removes_the_newest_message_and_moves_the_link(queue: Path) -> None:
    fill(queue, "1", "2", "3")
    (queue / "tail").unlink()
    assert listed(queue) == ["head", "1", "2", "tail"]
    assert os.readlink(queue / "tail") == "2"


@ends
def test_a_queue_can_be_popped_until_it_is_empty(queue: Path, end: str) -> None:
    fill(queue, *"abcde")
    popped = ""
    for _ in range(5):
        popped += (queue / end).read_text()
        (queue / end).unlink()
    assert popped == ("abcde" if end == "head" else "edcba")
    assert listed(queue) == []
    with refused(ENOENT):
        (queue / end).unlink()


@ends
def test_rmdir_of_an_end_is_refused(queue: Path, end: str) -> None:
    fill(queue, "message")
    with refused(ENOTDIR):
        (queue / end).rmdir()


def test_of_two_who_opened_head_one_unlinks_it_and_the_other_nothing(
    queue: Path,
) -> None:
    fill(queue, "1", "2")

    def consume() -> str:
        text = (queue / "head").read_text()
        os.kill(os.getpid(), signal.SIGSTOP)  # until both have read
        try:
            (queue / "head").unlink()
        except FileNotFoundError:
            return "too late"
        return text

    consumers = [Forked(consume), Forked(consume)]
    try:
        for consumer in consumers:
            os.waitid(os.P_PID, consumer.pid, os.WSTOPPED)
        for consumer in consumers:
            os.kill(consumer.pid, signal.SIGCONT)
        assert sorted(consumer.result() for consumer in consumers) == ["1", "too late"]
    finally:
        for consumer in consumers:
            consumer.end()
    assert messages(queue) == ["2"]


@pytest.fixture
def open_queue(queue: Path) -> Path:
    """A queue of ALICE's in which everybody may make messages, with one of BOB's."""
    os.chown(queue, ALICE, ALICE)
    queue.chmod(0o777)
    in_child(lambda: fill(queue, "bobs"), BOB)
    return queue


removing = pytest.mark.parametrize("name", ["head", "tail", "bobs"])


@removing
@pytest.mark.parametrize("user", [ALICE, BOB, CAROL, 0])
def test_who_may_write_to_a_queue_may_take_any_message(
    open_queue: Path, name: str, user: int
) -> None:
    in_child((open_queue / name).unlink, user)
    assert listed(open_queue) == []


@removing
def test_who_may_not_write_to_a_queue_may_take_none(open_queue: Path, name: str) -> None:
    open_queue.chmod(0o755)
    with refused(EACCES):
        in_child((open_queue / name).unlink, BOB)
    assert messages(open_queue) == ["bobs"]


@removing
@pytest.mark.parametrize("user", [ALICE, BOB, 0], ids=["queue's owner", "message's owner", "root"])
def test_s_isvtx_lets_the_owners_take_a_message(open_queue: Path, name: str, user: int) -> None:
    open_queue.chmod(0o1777)
    in_child((open_queue / name).unlink, user)
    assert listed(open_queue) == []


@removing
def test_s_isvtx_keeps_a_stranger_from_taking_a_message(open_queue: Path, name: str) -> None:
    open_queue.chmod(0o1777)
    with refused(EPERM):
        in_child((open_queue / name).unlink, CAROL)
    assert messages(open_queue) == ["bobs"]


@ends
def test_s_isvtx_is_about_the_target_of_an_end_not_about_the_users_other_messages(
    open_queue: Path, end: str
) -> None:
    open_queue.chmod(0o1777)
    in_child(lambda: fill(open_queue, "carols"), CAROL)
    with refused(EPERM):
        in_child((open_queue / end).unlink, CAROL if end == "head" else BOB)
    assert messages(open_queue) == ["bobs", "carols"]


def test_a_queue_without_read_permission_cannot_be_listed(open_queue: Path) -> None:
    open_queue.chmod(0o733)
    with refused(EACCES):
        in_child(lambda: os.listdir(open_queue), BOB)


@ends
def test_a_queue_without_search_permission_shows_no_end(open_queue: Path, end: str) -> None:
    open_queue.chmod(0o766)
    with refused(EACCES):
        in_child(lambda: os.readlink(open_queue / end), BOB)
