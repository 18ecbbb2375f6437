"""Claims race with whatever else takes a message, and with deaths: each is in one place, or done.

Eight workers of two users claim messages from several queues into lease queues of their own. From
there they are done with them, give them back, put them aside for good, or leave them; they take
each other's, and unlink what head shows them. Meanwhile owners of both kinds of queues are killed
and others begin anew, and somebody changes the queues' modes. What a worker does is in its log, a
write(2) a line, which outlives it. With `--log-cli-level=INFO` the figures are shown.

For longer than the usual few seconds:

    RACE_SECONDS=60 .venv/bin/pytest --timeout=600 tests/stories/test_claim_races.py
"""

import logging
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

import pytest

from tests.mount.daemon import wait_until_empty
from tests.mount.making import messages
from tests.mount.processes import ALICE, BOB, Forked
from tests.mounts import DEADLINE_S, Mount, names

#: How long processes are killed and replaced.
RACE_S = float(os.environ.get("RACE_SECONDS", "4"))

WORKERS = 8

#: How many sources there are at a time, and how many messages each has at first.
SOURCES = 3
EACH = 60

KILL_EVERY_S = 0.03

#: What modes the queues get. With S_ISVTX nobody moves what is another's.
MODES = (0o777, 0o700, 0o777, 0o1777, 0o777, 0o555)

#: argv: the mount, the worker's name, its user, its log. Ends when its input does.
#:
#: What it is about to unlink it logs as `try NAME`, and as `done NAME` when it has. Names tell the
#: source and the number, and no two messages have the same.
WORKER = """
import os, random, select, sys
mount, own, uid, log = sys.argv[1:]
log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
os.chdir(mount)
os.setresgid(int(uid), int(uid), int(uid))
os.setresuid(int(uid), int(uid), int(uid))
os.umask(0)
chance = random.Random(own)
def say(*words):
    line = " ".join(words).encode() + b"\\n"
    assert os.write(log, line) == len(line)
def unlink(name, path):
    say("try", name)
    os.unlink(path)
    say("done", name)
def claim():
    queue = chance.choice([name for name in os.listdir(".") if name.startswith("source")])
    name = os.readlink(queue + "/head")
    os.rename(queue + "/" + name, own + "/" + name)
def pop():
    queue = chance.choice([name for name in os.listdir(".") if name != "aside"])
    file = os.open(queue + "/head", os.O_RDONLY)
    name = os.read(file, 100).decode()
    os.close(file)
    if name:
        unlink(name, queue + "/head")
def steal():
    queue = chance.choice([name for name in os.listdir(".") if name.startswith("worker")])
    name = os.readlink(queue + "/head")
    os.rename(queue + "/" + name, own + "/" + name)
def finish():
    name = os.readlink(own + "/head")
    unlink(name, own + "/" + name)
def give_back():
    name = os.readlink(own + "/head")
    os.rename(own + "/" + name, name.partition(".")[0] + "/" + name)
def put_aside():
    name = os.readlink(own + "/tail")
    os.rename(own + "/" + name, "aside/" + name)
def rename():
    name = os.readlink(own + "/head")
    os.rename(own + "/" + name, own + "/" + name + "+")
    os.rename(own + "/" + name + "+", own + "/" + name)
os.mkdir(own, 0o777)
while "user.eventfs_lease" not in os.listxattr(own):
    try:
        os.setxattr(own, "user.eventfs_lease", b"")
    except PermissionError:
        pass
calls = (claim, claim, claim, steal, pop, finish, give_back, give_back, put_aside, rename)
while not select.select([0], [], [], 0)[0]:
    try:
        chance.choice(calls)()
    except (FileNotFoundError, PermissionError, IndexError):
        pass
"""

#: argv: the mount, the source's name, how many messages to put into it. Lives until it is killed.
SOURCE = """
import os, sys
mount, name, count = sys.argv[1:]
os.umask(0)
os.chdir(mount)
os.mkdir(name, 0o700)
for number in range(int(count)):
    message = f"{name}.{number:04}"
    file = os.open(f"{name}/{message}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    os.write(file, message.encode())
    os.close(file)
os.chmod(name, 0o777)
print(flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.timeout(RACE_S + 180)

_log = logging.getLogger(__name__)


@dataclass
class Race:
    """All processes that there have been, by their queues' names."""

    mount: Mount
    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=count)

    def add(self, kind: str) -> None:
        """Start a process, and wait until a source is full."""
        number = next(self._numbers)
        name = f"{kind}-{number}"
        code = SOURCE
        arguments: tuple[object, ...] = (EACH,)
        if kind == "worker":
            code = WORKER
            arguments = ((ALICE, BOB)[number % 2], self.folder / name)
        with (self.folder / "complaints").open("ab") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-IS", "-c", code, self.mount.path, name, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        self.processes[name] = process
        if kind == "source":
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"

    def living(self, kind: str) -> list[str]:
        """Return the names of those that weren't killed."""
        return [one for one in self.processes if one.startswith(kind) and one not in self.killed]

    def kill(self, name: str) -> None:
        """Kill a process; it mustn't have ended by itself."""
        process = self.processes[name]
        assert process.poll() is None, (self.folder / "complaints").read_text()
        process.kill()
        process.communicate()
        self.killed.add(name)

    def finish(self) -> None:
        """Have the workers end, which they do well: what they hold returns."""
        for name in self.living("worker"):
            process = self.processes[name]
            assert process.stdin is not None
            process.stdin.close()
        for name in self.living("worker"):
            assert self.processes[name].wait(DEADLINE_S) == 0
        assert (self.folder / "complaints").read_text() == ""

    def close(self) -> None:
        """Make sure that all are gone."""
        for process in self.processes.values():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def unlinked(self) -> tuple[Counter[str], set[str]]:
        """Return what was certainly unlinked, and what perhaps: a worker was killed just then."""
        done, perhaps = Counter[str](), set()
        for name in self.processes:
            log = self.folder / name
            lines = log.read_text().splitlines() if log.exists() else []
            said = [(what, original(message)) for what, message in map(str.split, lines)]
            done.update(message for what, message in said if what == "done")
            if said and said[-1][0] == "try" and name in self.killed:
                perhaps.add(said[-1][1])
        return done, perhaps


@pytest.fixture
def race(mount: Mount, tmp_path: Path) -> Iterator[Race]:
    """Sources and workers, and a queue for what is put aside, in a mount of their own."""
    (mount.path / "aside").mkdir()
    (mount.path / "aside").chmod(0o777)
    (tmp_path / "race").mkdir()
    race = Race(mount, tmp_path / "race")
    try:
        for kind, number in (("source", SOURCES), ("worker", WORKERS)):
            for _ in range(number):
                race.add(kind)
        yield race
    finally:
        race.close()


def change_modes(root: Path) -> None:
    """Change the modes of all queues, until killed."""
    for mode in cycle(MODES):
        for name in names(root):
            with suppress(FileNotFoundError):
                (root / name).chmod(mode)


def observe(root: Path) -> tuple[int, list[str]]:
    """Look at all queues until there is one called `end`; return how often, and what was wrong.

    A message that was in two places would have two links.
    """
    looks, wrong = 0, []
    while "end" not in (queues := names(root)):
        for queue in queues:
            looks += 1
            with suppress(FileNotFoundError), os.scandir(root / queue) as entries:
                seen = [(entry.name, entry.inode()) for entry in entries]
                there = [name for name, _ in seen]
                if any(len(set(column)) < len(column) for column in zip(*seen, strict=True)):
                    wrong.append(f"{queue} shows one twice: {there}")
                if there and (there[0], there[-1]) != ("head", "tail"):
                    wrong.append(f"{queue} shows {there}")
                paths = [root / queue / name for name in there[1:-1]]
                wrong += [f"{path} has a second" for path in paths if path.stat().st_nlink > 1]
    return looks, wrong


def kill_for_a_while(race: Race) -> None:
    """Kill workers, and now and then a source, and replace them."""
    chance = random.Random(1)  # noqa: S311  # no secret
    end = time.monotonic() + RACE_S
    while time.monotonic() < end:
        kind = chance.choice(("worker", "worker", "worker", "worker", "source"))
        victim = chance.choice(race.living(kind))
        with suppress(subprocess.TimeoutExpired):
            race.processes[victim].wait(KILL_EVERY_S)
        race.kill(victim)
        race.add(kind)


def check_places(race: Race) -> None:
    """Check that each message is in one place or unlinked, or gone with its source."""
    root = race.mount.path
    sources = race.living("source")
    assert sorted(names(root)) == sorted(["aside", "end", *sources])
    aside = [original(name) for name in messages(root / "aside")]
    done, perhaps = race.unlinked()
    assert max(done.values()) == 1
    there = Counter(aside)
    returned = 0
    for source in sources:
        listed = [original(name) for name in messages(root / source)]
        assert listed == sorted(listed), "returned to another place"
        assert {name.partition(".")[0] for name in listed} <= {source}
        there.update(listed)
        for what in ("lent", "dropped"):
            assert os.getxattr(root / source, f"user.eventfs_{what}") == b"0"
        for name in messages(root / source):
            returned += int(os.getxattr(root / source / name, "user.eventfs_attempts")) > 0
    assert max(there.values()) == 1
    assert not there.keys() & done.keys()
    everything = {f"{source}.{number:04}" for source in sources for number in range(EACH)}
    lost = everything - there.keys() - done.keys() - perhaps
    assert not lost
    for queue in ("aside", *sources):
        for name in messages(root / queue):
            assert (root / queue / name).read_text() == original(name)
    _log.info(
        "killed: %d workers, %d sources; unlinked: %d; aside: %d; in the sources left: %d of %d,"
        " of which %d returned",
        sum(name.startswith("worker") for name in race.killed),
        sum(name.startswith("source") for name in race.killed),
        len(done),
        len(aside),
        len(there) - len(aside),
        len(everything),
        returned,
    )
    assert done
    assert aside
    assert returned


def original(name: str) -> str:
    """Return what a message was called at first."""
    return name.rstrip("+")


def test_each_message_is_in_one_place_or_done(race: Race) -> None:
    root = race.mount.path
    modes = Forked(lambda: change_modes(root))
    observers = [Forked(lambda: observe(root)) for _ in range(2)]
    try:
        kill_for_a_while(race)
        race.finish()
        (root / "end").mkdir()
        for observer in observers:
            looks, wrong = observer.result()
            assert looks
            assert not wrong
    finally:
        for process in (modes, *observers):
            process.end()
    check_places(race)
    race.close()
    for name in messages(root / "aside"):
        (root / "aside" / name).unlink()
    for queue in ("aside", "end"):
        (root / queue).rmdir()
    wait_until_empty(race.mount)
