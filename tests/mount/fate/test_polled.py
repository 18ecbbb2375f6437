"""Where there are no pidfds."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.daemon import Mounter
from tests.mount.fate.owners import LEADERLESS, Start
from tests.mount.making import STICKY, is_gone
from tests.mount.processes import Fork
from tests.mounts import wait_until

#: A system without them.
NO_PIDFDS = """
import errno, os
def pidfd_open(pid, flags=0):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
os.pidfd_open = pidfd_open
"""


@pytest.fixture
def polled(mounter: Mounter) -> Path:
    """Where a queue is to be made in a mount whose daemon has no pidfds."""
    return mounter("-o", "allow_other", program=NO_PIDFDS).path / "fated"


def wait_until_gone(path: Path) -> None:
    wait_until(lambda: is_gone(path), f"{path.name} to vanish")


def test_without_pidfds_a_queue_vanishes_soon_after_its_owners_death(
    polled: Path, fork: Fork
) -> None:
    owner = fork(polled.mkdir)
    (polled / "message").touch()
    assert polled.is_dir()
    owner.end()
    wait_until_gone(polled)


def test_without_pidfds_a_zombie_is_dead(polled: Path, fork: Fork) -> None:
    owner = fork(polled.mkdir)
    os.kill(owner.pid, signal.SIGKILL)
    wait_until_gone(polled)


def wait_for_a_poll(mount_root: Path, fork: Fork) -> None:
    """Wait until deaths have been looked for at least once."""
    canary = mount_root / "canary"
    fork(canary.mkdir).end()
    wait_until_gone(canary)


def test_without_pidfds_exec_keeps_ownership(polled: Path, fork: Fork, start: Start) -> None:
    owner = start(
        "import os, sys; os.mkdir(sys.argv[1])\n"
        "os.execvp('sh', ['sh', '-c', 'echo executed; exec cat'])",
        polled,
    )
    wait_for_a_poll(polled.parent, fork)
    assert polled.is_dir()
    owner.end()
    wait_until_gone(polled)


def test_without_pidfds_a_threads_queue_belongs_to_the_process(
    polled: Path, fork: Fork, start: Start
) -> None:
    owner = start(LEADERLESS, polled)
    assert owner.line == "made"
    wait_for_a_poll(polled.parent, fork)
    assert polled.is_dir()
    owner.end()
    wait_until_gone(polled)


def test_without_pidfds_all_queues_of_an_owner_vanish_but_sticky_ones(
    polled: Path, fork: Fork
) -> None:
    paths = [polled.with_name(f"fated-{number}") for number in range(5)]

    def make() -> None:
        for path in paths:
            path.mkdir()
        os.setxattr(paths[2], STICKY, b"")

    fork(make).end()
    for path in (*paths[:2], *paths[3:]):
        wait_until_gone(path)
    assert paths[2].is_dir()
    os.removexattr(paths[2], STICKY)
    assert is_gone(paths[2])


def test_without_pidfds_a_queue_can_be_removed_and_made_again(polled: Path, fork: Fork) -> None:
    first = fork(polled.mkdir)
    polled.rmdir()
    second = fork(polled.mkdir)
    first.end()
    wait_for_a_poll(polled.parent, fork)
    assert polled.is_dir()
    second.end()
    wait_until_gone(polled)
