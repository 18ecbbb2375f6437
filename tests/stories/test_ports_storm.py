"""The storm through ports: 8 writers and 8 readers, half of them by ports and half by names.

They are written in C, Python and shell, and are many more than small machines have processors, so
they are interrupted anywhere. No message is lost, doubled, cut or out of order; where readers are
killed, what they were taking is all that is lost.

A message through a port is one request, by its name it is many, and a shell starts two programs for
each that it links into the queue: so four of five messages are written to ports, and one of a
hundred is linked by a shell. Who takes how many is for the readers to settle; but who is slow finds
nearly each time that another was faster, so for a part of the time the faster ones are stopped,
wherever they are. With `--log-cli-level=INFO` the figures are shown.

The usual number of messages takes some seconds. A million takes a quarter of an hour:

    STORM_MESSAGES=1000000 .venv/bin/pytest tests/stories/test_ports_storm.py --log-cli-level=INFO
"""

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.mounts import Mount, names
from tests.stories.mixed_storm import Kind, MixedStorm, Stormer, by_writer, compile_stormer

#: A multiple of a thousand.
MESSAGES = int(os.environ.get("STORM_MESSAGES", "20000"))

#: The machine may have few processors and much else to do.
DEADLINE_S = 100 + MESSAGES // 100

#: The writers, and how many of a thousand messages each writes.
WRITERS = (
    (Kind("c", ".pipe"), 300),
    (Kind("python", ".pipe"), 250),
    (Kind("sh", ".pipe"), 50),
    (Kind("python", ".lines"), 200),
    (Kind("c", "file"), 70),
    (Kind("c", "file"), 60),
    (Kind("python", "file"), 60),
    (Kind("sh", "file"), 10),
)

READERS = (
    Kind("c", ".pipe"),
    Kind("python", ".pipe"),
    Kind("sh", ".pipe"),
    Kind("python", ".lines"),
    Kind("c", "file"),
    Kind("c", "file"),
    Kind("python", "file"),
    Kind("sh", "file"),
)

#: Somebody is killed so many seconds after the one before.
KILL_EVERY_S = (0.05, 0.1)

#: Who may read, turn by turn. In a shell to take a message by its name is three programs.
TURNS = (
    (Kind("sh", "file"),),
    tuple(kind for kind in READERS if kind.way == "file"),
    READERS,
    READERS,
)

#: How long a turn is, in seconds, or in processes that are killed meanwhile.
TURN_S = 0.3
TURN_KILLS = 4

pytestmark = pytest.mark.timeout(2 * DEADLINE_S + 60)

_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def stormer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The writers and readers in C."""
    return compile_stormer(tmp_path_factory.mktemp("stormer"))


@pytest.fixture
def storm(mount: Mount, stormer: Path, tmp_path: Path) -> Iterator[MixedStorm]:
    """A storm that has begun, in a mount of the test's own."""
    (tmp_path / "logs").mkdir()
    storm = MixedStorm(mount, stormer, tmp_path / "logs")
    try:
        for kind in READERS:
            storm.add_reader(kind)
        for kind, share in WRITERS:
            storm.add_writer(kind, MESSAGES * share // 1000)
        yield storm
    finally:
        storm.close()


def running(processes: list[Stormer]) -> list[Stormer]:
    """Return those that haven't ended."""
    return [one for one in processes if one.runs()]


def all_taken(storm: MixedStorm) -> Counter[tuple[str, int]]:
    """Return how often each message was taken; check that each reader took them in order."""
    times = Counter[tuple[str, int]]()
    shares = Counter[Kind]()
    for reader in storm.readers:
        taken = reader.taken()
        for numbers in by_writer(taken).values():
            assert numbers == sorted(numbers), reader
        times.update(taken)
        shares[reader.kind] += len(taken)
    for kind in READERS:
        assert shares[kind], f"{kind} took nothing"
    _log.info("taken: %s", ", ".join(f"{'/'.join(kind)} {n:,}" for kind, n in shares.items()))
    return times


def test_each_message_is_taken_once_whichever_way_it_comes_and_goes(storm: MixedStorm) -> None:
    began = time.monotonic()
    for kinds in cycle(TURNS):
        if not (writers := running(storm.writers)):
            break
        assert time.monotonic() < began + DEADLINE_S, f"these hang: {writers}"
        storm.let_read(kinds)
        writers[0].wait(TURN_S)
    storm.finish(DEADLINE_S)
    _log.info("%s messages in %.1f s", f"{MESSAGES:,}", time.monotonic() - began)
    assert names(storm.queue) == []
    times = all_taken(storm)
    assert times.total() == MESSAGES
    assert times == Counter(
        (writer.name, number) for writer in storm.writers for number in range(writer.messages)
    )


def kill_until_all_is_written(storm: MixedStorm) -> None:
    """Kill now this process, now that one, and replace it, until the writers have ended."""
    chance = random.Random(1)  # noqa: S311  # no secret
    end = time.monotonic() + DEADLINE_S
    while writers := running(storm.writers):
        assert time.monotonic() < end, f"these hang: {writers}"
        readers = running(storm.readers)
        assert len(readers) == len(READERS), storm.complaints.read_text()
        victim = chance.choice([*writers, *readers])
        if not victim.wait(chance.uniform(*KILL_EVERY_S)):
            storm.replace(victim)
        storm.let_read(TURNS[storm.kills.total() // TURN_KILLS % len(TURNS)])


def test_what_killed_readers_were_taking_is_all_that_is_lost(storm: MixedStorm) -> None:
    began = time.monotonic()
    kill_until_all_is_written(storm)
    storm.finish(DEADLINE_S)
    took_s = time.monotonic() - began
    assert names(storm.queue) == []
    assert storm.kills["writer"]
    assert storm.kills["reader"]
    times = all_taken(storm)
    assert [message for message, number in times.items() if number > 1] == []
    written = {
        (writer.name, number) for writer in storm.writers for number in range(writer.logged_bytes)
    }
    assert len(written) >= MESSAGES
    check_unlogged(storm.writers, times.keys() - written)
    lost = written - times.keys()
    _log.info(
        "%s messages in %.1f s; killed: %s; lost with their readers: %d; in but not logged: %d",
        f"{len(written):,}",
        took_s,
        dict(storm.kills),
        len(lost),
        len(times.keys() - written),
    )
    assert len(lost) <= sum(one.kind.most_taken for one in storm.readers if one.killed)


def check_unlogged(writers: list[Stormer], found: set[tuple[str, int]]) -> None:
    """Check that what was in without being logged is the last that a killed writer wrote."""
    of_names = {one.name: one for one in writers}
    for name, number in found:
        writer = of_names[name]
        assert writer.killed
        assert writer.logged_bytes <= number < writer.logged_bytes + writer.kind.batch
