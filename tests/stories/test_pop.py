"""The benchmark of taking messages from long queues, with queues that aren't long."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mounts import DEADLINE_S, names, wait_until

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/pop.py"
SMALL = ("--short", "50", "--long", "500", "--pops", "40", "--rounds", "4")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the benchmark with its temporary files in a folder of the test's own."""
    processes = []

    def run(*arguments: str, stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, BENCHMARK, *arguments],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("fill", ["mknod", "link", "create"])
def test_it_prints_costs_ratios_and_the_whole_queues_figures(
    run: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, fill: str
) -> None:
    printed, complaints = run(*SMALL, "-f", fill).communicate(timeout=DEADLINE_S)
    assert complaints == ""
    for kind in ("head", "tail", "middle"):
        assert re.search(rf"^{kind} +\d+\.\d +\d+\.\d +\d+\.\d\d$", printed, re.MULTILINE)
    assert f"filled 500 messages with {fill} in " in printed
    assert "listed 502 names" in printed
    assert re.search(r"^daemon's memory: -?\d+ bytes a message$", printed, re.MULTILINE)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("ratio", "status"), [("1000", 0), ("0.001", 1)])
def test_its_status_tells_whether_a_ratio_is_too_large(
    run: Callable[..., "subprocess.Popen[str]"], ratio: str, status: int
) -> None:
    process = run(*SMALL, "--max-ratio", ratio)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(
    run: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, number: signal.Signals
) -> None:
    process = run()
    wait_until(lambda: list(tmp_path.glob("*/events/long")), "the long queue")
    process.send_signal(number)
    _, complaints = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, complaints) == (130, "pop.py: interrupted\n")
    assert names(tmp_path) == []


def test_a_person_is_shown_what_goes_on(run: Callable[..., "subprocess.Popen[str]"]) -> None:
    leader, terminal = pty.openpty()
    process = run(*SMALL, stderr=terminal)
    os.close(terminal)
    with os.fdopen(leader, "rb", buffering=0) as shown:
        assert b"taking: round 1 of 4" in shown.read(4096)
        process.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize(
    "arguments",
    [["--long", "0"], ["--pops", "5", "--rounds", "6"], ["-f", "magic"], ["--short", "9"]],
)
def test_what_makes_no_sense_is_refused(
    run: Callable[..., "subprocess.Popen[str]"], arguments: list[str]
) -> None:
    process = run(*arguments)
    printed, complaints = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, printed) == (2, "")
    assert "error: " in complaints


def test_help_teaches(run: Callable[..., "subprocess.Popen[str]"]) -> None:
    printed, _ = run("--help").communicate(timeout=DEADLINE_S)
    for words in ("ways to fill a queue", "examples:", "--max-ratio", "1,000,000"):
        assert words in printed
