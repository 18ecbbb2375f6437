"""Messages move between queues while others race for them, look for them and list them.

`RACE_RENAMES` says how many messages are raced for; ten times as many moves are observed. With
10,000 it takes some minutes:

    RACE_RENAMES=10000 .venv/bin/pytest --timeout=3600 tests/stories/test_moves.py
"""

import errno
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mount.making import listed, messages
from tests.mount.processes import Fork, Forked
from tests.mounts import DEADLINE_S

#: How many messages are raced for; ten times as many moves are observed.
RENAMES = int(os.environ.get("RACE_RENAMES", "200"))

RACERS = 8


@pytest.fixture
def other(queue: Path, fork: Fork) -> Path:
    """A second queue."""
    path = queue.with_name("other-side")
    fork(path.mkdir)
    return path


def take_all(queue: Path, into: Path, names: list[str]) -> list[str]:
    """Try to move each message; return those that this process has moved."""
    mine = []
    for name in names:
        with suppress(FileNotFoundError):
            (queue / name).rename(into / name)
            mine.append(name)
    return mine


def test_of_many_who_rename_a_message_away_one_gets_it(queue: Path, fork: Fork) -> None:
    names = [f"{number}" for number in range(RENAMES)]
    for name in names:
        (queue / name).touch()
    targets = [queue.with_name(f"racer-{number}") for number in range(RACERS)]
    for target in targets:
        fork(target.mkdir)
    racers = [
        Forked(lambda target=target: take_all(queue, target, names))  # type: ignore[misc]
        for target in targets
    ]
    try:
        won = [racer.result(DEADLINE_S + RENAMES / 10) for racer in racers]
    finally:
        for racer in racers:
            racer.end()
    assert Counter(name for mine in won for name in mine) == Counter(names)
    for target, mine in zip(targets, won, strict=True):
        assert messages(target) == mine
    assert messages(queue) == []


def observe(here: Path, there: Path, done: Path) -> tuple[int, list[str]]:
    """Look for `ball` in both until *done* is there; return how often, and what was wrong."""
    looks, wrong = 0, []
    while not done.exists():
        looks += 1
        for queue in (here, there):
            with suppress(FileNotFoundError):
                if (queue / "ball").stat().st_nlink != 1:
                    wrong.append("a link count")
            try:
                with (queue / "ball").open("rb") as file:
                    if file.read() != b"content":
                        wrong.append("content")
            except OSError as error:
                if error.errno != errno.ENOENT:
                    wrong.append(str(error))
            names = listed(queue)
            if names not in (["head", "stays", "tail"], ["head", "stays", "ball", "tail"]):
                wrong.append(str(names))
    return looks, wrong


def test_a_moved_message_is_never_seen_at_its_old_name(queue: Path, other: Path) -> None:
    for side in (queue, other):
        (side / "stays").touch()
    (queue / "ball").write_bytes(b"content")
    done = queue.with_name("done")
    observers = [Forked(lambda: observe(queue, other, done)) for _ in range(2)]
    try:
        here, there = queue, other
        for _ in range(10 * RENAMES):
            (here / "ball").rename(there / "ball")
            # Who moved it knows where it is.
            assert not (here / "ball").exists()
            assert (there / "ball").exists()
            here, there = there, here
        done.mkdir()
        for observer in observers:
            looks, wrong = observer.result()
            assert looks
            assert not wrong
    finally:
        for observer in observers:
            observer.end()
        with suppress(FileNotFoundError):
            done.rmdir()
