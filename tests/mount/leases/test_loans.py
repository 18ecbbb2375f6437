"""Messages on loan, through system calls."""

import os
import select
from errno import EACCES, EDQUOT, EINVAL, ELOOP, ENODATA, ENOENT, ENOTEMPTY, EPERM
from functools import partial
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.inotify import Event, Watch
from tests.mount.leases.using import claim, is_empty, rule, set_rule, work
from tests.mount.making import fill, is_gone, listed, messages
from tests.mount.ports.using import opened, take
from tests.mount.processes import ALICE, BOB, Fork, in_child
from tests.mounts import wait_until


@pytest.fixture
def worker(queue: Path) -> Path:
    """Where a worker's queue may be made."""
    return queue.with_name(queue.name + "-worker")


@pytest.fixture
def held(queue: Path, worker: Path, fork: Fork) -> Path:
    """A worker's queue that holds message `1` of `queue`; the worker waits to be killed."""
    fill(queue, "1", "2", "3")
    fork(lambda: work(queue, worker))
    return worker


def touch_until_gone(message: Path | int, other: Path) -> None:
    """Touch a message again and again until another one is gone."""

    def touch_and_look() -> bool:
        os.utime(message)
        return not other.exists()

    wait_until(touch_and_look, "the lease's end")


# Returned


def test_a_killed_workers_message_is_back_before_wait_returns(
    queue: Path, worker: Path, fork: Fork
) -> None:
    fill(queue, "1", "2", "3")
    process = fork(lambda: work(queue, worker, 2))
    assert (messages(queue), messages(worker)) == (["3"], ["1", "2"])
    assert rule(queue, "lent") == "2"
    process.end()
    assert listed(queue) == ["head", "1", "2", "3", "tail"]
    assert (queue / "head").read_text() == "1"
    assert is_gone(worker)
    assert [rule(queue / name, "attempts") for name in "123"] == ["1", "1", "0"]


def test_thousands_of_dead_workers_messages_are_back_before_wait_returns(
    queue: Path, fork: Fork
) -> None:
    """Where deaths are dealt with a few at a time."""
    fill(queue, *map(str, range(40)))
    processes = []
    for number in range(40):
        worker = queue.with_name(f"{queue.name}-{number}")
        processes.append(fork(partial(work, queue, worker)))
    assert is_empty(queue)
    for process in processes:
        os.kill(process.pid, 9)
    for process in processes:
        process.wait()
    assert messages(queue) == [*map(str, range(40))]


def test_an_open_port_finds_what_a_dead_worker_held(queue: Path, worker: Path, fork: Fork) -> None:
    fill(queue, "1")
    process = fork(lambda: work(queue, worker))
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK) as port:
        with pytest.raises(BlockingIOError):
            os.read(port, 100)
        process.end()
        assert os.read(port, 100) == b"1"


def test_a_return_wakes_who_waits_at_a_port(queue: Path, worker: Path, fork: Fork) -> None:
    fill(queue, "1")
    process = fork(lambda: work(queue, worker))
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK) as port:
        waiting = select.poll()
        waiting.register(port, select.POLLIN)
        assert waiting.poll(0) == []
        os.kill(process.pid, 9)
        assert waiting.poll(20_000) == [(port, select.POLLIN)]
        assert os.read(port, 100) == b"1"
    process.wait()


def test_an_overdue_message_returns_and_wakes_who_waits(queue: Path, worker: Path) -> None:
    fill(queue, "1")
    work(queue, worker, lease="0.1")
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK) as port:
        waiting = select.poll()
        waiting.register(port, select.POLLIN)
        assert waiting.poll(20_000) == [(port, select.POLLIN)]
        assert is_empty(worker)
        assert rule(queue / "1", "attempts") == "1"
    worker.rmdir()


def test_a_heartbeat_keeps_the_message(queue: Path, worker: Path) -> None:
    fill(queue, "1", "2")
    work(queue, worker, 2, lease="0.3")
    # The other one tells when the time is over.
    for _ in range(3):
        touch_until_gone(worker / "1", worker / "2")
        assert messages(worker) == ["1"]
        (queue / "2").rename(worker / "2")
    wait_until(lambda: is_empty(worker), "the lease's end")
    assert messages(queue) == ["1", "2"]
    assert [rule(queue / name, "attempts") for name in "12"] == ["1", "4"]
    worker.rmdir()


def test_a_touch_through_a_handle_is_one_too(queue: Path, worker: Path) -> None:
    fill(queue, "1", "2")
    work(queue, worker, 2, lease="0.3")
    with (worker / "1").open() as message:
        touch_until_gone(message.fileno(), worker / "2")
        assert messages(worker) == ["1"]
    (worker / "1").unlink()
    worker.rmdir()


def test_times_of_messages_are_no_clock(queue: Path, worker: Path) -> None:
    """Neither a message's times nor the clock that they come from count for leases or ages."""
    fill(queue, "1")
    work(queue, worker, lease="3600")
    set_rule(queue, "ttl", "3600")
    fill(queue, "2")
    for time_s in (0, 2**33):
        for message in (worker / "1", queue / "2"):
            os.utime(message, (time_s, time_s))
    set_rule(worker, "lease", "3601")
    set_rule(queue, "max_messages", "5")
    assert (messages(queue), messages(worker)) == (["2"], ["1"])
    (worker / "1").unlink()
    worker.rmdir()


def test_renamed_back_it_is_back_at_once(queue: Path, worker: Path) -> None:
    fill(queue, "1", "2")
    work(queue, worker)
    (worker / "1").rename(queue / "again")
    assert messages(queue) == ["again", "2"]
    assert is_empty(worker)
    worker.rmdir()


def test_the_kernel_shows_a_returned_message_at_one_place(queue: Path, worker: Path) -> None:
    fill(queue, "1")
    work(queue, worker, lease="0.2")
    with (worker / "1").open() as message:
        assert (worker / "1").stat().st_nlink == 1
        wait_until((queue / "1").exists, "the lease's end")
        assert not (worker / "1").exists()
        assert is_empty(worker)
        assert os.fstat(message.fileno()).st_ino == (queue / "1").stat().st_ino
        assert message.read() == "1"
    with refused(ENOENT):
        (worker / "1").unlink()
    worker.rmdir()


def test_the_queues_times_tell_of_a_return(queue: Path, worker: Path) -> None:
    fill(queue, "1")
    work(queue, worker, lease="0.1")
    before = queue.stat().st_mtime_ns
    wait_until(lambda: queue.stat().st_mtime_ns > before, "the lease's end to show")
    assert messages(queue) == ["1"]
    worker.rmdir()


# Done


def test_what_is_unlinked_does_not_return(queue: Path, worker: Path, fork: Fork) -> None:
    fill(queue, "1", "2")

    def work_and_finish() -> None:
        work(queue, worker)
        (worker / "head").unlink()

    process = fork(work_and_finish)
    assert rule(queue, "lent") == "0"
    process.end()
    assert messages(queue) == ["2"]


def test_what_a_port_hands_out_is_done(queue: Path, worker: Path, fork: Fork) -> None:
    fill(queue, "1", "2")

    def work_and_take() -> None:
        work(queue, worker)
        assert take(worker) == b"1"

    fork(work_and_take).end()
    assert messages(queue) == ["2"]


def test_what_is_held_keeps_the_lease_queue(held: Path) -> None:
    with refused(ENOTEMPTY):
        held.rmdir()


def test_where_the_source_vanishes_first_the_message_goes_with_it(
    path: Path, worker: Path, fork: Fork
) -> None:
    source = fork(path.mkdir)
    fill(path, "1")
    process = fork(lambda: work(path, worker))
    source.end()
    assert (worker / "1").read_text() == "1"
    process.end()
    assert is_gone(worker)
    assert is_gone(path)


# Too often


def test_what_fails_too_often_is_a_dead_letter(queue: Path, worker: Path, fork: Fork) -> None:
    dead = queue.with_name(queue.name + "-dead")
    dead.mkdir()
    set_rule(queue, "max_attempts", "2")
    set_rule(queue, "dead_letter", dead.name)
    fill(queue, "1", "2")
    for _ in range(2):
        process = fork(lambda: work(queue, worker))
        assert messages(worker) == ["1"]
        process.end()
    assert (messages(queue), messages(dead)) == (["2"], ["1"])
    assert rule(dead / "1", "attempts") == "2"
    assert (dead / "head").read_text() == "1"
    (dead / "1").unlink()
    dead.rmdir()
    with refused(ENODATA):
        rule(queue, "dead_letter")


# Refused


def test_rules_that_mean_nothing_are_refused(queue: Path) -> None:
    for name, value in (
        ("lease", "soon"),
        ("lease", "-1"),
        ("lease", "0"),
        ("ttl", ""),
        ("ttl", "1e9"),
        ("max_messages", "0"),
        ("max_messages", "many"),
        ("max_bytes", "1M"),
        ("max_bytes", "9" * 30),
        ("max_attempts", "1.5"),
        ("overflow", "drop-newest"),
    ):
        with refused(EINVAL):
            set_rule(queue, name, value)
    assert os.listxattr(queue) == []


def test_what_is_computed_is_refused(queue: Path) -> None:
    fill(queue, "1")
    for path, name in (
        (queue, "lent"),
        (queue, "dropped"),
        (queue, "expired"),
        (queue / "1", "attempts"),
    ):
        assert rule(path, name) == "0"
        with refused(EPERM):
            set_rule(path, name, "7")
        with refused(EPERM):
            os.removexattr(path, f"user.eventfs_{name}")
        assert os.listxattr(path) == []


def test_strangers_set_no_rules(queue: Path) -> None:
    queue.chmod(0o755)
    for name in ("lease", "max_messages", "ttl", "dead_letter"):
        with refused(EACCES):
            in_child(partial(set_rule, queue, name, "1"), ALICE)


def test_a_dead_letter_takes_the_right_to_add(path: Path) -> None:
    mine, box = path, path.with_name(path.name + "-box")

    def make_and_bury() -> None:
        mine.mkdir()
        try:
            set_rule(mine, "dead_letter", box.name)
        finally:
            mine.rmdir()

    box.mkdir(0o755)
    os.chown(box, BOB, BOB)
    with refused(EACCES):
        in_child(make_and_bury, ALICE)
    box.chmod(0o1733)
    in_child(make_and_bury, ALICE)
    box.rmdir()


def test_dead_letters_go_in_no_circle(queue: Path) -> None:
    other = queue.with_name(queue.name + "-other")
    other.mkdir()
    set_rule(queue, "dead_letter", other.name)
    for target in (queue, other):
        with refused(ELOOP):
            set_rule(other, "dead_letter", target.name)
    with refused(ENOENT):
        set_rule(queue, "dead_letter", "nowhere")
    assert rule(queue, "dead_letter") == other.name
    other.rmdir()


def test_who_may_not_take_from_a_queue_may_not_claim(queue: Path, worker: Path) -> None:
    fill(queue, "1")
    queue.chmod(0o755)
    with refused(EACCES):
        in_child(lambda: work(queue, worker), ALICE)
    queue.chmod(0o1777)
    with refused(EPERM):
        in_child(lambda: work(queue, worker), ALICE)
    assert messages(queue) == ["1"]


def test_a_full_worker_claims_no_more(queue: Path, worker: Path) -> None:
    fill(queue, "1", "2")
    work(queue, worker)
    set_rule(worker, "max_messages", "1")
    with refused(EDQUOT):
        claim(queue, worker)
    assert (messages(queue), messages(worker)) == (["2"], ["1"])
    (worker / "1").unlink()
    worker.rmdir()


# What inotify tells


def test_inotify_tells_of_claims(queue: Path, worker: Path) -> None:
    fill(queue, "1")
    worker.mkdir()
    set_rule(worker, "lease")
    with Watch(queue) as source, Watch(worker) as target:
        claim(queue, worker)
        assert source.events() == [Event("IN_MOVED_FROM", "1")]
        assert target.events() == [Event("IN_MOVED_TO", "1")]
    (worker / "1").unlink()
    worker.rmdir()


def test_inotify_does_not_tell_of_returns(queue: Path, worker: Path) -> None:
    fill(queue, "1")
    work(queue, worker, lease="0.1")
    with Watch(queue) as source, Watch(worker) as target, Watch(worker / "1") as message:
        wait_until(lambda: not is_empty(queue), "the lease's end")
        assert (source.events(), target.events(), message.events()) == ([], [], [])
    worker.rmdir()
