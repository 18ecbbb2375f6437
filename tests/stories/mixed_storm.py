"""The mixed storm: writers and readers of one queue in C, Python and shell, by ports and by names.

A message is `WRITER NUMBER 000...000.`, where the number says how many zeros there are. Readers log
what they have taken as it came, so whoever reads the logs sees whether all messages are whole. What
is in a log outlives its writer: write(2) has put it there.
"""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mounts import Mount

#: How many lines a writer to `.lines` puts into a batch.
BATCH = 10

#: What a reader of `.lines` reads at once, but for a message that is larger.
LINES_BYTES = 512

#: The most messages that such a read can take: the shortest has 20 zeros.
MOST_LINES = LINES_BYTES // len("w0 0 .\n".ljust(27))

_SOURCE = Path(__file__).with_name("stormer.c")


def zeros(number: int) -> int:
    """Return how many zeros a message has, as each language says; some don't fit where most do."""
    return 3000 if number % 100 == 99 else number * 37 % 100 + 20


#: argv: the queue, the log, the writer's name, the number of messages, a queue to write in. The log
#: gets a byte for each message that is in.
_PYTHON_WRITER = """
import os, sys
queue, log, name, count, own = sys.argv[1:]
log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
os.chdir(queue)
def message(number):
    zeros = 3000 if number % 100 == 99 else number * 37 % 100 + 20
    return b"%s %d %s." % (name.encode(), number, b"0" * zeros)
def write(file, content):
    assert os.write(file, content) == len(content)
"""

#: argv: the queue, the log. `take` returns nothing where another was faster.
_PYTHON_READER = """
import os, select, sys
os.chdir(sys.argv[1])
log = os.open(sys.argv[2], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
waits = select.poll()
def wait():
    ready = dict(waits.poll())
    # When the end was seen the port may have been looked at too early.
    return port in ready or port in dict(waits.poll(0))
port = os.open(PORT, os.O_RDONLY | os.O_NONBLOCK)
waits.register(port, select.POLLIN)
waits.register(0, select.POLLIN)
while True:
    content = take()
    if content:
        assert os.write(log, content) == len(content)
    elif not wait():
        break
"""

#: Who reads from a port takes their time: the others, who need seven requests for a message, would
#: get next to nothing else.
_DAWDLE = """
def dawdle():
    os.access("nothing", os.F_OK)
    os.access("nothing", os.F_OK)
"""

#: argv: as Python's, and the C program. A builtin printf is one write(2), so one message.
_SHELL_WRITER = """
queue=$1 log=$2 name=$3 count=$4 own=$5
cd "$queue" || exit
number=0
while [ $number -lt $count ]; do
    zeros=$((number % 100 == 99 ? 3000 : number * 37 % 100 + 20))
    PUT
    printf . >>"$log" || exit
    number=$((number + 1))
done
"""
_SHELL_MESSAGE = 'printf "$name $number %0${zeros}d." 0'

#: What each kind of process runs; C's are in stormer.c.
_CODES = {
    ("put", "python", ".pipe"): f"""{_PYTHON_WRITER}
port = os.open(".pipe", os.O_WRONLY)
for number in range(int(count)):
    write(port, message(number))
    write(log, b".")
""",
    ("put", "python", ".lines"): f"""{_PYTHON_WRITER}
port = os.open(".lines", os.O_WRONLY)
for number in range(0, int(count), {BATCH}):
    batch = [message(one) for one in range(number, min(number + {BATCH}, int(count)))]
    write(port, b"\\n".join([*batch, b""]))
    write(log, b"." * len(batch))
""",
    # Written in a queue of its own, which goes when it is killed, and linked from there: so it is
    # whole as soon as it is seen.
    ("put", "python", "file"): f"""{_PYTHON_WRITER}
os.mkdir(own)
own = os.open(own, os.O_DIRECTORY)
for number in range(int(count)):
    file = os.open("m", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=own)
    write(file, message(number))
    os.close(file)
    os.link("m", f"{{name}}-{{number}}", src_dir_fd=own)
    os.unlink("m", dir_fd=own)
    write(log, b".")
""",
    ("put", "sh", ".pipe"): _SHELL_WRITER.replace("PUT", f"{_SHELL_MESSAGE} >.pipe || exit"),
    # noclobber is O_EXCL. A shell's mkdir(1) would be the queue's owner, and dead, so it is ours.
    ("put", "sh", "file"): "set -C"
    + _SHELL_WRITER.replace(
        "PUT",
        f'{_SHELL_MESSAGE} >"$own/m" && ln "$own/m" "$name-$number" && rm "$own/m" || exit',
    ),
    ("take", "python", ".pipe"): f"""{_DAWDLE}
def take():
    dawdle()
    try:
        return os.read(port, 4096)
    except BlockingIOError:
        return None
PORT = ".pipe"
{_PYTHON_READER}""",
    ("take", "python", ".lines"): f"""{_DAWDLE}
import errno
def take(size={LINES_BYTES}):
    dawdle()
    try:
        return os.read(port, size)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno != errno.EMSGSIZE or size > {LINES_BYTES}:
            raise
        return take(3072)
PORT = ".lines"
{_PYTHON_READER}""",
    # It unlinks what it has opened through head, or gets ENOENT.
    ("take", "python", "file"): f"""
def take():
    try:
        file = os.open("head", os.O_RDONLY)
        content = os.read(file, 4096)
        os.close(file)
        os.unlink("head")
        return content
    except FileNotFoundError:
        return None
PORT = ".pipe"
{_PYTHON_READER}""",
    ("take", "sh", ".pipe"): """
cd "$1" || exit
while "$3" wait; do
    dd if=.pipe bs=4096 count=1 status=none >>"$2" || exit
done
""",
    ("take", "sh", "file"): """
cd "$1" || exit
while "$3" wait; do
    name=$(readlink head) && text=$(cat "$name") && rm "$name" && printf %s "$text" >>"$2"
done
true  # whatever became of the last one
""",
}


class Kind(NamedTuple):
    """A kind of process: its language, and the way that its messages go."""

    language: str
    way: str

    @property
    def batch(self) -> int:
        """How many messages a writer has on their way at once."""
        return BATCH if self.way == ".lines" else 1

    @property
    def most_taken(self) -> int:
        """How many messages a reader takes at once, at most."""
        return MOST_LINES if self.way == ".lines" else 1


@dataclass
class Stormer:
    """A process of the storm."""

    name: str
    kind: Kind
    log: Path
    messages: int  # to write
    process: "subprocess.Popen[bytes]"
    killed: bool = False

    @property
    def logged_bytes(self) -> int:
        """How much it has logged: a writer, as many messages as it has certainly written."""
        return self.log.stat().st_size if self.log.exists() else 0

    def runs(self) -> bool:
        """Tell whether it hasn't ended yet."""
        return self.process.poll() is None

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; tell whether it has ended."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: int) -> None:
        """Send a signal to it and to what a shell has started."""
        if self.runs():
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        if self.runs():
            self.send(signal.SIGKILL)
            self.killed = self.process.wait() == -signal.SIGKILL

    def close(self) -> None:
        """Tell a reader to end when there is nothing left."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def taken(self) -> list[tuple[str, int]]:
        """Return the messages that it has logged as taken, all of them whole.

        Only the last entry of one that was killed may be cut: write(2) to a log can be interrupted.
        """
        text = self.log.read_text() if self.log.exists() else ""
        found = []
        end = 0
        while match := _MESSAGE.match(text, end):
            writer, number, nulls = match.groups()
            assert len(nulls) == zeros(int(number)), match[0]
            found.append((writer, int(number)))
            end = match.end()
        assert end == len(text) or self.killed, f"{self.name} has taken {text[end:][:100]!r}"
        assert len(text) - end < self.kind.most_taken * 4096, text[end:][:100]
        return found


#: `.lines` ends each with a newline.
_MESSAGE = re.compile(r"(w\d+) (\d+) (0+)\.\n?")


@dataclass
class MixedStorm:
    """Writers and readers of one queue, and the logs of what they have written and taken."""

    mount: Mount
    stormer: Path
    folder: Path
    everybody: list[Stormer] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.queue = self.mount.path / "queue"
        self.queue.mkdir()
        self.complaints = self.folder / "complaints"
        self._numbers = count()

    @property
    def writers(self) -> list[Stormer]:
        """All writers that there have been."""
        return [one for one in self.everybody if one.name.startswith("w")]

    @property
    def readers(self) -> list[Stormer]:
        """All readers that there have been."""
        return [one for one in self.everybody if one.name.startswith("r")]

    def add_writer(self, kind: Kind, messages: int) -> Stormer:
        """Start a writer of so many messages."""
        name = f"w{next(self._numbers)}"
        own = self._own(name)
        if kind == ("sh", "file"):
            own.mkdir()
        return self._start(name, "put", kind, messages, name, messages, own)

    def add_reader(self, kind: Kind) -> Stormer:
        """Start a reader."""
        return self._start(f"r{next(self._numbers)}", "take", kind, 0, self.stormer)

    def _own(self, name: str) -> Path:
        return self.mount.path / f"own-{name}"

    def _start(
        self, name: str, does: str, kind: Kind, messages: int, *arguments: object
    ) -> Stormer:
        log = self.folder / f"{name}.log"
        interpreters: dict[str, list[object]] = {
            "c": [self.stormer, does, kind.way],
            "python": [sys.executable, "-IS", "-c", _CODES.get((does, *kind), "")],
            "sh": ["sh", "-c", _CODES.get((does, *kind), ""), "sh"],
        }
        command = (*interpreters[kind.language], self.queue, log, *arguments)
        with self.complaints.open("ab") as complaints:
            process = subprocess.Popen(
                [*map(str, command)],
                stdin=subprocess.PIPE,
                stderr=complaints,
                env={**os.environ, "LC_ALL": "C"},
                process_group=0,  # a shell is killed with what it has started
            )
        self.everybody.append(Stormer(name, kind, log, messages, process))
        return self.everybody[-1]

    def replace(self, victim: Stormer) -> None:
        """Kill a process, and start another of its kind; a writer's goes on where it was."""
        victim.kill()
        if not victim.killed:
            return  # it was faster
        victim.close()
        if victim in self.readers:
            self.kills["reader"] += 1
            self.add_reader(victim.kind)
            return
        self.kills["writer"] += 1
        if self._own(victim.name).exists():  # a shell's
            (self._own(victim.name) / "m").unlink(missing_ok=True)
            self._own(victim.name).rmdir()
        if left := victim.messages - victim.logged_bytes:
            self.add_writer(victim.kind, left)

    def let_read(self, kinds: Container[Kind]) -> None:
        """Let readers of these kinds go on, and stop the others wherever they are."""
        for one in self.readers:
            one.send(signal.SIGCONT if one.kind in kinds else signal.SIGSTOP)

    def finish(self, deadline_s: float) -> None:
        """Wait for the writers, then let the readers take what is left; all end well."""
        for one in self.readers:
            one.send(signal.SIGCONT)
        for ending in (self.writers, self.readers):
            for one in ending:
                one.close()
            for one in ending:
                assert one.wait(deadline_s), f"{one.name}, {one.kind}, hangs"
        complaints = self.complaints.read_text().splitlines()
        assert [line for line in complaints if not _LOST_RACE.fullmatch(line)] == []
        assert [one for one in self.everybody if not one.killed and one.process.returncode] == []

    def close(self) -> None:
        """Make sure that all are gone."""
        for one in self.everybody:
            one.kill()
            one.close()


#: A shell's reader has seen a message that another took.
_LOST_RACE = re.compile(r"(cat|rm): .*: No such file or directory")


def compile_stormer(folder: Path) -> Path:
    """Compile the C program."""
    program = folder / "stormer"
    try:
        subprocess.run(["cc", "-O2", _SOURCE, "-o", program], check=True)
    except FileNotFoundError:
        pytest.fail("there is no C compiler, cc, which the storm needs; apt install gcc")
    return program


def by_writer(taken: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Sort messages by their writers; each one's are in the order taken."""
    numbers: dict[str, list[int]] = {}
    for writer, number in taken:
        numbers.setdefault(writer, []).append(number)
    return numbers
