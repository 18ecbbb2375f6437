"""Containers for tests: namespaces made by unshare(1), and an init that does nothing else.

A function runs in a container in a process that is forked from the tests' own and enters the
namespaces. So it needs no program that the container's users may have no right to.
"""

import ctypes
import os
import pickle
import select
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import psutil

from tests.mounts import DEADLINE_S, wait_until

#: linux/prctl.h
_PR_SET_PDEATHSIG = 1

_CHECKOUT = Path(__file__).resolve().parents[2]

_libc = ctypes.CDLL(None, use_errno=True)

#: Namespaces by their names in /proc/PID/ns, in the order in which they can be entered, and
#: unshare's and nsenter's options for them.
_OPTIONS = {"user": "--user", "mnt": "--mount", "pid": "--pid", "ipc": "--ipc", "uts": "--uts"}


class Ids(NamedTuple):
    """A line of uid_map and gid_map, see user_namespaces(7)."""

    inside: int
    outside: int
    length: int


class Container:
    """Namespaces, and an init that keeps them."""

    def __init__(
        self,
        *ids: Ids,
        outer: "Container | None" = None,
        propagation: str = "private",
    ) -> None:
        """Start a container; *ids* are its users and groups, the machine's if there are none.

        One that is in the container *outer* has one user and group: the root of *outer*.
        """
        self.namespaces = tuple(_OPTIONS)[0 if ids or outer else 1 :]
        self._processes: list[Inside] = []
        enter = outer.nsenter() if outer else []
        unshare = ["unshare", *(_OPTIONS[name] for name in self.namespaces)]
        unshare += [f"--propagation={propagation}", "--mount-proc", "--fork", "--kill-child"]
        if outer:
            unshare.append("--map-root-user")
        self._unshare = subprocess.Popen(
            # It ends with the pipe, so also when the tests are killed.
            [*enter, *unshare, "sh", "-c", "echo up; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Some versions of unshare complain when their child is killed.
            stderr=subprocess.DEVNULL,
        )
        try:
            assert self._unshare.stdout is not None
            assert self._unshare.stdout.readline() == b"up\n", "the container didn't start"
            #: The init's process id outside.
            self.init_pid = self._below()[-1].pid
            if ids:
                lines = "".join(f"{line.inside} {line.outside} {line.length}\n" for line in ids)
                for kind in ("uid_map", "gid_map"):
                    Path(f"/proc/{self.init_pid}/{kind}").write_text(lines)
        except BaseException:
            self.close()
            raise

    def _below(self) -> list[psutil.Process]:
        return psutil.Process(self._unshare.pid).children(recursive=True)

    def nsenter(self) -> list[str]:
        """Return what a command is prefixed with to run in the container, as its root."""
        options = [_OPTIONS[name] for name in self.namespaces]
        return ["nsenter", f"--target={self.init_pid}", *options, "--"]

    def outside(self, script: str, *arguments: object) -> None:
        """Run a shell script as root of the machine, but with the container's mounts and /proc."""
        enter = ["nsenter", f"--target={self.init_pid}", "--mount", "--pid", "--"]
        command = [*enter, "sh", "-ec", script, "sh", *map(str, arguments)]
        subprocess.run(command, check=True, timeout=DEADLINE_S)

    def bind(self, source: Path, target: str = "/mnt/events") -> Path:
        """Mount *source* on *target* too, as who starts a container does.

        /mnt becomes a filesystem that all users can reach.
        """
        make = "mountpoint -q /mnt || mount -t tmpfs -o mode=755 none /mnt; mkdir -p $2"
        self.outside(f"{make}; mount --bind $1 $2", source, target)
        return Path(target)

    def path(self, path: str | Path) -> Path:
        """Return how a path of the container is reached from outside."""
        return Path(f"/proc/{self.init_pid}/root{path}")

    def is_mounted(self, path: Path) -> bool:
        """Tell whether something is mounted on *path* there."""
        lines = Path(f"/proc/{self.init_pid}/mounts").read_text().splitlines()
        return any(line.split()[1] == str(path) for line in lines)

    def start(self, function: Callable[[], object], uid: int = 0) -> "Inside":
        """Call *function* in a process of the container's user *uid*; it lives on after that."""
        self._processes.append(Inside(self, function, uid))
        return self._processes[-1]

    def run(self, function: Callable[[], object], uid: int = 0) -> Any:  # noqa: ANN401
        """Call *function* in a process of the container's user *uid*; return what it returns."""
        process = self.start(function, uid)
        try:
            return process.result()
        finally:
            process.end()

    def kill(self) -> None:
        """Kill the init, and with it all that runs in the container; wait for its death."""
        os.kill(self.init_pid, signal.SIGKILL)
        self._unshare.wait(DEADLINE_S)

    def close(self) -> None:
        """Make sure that it is gone."""
        if self._unshare.poll() is None:
            with suppress(psutil.NoSuchProcess):  # each one's death is that of the next
                for process in self._below():
                    process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._unshare.wait(DEADLINE_S)
            self._unshare.kill()
            self._unshare.wait()
        for inside in self._processes:
            inside.end()
        for pipe in (self._unshare.stdin, self._unshare.stdout):
            assert pipe is not None
            pipe.close()


class Inside:
    """A process in a container that calls a function, and lives until it is ended.

    Between it and the tests stands one that has entered all namespaces but that for processes,
    which only children enter.
    """

    def __init__(self, container: Container, function: Callable[[], object], uid: int) -> None:
        """Start it as the user *uid*, with the group of the same number."""
        self._ended = False
        self._reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of other threads. The only one is faulthandler's, which holds no
            # lock that the child could need.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._between_pid = os.fork()
        if self._between_pid == 0:
            _call_inside(container, function, uid, writer)
        os.close(writer)

    def result(self) -> Any:  # noqa: ANN401  # whatever the function returns
        """Return what the function returned, or raise what it raised."""
        said = b""
        while True:
            ready, _, _ = select.select([self._reader], [], [], DEADLINE_S)
            assert ready, "the process in the container hangs"
            piece = os.read(self._reader, 1 << 16)
            if not piece:
                break
            said += piece
        assert said, "the process in the container died"
        succeeded, answer = pickle.loads(said)  # noqa: S301  # our own process said it
        if not succeeded:
            raise answer
        return answer

    def end(self) -> None:
        """Kill it, unless it is dead, and wait for its death."""
        if not self._ended:
            self._ended = True
            os.kill(self._between_pid, signal.SIGTERM)
            os.waitpid(self._between_pid, 0)
            os.close(self._reader)


def _call_inside(
    container: Container, function: Callable[[], object], uid: int, writer: int
) -> NoReturn:
    try:
        answer: tuple[bool, object]
        try:
            enter(container.init_pid, container.namespaces)
            fork_and_wait({signal.SIGTERM: signal.SIGKILL}, writer)
            become(uid)
            answer = (True, function())
        except BaseException as error:  # noqa: BLE001  # it belongs to whoever wants the result
            answer = (False, error)
        with os.fdopen(writer, "wb") as said:
            said.write(pickle.dumps(answer))
        while True:
            signal.pause()
    finally:
        # Nothing of pytest's may run twice.
        os._exit(1)


def enter(pid: int, namespaces: Iterable[str]) -> None:
    """Enter namespaces of a process; the one for processes is for children from now on."""
    fds = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in namespaces]
    for fd in fds:
        if _libc.setns(fd, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        os.close(fd)


def fork_and_wait(signals: dict[signal.Signals, signal.Signals], *fds: int) -> None:
    """Fork. The child returns, the parent waits for it and passes *signals* on.

    The parent closes *fds*, and goes when its own parent does.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    pid = os.fork()
    if pid == 0:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        return
    try:
        for fd in fds:
            os.close(fd)
        for number in signals:
            signal.signal(number, lambda number, _: os.kill(pid, signals[signal.Signals(number)]))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    finally:
        os._exit(1)


def become(uid: int) -> None:
    """Become a user and the group of the same number, without other groups."""
    with suppress(PermissionError):  # `unshare --map-root-user` has denied it for ever
        os.setgroups([])
    os.setresgid(uid, uid, uid)
    # Only who goes from 0 to another number loses the capabilities on the way.
    os.setresuid(0, 0, 0)
    os.setresuid(uid, uid, uid)
    # When the one in between is killed, this process goes too. A new user must ask for it anew.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


#: Becomes a daemon in a container. What it needs is imported first: who it becomes may have no
#: right to where that is installed.
_DAEMON = """
import importlib.metadata, signal, sys
sys.path.insert(0, sys.argv.pop(1))
from eventfs.commands.eventfs import main
from tests.stories import containers_namespaces as containers
containers.enter(int(sys.argv.pop(1)), sys.argv.pop(1).split())
containers.fork_and_wait({signal.SIGTERM: signal.SIGTERM})
containers.become(int(sys.argv.pop(1)))
sys.exit(main())
"""


class MountInside:
    """A daemon in a container, in the foreground, and its mount there.

    What it logs fails the test at the end, except for what `expected` says.
    """

    def __init__(
        self, container: Container, path: Path, log: Path, *arguments: str, uid: int = 0
    ) -> None:
        """Mount on *path* as the container's user *uid*; *arguments* go to the command."""
        self.container = container
        self.path = path
        self.log = log
        self.expected: list[str] = []
        where = [_CHECKOUT, container.init_pid, " ".join(container.namespaces), uid]
        command = [sys.executable, "-c", _DAEMON, *map(str, where), "-f", *arguments, str(path)]
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr)
        try:
            wait_until(lambda: self.is_mounted() or self.process.poll() is not None, "the mount")
            assert self.process.poll() is None, self.said()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def is_mounted(self) -> bool:
        """Tell whether it is mounted in the container."""
        return self.container.is_mounted(self.path)

    def said(self) -> list[str]:
        """Return the lines that the daemon logged."""
        return self.log.read_text().splitlines()

    def close(self) -> None:
        """End the daemon, and check what it logged."""
        try:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()
        unexpected = [
            line for line in self.said() if not any(expected in line for expected in self.expected)
        ]
        assert not unexpected, "\n".join(unexpected)
