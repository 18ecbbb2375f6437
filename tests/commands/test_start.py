"""How the command starts: in the background or not, and when it returns."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.commands.daemons import EVENTFS, Commands, mounts
from tests.mounts import DEADLINE_S, Mount, is_mounted, names, wait_until


def test_the_command_goes_into_the_background(commands: Commands) -> None:
    daemon = commands.mount("events")
    assert commands.is_mounted()
    assert not daemon.ended()


def test_the_mount_is_usable_when_the_command_returns(commands: Commands, mountpoint: Path) -> None:
    for number in range(10):
        daemon = commands.mount("events")
        (mountpoint / f"queue-{number}").mkdir()
        subprocess.run(["umount", mountpoint], check=True)
        assert daemon.wait() == 0


def test_a_shell_uses_the_mount_in_the_next_command(commands: Commands) -> None:
    daemon = commands.mount(script='"$eventfs" events && ls events && umount events')
    assert commands.ended_well(daemon)


def test_the_daemon_keeps_nothing_of_its_callers_output_open(commands: Commands) -> None:
    # `run` returns when the last process has closed the pipes, or fails at its deadline.
    daemon = commands.mount("events")
    assert all(
        Path(f"/proc/{daemon.pid}/fd/{fd}").readlink() == Path(os.devnull) for fd in (0, 1, 2)
    )


def test_auto_unmount_keeps_nothing_of_the_callers_output_open(commands: Commands) -> None:
    commands.mount("-o", "auto_unmount", "events")


def test_no_descriptor_of_the_caller_stays_open(commands: Commands) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # noqa: FBT003  # os.set_inheritable takes no keywords
    subprocess.run([EVENTFS, "events"], cwd=commands.folder, pass_fds=[writer], check=True)
    os.close(writer)
    os.set_blocking(reader, False)  # nor does this one
    try:
        assert os.read(reader, 1) == b"", "the daemon holds the pipe"
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    "closed",
    ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"],
    ids=["stdin", "stdout", "stderr", "stdin and stdout", "stdout and stderr", "all three"],
)
def test_a_caller_may_have_closed_its_standard_descriptors(
    commands: Commands, mountpoint: Path, closed: str
) -> None:
    commands.mount(script=f'exec "$eventfs" events {closed}')
    (mountpoint / "queue").mkdir()


def test_the_daemon_says_nothing_on_its_callers_terminal_and_leaves_it(commands: Commands) -> None:
    leader, terminal = pty.openpty()
    process = subprocess.Popen(
        [EVENTFS, "events"],
        cwd=commands.folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    assert process.wait(DEADLINE_S) == 0
    os.set_blocking(leader, False)
    try:
        # EIO: nobody has it open any more.
        with pytest.raises(OSError, match="Input/output error"):
            os.read(leader, 1)
    finally:
        os.close(leader)
    assert commands.is_mounted()


def test_the_daemon_survives_its_callers_session(commands: Commands) -> None:
    # setsid: the shell leads a session that ends with it; its processes are hung up.
    daemon = commands.mount(
        script="""{ setsid sh -c '"$eventfs" events; kill -HUP 0' || :; } 2>/dev/null"""
    )
    assert not daemon.ended()
    assert commands.is_mounted()


def test_the_daemon_works_in_the_root_directory(commands: Commands) -> None:
    daemon = commands.mount("events")
    assert Path(f"/proc/{daemon.pid}/cwd").readlink() == Path("/")


def test_in_the_foreground_the_command_stays(commands: Commands, mountpoint: Path) -> None:
    process = subprocess.Popen([EVENTFS, "-f", mountpoint])
    try:
        wait_until(commands.is_mounted, "the mount")
        names(mountpoint)
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


def test_the_foreground_keeps_its_working_directory(commands: Commands, mountpoint: Path) -> None:
    process = subprocess.Popen([EVENTFS, "-f", mountpoint], cwd=commands.folder)
    try:
        wait_until(commands.is_mounted, "the mount")
        assert Path(f"/proc/{process.pid}/cwd").readlink() == commands.folder
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def test_a_daemon_whose_command_was_killed_meanwhile_leaves_no_mount(
    commands: Commands, mountpoint: Path
) -> None:
    code = """
import os, signal, sys
from eventfs.mount import session
serve = session.serve
def abandoned(*args, **keywords):
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        pass
    serve(*args, **keywords)
session.serve = abandoned
from eventfs.commands.eventfs import main
sys.exit(main())
"""
    before = {child.pid for child in psutil.Process().children()}
    done = commands.run(mountpoint, command=(sys.executable, "-c", code))
    assert done.returncode == -signal.SIGKILL
    commands.adopted(before).wait()
    assert not commands.is_mounted()


def test_single_threaded_is_accepted(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-s", "events")
    (mountpoint / "queue").mkdir()


@pytest.fixture(params=[("-d",), ("-o", "debug"), ("-f", "-d")], ids=" ".join)
def traced(request: pytest.FixtureRequest, mounter: Callable[..., Mount]) -> Mount:
    mount = mounter(*request.param)
    mount.expected.append("eventfs: ")
    return mount


def test_debugging_shows_each_request(traced: Mount) -> None:
    queue = traced.path / "queue"
    queue.mkdir()
    (queue / "message").write_text("text")
    assert (queue / "head").read_text() == "text"
    (queue / "head").unlink()
    queue.rmdir()
    for request in ("mkdir", "lookup", "create", "write", "readlink", "open", "unlink"):
        assert f"eventfs: {request}(" in traced.said()
    assert "eventfs: mkdir(1, b'queue')" in traced.said()
    assert "eventfs: rmdir(1, b'queue')" in traced.said()


def test_debugging_shows_what_was_refused(traced: Mount) -> None:
    assert not (traced.path / "absent").exists()
    assert "lookup(1, b'absent'): No such file or directory" in traced.said()


def test_without_debugging_no_request_is_shown(mounter: Callable[..., Mount]) -> None:
    mount = mounter()
    (mount.path / "queue").mkdir()
    assert mount.said() == ""


@pytest.mark.parametrize(
    "name",
    ["with space", "größe", "a,b\\c", "line\nbreak", "-dash", os.fsdecode(b"\xff\xfe")],
    ids=["space", "umlaut", "comma and backslash", "newline", "dash", "not UTF-8"],
)
def test_a_mountpoint_may_have_any_name(commands: Commands, name: str) -> None:
    path = commands.folder / name
    path.mkdir()
    commands.mount("--", name)
    (path / "queue").mkdir()
    assert (path / "queue").stat().st_dev != commands.folder.stat().st_dev


@pytest.mark.parametrize("name", ["events/", "./events", "events/.", "other/../events"])
def test_a_relative_mountpoint_may_be_written_in_any_way(
    commands: Commands, mountpoint: Path, name: str
) -> None:
    (commands.folder / "other").mkdir()
    daemon = commands.mount(name)
    (mountpoint / "queue").mkdir()
    daemon.kill(signal.SIGTERM)
    assert not commands.is_mounted()


def test_a_mountpoint_may_be_a_symlink(commands: Commands) -> None:
    (commands.folder / "link").symlink_to("events")
    daemon = commands.mount("link")
    assert commands.is_mounted()
    assert daemon.kill(signal.SIGTERM) == 0
    assert not commands.is_mounted()


def test_a_second_mount_covers_the_first(commands: Commands, mountpoint: Path) -> None:
    commands.mount("events")
    (mountpoint / "first").mkdir()
    second = commands.mount("events")
    assert not (mountpoint / "first").exists()
    assert second.kill(signal.SIGTERM) == 0
    assert (mountpoint / "first").exists()


def test_the_mount_is_in_the_systems_list(commands: Commands, mountpoint: Path) -> None:
    commands.mount("events")
    assert is_mounted(mountpoint)
    source, kind, _ = mounts()[str(mountpoint)]
    assert (source, kind) == ("eventfs", "fuse.eventfs")
