"""The storm through ports: half of the writers and readers use them, half the names of messages.

Nothing is lost or doubled, and nothing but what a reader had taken is lost when processes are
killed. The processes are twice as many as small machines have processors, so they are interrupted
anywhere.
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path

import pytest

from tests.mounts import Mount, names, wait_until
from tests.stories.storm import by_writer

MESSAGES = 20_000
WRITERS = READERS = 4
DEADLINE_S = 60

#: How many processes of each kind are killed.
KILLED = 15

_COMMON = """
import os, select, sys
def message(writer, number):
    return b"%s %d " % (writer, number) + b"x" * (number * 37 % 3000) + b"."
"""

#: argv: the queue, a file to log to, the writer's name, the number of messages, the mount.
_WRITER = f"""
{_COMMON}
queue, log, name, count, mount = sys.argv[1:]
log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
os.chdir(queue)
start()
for number in range(int(count)):
    put(message(name.encode(), number), number)
    os.write(log, b"%s %d\\n" % (name.encode(), number))
"""

WRITE_TO_PORT = f"""
def start():
    global port
    port = os.open(".pipe", os.O_WRONLY)
def put(content, number):
    assert os.write(port, content) == len(content)
{_WRITER}"""

#: A message is written in a queue of the writer's own and linked from there.
WRITE_FILES = f"""
def start():
    global own
    os.mkdir(f"{{mount}}/{{name}}")
    own = os.open(f"{{mount}}/{{name}}", os.O_DIRECTORY)
def put(content, number):
    file = os.open("message", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=own)
    assert os.write(file, content) == len(content)
    os.close(file)
    os.link("message", f"{{name}}-{{number}}", src_dir_fd=own)
    os.unlink("message", dir_fd=own)
{_WRITER}"""

#: argv: the queue, a file to log to. They end when the queue is empty after their input was closed.
_READER = f"""
{_COMMON}
os.chdir(sys.argv[1])
log = os.open(sys.argv[2], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
port = os.open(".pipe", os.O_RDONLY | os.O_NONBLOCK)
while True:
    ending, _, _ = select.select([0], [], [], 0)
    content = take()
    if content is not None:
        writer, number = content.split(b" ", 2)[:2]
        whole = content == message(writer, int(number))
        os.write(log, b"%s %s\\n" % (writer if whole else b"not-whole", number))
        continue
    ready, _, _ = select.select([port] if ending else [0, port], [], [], 0 if ending else None)
    if ending and not ready:
        break
"""

#: They take their time: the others, who need many requests, would get next to nothing else.
READ_PORT = f"""
def take():
    os.access("nothing", os.F_OK)
    os.access("nothing", os.F_OK)
    try:
        return os.read(port, 4096)
    except BlockingIOError:
        return None
{_READER}"""

READ_FILES = f"""
def take():
    try:
        name = os.readlink("head")
        file = os.open(name, os.O_RDONLY)
        content = os.read(file, 4096)
        os.close(file)
        os.unlink(name)
        return content
    except FileNotFoundError:
        return None
{_READER}"""


class Storm:
    """Writers and readers of one queue, who log what they have written and taken."""

    def __init__(self, mount: Mount, queue: Path, folder: Path, messages: int) -> None:
        """Start nobody yet; each writer writes so many *messages*."""
        self.mount = mount
        self.queue = queue
        self.folder = folder
        self.messages = messages
        self.writers: list[subprocess.Popen[str]] = []
        self.readers: list[subprocess.Popen[str]] = []
        self._writer_codes = cycle((WRITE_TO_PORT, WRITE_FILES))
        self._reader_codes = cycle((READ_PORT, READ_FILES))
        self._numbers = count()

    def add_writer(self) -> None:
        name = f"writer{next(self._numbers)}"
        log = self.folder / f"{name}.log"
        arguments = (self.queue, log, name, self.messages, self.mount.path)
        self.writers.append(self._start(next(self._writer_codes), *arguments))

    def add_reader(self) -> None:
        log = self.folder / f"reader{next(self._numbers)}.log"
        self.readers.append(self._start(next(self._reader_codes), self.queue, log))

    def _start(self, code: str, *arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-IS", "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> None:
        """Wait for the writers, then let the readers take what is left."""
        for process in (*self.writers, *self.readers):
            _, errors = process.communicate(timeout=DEADLINE_S)
            assert (process.returncode, errors) == (0, "")

    def close(self) -> None:
        """Make sure that all are gone."""
        for process in (*self.writers, *self.readers):
            process.kill()
            process.communicate()

    def logged(self, who: str) -> list[list[str]]:
        """Return what each process of a kind has logged."""
        return [log.read_text().splitlines() for log in sorted(self.folder.glob(f"{who}*.log"))]

    def log_bytes(self, who: str) -> int:
        return sum(log.stat().st_size for log in self.folder.glob(f"{who}*.log"))


@pytest.fixture
def storm(request: pytest.FixtureRequest, mount: Mount, tmp_path: Path) -> Iterator[Storm]:
    """A storm in a mount of the test's own, with so many messages of each writer as it asks for."""
    (tmp_path / "logs").mkdir()
    (mount.path / "queue").mkdir()
    storm = Storm(mount, mount.path / "queue", tmp_path / "logs", request.param)
    try:
        for _ in range(WRITERS):
            storm.add_writer()
        for _ in range(READERS):
            storm.add_reader()
        yield storm
    finally:
        storm.close()


def check_order(taken: list[list[str]]) -> None:
    """Check that each reader took each writer's messages in the order in which they were sent."""
    for each in taken:
        for numbers in by_writer(each).values():
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("storm", [MESSAGES // WRITERS], indirect=True)
def test_each_message_is_taken_once_whichever_way_it_comes_and_goes(storm: Storm) -> None:
    storm.finish()
    assert names(storm.queue) == []
    taken = storm.logged("reader")
    check_order(taken)
    everything = by_writer([message for each in taken for message in each])
    expected = [*range(MESSAGES // WRITERS)]
    assert {name: sorted(numbers) for name, numbers in everything.items()} == {
        f"writer{number}": expected for number in range(WRITERS)
    }
    assert all(taken), "a reader took nothing"


@pytest.mark.parametrize("storm", [1_000], indirect=True)
def test_what_killed_readers_had_taken_is_all_that_is_lost(storm: Storm) -> None:
    chance = random.Random(1)  # noqa: S311  # no secret
    killed_readers = 0
    for _ in range(KILLED):
        for who, processes in (("writer", storm.writers), ("reader", storm.readers)):
            # Somewhere within the next hundred messages.
            goal = storm.log_bytes(who) + chance.randrange(1000)
            wait_until(
                lambda who=who, goal=goal: storm.log_bytes(who) >= goal or ended(storm.writers),  # type: ignore[misc]
                "the storm to go on",
            )
            victim = processes.pop(chance.randrange(len(processes)))
            victim.kill()
            _, errors = victim.communicate(timeout=DEADLINE_S)
            assert errors == ""
            killed_readers += who == "reader"
            if who == "reader":
                storm.add_reader()
            else:
                storm.add_writer()
    storm.finish()
    assert names(storm.queue) == []
    taken = storm.logged("reader")
    check_order(taken)
    times = Counter(message for each in taken for message in each)
    assert [message for message, number in times.items() if number > 1] == []
    assert [message for message in times if message.startswith("not-whole")] == []
    written = {message for each in storm.logged("writer") for message in each}
    # A writer that is killed may not have logged its last message.
    unlogged = Counter(message.split()[0] for message in times.keys() - written)
    assert [name for name, number in unlogged.items() if number > 1] == []
    assert len(written - times.keys()) <= killed_readers


def ended(processes: list["subprocess.Popen[str]"]) -> bool:
    """Tell whether all have ended."""
    return all(process.poll() is not None for process in processes)
