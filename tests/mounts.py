"""Real mounts for tests: started, waited for, and gone at the end."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.interpreted import INTERPRETED

#: How long anything that is waited for may take, in seconds: much longer than it ever does.
DEADLINE_S = 20


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for *condition* to become true; fail with *what* was waited for."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s in vain: {what}"
        time.sleep(0.002)


def is_mounted(path: Path) -> bool:
    """Tell whether something is mounted on *path*."""
    mounts = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    return any(line.split()[1] == str(path) for line in mounts)


def names(directory: Path) -> list[str]:
    """List a directory, in the order in which it lists itself."""
    return [path.name for path in directory.iterdir()]


def abort(path: Path) -> None:
    """Cut a mount off from its daemon, which may hang: all that waits for it, it too, goes on."""
    ctypes.CDLL(None).umount2(os.fsencode(path), 1)  # MNT_FORCE


class Mount:
    """A daemon in the foreground, mounted on *path*.

    What it logs fails the test at the end, except for what `expected` says.
    """

    def __init__(
        self,
        path: Path,
        log: Path,
        *arguments: str,
        program: str = "",
        argv0: tuple[str, ...] = (),
    ) -> None:
        """Mount; *arguments* go to the command, and *program* is Python to run before it.

        It may change eventfs, which is interpreted then: what is compiled can't be changed.
        *argv0* is a command that starts the daemon and becomes it by exec.
        """
        self.path = path
        self.log = log
        self.expected: list[str] = []
        if program:
            program = INTERPRETED + program
        code = f"{program}\nimport sys\nfrom eventfs.commands.eventfs import main\nsys.exit(main())"
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*argv0, sys.executable, "-c", code, "-f", *arguments, str(path)], stderr=stderr
            )
        wait_until(
            lambda: is_mounted(path) or self.process.poll() is not None, f"the mount on {path}"
        )
        assert self.process.poll() is None, log.read_text()

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self.process.pid

    def said(self) -> str:
        """Return what the daemon logged."""
        return self.log.read_text()

    def descriptors(self) -> int:
        """Count the daemon's open descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def rss_bytes(self) -> int:
        """Return the daemon's resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def inodes(self) -> int:
        """Count the inodes in the daemon's memory; 1 is the root alone."""
        stat = os.statvfs(self.path)
        return stat.f_files - stat.f_ffree

    def unmount(self) -> None:
        """End the daemon, and check that it ended well and left nothing."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(DEADLINE_S) == 0, self.said()
            assert not is_mounted(self.path), "the daemon left its mount behind"
        finally:
            abort(self.path)
            self.process.kill()
            self.process.wait()
            while is_mounted(self.path):
                subprocess.run(["umount", "-l", str(self.path)], check=True)
        unexpected = [
            line
            for line in self.said().splitlines()
            if not any(expected in line for expected in self.expected)
        ]
        assert not unexpected, "\n".join(unexpected)


@contextmanager
def mounted(path: Path, *arguments: str) -> Iterator[Mount]:
    """Mount eventfs on *path*, which is made for it; the log is beside it."""
    path.mkdir()
    mount = Mount(path, path.with_name(f"{path.name}.log"), *arguments)
    try:
        yield mount
    finally:
        mount.unmount()


@contextmanager
def mounted_tmpfs(path: Path, options: str) -> Iterator[Path]:
    """Mount a filesystem of the kernel's own, to compare with, on *path*, which is made for it."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
        path.rmdir()


class Child:
    """A process that makes a queue (and runs other Python in the mount), and lives until told."""

    def __init__(self, code: str, *arguments: object, argv0: tuple[str, ...] = ()) -> None:
        """Start Python with *code*; wait until it has printed a line or ended."""
        self.process = subprocess.Popen(
            [*argv0, sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # a buffer would hide lines from select
        )
        self.line = self.read_line()

    def read_line(self) -> str:
        """Return the next line that it prints ('' at its end)."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
        assert ready, "the child says nothing"
        return self.process.stdout.readline().decode().strip()

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, and wait for its death."""
        self.process.send_signal(number)
        self.process.wait(DEADLINE_S)

    def close(self) -> None:
        """Make sure that it is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


#: The code of a child that makes the queue argv[1] and waits for its end.
MAKE_QUEUE = "import os, sys; os.mkdir(sys.argv[1]); print('made', flush=True); sys.stdin.read()"
