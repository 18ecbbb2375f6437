"""A thousand owners killed at once leave nothing behind."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from tests.mounts import DEADLINE_S, Mount, names, wait_until

OWNERS = 1_000
ROUNDS = 10

#: How much the daemon's memory may grow from the first round to the last, in bytes. Python's and
#: libc's allocators take some 0.8 MB more over the first six rounds and nothing from then on;
#: losing one inode, of 1,000 queues and 1,000 messages a round, would take more each round.
NOISE_BYTES = 2_000_000

#: Each round (a line of input): forks owners, each of which makes a queue with
#: a message in it; kills all of them; waits for all; then no queue may be found any more. Says
#: `made`, waits for a line, kills, and says `gone`.
SPAWNER = f"""
import os, signal, sys
os.chdir(sys.argv[1])
for line in sys.stdin:
    names = [f"queue-{{number}}" for number in range({OWNERS})]
    owners = []
    made, tell = os.pipe()
    wait, alive = os.pipe()
    for name in names:
        owner = os.fork()
        if owner == 0:
            os.mkdir(name)
            os.close(os.open(name + "/message", os.O_CREAT | os.O_WRONLY))
            os.write(tell, b".")
            os.close(alive)
            os.read(wait, 1)  # returns should the parent die
            os._exit(0)
        owners.append(owner)
    left = len(names)
    while left:
        left -= len(os.read(made, left))
    print("made", flush=True)
    sys.stdin.readline()
    for owner in owners:
        os.kill(owner, signal.SIGKILL)
    for name, owner in zip(names, owners):
        os.waitpid(owner, 0)
        assert not os.path.lexists(name), name + " outlives its owner"
    for descriptor in (made, tell, wait, alive):
        os.close(descriptor)
    print("gone", flush=True)
"""


class Left(NamedTuple):
    """What a round has left."""

    queues: list[str]
    descriptors: int
    inodes: int
    rss_bytes: int


def left(mount: Mount) -> Left:
    # The kernel forgets inodes when it finds the time.
    wait_until(lambda: mount.inodes() == 1, "the end of all inodes but the root's")
    return Left(names(mount.path), mount.descriptors(), mount.inodes(), mount.rss_bytes())


@contextmanager
def spawner(mount: Mount) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-IS", "-c", SPAWNER, mount.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield process
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def play(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    for answer in ("made\n", "gone\n"):
        process.stdin.write("go on\n")
        assert process.stdout.readline() == answer


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Left]]:
    """What was left before the first round, after it, and after each of the others."""
    folder = tmp_path_factory.mktemp("crash")
    (folder / "mount").mkdir()
    mount = Mount(folder / "mount", folder / "log")
    try:
        # What takes memory once only.
        (mount.path / "queue").mkdir()
        (mount.path / "queue/message").write_text("text")
        assert (mount.path / "queue/head").read_text() == "text"
        (mount.path / "queue/head").unlink()
        (mount.path / "queue").rmdir()
        rounds = [left(mount)]
        with spawner(mount) as process:
            for _ in range(ROUNDS):
                play(process)
                rounds.append(left(mount))
        yield rounds
    finally:
        mount.unmount()


def test_no_queue_is_left(rounds: list[Left]) -> None:
    assert [round_.queues for round_ in rounds] == [[]] * len(rounds)


def test_no_descriptor_is_left(rounds: list[Left]) -> None:
    assert {round_.descriptors for round_ in rounds} == {rounds[0].descriptors}


def test_no_inode_is_left(rounds: list[Left]) -> None:
    assert {round_.inodes for round_ in rounds} == {1}


def test_no_memory_is_left(rounds: list[Left]) -> None:
    assert rounds[-1].rss_bytes - rounds[1].rss_bytes < NOISE_BYTES
