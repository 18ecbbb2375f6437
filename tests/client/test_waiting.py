"""A receiver that waits: it sleeps, is woken, and misses nothing."""

import os
import select
import threading
from pathlib import Path
from typing import Any

import pytest

from eventfs import Queue, QueueEmpty, QueueNotEmpty, QueueVanished
from tests.mount.ports.test_poll import forked_and_polling, wait_until_polling
from tests.mount.processes import Forked, in_child
from tests.mounts import DEADLINE_S, wait_until


def receive_in_child(path: Path, timeout: float | None = None) -> Forked:
    """Receive in a process of its own; return when it sleeps."""
    return forked_and_polling(lambda: Queue(path).receive(timeout))


def switches(pid: int) -> int:
    """Return how often a process has gone to sleep."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))
    return int(line.split()[1])


def system_call(pid: int) -> list[int]:
    """Return the number of the system call that a process is in, its arguments and registers."""
    return [int(word, 0) for word in Path(f"/proc/{pid}/syscall").read_text().split()]


# 1e10 is longer than poll(2) can wait.
@pytest.mark.parametrize("timeout", [None, DEADLINE_S, 1e10, float("inf")])
def test_a_message_wakes(path: Path, queue: Queue, timeout: float | None) -> None:
    child = receive_in_child(path, timeout)
    try:
        queue.send(b"message")
        assert child.result().content == b"message"
    finally:
        child.end()


@pytest.mark.parametrize("timeout", [None, DEADLINE_S])
def test_who_waits_makes_no_system_call(
    path: Path, queue: Queue, other: Queue, timeout: float | None
) -> None:
    child = receive_in_child(path, timeout)
    try:
        before, call = switches(child.pid), system_call(child.pid)
        # poll(2) of one descriptor, for ever or for all the time that it was given.
        assert call[2] == 1
        for_ms = call[3] & 0xFFFF_FFFF
        assert for_ms == 0xFFFF_FFFF if timeout is None else for_ms > timeout * 900
        for _ in range(2000):
            other.send(b"message")
            other.receive()
        # It is in the very same call, and hasn't been awake.
        assert system_call(child.pid) == call
        assert switches(child.pid) == before
        queue.send(b"message")
        child.result()
    finally:
        child.end()


def test_what_arrives_between_looking_and_waiting_is_found(
    path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 rounds in which the message comes after the look and before the wait."""
    sender = Queue(path)
    rounds: list[int] = []
    real_poll = select.poll

    class Poll:
        """select.poll(), but that a message comes before it waits."""

        def __init__(self) -> None:
            self._poll = real_poll()

        def register(self, descriptor: int, events: int) -> None:
            sender.send(b"%d" % len(rounds))
            self._poll.register(descriptor, events)

        def poll(self, timeout_ms: int | None) -> list[tuple[int, int]]:
            rounds.append(1)
            return self._poll.poll(timeout_ms)

    monkeypatch.setattr(select, "poll", Poll)
    for number in range(1000):
        assert queue.receive(DEADLINE_S).content == b"%d" % number
    assert len(rounds) == 1000


def test_what_arrives_between_is_found_by_who_waits_for_lines(
    path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Queue(path)
    wait = Queue._wait

    def send_and_wait(self: Queue, *arguments: Any) -> None:  # noqa: ANN401  # passed on
        sender.send(b"line")
        wait(self, *arguments)

    monkeypatch.setattr(Queue, "_wait", send_and_wait)
    for _ in range(1000):
        assert queue.receive_lines(DEADLINE_S) == [b"line"]


def test_nothing_is_missed_while_two_processes_take_turns(path: Path, queue: Queue) -> None:
    """Each waits for the other, so one lost wake-up stops both."""
    with Queue.create(path.with_name("answers")) as answers:

        def answer() -> None:
            with Queue(path) as questions:
                for _ in range(1000):
                    answers.send(questions.receive(DEADLINE_S).content)

        child = Forked(answer)
        try:
            for number in range(1000):
                queue.send(b"%d" % number)
                assert answers.receive(DEADLINE_S).content == b"%d" % number
            child.result()
        finally:
            child.end()
        answers.remove()


def test_who_waits_is_told_that_the_queue_vanishes(fated: tuple[Queue, Forked]) -> None:
    queue, owner = fated
    child = Forked(queue.receive)
    try:
        wait_until_polling(child.pid)
        owner.end()
        with pytest.raises(QueueVanished, match="it has vanished, with its messages"):
            child.result()
    finally:
        child.end()


def test_who_waited_in_vain_gets_the_next(path: Path, queue: Queue) -> None:
    with pytest.raises(QueueEmpty):
        queue.receive(0.001)
    in_child(lambda: Queue(path).send(b"later"))
    assert queue.receive(DEADLINE_S).content == b"later"


def test_threads_wait_with_one_object(queue: Queue) -> None:
    taken: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: taken.append(queue.receive(DEADLINE_S).content))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(4):
        queue.send(b"%d" % number)
    for thread in threads:
        thread.join()
    assert sorted(taken) == [b"0", b"1", b"2", b"3"]


def test_a_port_can_be_polled_with_others(queue: Queue) -> None:
    here, there = os.pipe()
    poll = select.poll()
    poll.register(here, select.POLLIN)
    poll.register(queue.fileno(), select.POLLIN)
    assert poll.poll(0) == []
    queue.send(b"message")
    assert poll.poll(DEADLINE_S * 1000) == [(queue.fileno(), select.POLLIN)]
    os.close(here)
    os.close(there)


def test_one_can_wait_until_all_is_taken(path: Path, queue: Queue) -> None:
    queue.wait_empty()
    for _ in range(10):
        queue.send(b"message")
    with pytest.raises(QueueNotEmpty, match="10 messages are still there or claimed; see"):
        queue.wait_empty(0)
    with pytest.raises(
        QueueNotEmpty, match=r"10 messages are still there or claimed after 0.01 s; see"
    ):
        queue.wait_empty(0.01)
    child = Forked(lambda: Queue(path).wait_empty(DEADLINE_S))
    try:
        wait_until(lambda: switches(child.pid) > 10, "the child to look a few times")
        for _ in range(10):
            queue.receive(0)
        child.result()
    finally:
        child.end()
