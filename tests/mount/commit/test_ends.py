"""What becomes of a message whose creator ends before it has closed it."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.commit.writers import Write
from tests.mount.making import messages

#: Ways to end by one's own will, and with which status.
EXITS = {
    "exit": ("sys.exit(0)", 0),
    "an error": ("os._exit(3)", 3),
    "exit of a thread": ("some_threads(); threading.Thread(target=os._exit, args=(0,)).start()", 0),
    "exit of one of many": ("some_threads(); os._exit(0)", 0),
    "a handler of SIGTERM": (
        "signal.signal(15, lambda *_: os._exit(0)); some_threads(); os.kill(os.getpid(), 15)",
        0,
    ),
    "the last of its threads": (
        """
def end():
    while "State:\\tZ" not in open("/proc/self/status").read(): pass
    libc.pthread_exit(None)
threading.Thread(target=end).start(); libc.pthread_exit(None)""",
        0,
    ),
    "exit of what it has become": ('os.dup2(fd, 5); os.close(fd); shell("exit 4")', 4),
    "exit of a child as well": ("os.fork() or linger(); os._exit(0)", 0),
}


@pytest.mark.parametrize(("then", "status"), EXITS.values(), ids=EXITS.keys())
def test_to_exit_is_to_close(queue: Path, write: Write, then: str, status: int) -> None:
    writer = write(then)
    with writer.shared():
        writer.process.stdout.close()  # type: ignore[union-attr]  # a child may keep it open
        assert messages(queue) == []
        writer.process.stdin.write(b"!")  # type: ignore[union-attr]
        assert writer.process.wait() == status
        assert messages(queue) == ["message"]


KILLED = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE]
DUMPS = [signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGXCPU]


def kill(number: int) -> str:
    """Return code that ends by the default action of a signal."""
    reset = f"signal.signal({number}, signal.SIG_DFL); " if number != signal.SIGKILL else ""
    return f"{reset}os.kill(os.getpid(), {number}); pause()"


@pytest.mark.parametrize("before", ["", "some_threads(); "], ids=["one thread", "threads"])
@pytest.mark.parametrize("number", [*KILLED, *DUMPS])
def test_who_is_killed_leaves_nothing(queue: Path, write: Write, number: int, before: str) -> None:
    writer = write(before + kill(number))
    with writer.shared() as fd:
        assert writer.go_on_and_end() == -number
        assert messages(queue) == []
        assert os.read(fd, 100) == b"text"
    assert messages(queue) == []
    (queue / "message").write_text("another")
    assert messages(queue) == ["message"]


KILLINGS = {
    "abort": ("os.abort()", signal.SIGABRT),
    "a wild pointer": ("ctypes.string_at(0)", signal.SIGSEGV),
    "by a thread": (
        "threading.Thread(target=lambda: os.kill(os.getpid(), 9)).start(); pause()",
        signal.SIGKILL,
    ),
    "while a child lives": (
        "os.fork() or (os.close(1), linger()); os.kill(os.getpid(), 9); pause()",
        signal.SIGKILL,
    ),
    "as another program": (
        'os.dup2(fd, 5); os.close(fd); shell("kill -9 $$")',
        signal.SIGKILL,
    ),
    "with two descriptors": ("os.dup(fd); os.kill(os.getpid(), 9)", signal.SIGKILL),
    "after its first thread has ended": (
        """
def end():
    while "State:\\tZ" not in open("/proc/self/status").read(): pass
    os.kill(os.getpid(), 9)
threading.Thread(target=end).start(); libc.pthread_exit(None)""",
        signal.SIGKILL,
    ),
}


@pytest.mark.parametrize(("then", "number"), KILLINGS.values(), ids=KILLINGS.keys())
def test_however_it_is_killed(queue: Path, write: Write, then: str, number: int) -> None:
    writer = write(then)
    with writer.shared():
        assert writer.go_on_and_end() == -number
        assert messages(queue) == []
    assert messages(queue) == []


def test_it_is_gone_before_anybody_learns_of_the_death(queue: Path, write: Write) -> None:
    for _ in range(20):
        writer = write()
        writer.end(signal.SIGKILL)
        # The name is free at once.
        os.mknod(queue / "message")
        (queue / "message").unlink()


def test_what_was_closed_before_stays(queue: Path, write: Write) -> None:
    writer = write("os.close(fd); fd = os.open('2', os.O_CREAT | os.O_WRONLY)")
    assert writer.go_on() == "done"
    writer.end(signal.SIGKILL)
    assert messages(queue) == ["message"]


def test_a_killed_child_takes_nothing_of_its_parents(queue: Path, write: Write) -> None:
    writer = write("child = os.fork() or linger(); os.kill(child, 9); os.wait()")
    assert writer.go_on() == "done"
    assert messages(queue) == []
    assert os.path.exists(f"/proc/{writer.process.pid}/fd/{writer.line}")
    writer.end(signal.SIGKILL)
    assert messages(queue) == []


def test_all_is_freed(queue: Path, write: Write) -> None:
    before = os.statvfs(queue).f_ffree
    write("").end(signal.SIGKILL)
    (queue / "other").write_bytes(b"")
    (queue / "other").unlink()
    assert os.statvfs(queue).f_ffree <= before
