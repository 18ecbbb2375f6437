"""The trace of the design, line for line, with real commands."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import Commands, adopting
from tests.mounts import DEADLINE_S, Child, is_mounted, wait_until

DEMO = Path(__file__).resolve().parents[2] / "examples/demo.py"


class Terminal:
    """Types commands in a folder and reads what comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        commands = Path(sys.executable).parent
        self._env = {**os.environ, "LC_ALL": "C", "PATH": f"{commands}:{os.environ['PATH']}"}

    def type(self, command: str) -> list[str]:
        """Run a command, which is to end with status 0 and no complaint; return its lines."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        return done.stdout.splitlines()

    def ls(self, path: str) -> list[str]:
        """List with `ls -l`: names and arrows, and sizes of files; the rest is the machine's."""
        total, *lines = self.type(f"ls -l {path}")
        assert re.fullmatch(r"total \d+", total)
        return [_essence(line) for line in lines]


def _essence(line: str) -> str:
    mode, _links, _user, _group, size, *_date, rest = re.split(r" +", line, maxsplit=8)
    match mode[0]:
        case "l":
            return rest
        case "d":
            return f"{rest}/"
        case _:
            return f"{size} {rest}"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with adopting():
        commands = Commands(tmp_path)
        yield Terminal(tmp_path)
        commands.close()


def test_the_trace_comes_out_line_for_line(terminal: Terminal, start: Callable[..., Child]) -> None:
    assert terminal.type("eventfs events") == []
    assert terminal.ls("events") == []

    code = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    demo = start(code, DEMO, terminal.folder / "events/demo")
    assert demo.line.startswith("demo.py: ")
    assert terminal.ls("events") == ["demo/"]
    assert terminal.ls("events/demo") == []

    assert terminal.type('echo "message text" > events/demo/msg') == []
    assert terminal.ls("events/demo") == ["head -> msg", "13 msg", "tail -> msg"]

    assert terminal.type('echo "message text 2" > events/demo/msg2') == []
    assert terminal.ls("events/demo") == ["head -> msg", "13 msg", "15 msg2", "tail -> msg2"]

    assert terminal.type("rm events/demo/head") == []
    assert terminal.ls("events/demo") == ["head -> msg2", "15 msg2", "tail -> msg2"]

    assert terminal.type("rm events/demo/tail") == []
    assert terminal.ls("events/demo") == []

    demo.end(signal.SIGINT)
    assert demo.process.returncode == 0
    assert terminal.ls("events") == []

    assert terminal.type("fusermount3 -u events") == []
    wait_until(lambda: not is_mounted(terminal.folder / "events"), "the unmounting")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["one", "two"]])
def test_demo_explains_itself(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, DEMO, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage: demo.py QUEUE" in done.stderr


def test_demo_says_why_it_cannot_make_its_queue(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, DEMO, tmp_path / "absent/demo"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("No such file or directory")


def test_demo_is_deaf_to_nothing_in_the_background_of_a_script(
    queue: Path, start: Callable[..., Child]
) -> None:
    # A script's shell lets its background jobs ignore SIGINT.
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    code += "os.execv(sys.argv[1], sys.argv[1:])"
    demo = start(code, DEMO, queue.with_name(f"{queue.name}-demo"))
    demo.end(signal.SIGINT)
    assert demo.process.returncode == 0
