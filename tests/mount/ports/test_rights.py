"""Who may use a port: who may write to its queue, bound when it is opened."""

import os
import socket
import subprocess
from collections.abc import Callable
from errno import EACCES, EPERM
from pathlib import Path
from typing import Any

import pytest

from tests.mount.calls import refused
from tests.mount.making import messages
from tests.mount.ports.using import MIB, opened, put, take, take_all
from tests.mount.processes import ALICE, BOB, CAROL, Forked, in_child

names = pytest.mark.parametrize("name", [".pipe", ".lines"])

ACCESSES = {"read": os.O_RDONLY, "write": os.O_WRONLY, "both": os.O_RDWR}


def may(queue: Path, uid: int, name: str = ".pipe") -> set[str]:
    """Tell what a user may open a port for."""

    def opens(access: int) -> bool:
        try:
            os.close(os.open(queue / name, access))
        except PermissionError as error:
            assert error.errno == EACCES  # noqa: PT017  # it is no failure
            return False
        return True

    def tried() -> set[str]:
        return {word for word, access in ACCESSES.items() if opens(access)}

    allowed = in_child(tried, uid)
    assert isinstance(allowed, set)
    return allowed


@pytest.fixture
def alices(queue: Path) -> Path:
    """A queue of Alice's."""
    os.chown(queue, ALICE, ALICE)
    return queue


@names
@pytest.mark.parametrize(
    ("mode", "own", "others"),
    [
        (0o755, True, False),
        (0o700, True, False),
        (0o777, True, True),
        (0o1777, True, True),
        (0o733, True, True),
        (0o577, False, True),
        (0o555, False, False),
        (0o776, True, False),  # without the right to search it
    ],
)
def test_who_may_write_to_the_queue_may_use_its_ports(
    alices: Path, name: str, mode: int, *, own: bool, others: bool
) -> None:
    alices.chmod(mode)
    assert may(alices, ALICE, name) == (set(ACCESSES) if own else set())
    assert may(alices, BOB, name) == (set(ACCESSES) if others else set())


@names
def test_a_right_that_is_given_or_taken_counts_at_once(alices: Path, name: str) -> None:
    for mode, allowed in ((0o755, False), (0o777, True), (0o755, False), (0o733, True)):
        alices.chmod(mode)
        assert bool(may(alices, BOB, name)) == allowed
    os.chown(alices, BOB, BOB)
    alices.chmod(0o700)
    assert may(alices, BOB, name)
    assert not may(alices, ALICE, name)


@names
def test_so_may_members_of_the_group(alices: Path, name: str) -> None:
    os.chown(alices, ALICE, BOB)
    alices.chmod(0o770)
    assert may(alices, BOB, name)
    assert not may(alices, CAROL, name)


@names
def test_an_access_control_list_of_the_queue_counts_for_its_ports(alices: Path, name: str) -> None:
    def setfacl(entry: str) -> None:
        subprocess.run(["setfacl", "-m", entry, alices], check=True)

    setfacl(f"u:{BOB}:rwx")
    assert may(alices, BOB, name)
    assert not may(alices, CAROL, name)
    setfacl(f"u:{BOB}:r-x")
    assert not may(alices, BOB, name)
    alices.chmod(0o777)
    assert not may(alices, BOB, name)
    assert may(alices, CAROL, name)


def test_root_may_use_all(alices: Path) -> None:
    alices.chmod(0)
    put(alices, b"message")
    assert take_all(alices) == [b"message"]


def test_an_open_port_keeps_its_rights_when_those_to_the_queue_are_gone(
    alices: Path,
) -> None:
    alices.chmod(0o777)
    here, there = socket.socketpair()
    with here, there:

        def use() -> bytes:
            with opened(alices, os.O_RDWR) as fd:
                there.send(b"opened")
                there.recv(1)
                os.write(fd, b"message")
                return os.read(fd, 100)

        child = Forked(use, BOB)
        try:
            assert here.recv(6) == b"opened"
            alices.chmod(0o700)
            here.send(b".")
            assert child.result() == b"message"
        finally:
            child.end()


def put_as(uid: int, queue: Path, *contents: bytes) -> None:
    in_child(lambda: put(queue, *contents), uid)


def passed(open_it: Callable[[], int], giver: int, use: Callable[[int], object], user: int) -> Any:  # noqa: ANN401
    """Have one user open a port and another one's process use it, by SCM_RIGHTS."""
    here, there = socket.socketpair()

    def give() -> None:
        socket.send_fds(here, [b"."], [open_it()])

    def receive() -> object:
        _, (fd,), _, _ = socket.recv_fds(there, 1, 1)
        return use(fd)

    with here, there:
        in_child(give, giver)
        return in_child(receive, user)


@pytest.mark.parametrize("giver", [0, ALICE])
def test_a_port_can_be_handed_to_a_process_without_rights(alices: Path, giver: int) -> None:
    alices.chmod(0o700)
    port = alices / ".pipe"
    assert passed(lambda: os.open(port, os.O_WRONLY), giver, lambda fd: os.write(fd, b"x"), BOB)
    status = (alices / "head").stat()
    assert (status.st_uid, status.st_gid) == (giver, giver)
    assert passed(lambda: os.open(port, os.O_RDONLY), giver, lambda fd: os.read(fd, 9), BOB) == b"x"


@pytest.fixture
def sticky(alices: Path) -> Path:
    """A queue with S_ISVTX, of Alice's, with a message of Bob's."""
    alices.chmod(0o1777)
    put_as(BOB, alices, b"Bob's")
    return alices


@names
def test_in_a_queue_with_s_isvtx_others_messages_stay(sticky: Path, name: str) -> None:
    with refused(EPERM):
        in_child(lambda: take(sticky, name=name), CAROL)
    assert in_child(lambda: take(sticky, name=name), BOB).strip() == b"Bob's"


@names
@pytest.mark.parametrize("uid", [0, ALICE])
def test_the_queues_owner_and_root_may_take_them(sticky: Path, uid: int, name: str) -> None:
    assert in_child(lambda: take(sticky, name=name), uid).strip() == b"Bob's"


def test_others_messages_stay_though_they_were_looked_at(sticky: Path) -> None:
    assert (sticky / "head").read_bytes() == b"Bob's"
    with refused(EPERM):
        in_child(lambda: take(sticky), CAROL)
    assert in_child(lambda: take(sticky), BOB) == b"Bob's"


def test_one_reads_lines_of_ones_own_until_others_come(sticky: Path) -> None:
    put_as(BOB, sticky, b"second")
    put_as(CAROL, sticky, b"Carol's")
    put_as(BOB, sticky, b"third")
    assert in_child(lambda: take(sticky, name=".lines"), BOB) == b"Bob's\nsecond\n"
    with refused(EPERM):
        in_child(lambda: take(sticky, name=".lines"), BOB)
    assert in_child(lambda: take(sticky, name=".lines"), CAROL) == b"Carol's\n"
    assert take_all(sticky) == [b"third"]


def test_it_is_the_openers_right_that_counts_not_the_users(sticky: Path) -> None:
    def read(fd: int) -> bytes:
        return os.read(fd, MIB)

    def open_it() -> int:
        return os.open(sticky / ".pipe", os.O_RDONLY)

    with refused(EPERM):
        passed(open_it, CAROL, read, BOB)
    with refused(EPERM):
        passed(open_it, CAROL, read, 0)
    assert passed(open_it, BOB, read, CAROL) == b"Bob's"


def test_the_same_when_s_isvtx_is_set_after_the_port_was_opened(alices: Path) -> None:
    alices.chmod(0o777)
    put_as(BOB, alices, b"Bob's")

    def read(fd: int) -> bytes:
        alices.chmod(0o1777)
        try:
            return os.read(fd, MIB)
        finally:
            alices.chmod(0o777)

    def open_it() -> int:
        return os.open(alices / ".pipe", os.O_RDONLY)

    with refused(EPERM):
        passed(open_it, CAROL, read, 0)
    assert passed(open_it, BOB, read, 0) == b"Bob's"


def test_a_message_is_taken_by_whoever_may_use_the_queue_where_it_has_no_s_isvtx(
    alices: Path,
) -> None:
    alices.chmod(0o777)
    put_as(BOB, alices, b"Bob's")
    assert in_child(lambda: take(alices), CAROL) == b"Bob's"


def test_s_isgid_passes_the_queues_group_on(alices: Path) -> None:
    os.chown(alices, ALICE, CAROL)
    alices.chmod(0o2777)
    put_as(BOB, alices, b"message")
    status = (alices / "head").stat()
    assert (status.st_uid, status.st_gid) == (BOB, CAROL)


def test_a_default_list_of_the_queue_is_inherited(alices: Path) -> None:
    alices.chmod(0o777)
    subprocess.run(["setfacl", "-d", "-m", f"u::rw,g::-,o::-,u:{CAROL}:rw", alices], check=True)
    put_as(BOB, alices, b"message")
    (name,) = messages(alices)
    assert in_child((alices / name).read_bytes, CAROL) == b"message"
    with refused(EACCES):
        in_child((alices / name).read_bytes, ALICE)
    assert take_all(alices) == [b"message"]
