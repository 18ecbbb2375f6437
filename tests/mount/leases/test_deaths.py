"""What is on loan when holders die: several loans of one, and those of many who die at once."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.mount.leases.using import claim, rule, set_rule, work
from tests.mount.making import fill, messages
from tests.mount.processes import Fork, Forked, wait_until_blocked
from tests.mounts import Mount

#: More than the daemon deals with before it answers the next request.
MANY = [f"{number}" for number in range(40)]


@pytest.fixture
def letters(queue: Path, fork: Fork) -> Path:
    """Where what has returned once goes."""
    path = queue.with_name(f"{queue.name}-letters")
    fork(path.mkdir)
    set_rule(queue, "max_attempts", "1")
    set_rule(queue, "dead_letter", path.name)
    return path


def listed_when_many_have_died(mount: Mount, queue: Path, other: Path) -> list[str]:
    """Kill many who each hold a message, and list a queue; return what it shows.

    The daemon is stopped until all are dead and somebody waits for its answer: so it learns of all
    that at once.
    """
    fill(queue, *MANY)
    processes: list[Forked] = []
    try:
        for name in MANY:
            own = queue.with_name(f"{queue.name}-{name}")
            processes.append(Forked(lambda own=own: work(queue, own)))  # type: ignore[misc]
            assert processes[-1].result() == [name]
        os.kill(mount.pid, signal.SIGSTOP)
        for process in processes:
            process.end()
        processes.append(Forked(lambda: messages(other)))
        wait_until_blocked(processes[-1].pid)
        os.kill(mount.pid, signal.SIGCONT)
        found: list[str] = processes[-1].result()
        return found
    finally:
        os.kill(mount.pid, signal.SIGCONT)
        for process in processes:
            process.end()


def lend_to_itself(queue: Path, own: Path, letters: Path, *, own_first: bool) -> None:
    """Make a source and a holder of a message that goes to the dead letters when it returns."""
    for path in (own, queue) if own_first else (queue, own):
        path.mkdir()
    set_rule(own, "lease")
    set_rule(queue, "max_attempts", "1")
    set_rule(queue, "dead_letter", letters.name)
    fill(queue, "message")
    claim(queue, own)


def test_dead_letters_of_one_holder_come_in_order(queue: Path, letters: Path, fork: Fork) -> None:
    fill(queue, "1", "2", "3")
    fork(lambda: work(queue, queue.with_name("own"), 3)).end()
    assert messages(letters) == ["1", "2", "3"]


def test_a_dying_holder_gets_no_dead_letters_of_its_own(
    queue: Path, letters: Path, fork: Fork
) -> None:
    own = queue.with_name("own")
    fill(queue, "1")
    holder = fork(lambda: work(queue, own))
    set_rule(own, "follow", letters.name)
    holder.end()
    assert (letters / "1").stat().st_nlink == 1


def test_what_many_held_is_back_in_order_before_anybody_looks(
    shared_mount: Mount, queue: Path
) -> None:
    assert listed_when_many_have_died(shared_mount, queue, queue) == MANY
    assert rule(queue, "lent") == "0"


def test_dead_letters_of_many_are_there_before_anybody_looks(
    shared_mount: Mount, queue: Path, letters: Path
) -> None:
    assert len(listed_when_many_have_died(shared_mount, queue, letters)) == len(MANY)


def test_and_in_a_queue_that_follows_these(
    shared_mount: Mount, queue: Path, letters: Path, fork: Fork
) -> None:
    follower = queue.with_name(f"{queue.name}-follower")
    fork(follower.mkdir)
    set_rule(follower, "follow", letters.name)
    assert len(listed_when_many_have_died(shared_mount, queue, follower)) == len(MANY)


@pytest.mark.parametrize("own_first", [False, True])
def test_what_a_process_lent_itself_is_gone_with_it(
    queue: Path, other_queue: Path, fork: Fork, *, own_first: bool
) -> None:
    """Whichever of its queues is looked at first, its source is gone."""
    for number in range(10):
        source, own = queue.with_name(f"source-{number}"), queue.with_name(f"own-{number}")
        lend = partial(lend_to_itself, source, own, other_queue, own_first=own_first)
        fork(lend).end()
    assert messages(other_queue) == []
