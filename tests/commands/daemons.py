"""The command as its users run it: what it says, and the daemon that it leaves behind."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.mounts import DEADLINE_S, abort, is_mounted, wait_until

#: The installed command.
EVENTFS = Path(sys.executable).with_name("eventfs")

#: The command run by another user, who may have no right to the folder it is installed in: so all
#: is imported before the process becomes that user (argv[1]).
EVENTFS_AS = """
import importlib.metadata, os, sys
from eventfs.commands.eventfs import main
uid = int(sys.argv.pop(1))
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
sys.exit(main())
"""

#: A user who owns nothing here.
NOBODY = 65534

#: PR_SET_CHILD_SUBREAPER of linux/prctl.h.
_PR_SET_CHILD_SUBREAPER = 36

#: What the command leaves behind, by their names as processes.
_DAEMONS = ("eventfs", "fusermount3")


@contextmanager
def adopting() -> Iterator[None]:
    """Become the parent of all orphans below this process: it can read their exit status then."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def mounts(pid: int | str = "self") -> dict[str, tuple[str, str, set[str]]]:
    """Return source, type and options of each mount, by its path, as the process *pid* sees it."""
    lines = os.fsdecode(Path(f"/proc/{pid}/mounts").read_bytes()).rstrip("\n").split("\n")
    # The kernel writes white space and backslashes as octal numbers.
    rows = [[_unescape(field) for field in line.split(" ")] for line in lines]
    return {path: (source, kind, set(flags.split(","))) for source, path, kind, flags, *_ in rows}


def _unescape(field: str) -> str:
    for char in " \t\n#":
        field = field.replace(f"\\{ord(char):03o}", char)
    return field.replace("\\134", "\\")


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a command failed with one line, and return that line."""
    assert done.returncode != 0, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("eventfs: "), done
    return lines[0].removeprefix("eventfs: ")


class Daemon:
    """A daemon in the background, which this process has adopted."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None

    def ended(self) -> bool:
        """Tell whether it has ended; `status` says how."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait(self) -> int:
        """Wait for its end and return its exit status."""
        wait_until(self.ended, "the daemon's end")
        assert self.status is not None
        return self.status

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send it a signal and return its exit status."""
        os.kill(self.pid, number)
        return self.wait()


class Commands:
    """Runs commands below a folder; what they leave behind is gone after `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mountpoint = folder / "events"
        self.mountpoint.mkdir()
        self.daemons: list[Daemon] = []
        self._before = {child.pid for child in psutil.Process().children()}

    def run(
        self, *arguments: str | Path, command: Sequence[str | Path] = (EVENTFS,), script: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the command (or *script*, with $eventfs) to its end, and to that of its output."""
        return subprocess.run(
            ["sh", "-c", script] if script else [*command, *arguments],
            cwd=self.folder,
            env={**os.environ, "eventfs": str(EVENTFS)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=DEADLINE_S,
            check=False,
        )

    def mount(
        self, *arguments: str | Path, command: Sequence[str | Path] = (EVENTFS,), script: str = ""
    ) -> Daemon:
        """Run the command, which is to succeed without a word; return its daemon."""
        before = {child.pid for child in psutil.Process().children()}
        done = self.run(*arguments, command=command, script=script)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
        return self.adopted(before)

    def adopted(self, before: set[int]) -> Daemon:
        """Return the one daemon that this process has adopted since its children were *before*."""
        after = [child.pid for child in psutil.Process().children() if child.pid not in before]
        assert len(after) == 1, "not one process was left behind"
        self.daemons.append(Daemon(after[0]))
        return self.daemons[-1]

    def is_mounted(self) -> bool:
        """Tell whether something is mounted on the mountpoint."""
        return is_mounted(self.mountpoint)

    def ended_well(self, daemon: Daemon) -> bool:
        """Wait for the daemon's end; tell whether it went with status 0 and without a trace."""
        return daemon.wait() == 0 and not self.is_mounted()

    def close(self) -> None:
        """Kill and unmount all that is left."""
        for path in self._mounts():
            abort(path)
        for daemon in self.daemons:
            if not daemon.ended():
                daemon.kill()
        while paths := self._mounts():
            # It may fail: auto_unmount may be at it too.
            subprocess.run(["umount", "-l", paths[-1]], stderr=subprocess.DEVNULL, check=False)
        for child in psutil.Process().children():
            if child.pid not in self._before and child.name() in _DAEMONS:
                Daemon(child.pid).kill()

    def _mounts(self) -> list[Path]:
        return [path for path in map(Path, mounts()) if path.is_relative_to(self.folder)]
