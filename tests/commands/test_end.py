"""How the mount ends: by signals and by unmounting, idle and busy."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import Commands
from tests.mounts import DEADLINE_S, MAKE_QUEUE, Child, Mount, is_mounted, names, wait_until

SIGNALS = [signal.SIGTERM, signal.SIGINT]
UNMOUNTING = [["umount"], ["fusermount3", "-u"]]
UNMOUNTING_LATER = [["umount", "-l"], ["fusermount3", "-u", "-z"]]

#: What somebody who uses a mount may be told when it goes away under them.
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_daemon(commands: Commands, number: signal.Signals) -> None:
    daemon = commands.mount("events")
    os.kill(daemon.pid, number)
    assert commands.ended_well(daemon)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_foreground(
    mounter: Callable[..., Mount], number: signal.Signals
) -> None:
    mount = mounter()
    mount.process.send_signal(number)
    assert mount.process.wait(DEADLINE_S) == 0
    assert not is_mounted(mount.path)


@pytest.mark.parametrize("command", UNMOUNTING + UNMOUNTING_LATER, ids=" ".join)
def test_unmounting_ends_the_daemon(
    commands: Commands, mountpoint: Path, command: list[str]
) -> None:
    daemon = commands.mount("events")
    subprocess.run([*command, mountpoint], check=True)
    assert commands.ended_well(daemon)


@pytest.mark.parametrize("command", UNMOUNTING, ids=" ".join)
def test_unmounting_ends_the_foreground(mounter: Callable[..., Mount], command: list[str]) -> None:
    mount = mounter()
    subprocess.run([*command, mount.path], check=True)
    assert mount.process.wait(DEADLINE_S) == 0


@pytest.fixture
def busy() -> Iterator[Callable[[Path], int]]:
    """Use a mount: a working directory in a queue, an open message and an open queue.

    Returns the message's descriptor.
    """
    descriptors = []

    def use(mountpoint: Path) -> int:
        queue = mountpoint / "queue"
        queue.mkdir()
        (queue / "message").write_text("text")
        descriptors.append(os.open(queue, os.O_DIRECTORY))
        descriptors.append(os.open(queue / "message", os.O_RDWR))
        os.chdir(queue)
        return descriptors[-1]

    before = Path.cwd()
    yield use
    os.chdir(before)
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_daemon_of_a_busy_mount(
    commands: Commands,
    mountpoint: Path,
    busy: Callable[[Path], int],
    number: signal.Signals,
) -> None:
    daemon = commands.mount("events")
    busy(mountpoint)
    os.kill(daemon.pid, number)
    assert commands.ended_well(daemon)


def test_who_still_uses_a_mount_that_ended_is_told(
    commands: Commands, mountpoint: Path, busy: Callable[[Path], int]
) -> None:
    daemon = commands.mount("events")
    message = busy(mountpoint)
    daemon.kill(signal.SIGTERM)
    with pytest.raises(OSError, check=lambda error: error.errno in GONE):
        os.write(message, b"more")


@pytest.mark.parametrize("command", UNMOUNTING, ids=" ".join)
def test_a_busy_mount_is_not_unmounted_and_works_on(
    commands: Commands, mountpoint: Path, busy: Callable[[Path], int], command: list[str]
) -> None:
    daemon = commands.mount("events")
    message = busy(mountpoint)
    done = subprocess.run([*command, mountpoint], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "busy" in done.stderr
    assert os.pread(message, 9, 0) == b"text"
    assert not daemon.ended()


@pytest.mark.parametrize("command", UNMOUNTING_LATER, ids=" ".join)
def test_a_busy_mount_that_is_unmounted_lazily_ends_with_its_last_use(
    commands: Commands, mountpoint: Path, command: list[str]
) -> None:
    daemon = commands.mount("events")
    (mountpoint / "queue").mkdir()
    message = os.open(mountpoint / "queue/message", os.O_RDWR | os.O_CREAT)
    try:
        subprocess.run([*command, mountpoint], check=True)
        assert not commands.is_mounted()
        assert os.write(message, b"text") == 4
        assert os.pread(message, 9, 0) == b"text"
        assert not daemon.ended()
    finally:
        os.close(message)
    assert daemon.wait() == 0


#: Uses a mount without end, from inside: a path would lead below the mount once it is gone.
#: Says so, then works until the mount is gone. argv: the mount, the name of its queue.
HAMMER = f"""
import os, sys
gone = {GONE}
os.chdir(sys.argv[1])
root = os.open(".", os.O_DIRECTORY)
name = sys.argv[2]
os.mkdir(name, dir_fd=root)
print("working", flush=True)
try:
    while True:
        with open(os.open(name + "/message", os.O_CREAT | os.O_WRONLY, dir_fd=root), "w") as file:
            file.write("text")
        os.listdir(root)
        with open(os.open(name + "/head", os.O_RDONLY, dir_fd=root)) as file:
            assert file.read() == "text"
        os.unlink(name + "/head", dir_fd=root)
except OSError as error:
    if error.errno not in gone:
        raise
print("done", flush=True)
"""

#: Lets queues vanish without end, messages and all. argv: as above.
VANISHER = f"""
import os, sys
gone = {GONE}
os.chdir(sys.argv[1])
root = os.open(".", os.O_DIRECTORY)
print("working", flush=True)
number = 0
while True:
    number += 1
    name = f"{{sys.argv[2]}}-{{number}}"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.mkdir(name, dir_fd=root)
            os.close(os.open(name + "/message", os.O_CREAT | os.O_WRONLY, dir_fd=root))
            os.stat(name + "/head", dir_fd=root)
            status = 0
        except OSError as error:
            status = 2 if error.errno in gone else 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 2:
        break
    assert status == 0
print("done", flush=True)
"""


def states(pid: int) -> list[str]:
    """Return the states of a process's threads; D is a wait that no signal ends (proc(5))."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]


def end_by_signal(mount: Mount, clients: list[Child], number: signal.Signals) -> None:
    mount.process.send_signal(number)
    assert mount.process.wait(DEADLINE_S) == 0
    assert not is_mounted(mount.path)
    # Nobody hangs, and nobody is told anything but that the mount is gone.
    assert [client.read_line() for client in clients] == ["done"] * len(clients)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("round_", range(2))
def test_a_signal_ends_the_daemon_while_it_is_hammered(
    mounter: Callable[..., Mount], start: Callable[..., Child], number: signal.Signals, round_: int
) -> None:
    mount = mounter()
    clients = [start(HAMMER, mount.path, f"queue-{round_}-{client}") for client in range(3)]
    end_by_signal(mount, clients, number)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("round_", range(2))
def test_a_signal_ends_the_daemon_while_queues_vanish(
    mounter: Callable[..., Mount], start: Callable[..., Child], number: signal.Signals, round_: int
) -> None:
    mount = mounter()
    clients = [start(VANISHER, mount.path, f"queue-{round_}-{client}") for client in range(3)]
    end_by_signal(mount, clients, number)


@pytest.mark.parametrize("code", [HAMMER, VANISHER], ids=["hammered", "while queues vanish"])
def test_a_lazily_unmounted_daemon_ends_once_its_clients_are_killed(
    mounter: Callable[..., Mount], start: Callable[..., Child], code: str
) -> None:
    mount = mounter()
    clients = [start(code, mount.path, f"queue-{client}") for client in range(3)]
    subprocess.run(["umount", "-l", mount.path], check=True)
    for client in clients:
        client.end()
    assert mount.process.wait(DEADLINE_S) == 0


#: The command, whose daemon waits for its notices to the kernel for as long as they take.
PATIENT = """
import sys
import time
from eventfs.commands.eventfs import main
from eventfs.mount.operations import Operations
owners_died = Operations.owners_died
def die_and_wait(self, owners):
    owners_died(self, owners)
    time.sleep(3600)
Operations.owners_died = die_and_wait
sys.exit(main())
"""


def test_a_killed_daemon_lets_go_of_all_who_wait_for_it(
    commands: Commands, mountpoint: Path, start: Callable[..., Child]
) -> None:
    # The worst moment: a mkdir waits for its answer, and meanwhile has the root locked in the
    # kernel; so the notice that another queue has vanished waits for that lock, and so for us.
    daemon = commands.mount("events", command=(sys.executable, "-c", PATIENT))
    owner = start(MAKE_QUEUE, mountpoint / "queue")
    (mountpoint / "queue").stat()
    os.kill(daemon.pid, signal.SIGSTOP)
    client = start(
        "import os, sys; print('asks', flush=True)\n"
        "try: os.mkdir(sys.argv[1])\n"
        "except OSError as error: print(error.errno)",
        mountpoint / "another",
    )
    waits_in = Path(f"/proc/{client.process.pid}/wchan")
    wait_until(lambda: waits_in.read_text() == "request_wait_answer", "the mkdir")
    owner.end()
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: "D" in states(daemon.pid), "the notice that waits")
    daemon.kill()
    assert int(client.read_line()) in GONE


def test_two_signals_do_no_harm(mounter: Callable[..., Mount], start: Callable[..., Child]) -> None:
    mount = mounter()
    start(HAMMER, mount.path, "queue")
    mount.process.send_signal(signal.SIGTERM)
    mount.process.send_signal(signal.SIGINT)
    assert mount.process.wait(DEADLINE_S) == 0


def test_the_owner_of_the_queues_may_be_the_one_who_ends_the_mount(
    commands: Commands, mountpoint: Path
) -> None:
    daemon = commands.mount("events")
    code = """
import os, signal, sys
os.mkdir(sys.argv[1] + "/queue")
os.kill(int(sys.argv[2]), signal.SIGTERM)
"""
    subprocess.run([sys.executable, "-c", code, mountpoint, str(daemon.pid)], check=True)
    assert commands.ended_well(daemon)


def test_the_directory_can_be_mounted_on_again(commands: Commands, mountpoint: Path) -> None:
    commands.mount("events").kill(signal.SIGTERM)
    commands.mount("events")
    assert names(mountpoint) == []


def test_nothing_of_the_daemon_stays_in_the_directory_below(
    commands: Commands, mountpoint: Path
) -> None:
    (mountpoint / "below").touch()
    daemon = commands.mount("events")
    (mountpoint / "queue").mkdir()
    daemon.kill(signal.SIGTERM)
    wait_until(daemon.ended, "its end")
    assert names(mountpoint) == ["below"]
