"""wait: until there is a message, or none, or no queue."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventq.conftest import Start
from tests.eventq.running import contents, fill, run, succeed
from tests.mounts import MAKE_QUEUE, Child


def test_a_message_that_is_there_isnt_waited_for(queue: Path) -> None:
    fill(queue, b"text")
    assert succeed("wait", queue) == b""
    assert contents(queue) == [b"text"]


def test_a_message_is_waited_for(queue: Path, begin_waiting: Start) -> None:
    waiting = begin_waiting("wait", queue)
    (queue / "name").touch()
    assert waiting.end() == (0, b"", b"")


def test_emptiness_is_waited_for(queue: Path, begin_waiting: Start) -> None:
    fill(queue, b"text")
    waiting = begin_waiting("wait", "--empty", queue)
    (queue / "head").unlink()
    assert waiting.end() == (0, b"", b"")


def test_an_empty_queue_isnt_waited_for(queue: Path) -> None:
    assert succeed("wait", "--empty", queue) == b""


def test_the_end_is_waited_for(queue: Path, begin_waiting: Start) -> None:
    waiting = begin_waiting("wait", "--gone", queue)
    fill(queue, b"text")
    (queue / "head").unlink()
    assert waiting.process.poll() is None
    queue.rmdir()
    assert waiting.end() == (0, b"", b"")


def test_what_isnt_there_is_gone(root: Path) -> None:
    assert run("wait", "--gone", root / "missing") == (0, b"", b"")


@pytest.mark.parametrize("what", [[], ["--empty"], ["--gone"]])
@pytest.mark.parametrize("timeout", ["0", "0.1"])
def test_a_timeout_is_status_1(queue: Path, what: list[str], timeout: str) -> None:
    if what:
        fill(queue, b"text")
    began = time.monotonic()
    assert run("wait", *what, "--timeout", timeout, queue) == (1, b"", b"")
    assert time.monotonic() - began >= float(timeout)


@pytest.mark.parametrize("what", [[], ["--empty"]])
def test_a_queue_that_vanishes_meanwhile_is_status_7(
    path: Path, start: Callable[..., Child], begin_waiting: Start, what: list[str]
) -> None:
    owner = start(MAKE_QUEUE, path)
    if what:
        fill(path, b"text")
    waiting = begin_waiting("wait", *what, path)
    owner.end()
    done = waiting.end()
    assert done.status == 7
    assert str(path) in done.complaint
