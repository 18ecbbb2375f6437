"""Taking messages: in order, whole, and each just once."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from eventfs import Queue, QueueEmpty
from tests.mount.processes import ALICE, Forked, in_child
from tests.mounts import DEADLINE_S

MIB = 1 << 20


def test_messages_come_in_order(queue: Queue) -> None:
    for number in range(100):
        queue.send(b"%d" % number)
    assert [int(queue.receive().content) for _ in range(100)] == [*range(100)]


@pytest.mark.parametrize("details", [False, True])
def test_without_a_message_it_says_so_at_once(queue: Queue, details: bool) -> None:  # noqa: FBT001
    with pytest.raises(QueueEmpty, match=r"no message$") as caught:
        queue.receive(0, details=details)
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(QueueEmpty):
        queue.receive(-1, details=details)


@pytest.mark.parametrize("details", [False, True])
def test_or_when_the_time_is_over(queue: Queue, details: bool) -> None:  # noqa: FBT001
    start = time.monotonic()
    with pytest.raises(QueueEmpty, match=r"no message within 0\.05 s$"):
        queue.receive(0.05, details=details)
    assert 0.05 <= time.monotonic() - start < DEADLINE_S


@pytest.mark.parametrize("size", [0, 1, 5000, MIB, 2 * MIB])
def test_details_are_told_where_they_are_asked_for(queue: Queue, size: int) -> None:
    before = time.time()
    in_child(lambda: queue.send(b"x" * size), uid=0)
    (name,) = (message.name for message in queue)
    message = queue.receive(0, details=True)
    assert (message.content, message.name, message.uid) == (b"x" * size, name, 0)
    assert message.size == size
    assert message.time is not None
    assert before - 1 < message.time < time.time() + 1


def test_the_sender_is_who_wrote_it(path: Path, queue: Queue) -> None:
    path.chmod(0o777)
    in_child(lambda: Queue(path).send(b"by port"), uid=ALICE)
    in_child(lambda: Queue(path).send(b""), uid=ALICE)
    in_child(lambda: Queue(path).send(b"x" * 2 * MIB), uid=ALICE)
    (path / "by hand").write_bytes(b"")
    messages = list(queue)
    assert [message.uid for message in messages] == [ALICE, ALICE, ALICE, 0]
    assert messages[-1].name == "by hand"


def test_only_the_content_is_told_otherwise(queue: Queue) -> None:
    queue.send(b"message")
    assert queue.receive() == (b"message", None, None, None)


def test_what_is_too_large_for_a_read_comes_too(path: Path, queue: Queue) -> None:
    (path / "large").write_bytes(b"x" * (MIB + 1))
    queue.send(b"small")
    assert queue.receive(0) == (b"x" * (MIB + 1), None, None, None)
    assert queue.receive(0).content == b"small"


def test_each_comes_until_none_came_in_time(queue: Queue) -> None:
    queue.send(b"one")
    queue.send(b"two")
    taken = []
    for message in queue.receive_each(timeout=0):
        taken.append(message.content)
        if message.content == b"two":
            queue.send(b"three")
    assert taken == [b"one", b"two", b"three"]


# Competing

SHELL = """
cd "$1" || exit
while true; do
    name=$(readlink head) || { [ -e "$2" ] && exit; continue; }
    content=$(cat "$name" 2>/dev/null) || continue
    rm "$name" 2>/dev/null && echo "$content"
done
"""

BARE = """
import os, sys
queue, done = sys.argv[1:]
while True:
    try:
        with open(f"{queue}/head") as file:
            content = file.read()
        os.unlink(f"{queue}/head")
        print(content)
    except FileNotFoundError:
        if os.path.exists(done) and not os.listdir(queue):
            break
"""


def take_until(queue: Path, done: Path, take: Callable[[Queue], list[bytes]]) -> list[bytes]:
    """Take messages until all have been sent and taken."""
    taken: list[bytes] = []
    with Queue(queue) as mine:
        while not (done.exists() and not len(mine)):
            with suppress(QueueEmpty):
                taken += take(mine)
    return taken


def test_of_all_kinds_of_receivers_just_one_gets_each_message(
    path: Path, queue: Queue, tmp_path: Path
) -> None:
    senders, each = 4, 500
    done = tmp_path / "done"
    kinds: list[Callable[[Queue], list[bytes]]] = [
        lambda queue: [queue.receive(0.01).content],
        lambda queue: [queue.receive(0.01, details=True).content],
        lambda queue: queue.receive_lines(0.01)[:],
        lambda queue: [message.content for message in queue.receive_each(0.01)],
    ]

    def send(sender: int) -> None:
        with Queue(path) as mine:
            for number in range(each):
                mine.send(b"%d %d" % (sender, number))

    receivers = [Forked(lambda take=take: take_until(path, done, take)) for take in kinds]  # type: ignore[misc]
    others = [
        subprocess.Popen([*command, str(path), str(done)], stdout=subprocess.PIPE)
        for command in (["sh", "-c", SHELL, "sh"], [sys.executable, "-c", BARE])
    ]
    writers = [Forked(lambda sender=sender: send(sender)) for sender in range(senders)]  # type: ignore[misc]
    try:
        for writer in writers:
            writer.result()
        done.touch()
        taken = [receiver.result() for receiver in receivers]
        taken += [other.communicate(timeout=DEADLINE_S)[0].splitlines() for other in others]
    finally:
        for process in (*writers, *receivers):
            process.end()
        for other in others:
            other.kill()
            other.wait()
    everything = sorted(message for one in taken for message in one)
    assert everything == sorted(b"%d %d" % (s, n) for s in range(senders) for n in range(each))
    assert len(queue) == 0
    for one in taken:
        for sender in range(senders):
            numbers = [int(m.split()[1]) for m in one if m.startswith(b"%d " % sender)]
            assert numbers == sorted(numbers)


def test_threads_share_an_object(queue: Queue) -> None:
    taken: list[bytes] = []

    def receive(*, details: bool) -> None:
        with suppress(QueueEmpty):
            while True:
                taken.append(queue.receive(0.2, details=details).content)

    def send(sender: int) -> None:
        for number in range(100):
            queue.send(b"%d %d" % (sender, number))

    threads = [
        *(threading.Thread(target=receive, kwargs={"details": n % 2 == 0}) for n in range(4)),
        *(threading.Thread(target=send, args=[n]) for n in range(4)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(b"%d %d" % (s, n) for s in range(4) for n in range(100))


def test_threads_that_are_first_at_once_open_one_port(path: Path, queue: Queue) -> None:
    del queue
    for _ in range(50):
        with Queue(path) as fresh:
            before = len(os.listdir("/proc/self/fd"))
            threads = [threading.Thread(target=fresh.fileno) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(os.listdir("/proc/self/fd")) == before + 1


# Forked


def test_a_forked_child_uses_its_parents_object(queue: Queue, root: Path) -> None:
    queue.send(b"x" * 2 * MIB)  # a staging queue and open ports, before the fork
    queue.receive(0)

    def use() -> tuple[list[str], list[bytes]]:
        queue.send(b"small")
        queue.send(b"")
        queue.send(b"y" * 2 * MIB)
        queue.send_lines([b"line"])
        staging = [name for name in os.listdir(root) if name.startswith(".staging-")]
        return staging, [queue.receive(0).content]

    here = [name for name in os.listdir(root) if name.startswith(".staging-")]
    there, taken = in_child(use)
    assert taken == [b"small"]
    assert len(there) == len(here) + 1
    assert [message.size for message in queue.receive_each(0)] == [0, 2 * MIB, 4]
    queue.send(b"x" * 2 * MIB)
    assert [name for name in os.listdir(root) if name.startswith(".staging-")] == here
