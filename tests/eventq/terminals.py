"""A terminal, and what a command shows in it."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

from tests.eventq.running import command
from tests.mounts import DEADLINE_S


def show(*arguments: str | Path, columns: int = 160, **env: str) -> str:
    """Run the command in a terminal of so many columns; return what it shows there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        command(*arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**inherited, "TERM": "xterm-256color", **env},
    )
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 65_536):
            shown += piece
    except OSError:
        pass  # how Linux tells that nobody has it open any more
    finally:
        os.close(master)
    assert process.wait(DEADLINE_S) == 0, shown
    return shown.decode().replace("\r\n", "\n")
