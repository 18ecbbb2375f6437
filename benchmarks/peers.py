"""Who is measured: how each peer is started, where its queues are, and how it is ended.

A peer's folder belongs to the run, which removes it. `stop` ends what `start` has started, and
unmounts; it removes no file.
"""

import importlib
import importlib.util
import itertools
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from benchmarks.interpreted import INTERPRETED

HERE = Path(__file__).parent

#: Queues that each peer has: one, and as many subscribers as a multicast has at most.
QUEUES = tuple(f"q{number}" for number in range(101))

#: How long a daemon may take to start or to end, in seconds.
_DEADLINE_S = 30

_COMPILER = "not installed; apt install gcc pkg-config libfuse3-dev"

_numbers = itertools.count()


class Missing(Exception):
    """A peer can't be had here; the message says why, and what would help."""


@dataclass(eq=False, kw_only=True)
class Peer:
    """A way to pass messages; as it is, one that needs no daemon and makes its queues itself."""

    label: str
    kind: str  # for the client: which channel it is
    sentence: str  # what it gives up or gains against eventfs
    needs: str = ""  # a Python module
    package: str = ""  # that has it
    room: int = 1 << 30  # messages that fit in a queue
    most_bytes: int = 1 << 30  # in a message
    shared: bool = True  # several processes may use a queue
    owned: bool = False  # queues have owners
    folder: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    running: ClassVar[list["Peer"]] = []

    def start(self, folder: Path) -> None:
        """Start on a new folder, and make the queues; raise Missing where that can't be."""
        if self.needs and importlib.util.find_spec(self.needs) is None:
            raise Missing(f"not installed; pip install {self.package}")
        folder.mkdir()
        self.folder = folder
        self.running.append(self)
        began = time.perf_counter()
        self.launch(folder)
        self.started_s = time.perf_counter() - began
        for name in QUEUES:
            self.make_queue(name)

    def launch(self, folder: Path) -> None:
        """Start the daemon, if there is one, and wait until it can be used."""

    def make_queue(self, name: str) -> None:
        """Make a queue, where that isn't done by who uses it first."""

    @property
    def where(self) -> str:
        """Where a client finds the queues."""
        return str(self.folder)

    def stop(self) -> None:
        """End the daemon."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        if self in self.running:
            self.running.remove(self)

    @contextmanager
    def another(self) -> Iterator["Peer"]:
        """Start one more, which nobody has used yet."""
        assert self.folder is not None
        one = replace(self, process=None)
        try:
            one.start(self.folder.with_name(f"{self.folder.name}-{next(_numbers)}"))
            yield one
        finally:
            one.stop()

    def place(self, cpus: set[int]) -> None:
        """Put the daemon's threads on these CPUs."""
        for thread in self._threads():
            os.sched_setaffinity(int(thread.name), cpus)

    def rss_bytes(self) -> int:
        """Return the daemon's resident memory."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        """Return the CPU time that the daemon has used; clock ticks would be too coarse."""
        statistics = ((thread / "schedstat").read_text() for thread in self._threads())
        return sum(int(line.split()[0]) for line in statistics) / 1e9

    def _threads(self) -> list[Path]:
        if self.process is None:
            return []
        return list(Path(f"/proc/{self.process.pid}/task").iterdir())

    def _run(self, folder: Path, command: list[str], is_up: Callable[[], bool]) -> None:
        """Start a daemon, in a session of its own: a Ctrl-C is for us, who end it in order."""
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + _DEADLINE_S
        while not is_up():
            if self.process.poll() is not None or time.monotonic() > end:
                said = (folder / "log").read_text().strip() or "it says nothing"
                raise Missing(f"doesn't start: {said}")
            time.sleep(0.001)


class Directories(Peer):
    """Directories that are made as such."""

    def make_queue(self, name: str) -> None:
        """Make one."""
        Path(self.where, name).mkdir()


class Posix(Peer):
    """POSIX message queues."""

    @property
    def where(self) -> str:
        """Return what the queues' names begin with."""
        return f"/eventfs-bench-{os.getpid()}-"

    def make_queue(self, name: str) -> None:
        """Make one; only the first two have room for more than a small message."""
        module = importlib.import_module(self.needs)
        size = self.most_bytes if name in QUEUES[:2] else 128
        module.MessageQueue(
            self.where + name, module.O_CREX, max_messages=self.room, max_message_size=size
        ).close()

    def stop(self) -> None:
        """Take the names away, which would outlive us."""
        module = importlib.import_module(self.needs)
        for name in QUEUES:
            with suppress(module.ExistentialError):
                module.unlink_message_queue(self.where + name)
        super().stop()


@dataclass(eq=False, kw_only=True)
class Redis(Peer):
    """Lists in a Redis of the run's own."""

    port: int = 0

    @property
    def where(self) -> str:
        """Return the port."""
        return str(self.port)

    def launch(self, folder: Path) -> None:
        """Start redis-server on a free port, with nothing on disk."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = ["redis-server", "--port", self.where, "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
        try:
            self._run(folder, command, self._answers)
        except FileNotFoundError:
            raise Missing("not installed; apt install redis-server") from None

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@dataclass(eq=False, kw_only=True)
class Mounted(Directories):
    """A FUSE server."""

    command: tuple[str, ...] = ()  # before the mountpoint

    @property
    def where(self) -> str:
        """Return the mountpoint."""
        return f"{self.folder}/mount"

    def launch(self, folder: Path) -> None:
        """Mount, and wait until a request is answered."""
        mountpoint = folder / "mount"
        mountpoint.mkdir()
        before = mountpoint.stat().st_dev
        is_up = lambda: mountpoint.stat().st_dev != before  # noqa: E731  # as short as its caller
        self._run(folder, [*self.command, str(mountpoint)], is_up)
        list(mountpoint.iterdir())

    def stop(self) -> None:
        """End the daemon, which unmounts; do it in its place if it didn't."""
        super().stop()
        tool = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-uz"]
        while f" {self.where} " in Path("/proc/self/mounts").read_text():
            subprocess.run([*tool, self.where], check=False)
            time.sleep(0.01)


class Floor(Mounted):
    """The smallest C server, compiled when it is first needed."""

    def launch(self, folder: Path) -> None:
        """Compile, and mount."""
        program = folder.parent / "floor"
        if not program.exists():
            compile_c(HERE / "floor.c", program, "fuse3")
        self.command = (str(program),)
        super().launch(folder)


def compile_c(source: Path, program: Path, *libraries: str) -> None:
    """Compile a C program; raise Missing where that can't be."""
    command = ["gcc", "-O2", str(source), "-o", str(program)]
    ask = ["pkg-config", "--cflags", "--libs", *libraries]
    try:
        if libraries:
            command += shlex.split(subprocess.check_output(ask, text=True))
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Missing(_COMPILER) from None


#: Python that has trio wait for each request, as an ordinary asynchronous server does.
_PLAIN_TRIO = """
import trio
from eventfs.mount.reader import Reader

async def run(self):
    while not self.ended:
        await trio.lowlevel.wait_readable(self.fileno())
        self.look(self.events())
        self.answer(1)

Reader.run = lambda self: trio.run(run, self)
"""


def _eventfs(label: str, program: str, options: str, sentence: str) -> Peer:
    """Start it from the same Python as this; *program* is run before it."""
    code = f"{program}\nimport sys; from eventfs.commands.eventfs import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", code, "-f", *(["-o", options] if options else [])]
    return Mounted(
        label=label, kind="queues", sentence=sentence, owned=True, command=tuple(command)
    )


#: eventfs itself, and what its parts are worth: label, program, mount options, sentence.
VARIANTS = (
    ("eventfs", "", "", "What all the others are compared with."),
    (
        "eventfs, no polling",
        "",
        "spin=0",
        "Sleeps as soon as there is no request: less CPU time, a slower answer to the next one.",
    ),
    (
        "eventfs, interpreted",
        INTERPRETED,
        "",
        "As it runs where there was no compiler: shows what it is worth to be compiled.",
    ),
    (
        "eventfs on plain trio",
        _PLAIN_TRIO,
        "",
        "On an event loop that waits for each request: shows what eventfs's own loop is worth.",
    ),
)


def all_peers() -> list[Peer]:
    """Return them, eventfs first, none of them started."""
    return [
        *(_eventfs(*variant) for variant in VARIANTS),
        Floor(
            label="floor.c",
            kind="queues",
            sentence="The least that a C server must do for the same answers: no owners, no quotas,"
            " no extended attributes. It is asked to read, where eventfs hands a message over when"
            " it is opened.",
        ),
        Directories(
            label="tmpfs",
            kind="directory",
            sentence="A plain directory: no daemon to wait for, but no order, no owner whose death"
            " cleans up, no quotas; consumers must list and sort.",
        ),
        Posix(
            label="POSIX mq",
            kind="posix",
            sentence="Two system calls a message and a blocking receive, but by default 10 messages"
            " of 8 KiB in a queue, a copy for each subscriber, and queues that outlive everybody.",
            needs="posix_ipc",
            package="posix_ipc",
            room=10,
            most_bytes=8192,
        ),
        Peer(
            label="dirq",
            kind="dirq",
            sentence="Works in any directory and needs no daemon, but waits only by polling, keeps"
            " order only roughly, and copies for each subscriber.",
            needs="dirq",
            package="dirq",
        ),
        Peer(
            label="persist-queue file",
            kind="file",
            sentence="Survives a restart when on a disk, but serves the threads of one process.",
            needs="persistqueue",
            package="persist-queue",
            shared=False,
        ),
        Peer(
            label="persist-queue SQLite",
            kind="sqlite",
            sentence="As in files, but each message is a transaction.",
            needs="persistqueue",
            package="persist-queue",
            shared=False,
        ),
        Peer(
            label="litequeue",
            kind="litequeue",
            sentence="A table in SQLite too, but for several processes, which wait by polling; to"
            " take a message is to change its row twice, and rows must be deleted later.",
            needs="litequeue",
            package="litequeue",
        ),
        Redis(
            label="Redis",
            kind="redis",
            sentence="One round trip a message, over a network if need be, and a blocking receive,"
            " but no owners, no permissions by file, and a copy for each subscriber.",
            needs="redis",
            package="redis",
        ),
    ]
