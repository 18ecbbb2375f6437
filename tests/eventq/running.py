"""eventq as its users run it."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mounts import DEADLINE_S

#: The installed command.
EVENTQ = str(Path(sys.executable).with_name("eventq"))

#: The command run by another user, who may have no right to the folder it is installed in: so all
#: is imported before the process becomes that user (argv[1]).
_EVENTQ_AS = """
import importlib, os, pkgutil, sys
from eventfs.commands import eventq
for module in pkgutil.iter_modules(eventq.__path__):
    importlib.import_module(f"{eventq.__name__}.{module.name}")
import base64, subprocess
uid = int(sys.argv.pop(1))
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
sys.exit(eventq.main())
"""


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """What it complained of: one line of standard error, and nothing else was printed."""
        line = self.stderr.decode()
        assert self.stdout == b"", self
        assert line.startswith("eventq: "), self
        assert line.endswith("\n"), self
        assert line.count("\n") == 1, self
        return line.removeprefix("eventq: ").rstrip("\n")


def command(*arguments: str | Path, uid: int = 0) -> list[str]:
    """Return the words that run the command, perhaps as another user."""
    words = [sys.executable, "-c", _EVENTQ_AS, str(uid)] if uid else [EVENTQ]
    return [*words, *map(str, arguments)]


def run(
    *arguments: str | Path,
    stdin: bytes = b"",
    uid: int = 0,
    cwd: Path | None = None,
    argv0: Sequence[str] = (),
) -> Done:
    """Run the command to its end; *argv0* is a command that becomes it by exec."""
    done = subprocess.run(
        [*argv0, *command(*arguments, uid=uid)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        timeout=DEADLINE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def succeed(*arguments: str | Path, stdin: bytes = b"", uid: int = 0) -> bytes:
    """Run the command, which is to succeed without a complaint; return what it prints."""
    done = run(*arguments, stdin=stdin, uid=uid)
    assert (done.status, done.stderr) == (0, b""), done
    return done.stdout


def shell(script: str, *arguments: str | Path) -> Done:
    """Run a shell script to its end, in which $eventq is the command and $1, $2, ... arguments."""
    done = subprocess.run(
        ["bash", "-c", script, "bash", *map(str, arguments)],
        env={**os.environ, "eventq": EVENTQ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Running:
    """The command while it runs."""

    def __init__(
        self, *arguments: str | Path, stdout: int = subprocess.PIPE, new_group: bool = False
    ) -> None:
        """Start it; with *new_group* in a process group of its own, as a shell does."""
        self.process = subprocess.Popen(
            command(*arguments),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0 if new_group else None,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def is_waiting(self) -> bool:
        """Tell whether it sleeps until something happens, or has ended."""
        if self.process.poll() is not None:
            return True
        wchan = Path(f"/proc/{self.pid}/wchan").read_text()
        return any(word in wchan for word in ("poll", "nanosleep"))

    def signal(self, number: signal.Signals) -> Done:
        """Send it a signal and return how it ended."""
        self.process.send_signal(number)
        return self.end()

    def line(self) -> bytes:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        line: bytes = self.process.stdout.readline()
        return line

    def end(self) -> Done:
        """Wait for its end."""
        stdout, stderr = self.process.communicate(timeout=DEADLINE_S)
        return Done(self.process.returncode, stdout or b"", stderr)

    def close(self) -> None:
        """Make sure that it is gone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def fill(queue: Path, *contents: bytes) -> None:
    """Send messages."""
    for content in contents:
        (queue / ".pipe").write_bytes(content)


def contents(queue: Path) -> list[bytes]:
    """Return the messages that are in a queue, in order, and leave them there."""
    names = [name for name in os.listdir(queue) if name not in ("head", "tail")]
    return [(queue / name).read_bytes() for name in names]


def count(queue: Path) -> int:
    """Return how many messages are in a queue, also while somebody takes them."""
    return int(os.getxattr(queue, "user.eventfs_messages"))
