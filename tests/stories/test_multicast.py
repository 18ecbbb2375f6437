"""The example of a multicast in shell."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mounts import DEADLINE_S, Mount, names, wait_until

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/multicast.sh"
SUBSCRIBERS = {"anna", "ben", "cleo"}
MESSAGES = ["message 1", "message 2", "message 3", "message bye"]


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", EXAMPLE, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture(scope="module")
def printed(shared_mount: Mount) -> list[str]:
    done = run(shared_mount.path)
    assert (done.returncode, done.stderr) == (0, "")
    # Here, as long as no other test has the time to make queues.
    assert names(shared_mount.path) == []
    return done.stdout.splitlines()


def test_each_subscriber_gets_each_message_in_order(printed: list[str]) -> None:
    got: dict[str, list[str]] = {name: [] for name in SUBSCRIBERS}
    for line in printed:
        name, _, message = line.partition(" got: ")
        got[name].append(message)
    assert got == dict.fromkeys(SUBSCRIBERS, MESSAGES)


def test_a_shell_finds_no_fault_in_it() -> None:
    subprocess.run(["sh", "-n", EXAMPLE], check=True)


def test_it_can_be_run_by_its_name(shared_mount: Mount) -> None:
    done = subprocess.run([EXAMPLE, shared_mount.path], stdout=subprocess.PIPE, check=True)
    assert len(done.stdout.splitlines()) == len(SUBSCRIBERS) * len(MESSAGES)


@pytest.mark.parametrize("arguments", [[], ["one", "two", "three"]])
def test_it_says_how_to_use_it(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_on_any_other_directory_it_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert "not an eventfs" in done.stderr
    assert names(tmp_path) == []


@pytest.fixture
def running(shared_mount: Mount) -> Iterator["subprocess.Popen[str]"]:
    """The example, from when it has printed its first line, in a process group of its own."""
    process = subprocess.Popen(
        ["sh", EXAMPLE, shared_mount.path],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    assert " got: " in process.stdout.readline()
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def is_group_gone(group: int) -> bool:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_interrupted_it_leaves_nothing(
    running: "subprocess.Popen[str]", shared_mount: Mount, number: signal.Signals
) -> None:
    running.send_signal(number)
    running.communicate(timeout=DEADLINE_S)
    wait_until(lambda: is_group_gone(running.pid), "the end of all its processes")
    assert not SUBSCRIBERS & set(names(shared_mount.path))
