"""Senders that are killed in the middle: no partial message, and nothing of them is left.

CI kills some hundreds, and this ten thousand, which takes some ten minutes:

    EVENTFS_KILLED_SENDERS=10000 pytest -o faulthandler_timeout=0 tests/client/test_killed.py
"""

import os
import random
import signal
import time
from pathlib import Path
from zlib import crc32

import pytest

from eventfs import Message, Queue, QueueEmpty
from tests.client.test_sending import staging_queues
from tests.mounts import wait_until

#: How many senders are killed in all, the same number of each kind.
KILLED = int(os.environ.get("EVENTFS_KILLED_SENDERS", "300"))

#: How many are there at a time.
AT_ONCE = 4

SEAL_BYTES = 4

#: A sender's messages: through the port, by a file, and both in turns.
KINDS = {
    "small": [100, 1, 5000, 100_000],
    "large": [1_044_481, 2_000_000],
    "mixed": [10, 1_100_000, 1_000_000, 1_048_576],
}


def sealed(size: int, seed: int) -> bytes:
    """Return a message that tells whether it is whole, and isn't alike another."""
    body = seed.to_bytes(8, "big") * (size // 8 + 1)
    return crc32(body).to_bytes(SEAL_BYTES, "big") + body


def is_whole(message: Message) -> bool:
    seal, body = message.content[:SEAL_BYTES], memoryview(message.content)[SEAL_BYTES:]
    return crc32(body).to_bytes(SEAL_BYTES, "big") == seal


def send_until_killed(path: Path, messages: list[bytes], *, fresh: bool) -> int:
    """Fork a process that sends and sends; with *fresh* it opens the queue anew each time."""
    pid = os.fork()
    if pid:
        return pid
    try:
        queue = Queue(path)
        while True:
            for message in messages:
                queue.send(message)
                if fresh:
                    queue = Queue(path)
    finally:
        os._exit(1)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # faulthandler's thread
@pytest.mark.timeout(120 + KILLED // 10)
@pytest.mark.parametrize("kind", KINDS)
def test_no_partial_message_of_killed_senders_is_ever_received(
    root: Path, queue: Queue, kind: str
) -> None:
    queue.send(b"x" * 2_000_000)  # our own staging queue is there from now on
    queue.receive()
    before = staging_queues(root)
    chance = random.Random(kind)  # noqa: S311  # no secret
    messages = [[sealed(size, seed) for size in KINDS[kind]] for seed in range(AT_ONCE)]
    senders: list[tuple[float, int]] = []
    received = killed = 0
    to_kill = KILLED // len(KINDS)
    try:
        while killed < to_kill or senders:
            while killed + len(senders) < to_kill and len(senders) < AT_ONCE:
                number = len(senders)
                pid = send_until_killed(
                    Path(queue.path), messages[number], fresh=bool(chance.getrandbits(1))
                )
                # From before its first message to in the middle of many.
                senders.append((time.monotonic() + chance.expovariate(1 / 0.005), pid))
            for sender in [sender for sender in senders if sender[0] <= time.monotonic()]:
                os.kill(sender[1], signal.SIGKILL)
                senders.remove(sender)
                os.waitpid(sender[1], 0)
                killed += 1
            # As often as not by the way that sees names.
            for _ in range(20):
                try:
                    message = queue.receive(0, details=bool(chance.getrandbits(1)))
                except QueueEmpty:
                    break
                assert is_whole(message)
                received += 1
    finally:
        for _, pid in senders:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    for message in queue.receive_each(0):
        assert is_whole(message)
        received += 1
    assert received > to_kill / 10
    assert staging_queues(root) == before
    assert [os.listdir(root / name) for name in before] == [[]] * len(before)
    assert os.listdir(queue.path) == []


def test_the_check_would_notice(queue: Queue) -> None:
    message = sealed(2_000_000, 1)
    assert is_whole(Message(message))
    with Path(queue.path, "by hand").open("wb") as file:
        file.write(message[:1_000_000])
        file.flush()
        assert not is_whole(queue.receive(0))


def test_a_sender_killed_between_linking_and_unlinking_has_sent(root: Path, queue: Queue) -> None:
    """What the sender does after the link is no part of sending."""
    before = staging_queues(root)
    pid = os.fork()
    if pid == 0:
        unlink = os.unlink
        try:
            os.unlink = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
            queue.send(sealed(2_000_000, 1))
        finally:
            os.unlink = unlink
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert is_whole(queue.receive(0))
    assert staging_queues(root) == before
    wait_until(lambda: len(queue) == 0, "the queue to be empty")
