"""The benchmarks run, say what is missing, and leave nothing behind."""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.channels import close_all, opened
from benchmarks.peers import Missing, Peer, all_peers
from benchmarks.targets import Target
from benchmarks.workloads import Row
from tests.mounts import DEADLINE_S, wait_until

ROOT = Path(__file__).parents[2]
POP = ROOT / "benchmarks/pop.py"

#: Those that need nothing but what eventfs and its tests need.
ALWAYS = {"eventfs", "tmpfs"}

#: As many messages as a POSIX message queue has room for.
MESSAGES = [f"message {number}".encode().ljust(100, b".") for number in range(10)]


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


def measured(
    folder: Path, *arguments: str, only: tuple[str, ...] = ("turns",), path: str = ""
) -> Any:  # noqa: ANN401  # JSON
    """Measure publishing and consuming in turns, or else *only*; return what the command wrote."""
    arguments = (*(f"--only={name}" for name in only), *arguments)
    arguments = ("--quick", "--json", "found.json", *arguments)
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


@contextmanager
def serving(peer: Peer, folder: Path) -> Iterator[Peer]:
    """Start a peer; skip the test where it can't be had."""
    try:
        peer.start(folder)
        yield peer
    except Missing as why:
        pytest.skip(str(why))
    finally:
        close_all()
        peer.stop()


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


def test_floor_c_has_a_pipe_that_passes_a_message_a_call(floor: Path) -> None:
    pipe = floor / ".pipe"
    floor.chmod(0o730)
    found = pipe.stat()
    assert (stat.filemode(found.st_mode), found.st_size) == ("-rw-rw----", 0)
    (floor / "msg").write_text("by name")
    port = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(port, b"first\n")
        os.write(port, b"second\n")
        names = [path.name for path in floor.iterdir()]
        assert names[:2] + names[-1:] == ["head", "msg", "tail"]
        assert len(names) == 5
        assert (floor / names[2]).read_bytes() == b"first\n"
        with pytest.raises(OSError, match=os.strerror(errno.EMSGSIZE)):
            os.read(port, 3)
        assert [os.read(port, 100) for _ in range(3)] == [b"by name", b"first\n", b"second\n"]
        with pytest.raises(BlockingIOError):
            os.read(port, 100)
        with pytest.raises(OSError, match=os.strerror(errno.EMSGSIZE)):
            os.write(port, bytes(1 << 20))
        with pytest.raises(OSError, match=os.strerror(errno.ESPIPE)):
            os.pread(port, 100, 0)
    finally:
        os.close(port)
    assert list(floor.iterdir()) == []


def test_floor_c_s_pipe_is_always_there_and_drains_in_a_shell(floor: Path) -> None:
    pipe = floor / ".pipe"
    assert list(floor.iterdir()) == []
    with pytest.raises(FileExistsError):
        pipe.touch(exist_ok=False)
    with pytest.raises(PermissionError):
        pipe.unlink()
    with pytest.raises(PermissionError):
        os.truncate(pipe, 1)
    with pytest.raises(PermissionError):
        (floor / "msg").hardlink_to(pipe)
    pipe.write_text("one\n")  # with O_TRUNC, as a shell's redirection
    pipe.write_text("two\n")
    assert subprocess.check_output(["cat", pipe], text=True) == "one\ntwo\n"
    port = os.open(pipe, os.O_RDWR)
    try:
        floor.rmdir()
        with pytest.raises(OSError, match=os.strerror(errno.EIDRM)):
            os.read(port, 100)
        with pytest.raises(OSError, match=os.strerror(errno.EIDRM)):
            os.write(port, b"late")
    finally:
        os.close(port)


@pytest.mark.parametrize(
    ("peer", "port"),
    [
        pytest.param(peer, port, id=f"{peer.label}{port}")
        for peer in all_peers()
        for port in (".pipe", ".lines")
        if (peer.label, port) != ("floor.c", ".lines")  # which it hasn't got
    ],
)
def test_what_is_put_in_a_batch_is_taken_whole_and_in_order(
    tmp_path: Path, peer: Peer, port: str
) -> None:
    with serving(peer, tmp_path / "peer"):
        task = {"kind": peer.kind, "where": peer.where, "size": 100, "port": port}
        channel = opened(task, "q0")
        for _ in range(2):
            channel.put_many(MESSAGES)
            taken: list[bytes] = []
            while len(taken) < len(MESSAGES):
                taken += channel.take_many(len(MESSAGES) - len(taken))
            assert taken == MESSAGES
            channel.put(MESSAGES[0])
            assert channel.take() == MESSAGES[0]


def test_ports_and_followers_are_measured(tmp_path: Path) -> None:
    only = ("pipe", "lines", "ports", "million", "follow", "wake", "returned")
    found = measured(tmp_path, "--peer=eventfs", "--peer=tmpfs", only=only)
    values = {row["key"]: row["values"] for row in found["rows"]}
    both = {f"{name} {place} rate" for name in only[:2] for place in ("one CPU", "free")}
    itself = {
        *("ports one CPU bytes", "million one CPU s", "million free s"),
        *(f"follow one CPU {key}" for key in ("links", "ports", "ratio")),
        *(f"{name} free {key}" for name in ("wake", "returned") for key in ("p50", "p99")),
    }
    assert set(values) == both | itself
    assert all(value > 1 for key in both for value in values[key].values())
    assert all(values[key]["eventfs"] > 0 and values[key]["tmpfs"] is None for key in itself)
    assert all(row["notes"].get("eventfs") is None for row in found["rows"])
    links, ports = (values[f"follow one CPU {key}"]["eventfs"] for key in ("links", "ports"))
    assert links > 2 * ports
    # What wasn't there isn't compared with.
    verdicts = {target["target"]: target["verdict"] for target in found["targets"]}
    assert verdicts["≥ 5× of Redis"] == "not measured"


@pytest.mark.parametrize(("sign", "reached"), [("≥", 0.5), ("≤", 2.0)])
def test_a_target_of_several_peers_is_that_of_the_best(sign: str, reached: float) -> None:
    row = Row("key", "title", "/s", "free", {"eventfs": [2.0], "one": [4.0], "two": [1.0]})
    assert Target("key", 1, sign, ("one", "two")).reached(row) == reached
    assert Target("key", 1, sign, ("one", "two", "missing")).reached(row) is None
    assert Target("key", 1, sign).reached(row) == 2.0
