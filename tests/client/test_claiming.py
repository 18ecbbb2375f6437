"""Messages on loan: done when the work is, and given back whatever else happens."""

import ctypes
import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from eventfs import (
    AccessDenied,
    ClaimedMessage,
    DaemonDied,
    LeaseExpired,
    Message,
    Queue,
    QueueEmpty,
    QueueError,
    QueueNotEmpty,
    QueueVanished,
)
from eventfs.client import classic
from tests.client.test_errors import Doomed, check
from tests.client.test_errors import doomed as doomed  # noqa: PLC0414  # a fixture
from tests.client.test_waiting import switches
from tests.mount.ports.test_poll import forked_and_polling, wait_until_polling
from tests.mount.processes import ALICE, BOB, Fork, Forked, in_child
from tests.mounts import DEADLINE_S, wait_until

MIB = 1 << 20


def lease_queues(root: Path) -> list[Path]:
    """Return where messages are held."""
    return [root / name for name in os.listdir(root) if name.startswith(".lease-")]


def contents(queue: Queue) -> list[bytes]:
    return [message.content for message in queue]


@contextmanager
def claimed_in_vain(queue: Queue) -> Iterator[ClaimedMessage]:
    """Claim a message, and fail at the end."""
    with suppress(ValueError), queue.claim(0) as message:
        yield message
        raise ValueError


def claimed_in_child(path: Path, fork: Fork, count: int = 1) -> Forked:
    """Claim messages in a process that holds them until it is ended."""
    claims = ExitStack()  # lives as long as the process

    def claim() -> None:
        queue = Queue(path)
        for _ in range(count):
            claims.enter_context(queue.claim(0))

    return fork(claim)


# The body


@pytest.mark.parametrize("size", [0, 1, 5000, 2 * MIB])
def test_a_claimed_message_has_all_details_and_is_done_at_the_bodys_end(
    path: Path, queue: Queue, size: int
) -> None:
    queue.send(b"x" * size)
    seen = queue.peek()
    with queue.claim() as message:
        assert isinstance(message, ClaimedMessage)
        assert Message(message.content, message.name, message.uid, message.time) == seen
        assert message.size == size
        assert message.attempts == 0
        assert Path(message.path).read_bytes() == b"x" * size
        assert Path(message.path).parent.parent == path.parent
        assert (len(queue), queue.stat().lent) == (0, 1)
        with pytest.raises(QueueEmpty):
            queue.receive(0)
    assert (len(queue), queue.stat().lent) == (0, 0)
    assert not Path(message.path).exists()


def test_the_oldest_comes_first(queue: Queue) -> None:
    queue.send_lines([b"%d" % number for number in range(10)])
    taken = []
    for _ in range(10):
        with queue.claim() as message:
            taken.append(int(message.content))
    assert taken == [*range(10)]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_the_body_raises_gives_the_message_back_to_its_old_place(
    path: Path, queue: Queue, kind: type[BaseException]
) -> None:
    for name in ("one", "two", "three"):
        (path / name).write_bytes(name.encode())
    raised = kind("the work failed")
    with queue.claim():
        with pytest.raises(kind) as caught, queue.claim() as second:
            raise raised
        assert second.name == "two"
    assert caught.value is raised
    assert os.listdir(path) == ["head", "two", "three", "tail"]
    with queue.claim() as again:
        assert (again.name, again.attempts) == ("two", 1)


def test_claims_end_in_any_order(queue: Queue) -> None:
    queue.send_lines([b"1", b"2", b"3"])
    claims = [queue.claim() for _ in range(3)]
    assert [claim.__enter__().content for claim in claims] == [b"1", b"2", b"3"]
    claims[1].__exit__(None, None, None)
    claims[2].__exit__(ValueError, ValueError("failed"), None)
    assert contents(queue) == [b"3"]
    claims[0].__exit__(ValueError, ValueError("failed"), None)
    assert contents(queue) == [b"1", b"3"]


def test_what_is_forgotten_is_given_back(queue: Queue) -> None:
    queue.send(b"message")
    claim = queue.claim()
    claim.__enter__()
    assert len(queue) == 0
    del claim
    assert contents(queue) == [b"message"]


def test_two_messages_of_one_name_are_held_and_given_back(path: Path, queue: Queue) -> None:
    (path / "name").write_bytes(b"1")
    with claimed_in_vain(queue) as first:
        (path / "name").write_bytes(b"2")
        with claimed_in_vain(queue) as second:
            assert (first.name, second.name) == ("name", "name")
            assert first.path != second.path
    # The first finds its name taken, and gets another.
    assert contents(queue) == [b"1", b"2"]
    assert os.listdir(path)[2] == "name"


def test_a_new_message_of_its_name_stays_when_it_is_given_back(path: Path, queue: Queue) -> None:
    (path / "name").write_bytes(b"1")
    with claimed_in_vain(queue):
        (path / "name").write_bytes(b"2")
    assert contents(queue) == [b"1", b"2"]
    assert os.listdir(path)[2] == "name"


def test_an_interruption_between_taking_and_reading_gives_back(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send(b"message")

    def interrupted(*_: object) -> None:
        assert len(queue) == 0
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patched.setattr(classic, "look_at", interrupted)
        with queue.claim() as message:
            raise AssertionError(message.content)
    assert contents(queue) == [b"message"]


def test_interruptions_at_any_moment_lose_nothing(path: Path, queue: Queue) -> None:
    """200 of them: what isn't given back at once is when the object is closed."""

    def work() -> int:
        armed = False
        hits = 0

        def interrupt(*_: object) -> None:
            if armed:
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, interrupt)
        os.write(up, b"up")
        with Queue(path) as mine:
            while hits < 200:
                try:
                    armed = True
                    while True:
                        with suppress(ValueError, QueueEmpty), mine.claim(0):
                            raise ValueError
                except KeyboardInterrupt:
                    armed = False
                    hits += 1
        return hits

    queue.send(b"message")
    before = lease_queues(path.parent)
    is_up, up = os.pipe()
    child = Forked(work)
    chance = random.Random(1)  # noqa: S311  # no secret
    try:
        assert os.read(is_up, 2) == b"up"
        while not select.select([child._reader], [], [], chance.random() / 200)[0]:
            os.kill(child.pid, signal.SIGINT)
        assert child.result() == 200
        assert contents(queue) == [b"message"]
        assert queue.stat().lent == 0
        assert [one for one in lease_queues(path.parent) if os.listdir(one)] == []
    finally:
        child.end()
        os.close(is_up)
        os.close(up)
    assert lease_queues(path.parent) == before


def test_without_renameat2_it_gets_another_name_and_replaces_nothing(
    path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    (path / "name").write_bytes(b"1")
    with claimed_in_vain(queue):
        (path / "name").write_bytes(b"2")
    assert contents(queue) == [b"1", b"2"]


def test_a_follower_hears_of_a_message_once(queue: Queue, other: Queue) -> None:
    other.follow(queue)
    queue.send(b"message")
    with claimed_in_vain(queue):
        pass
    assert contents(other) == contents(queue) == [b"message"]
    # It has attempts of its own.
    with queue.claim():
        pass
    assert contents(other) == [b"message"]


# Waiting


@pytest.mark.parametrize("timeout", [0, -1])
def test_without_a_message_it_says_so_at_once_and_makes_nothing(
    root: Path, queue: Queue, timeout: float
) -> None:
    before = lease_queues(root)
    with pytest.raises(QueueEmpty, match="no message"), queue.claim(timeout):
        raise AssertionError
    assert lease_queues(root) == before


def test_or_when_the_time_is_over(queue: Queue) -> None:
    start = time.monotonic()
    with pytest.raises(QueueEmpty, match=r"no message within 0\.05 s$"), queue.claim(0.05):
        raise AssertionError
    assert 0.05 <= time.monotonic() - start < DEADLINE_S


def claimer(path: Path) -> Forked:
    """Claim in a process of its own; return when it sleeps."""

    def claim() -> tuple[bytes, int]:
        with Queue(path).claim(DEADLINE_S) as message:
            return message.content, message.attempts

    return forked_and_polling(claim)


def test_a_message_wakes(path: Path, queue: Queue) -> None:
    child = claimer(path)
    try:
        queue.send(b"message")
        assert child.result() == (b"message", 0)
    finally:
        child.end()
    assert len(queue) == 0


def test_so_does_one_that_is_given_back(path: Path, queue: Queue) -> None:
    queue.send(b"message")
    with claimed_in_vain(queue):
        child = claimer(path)
        before = switches(child.pid)
    try:
        assert child.result() == (b"message", 1)
        assert switches(child.pid) > before
    finally:
        child.end()


def test_so_does_one_whose_worker_is_killed(path: Path, queue: Queue, fork: Fork) -> None:
    queue.send(b"message")
    worker = claimed_in_child(path, fork)
    child = claimer(path)
    try:
        worker.end(signal.SIGKILL)
        assert child.result() == (b"message", 1)
    finally:
        child.end()


def test_so_does_one_whose_time_is_over(path: Path, queue: Queue) -> None:
    queue.send(b"message")
    child = None
    try:
        with pytest.raises(LeaseExpired), queue.claim(lease=0.1):  # noqa: PT012  # the body's end
            child = claimer(path)
            assert child.result() == (b"message", 1)
    finally:
        if child is not None:
            child.end()


def test_a_signal_ends_who_waits_and_takes_nothing(path: Path, queue: Queue) -> None:
    child = Forked(lambda: Queue(path).claim().__enter__())
    try:
        wait_until_polling(child.pid)
        os.kill(child.pid, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            child.result()
        queue.send(b"message")
        assert len(queue) == 1
    finally:
        child.end()


def test_all_is_taken_when_all_is_done(queue: Queue) -> None:
    queue.send(b"message")
    with queue.claim():
        with pytest.raises(QueueNotEmpty, match="1 messages are still there or claimed"):
            queue.wait_empty(0)
        assert len(queue) == 0
    queue.wait_empty(0)


# Deaths


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_worker_held_is_back_when_its_parent_knows(
    path: Path, queue: Queue, fork: Fork, number: int
) -> None:
    queue.send_lines([b"1", b"2", b"3"])
    before = lease_queues(path.parent)
    worker = claimed_in_child(path, fork, count=2)
    assert contents(queue) == [b"3"]
    assert queue.stat().lent == 2
    worker.end(number)
    assert contents(queue) == [b"1", b"2", b"3"]
    assert queue.stat().lent == 0
    assert lease_queues(path.parent) == before
    for attempts in (1, 1, 0):
        with queue.claim() as message:
            assert message.attempts == attempts


def test_each_of_many_messages_is_done_once_though_workers_are_killed(
    path: Path, queue: Queue
) -> None:
    count, kills = 1000, 40
    reader, writer = os.pipe()

    def work() -> None:
        with Queue(path) as mine:
            while True:
                with mine.claim() as message:
                    number = message.content
                os.write(writer, number + b"\n")

    chance = random.Random(1)  # noqa: S311  # no secret
    queue.send_lines(b"%d" % number for number in range(count))
    workers: list[Forked] = []
    said = b""
    try:
        workers += [Forked(work) for _ in range(4)]
        os.set_blocking(reader, False)
        for _ in range(kills):
            # Some time later, when some more are done.
            goal = min(said.count(b"\n") + chance.randrange(25), count - 2 * kills)
            end = time.monotonic() + DEADLINE_S
            while said.count(b"\n") < goal:
                assert time.monotonic() < end
                with suppress(BlockingIOError):
                    said += os.read(reader, 4096)
            workers.pop(chance.randrange(len(workers))).end()
            workers.append(Forked(work))
        queue.wait_empty(DEADLINE_S)
        # Who waits for more has said all.
        for worker in workers:
            wait_until_polling(worker.pid)
    finally:
        for worker in workers:
            worker.end()
    os.close(writer)
    os.set_blocking(reader, True)
    while piece := os.read(reader, 65_536):
        said += piece
    os.close(reader)
    done = [int(line) for line in said.splitlines()]
    assert len(done) == len(set(done))
    # Who was killed between the two has done it and not said so.
    assert count - kills <= len(done) <= count
    assert (len(queue), queue.stat().lent) == (0, 0)


def test_of_many_workers_just_one_gets_each_message(path: Path, queue: Queue) -> None:
    def work() -> list[bytes]:
        taken: list[bytes] = []
        with Queue(path) as mine, suppress(QueueEmpty):
            while True:
                with suppress(ValueError), mine.claim(0.5) as message:
                    if message.attempts == 0 and message.content.endswith(b"7"):
                        raise ValueError
                    taken.append(message.content)
        return taken

    workers = [Forked(work) for _ in range(4)]
    try:
        for number in range(1000):
            queue.send(b"%d" % number)
        taken = [message for worker in workers for message in worker.result()]
    finally:
        for worker in workers:
            worker.end()
    assert sorted(taken) == sorted(b"%d" % number for number in range(1000))


def test_others_do_not_disturb(path: Path, queue: Queue) -> None:
    """Claiming, and receiving by port and by name: each gets its own."""

    def claim(mine: Queue) -> bytes:
        with mine.claim(0.2) as message:
            return message.content

    ways: list[Callable[[Queue], bytes]] = [
        lambda mine: mine.receive(0.2).content,
        lambda mine: mine.receive(0.2, details=True).content,
        claim,
        claim,
    ]

    def take(way: Callable[[Queue], bytes]) -> list[bytes]:
        taken = []
        with Queue(path) as mine, suppress(QueueEmpty):
            while True:
                taken.append(way(mine))
        return taken

    queue.send_lines(b"%d" % number for number in range(500))
    workers = [Forked(lambda way=way: take(way)) for way in ways]  # type: ignore[misc]
    try:
        taken = [message for worker in workers for message in worker.result()]
    finally:
        for worker in workers:
            worker.end()
    assert sorted(taken) == sorted(b"%d" % number for number in range(500))


# Time


def test_a_lease_that_runs_out_is_told_at_the_bodys_end(path: Path, queue: Queue) -> None:
    queue.send(b"message")
    with (  # noqa: PT012  # the body's end
        pytest.raises(LeaseExpired, match="the lease has run out") as caught,
        queue.claim(lease=0.05) as message,
    ):
        wait_until(lambda: len(queue) == 1, "the message's return")
        for use in (message.touch, lambda: message.attempts):
            with pytest.raises(LeaseExpired):
                use()
    check(caught.value, path)
    with queue.claim() as again:
        assert (again.content, again.attempts) == (b"message", 1)


def test_but_not_instead_of_what_the_body_raised(queue: Queue) -> None:
    queue.send(b"message")
    with pytest.raises(ZeroDivisionError), queue.claim(lease=0.05):  # noqa: PT012  # as above
        wait_until(lambda: len(queue) == 1, "the message's return")
        raise ZeroDivisionError
    assert len(queue) == 1


def test_nor_is_it_taken_from_who_has_it_then(path: Path, queue: Queue) -> None:
    queue.send(b"message")
    late = queue.claim(lease=0.05)
    late.__enter__()
    with Queue(path) as mine, mine.claim(DEADLINE_S) as message:
        with pytest.raises(LeaseExpired):
            late.__exit__(None, None, None)
        assert Path(message.path).exists()
    assert len(queue) == 0


def keeps_by_touching(path: Path) -> bool:
    """Hold a message for twice the lease's time; tell whether that was possible."""
    lease_s = 1
    with Queue(path) as queue, queue.claim(0, lease=lease_s) as message:
        touched = time.monotonic()
        end = touched + 2 * lease_s
        while touched < end:
            message.touch()
            assert len(queue) == 0
            touched = time.monotonic()
        return message.attempts == 0


def test_touching_lets_the_time_begin_anew(path: Path, queue: Queue) -> None:
    queue.send(b"message")
    assert keeps_by_touching(path)


def test_also_of_a_message_of_anothers(path: Path, queue: Queue, root: Path) -> None:
    path.chmod(0o777)
    in_child(lambda: Queue(path).send(b"alice's"), uid=ALICE)
    before = lease_queues(root)
    assert in_child(lambda: keeps_by_touching(path), uid=BOB)
    assert lease_queues(root) == before
    assert len(queue) == 0


@pytest.mark.parametrize("lease", [0, -1, float("nan"), 1e12])
def test_a_time_that_is_none_takes_nothing(root: Path, queue: Queue, lease: float) -> None:
    queue.send(b"message")
    before = lease_queues(root)
    with (
        pytest.raises(QueueError, match=r"lease can't be .*; give a number of seconds"),
        queue.claim(lease=lease),
    ):
        raise AssertionError
    assert len(queue) == 1
    assert lease_queues(root) == before


# Lease queues


@pytest.mark.usefixtures("queue")
def test_there_is_one_for_each_time_until_the_object_is_closed(root: Path, path: Path) -> None:
    before = lease_queues(root)
    with Queue(path) as mine:
        for _ in range(2):
            for lease in (None, float("inf"), 5, 5.0, 0.25):
                mine.send(b"message")
                with mine.claim(lease=lease):
                    pass
        made = [one for one in lease_queues(root) if one not in before]
        values = [os.getxattr(one, "user.eventfs_lease") for one in made]
        assert sorted(values) == [b"", b"0.25", b"5"]
        for one in made:
            assert one.stat().st_mode & 0o7777 == 0o700
            assert os.getxattr(one, "user.eventfs_owner") == b"%d" % os.getpid()
    assert lease_queues(root) == before


def test_closing_gives_back_and_gives_all_descriptors_back(
    root: Path, path: Path, queue: Queue
) -> None:
    queue.send_lines([b"1", b"2"])
    queue.fileno()
    before, descriptors = lease_queues(root), os.listdir("/proc/self/fd")
    mine = Queue(path)
    claims = [mine.claim(), mine.claim(lease=60)]
    for claim in claims:
        claim.__enter__()
    assert len(queue) == 0
    mine.close()
    assert contents(queue) == [b"1", b"2"]
    assert lease_queues(root) == before
    for claim in claims:
        with pytest.raises(QueueError, match="has been closed"):
            claim.__exit__(None, None, None)
    assert contents(queue) == [b"1", b"2"]
    assert os.listdir("/proc/self/fd") == descriptors


def test_one_that_somebody_removed_is_made_anew(root: Path, queue: Queue) -> None:
    before = lease_queues(root)
    for _ in range(2):
        queue.send(b"message")
        with queue.claim() as message:
            assert message.content == b"message"
        (ours,) = (one for one in lease_queues(root) if one not in before)
        ours.rmdir()


def test_threads_share_an_object(root: Path, path: Path) -> None:
    before = lease_queues(root)
    taken: list[bytes] = []
    with Queue.create(path) as queue:

        def work() -> None:
            with suppress(QueueEmpty):
                while True:
                    with suppress(ZeroDivisionError), queue.claim(0.5) as message:
                        if message.attempts == 0:
                            raise ZeroDivisionError
                        taken.append(message.content)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for number in range(300):
            queue.send(b"%d" % number)
        for thread in threads:
            thread.join()
        assert len(lease_queues(root)) == len(before) + 1
        assert (len(queue), queue.stat().lent) == (0, 0)
    assert sorted(map(int, taken)) == [*range(300)]
    assert lease_queues(root) == before


def test_threads_that_fail_all_the_time_lose_nothing(queue: Queue) -> None:
    queue.send_lines(b"%d" % number for number in range(20))

    def work() -> None:
        for _ in range(50):
            with suppress(ValueError, QueueEmpty), queue.claim(0):
                raise ValueError

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(queue) == [b"%d" % number for number in range(20)]


# Forked


def test_a_forked_child_has_a_lease_queue_of_its_own(root: Path, queue: Queue, fork: Fork) -> None:
    queue.send_lines([b"1", b"2", b"3"])
    claims = ExitStack()
    with queue.claim() as mine:
        before = lease_queues(root)
        child = fork(lambda: claims.enter_context(queue.claim(0)))
        assert len(lease_queues(root)) == len(before) + 1
        assert contents(queue) == [b"3"]
        child.end()
        assert contents(queue) == [b"2", b"3"]
        assert lease_queues(root) == before
        assert Path(mine.path).exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_child_that_leaves_the_body_leaves_the_message_to_its_parent(
    queue: Queue,
    fails: bool,  # noqa: FBT001
) -> None:
    queue.send(b"message")
    claim = queue.claim()
    message = claim.__enter__()

    def leave() -> None:
        if fails:
            with suppress(ValueError):
                claim.__exit__(ValueError, ValueError(), None)
        else:
            claim.__exit__(None, None, None)
        queue.close()

    in_child(leave)
    assert Path(message.path).exists()
    assert queue.stat().lent == 1
    claim.__exit__(None, None, None)
    assert (len(queue), queue.stat().lent) == (0, 0)


# Attempts


def fail(queue: Queue) -> int:
    """Claim a message in vain; return its attempts."""
    with claimed_in_vain(queue) as message:
        return message.attempts


def test_what_was_claimed_too_often_is_a_dead_letter(path: Path, other: Queue) -> None:
    with Queue.create(path, max_attempts=3, dead_letter=other) as queue:
        queue.send_lines([b"poison", b"fine"])
        assert [fail(queue) for _ in range(3)] == [0, 1, 2]
        assert contents(queue) == [b"fine"]
        with other.claim(0) as message:
            assert (message.content, message.attempts) == (b"poison", 3)


def test_or_dropped_and_counted(path: Path) -> None:
    with Queue.create(path, max_attempts=1) as queue:
        queue.send_lines([b"poison", b"fine"])
        fail(queue)
        assert contents(queue) == [b"fine"]
        assert queue.stat().dropped == 1


# Ends and rights


@pytest.mark.parametrize("fails", [False, True])
def test_a_queue_that_vanishes_meanwhile_is_no_hindrance(
    root: Path,
    fated: tuple[Queue, Forked],
    fails: bool,  # noqa: FBT001
) -> None:
    queue, owner = fated
    before = lease_queues(root)
    queue.send(b"message")
    with suppress(ValueError), queue.claim() as message:
        owner.end()
        assert message.attempts == 0
        if fails:
            raise ValueError
    assert not Path(message.path).exists()
    with pytest.raises(QueueVanished), queue.claim():
        raise AssertionError
    queue.close()
    assert lease_queues(root) == before


def test_a_daemon_that_dies_meanwhile_is_told(doomed: Doomed) -> None:
    doomed.queue.send(b"message")
    with pytest.raises(DaemonDied), doomed.queue.claim():
        doomed.kill()


def test_a_message_that_cant_be_read_is_given_back(path: Path, queue: Queue) -> None:
    path.chmod(0o777)
    (path / "private").write_bytes(b"root's")
    (path / "private").chmod(0o600)

    def claim() -> None:
        with Queue(path).claim(0) as message:
            raise AssertionError(message.content)

    with pytest.raises(AccessDenied):
        in_child(claim, uid=ALICE)
    assert contents(queue) == [b"root's"]
