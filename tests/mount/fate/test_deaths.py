"""A queue vanishes when its owner dies, however it dies."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.fate.owners import Start
from tests.mount.making import is_gone
from tests.mount.processes import Fork, Forked
from tests.mounts import MAKE_QUEUE, Mount, wait_until


def test_a_queue_is_there_while_its_owner_lives(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_a_queue_vanishes_when_its_owner_exits(path: Path, start: Start) -> None:
    owner = start(MAKE_QUEUE, path)
    assert owner.process.stdin is not None
    owner.process.stdin.close()
    assert owner.process.wait() == 0
    assert is_gone(path)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGABRT]
)
def test_a_queue_vanishes_when_its_owner_is_killed(
    path: Path, fork: Fork, number: signal.Signals
) -> None:
    def make() -> None:
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        path.mkdir()

    owner = fork(make)
    owner.end(number)
    assert is_gone(path)


def test_a_queue_vanishes_with_all_that_is_in_it(path: Path, root: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    for number in range(100):
        (path / str(number)).write_bytes(b"x" * 10_000)
    owner.end()
    for name in ("0", "99", "head", "tail"):
        assert is_gone(path / name)
    assert path.name not in os.listdir(root)


def test_a_queue_vanishes_though_its_owner_is_never_waited_for(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.kill(owner.pid, signal.SIGKILL)
    wait_until(lambda: is_gone(path), "the queue of a zombie to vanish")
    state = Path(f"/proc/{owner.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state == "Z"


def test_a_stopped_owner_is_alive(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.kill(owner.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, owner.pid, os.WSTOPPED)
    assert path.is_dir()


def test_all_queues_of_an_owner_vanish(root: Path, fork: Fork) -> None:
    paths = [root / f"fated-{number}" for number in range(10)]

    def make() -> None:
        for path in paths:
            path.mkdir()

    owner = fork(make)
    assert all(path.is_dir() for path in paths)
    owner.end()
    assert [path for path in paths if not is_gone(path)] == []


def test_the_queues_of_others_stay(root: Path, fork: Fork) -> None:
    paths = [root / f"fated-{number}" for number in range(10)]
    owners = [fork(path.mkdir) for path in paths]
    for number in (3, 7, 0):
        owners[number].end()
    assert [n for n, path in enumerate(paths) if is_gone(path)] == [0, 3, 7]


def test_many_owners_that_die_at_once_leave_nothing(mount: Mount) -> None:
    assert mount.inodes() == 1  # once it answers, it has all that it needs
    descriptors = mount.descriptors()
    owners = [Forked((mount.path / str(number)).mkdir) for number in range(200)]
    try:
        for owner in owners:
            owner.result()
        assert len(os.listdir(mount.path)) == 200
        for owner in owners:
            os.kill(owner.pid, signal.SIGKILL)
    finally:
        for owner in owners:
            owner.end()
    assert os.listdir(mount.path) == []
    wait_until(lambda: mount.inodes() == 1, "the kernel to forget the queues")
    assert mount.descriptors() == descriptors


def test_a_vanished_queues_name_can_be_made_by_another(path: Path, fork: Fork) -> None:
    first = fork(path.mkdir)
    (path / "message").write_text("old")
    first.end()
    second = fork(path.mkdir)
    assert os.listdir(path) == []
    second.end()
    assert is_gone(path)


def test_a_queue_that_was_removed_is_not_missed_at_its_owners_death(path: Path, fork: Fork) -> None:
    first = fork(path.mkdir)
    path.rmdir()
    second = fork(path.mkdir)
    first.end()
    assert path.is_dir()
    second.end()
    assert is_gone(path)
