"""Workers claim messages from one queue, and are killed whatever they do: each message is done.

A worker is plain Python that renames what head shows it into a lease queue of its own, does it and
unlinks it. All it does is in a log of its own, a write(2) a line, which outlives it. Each 50 ms one
of the 16 is killed and another started. With `--log-cli-level=INFO` the figures are shown.

The usual number of messages takes some seconds. The full one takes some minutes:

    CLAIM_MESSAGES=100000 .venv/bin/pytest tests/stories/test_claim_storm.py --log-cli-level=INFO
"""

import logging
import os
import random
import select
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mount.daemon import wait_until_empty
from tests.mount.making import messages
from tests.mounts import DEADLINE_S, Child, Mount, wait_until

MESSAGES = int(os.environ.get("CLAIM_MESSAGES", "2000"))

WORKERS = 16

KILL_EVERY_S = 0.05

#: How often it is measured how long a waiter sleeps after a kill.
WAKES = 200

#: The machine may have few processors and much else to do.
STORM_S = 100 + MESSAGES // 50

#: argv: the queue, the worker's own lease queue, the log. Ends when its input does.
#:
#: Before it claims what it has seen at head it logs `try NAME WHEN`; `claimed NAME NUMBER ATTEMPTS`
#: and `done NAME NUMBER` when it has, each with a line of its own. To do one takes 10 ms, as
#: it would for a server's answer: so most of those who are killed have a message.
WORKER = """
import os, select, sys, time
queue, own, log = sys.argv[1:]
log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
def say(*words):
    line = " ".join(map(str, words)).encode() + b"\\n"
    assert os.write(log, line) == len(line)
os.mkdir(own)
os.setxattr(own, "user.eventfs_lease", b"")
own = os.open(own, os.O_DIRECTORY)
os.chdir(queue)
waits = select.poll()
waits.register(os.open(".pipe", os.O_RDONLY | os.O_NONBLOCK), select.POLLIN)
waits.register(0, select.POLLIN)
while True:
    try:
        name = os.readlink("head")
        say("try", name, time.monotonic_ns())
        os.rename(name, name, dst_dir_fd=own)
    except FileNotFoundError:
        if not os.path.lexists("head") and 0 in dict(waits.poll()):
            break
        continue
    file = os.open(name, os.O_RDONLY, dir_fd=own)
    number = int(os.read(file, 100))
    say("claimed", name, number, int(os.getxattr(file, "user.eventfs_attempts")))
    os.close(file)
    select.select([], [], [], 0.01)
    say("done", name, number)
    os.unlink(name, dir_fd=own)
"""

pytestmark = pytest.mark.timeout(2 * STORM_S + 60)

_log = logging.getLogger(__name__)


class Claim(NamedTuple):
    """What a worker did with a message, as far as it could log it."""

    name: str
    #: When head had been seen and the rename hadn't begun.
    when_ns: int
    #: None where the worker was killed before it could say whether the rename succeeded.
    number: int | None
    attempts: int
    done: bool
    #: Whether the worker was killed before it did anything else.
    cut: bool


@dataclass
class Worker:
    """A process that claims messages, and its log."""

    log: Path
    process: "subprocess.Popen[bytes]"
    pidfd: int
    killed: bool = False

    def ends_within(self, timeout_s: float) -> bool:
        """Tell whether it ends by itself."""
        waits = select.poll()
        waits.register(self.pidfd, select.POLLIN)
        return bool(waits.poll(timeout_s * 1000))

    def kill(self) -> None:
        """Kill it."""
        self.close()
        self.killed = True

    def close(self) -> None:
        """Make sure that it is gone."""
        if not self.killed:
            self.process.kill()
            self.process.communicate()
            os.close(self.pidfd)

    def claims(self) -> Iterator[Claim]:
        """Yield what it has claimed, and perhaps what it tried to when it was killed."""
        text = self.log.read_text() if self.log.exists() else ""
        *lines, rest = text.split("\n")
        assert self.killed or not rest, f"{self.log.name} is cut"
        said = [line.split() for line in lines]
        tries = [place for place, words in enumerate(said) if words[0] == "try"]
        for place, end in zip(tries, [*tries, len(said)][1:], strict=True):
            of_one = {words[0]: words[1:] for words in said[place:end]}
            cut = self.killed and end == len(said)
            if not cut and "claimed" not in of_one:
                continue  # another was faster
            name, when = of_one["try"]
            claimed = of_one.get("claimed")
            yield Claim(
                name,
                int(when),
                int(claimed[1]) if claimed else None,
                int(claimed[2]) if claimed else 0,
                "done" in of_one,
                cut,
            )


@dataclass
class Storm:
    """Workers that claim from one queue, all that there have been."""

    mount: Mount
    queue: Path
    #: The messages' names, in order.
    names: list[str]
    folder: Path
    workers: list[Worker] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def add(self) -> None:
        """Start a worker."""
        name = f"worker-{next(self._numbers)}"
        log = self.folder / name
        with (self.folder / "complaints").open("ab") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-IS", "-c", WORKER, self.queue, self.mount.path / name, log],
                stdin=subprocess.PIPE,
                stderr=complaints,
            )
        self.workers.append(Worker(log, process, os.pidfd_open(process.pid)))

    def running(self) -> list[Worker]:
        """Return the workers that weren't killed."""
        return [worker for worker in self.workers if not worker.killed]

    def kill_until_done(self) -> None:
        """Kill one after another, and replace it, until no message is left, nor on loan."""
        chance = random.Random(1)  # noqa: S311  # no secret
        end = time.monotonic() + STORM_S
        # Nothing comes back between these two: nobody is killed.
        while counted(self.queue, "messages") or counted(self.queue, "lent"):
            assert time.monotonic() < end, f"{counted(self.queue, 'messages')} are left"
            victim = chance.choice(self.running())
            assert not victim.ends_within(KILL_EVERY_S), f"{victim.log.name} has ended"
            victim.kill()
            self.add()

    def finish(self) -> None:
        """Tell all to end, which they do well."""
        for worker in self.running():
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        for worker in self.running():
            assert worker.process.wait(DEADLINE_S) == 0
        assert (self.folder / "complaints").read_text() == ""


def counted(queue: Path, what: str) -> int:
    """Return what a queue has counted."""
    return int(os.getxattr(queue, f"user.eventfs_{what}"))


@pytest.fixture
def storm(mount: Mount, tmp_path: Path) -> Iterator[Storm]:
    """A full queue, in a mount of the test's own, and workers that have begun."""
    queue = mount.path / "queue"
    queue.mkdir()
    lines = [b"%d\n" % number for number in range(MESSAGES)]
    with (queue / ".lines").open("wb", buffering=0) as port:
        for start in range(0, MESSAGES, 1000):
            port.write(b"".join(lines[start : start + 1000]))
    (tmp_path / "logs").mkdir()
    storm = Storm(mount, queue, messages(queue), tmp_path / "logs")
    try:
        for _ in range(WORKERS):
            storm.add()
        yield storm
    finally:
        for worker in storm.workers:
            worker.close()


def test_each_claimed_message_is_done_whoever_is_killed(storm: Storm) -> None:
    names = storm.names
    began = time.monotonic()
    storm.kill_until_done()
    took_s = time.monotonic() - began
    storm.finish()
    of_workers = [list(worker.claims()) for worker in storm.workers]
    by_name = defaultdict[str, list[Claim]](list)
    for claim in (claim for claims in of_workers for claim in claims):
        by_name[claim.name].append(claim)
    check_nothing_is_left(storm)
    check_each_is_done(by_name, names)
    check_only_what_the_dead_held_comes_twice(by_name)
    check_attempts(by_name)
    check_order(by_name, names)
    check_workers_order(of_workers)
    claimed_again = sum(
        sum(one.number is not None for one in claims) - 1 for claims in by_name.values()
    )
    assert claimed_again, "nobody was killed with a message"
    _log.info(
        "%s messages in %.1f s; workers killed: %d; claimed again: %d; done again: %d",
        f"{MESSAGES:,}",
        took_s,
        sum(worker.killed for worker in storm.workers),
        claimed_again,
        sum(sum(one.done for one in claims) - 1 for claims in by_name.values()),
    )


def check_nothing_is_left(storm: Storm) -> None:
    """Nothing is in the queue or was dropped, and the workers' queues are gone with them."""
    assert [path.name for path in storm.mount.path.iterdir()] == ["queue"]
    assert messages(storm.queue) == []
    assert [counted(storm.queue, what) for what in ("lent", "dropped", "expired")] == [0, 0, 0]
    storm.queue.rmdir()
    wait_until_empty(storm.mount)


def check_each_is_done(by_name: dict[str, list[Claim]], names: list[str]) -> None:
    """None is lost: each has been done, under the name that it had at first."""
    assert by_name.keys() == set(names)
    numbers = {name: number for number, name in enumerate(names)}
    for name, claims in by_name.items():
        assert any(claim.done for claim in claims), name
        assert {claim.number for claim in claims} <= {numbers[name], None}


def check_only_what_the_dead_held_comes_twice(by_name: dict[str, list[Claim]]) -> None:
    """Of all who claimed a message all but one were killed with it."""
    for claims in by_name.values():
        assert sum(not claim.cut for claim in claims) <= 1, claims


def check_attempts(by_name: dict[str, list[Claim]]) -> None:
    """Each claimer saw how many had been killed with the message before.

    Who was killed with a claim tried, and not logged, may have had it or not.
    """
    for claims in by_name.values():
        unsure = sum(claim.number is None for claim in claims)
        attempts = sorted(claim.attempts for claim in claims if claim.number is not None)
        assert len(set(attempts)) == len(attempts), claims
        for before, seen in enumerate(attempts):
            assert before <= seen <= before + unsure, claims


def check_order(by_name: dict[str, list[Claim]], names: list[str]) -> None:
    """Nobody is shown a message at head before all older ones have been claimed for the first time.

    A worker saw a message at head before it logged when; by then each older message had left the
    queue, for the first time at the earliest, so the rename that took it had begun before. That is
    what clocks can show of "messages are first delivered in order": which of two renames that
    overlap is first nobody can tell.
    """
    first = [min(claim.when_ns for claim in by_name[name]) for name in names]
    for name, latest_before in zip(names[1:], accumulate(first, max), strict=False):
        assert latest_before <= min(claim.when_ns for claim in by_name[name]), name


def check_workers_order(of_workers: list[list[Claim]]) -> None:
    """What a worker is the first to claim comes to it in order."""
    for claims in of_workers:
        fresh = [
            claim.number for claim in claims if claim.number is not None and not claim.attempts
        ]
        assert fresh == sorted(fresh)


# Waking


#: argv: the queue. For each line of input waits until there is a message, says when it was, and
#: leaves it.
WAITER = """
import os, select, sys, time
waits = select.poll()
waits.register(os.open(sys.argv[1] + "/.pipe", os.O_RDONLY | os.O_NONBLOCK), select.POLLIN)
print("ready", flush=True)
for line in sys.stdin:
    ((_, events),) = waits.poll()
    print(time.monotonic_ns(), events == select.POLLIN, flush=True)
"""

#: argv: the queue, a lease queue to make. Claims the only message, and keeps it.
HOLDER = """
import os, sys
queue, own = sys.argv[1:]
os.mkdir(own)
os.setxattr(own, "user.eventfs_lease", b"")
os.rename(queue + "/message", own + "/message")
print("claimed", flush=True)
sys.stdin.read()
"""


def waits_in_poll(child: Child) -> bool:
    """Tell whether a process sleeps in poll(2)."""
    return "poll" in Path(f"/proc/{child.process.pid}/wchan").read_text()


def test_a_return_wakes_who_waits_for_a_message(queue: Path, start: Callable[..., Child]) -> None:
    (queue / "message").touch()
    waiter = start(WAITER, queue)
    took_ms = []
    for number in range(WAKES):
        holder = start(HOLDER, queue, queue.with_name("holder"))
        assert holder.line == "claimed"
        assert waiter.process.stdin is not None
        waiter.process.stdin.write(b"\n")
        wait_until(lambda: waits_in_poll(waiter), "the waiter to sleep")
        killed_ns = time.monotonic_ns()
        holder.end()
        when, readable = waiter.read_line().split()
        assert readable == "True"
        assert messages(queue) == ["message"]
        assert int(os.getxattr(queue / "message", "user.eventfs_attempts")) == number + 1
        holder.close()
        took_ms.append((int(when) - killed_ns) / 1e6)
    took_ms.sort()
    _log.info(
        "woken after a kill: p50 %.2f ms, p99 %.2f ms",
        took_ms[WAKES // 2],
        took_ms[WAKES * 99 // 100],
    )
