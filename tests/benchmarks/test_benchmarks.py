"""The benchmarks run, say what is missing, and leave nothing behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.peers import all_peers
from tests.mounts import DEADLINE_S, wait_until

ROOT = Path(__file__).parents[2]
POP = ROOT / "benchmarks/pop.py"

#: Those that need nothing but what eventfs and its tests need.
ALWAYS = {"eventfs", "tmpfs"}


@contextmanager
def started(folder: Path, *arguments: str, path: str = "") -> Iterator["subprocess.Popen[str]"]:
    """Start the command in a folder of the test's own; interrupt it, if need be."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path or os.environ["PATH"]}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()


def measured(folder: Path, *arguments: str, path: str = "") -> Any:  # noqa: ANN401  # JSON
    """Measure publishing and consuming in turns; return what the command wrote."""
    arguments = ("--only", "turns", "--quick", "--json", "found.json", *arguments)
    with started(folder, *arguments, path=path) as process:
        said, _ = process.communicate(timeout=100)
    assert process.returncode == 0, said
    return json.loads((folder / "found.json").read_text())


def commands() -> Iterator[tuple[int, list[str]]]:
    """Return all processes' parents and command lines."""
    for process in psutil.process_iter(["ppid", "cmdline"]):
        yield process.info["ppid"], process.info["cmdline"] or []


def left_by(pid: int) -> list[object]:
    """Return what is left of a run: mounts, processes, files, POSIX queues."""
    folder = f"eventfs-bench-{pid}-"
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if folder in line]
    processes = [command for _, command in commands() if folder in " ".join(command)]
    bases = (Path("/dev/shm"), Path("/tmp"), Path("/dev/mqueue"))  # noqa: S108  # only looked at
    return [*mounts, *processes, *(found for base in bases for found in base.glob(f"{folder}*"))]


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Path]:
    """A queue of floor.c's."""
    peer = next(peer for peer in all_peers() if peer.label == "floor.c")
    try:
        peer.start(tmp_path / "floor.c")
        yield Path(peer.where, "q0")
    finally:
        peer.stop()


def test_a_run_measures_every_peer_that_is_installed(tmp_path: Path) -> None:
    found = measured(tmp_path)
    labels = {peer.label for peer in all_peers()}
    assert [row["key"] for row in found["rows"]] == ["turns one CPU rate", "turns free rate"]
    for row in found["rows"]:
        assert set(row["values"]) | set(found["missing"]) == labels
        assert set(row["values"]) >= ALWAYS
        assert all(value > 1 for value in row["values"].values()), row
        assert row["ratios"]["eventfs"] == 1
        assert row["notes"] == {}


def test_a_missing_peer_is_reported_and_nothing_here_is_touched(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("fusermount3", "umount"):
        if path := shutil.which(tool):
            (tools / tool).symlink_to(path)
    (tmp_path / "precious").write_text("content")
    peers = (f"--peer={label}" for label in ("eventfs", "floor.c", "Redis", "tmpfs"))
    found = measured(tmp_path, *peers, path=str(tools))
    assert "apt install gcc" in found["missing"]["floor.c"]
    assert "install" in found["missing"]["Redis"]
    assert set(found["rows"][0]["values"]) == ALWAYS
    assert {path.name for path in tmp_path.iterdir()} == {"tools", "precious", "found.json"}
    assert (tmp_path / "precious").read_text() == "content"


@pytest.mark.parametrize("workload", ["pingpong", "deaths", "long"])
def test_ctrl_c_leaves_no_mount_process_or_file(tmp_path: Path, workload: str) -> None:
    with started(tmp_path, "--only", workload) as process:
        # All peers are up when a client is, or pop.py.
        wait_until(
            lambda: any(
                parent == process.pid and {"benchmarks.clients", str(POP)} & set(command)
                for parent, command in commands()
            ),
            "the first round",
        )
        assert left_by(process.pid)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, said
    assert left_by(process.pid) == []
    assert list(tmp_path.iterdir()) == []


def test_floor_c_compiles_and_plays_the_basic_trace(floor: Path) -> None:
    (floor / "msg").write_text("message text\n")
    assert [path.name for path in floor.iterdir()] == ["head", "msg", "tail"]
    (floor / "msg2").touch()
    assert [str((floor / end).readlink()) for end in ("head", "tail")] == ["msg", "msg2"]
    assert (floor / "head").read_text() == "message text\n"
    (floor / "head").unlink()
    assert [str((floor / end).readlink()) for end in ("head", "tail")] == ["msg2", "msg2"]
    (floor / "tail").unlink()
    assert list(floor.iterdir()) == []
