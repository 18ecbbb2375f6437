"""Writers that are killed in the middle of a message, where it is committed at close.

Whoever reads the queue, through `head`, by names or through `.pipe`, sees whole messages only; and
each message whose writer has closed it and lived to say so is seen once.

Each writer writes message after message, line by line, until SIGKILL hits it at a random moment.
A few hundred of them take seconds and hit every step of writing. KILLED_WRITERS=10000 makes more.
"""

import heapq
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mounts import Mount, wait_until

WRITERS = int(os.environ.get("KILLED_WRITERS", "300"))
#: How many of them write at once: more than small machines have processors.
AT_ONCE = 8
#: How long they may live, in seconds: long enough for a message or some.
LIFE_S = 0.08
DEADLINE_S = 60

pytestmark = pytest.mark.timeout(2 * DEADLINE_S + WRITERS / 10)

#: What a message with so many lines besides the first and the last says.
EXPECTED = """
def expected(name, count):
    lines = [b"%s %d\\n" % (name, number) for number in range(count)]
    first, last = (b"%s %s %d\\n" % (word, name, count) for word in (b"begin", b"end"))
    return [first, *lines, last]
"""

#: Writes messages of argv[1] into the working directory, and each name to stdout once it is closed.
PYTHON = f"""{EXPECTED}
import itertools, os, sys
for number in itertools.count():
    name = b"%s-%d" % (sys.argv[1].encode(), number)
    message = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    for line in expected(name, 5 + number):
        os.write(message, line)
    os.close(message)
    os.write(1, name + b"\\n")
"""

#: The same in a shell, in several ways; $2 is a directory for what is put together.
BASH = """
say() {
    echo "begin $name $count"
    for ((line = 0; line < count; line++)); do echo "$name $line"; done
    echo "end $name $count"
}
parts() { say > "$2/$1"; sed -n 1p "$2/$1" > "$2/$1-1"; sed 1d "$2/$1" > "$2/$1-2"; }
for ((count = 5; ; count++)); do
    name=$1-$count
    WAY
    echo "$name"
done
"""
WAYS = {
    "block": 'say > "$name"',
    "descriptor": 'exec 3> "$name"; say >&3; exec 3>&-',
    "appended": 'exec 3>> "$name"; say >&3; exec 4>&3 3>&-; exec 4>&-',
    "cat": 'parts "$@"; cat "$2/$1-1" "$2/$1-2" > "$name" || exit',
    "subshell": 'parts "$@"; (exec cat "$2/$1-1" "$2/$1-2" > "$name") || exit',
    "dd": 'say > "$2/$1"; dd bs=16 if="$2/$1" of="$name" 2> "$2/$1-said" || exit',
}

#: Takes messages from the working directory; says of each that it took which one it was, and of
#: each that isn't whole that it is torn. Ends when argv[1] exists and nothing is there any more.
READER = f"""{EXPECTED}
import os, select, sys

def check(content):
    first = content.split(b"\\n")[0].split()
    if len(first) == 3 and content == b"".join(expected(first[1], int(first[2]))):
        return first[1]
    os.write(1, b"torn: %r\\n" % content)
    return b""

def taken(name):
    os.write(1, name + b"\\n")

def read(path):
    message = os.open(path, os.O_RDONLY)
    content = os.read(message, 1 << 20)
    os.close(message)
    return check(content)

def take(path):
    try:
        name = read(path)
        os.unlink(path)
        taken(name)
    except FileNotFoundError:
        pass  # another reader was faster

def through_head():
    take(b"head")

def by_name():
    for name in os.listdir(b"."):
        if name not in (b"head", b"tail"):
            take(name)

def through_port():
    try:
        taken(check(os.read(port, 1 << 20)))
    except BlockingIOError:
        pass

port = os.open(".pipe", os.O_RDONLY | os.O_NONBLOCK)
poll = select.poll()
poll.register(port, select.POLLIN)
step = globals()[sys.argv[2]]
while True:
    last = os.path.exists(sys.argv[1])
    if poll.poll(50):
        step()
    elif last:
        break
"""
READERS = ("through_head", "by_name", "through_port")


class Lines:
    """A file of lines, each written by one call."""

    def __init__(self, path: Path) -> None:
        """Begin with an empty one."""
        self._path = path
        self.fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def all(self) -> list[str]:
        """Return what was written."""
        return self._path.read_text().splitlines()


@contextmanager
def running(queue: Path, code: str, *arguments: object, stdout: int) -> Iterator[None]:
    """Run Python in the queue; it ends by itself."""
    command = [sys.executable, "-IS", "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=queue, stdout=stdout)
    try:
        yield
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()


def killed_writers(queue: Path, tmp: Path, stdout: int) -> None:
    """Start the writers, and kill each one after a while."""
    chance = random.Random(WRITERS)  # noqa: S311  # no secret
    ways = [None, None, *WAYS.values()]
    living: list[tuple[float, int, subprocess.Popen[bytes]]] = []

    def kill_next() -> None:
        at, _, process = living[0]
        time.sleep(max(0, at - time.monotonic()))
        # Its children too. The leader is still there, dead or alive, so the number is theirs.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        heapq.heappop(living)

    try:
        for number in range(WRITERS):
            while len(living) >= AT_ONCE:
                kill_next()
            way = chance.choice(ways)
            command = (
                [sys.executable, "-IS", "-c", PYTHON, f"w{number}"]
                if way is None
                else ["bash", "-c", BASH.replace("WAY", way), "bash", f"w{number}", str(tmp)]
            )
            process = subprocess.Popen(command, cwd=queue, stdout=stdout, start_new_session=True)
            until = time.monotonic() + chance.uniform(0, LIFE_S)
            heapq.heappush(living, (until, number, process))
    finally:
        while living:
            kill_next()


class Told:
    """What writers and readers told, and how many messages were begun."""

    def __init__(self, mount: Mount, tmp: Path) -> None:
        """Let it happen."""
        queue = mount.path / "queue"
        queue.mkdir()
        (tmp / "parts").mkdir()
        closed, taken = Lines(tmp / "closed"), Lines(tmp / "taken")
        stop = tmp / "stop"
        try:
            with (
                running(queue, READER, stop, READERS[0], stdout=taken.fd),
                running(queue, READER, stop, READERS[1], stdout=taken.fd),
                running(queue, READER, stop, READERS[2], stdout=taken.fd),
            ):
                killed_writers(queue, tmp / "parts", closed.fd)
                # Of those whose parents were killed nobody knows when they have ended.
                wait_until(lambda: not _has_messages(queue), "the readers to take all")
                stop.touch()
            queue.rmdir()  # so nothing is unfinished either
        finally:
            os.close(closed.fd)
            os.close(taken.fd)
        self.closed, self.taken = closed.all(), taken.all()
        counts = os.getxattr(mount.path, "user.eventfs_requests").decode().splitlines()
        self.begun = next(int(one.split()[1]) for one in counts if one.startswith("create "))


def _has_messages(queue: Path) -> bool:
    return os.getxattr(queue, "user.eventfs_messages") != b"0"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    tmp = tmp_path_factory.mktemp("killed")
    (tmp / "mount").mkdir()
    mount = Mount(tmp / "mount", tmp / "log", "-o", "commit=close")
    try:
        yield Told(mount, tmp)
        wait_until(lambda: mount.inodes() == 1, "the end of all inodes but the root's")
    finally:
        mount.unmount()


def test_nobody_sees_a_torn_message(told: Told) -> None:
    assert [line for line in told.taken if line.startswith("torn")] == []


def test_each_message_is_taken_once(told: Told) -> None:
    assert {name for name, count in Counter(told.taken).items() if count > 1} == set()


def test_what_was_closed_is_seen(told: Told) -> None:
    assert set(told.closed) <= set(told.taken)
    assert len(told.closed) > WRITERS / 10


def test_messages_were_torn_and_removed(told: Told) -> None:
    assert told.begun - len(told.taken) > WRITERS / 10
