"""What can't be: each with a status of its own, in one line, for every command."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.commands.daemons import Commands
from tests.eventq.conftest import Start
from tests.eventq.running import Done, contents, fill, run, succeed
from tests.mount.processes import ALICE
from tests.mounts import mounted, wait_until

_numbers = itertools.count()

#: How each command is run on a queue, which is put for QUEUE.
COMMANDS = {
    "send": ["send", "QUEUE"],
    "send --lines": ["send", "--lines", "QUEUE"],
    "recv": ["recv", "--timeout", "1", "QUEUE"],
    "recv --json": ["recv", "--json", "--timeout", "1", "QUEUE"],
    "peek": ["peek", "QUEUE"],
    "cast": ["cast", "QUEUE"],
    "stat": ["stat", "QUEUE"],
    "ls": ["ls", "QUEUE"],
    "watch": ["watch", "QUEUE"],
    "wait": ["wait", "--timeout", "1", "QUEUE"],
    "rm": ["rm", "QUEUE"],
    "follow": ["follow", "QUEUE", "QUEUE"],
}

every_command = pytest.mark.parametrize("command", COMMANDS)


def on(queue: Path, command: str, uid: int = 0) -> Done:
    """Run a command on a queue, with a line as its standard input."""
    words = [str(queue) if word == "QUEUE" else word for word in COMMANDS[command]]
    return run(*words, stdin=b"text\n", uid=uid)


def assert_one_line_about(queue: Path, done: Done) -> None:
    """Check that it says which queue, what is wrong, and what to do."""
    assert done.complaint.startswith(f"{queue}: ")
    assert "; " in done.complaint.removeprefix(f"{queue}: "), done


@every_command
def test_a_queue_that_isnt_there_is_status_3(root: Path, command: str) -> None:
    done = on(root / "missing", command)
    assert done.status == 3
    assert_one_line_about(root / "missing", done)


@every_command
@pytest.mark.parametrize("what", ["directory", "file"])
def test_what_is_no_eventfs_is_status_6(tmp_path: Path, command: str, what: str) -> None:
    path = tmp_path / what
    path.mkdir() if what == "directory" else path.touch()
    done = on(path, command)
    assert done.status == 6
    assert_one_line_about(path, done)
    assert path.exists()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "ls"])
def test_the_root_of_a_mount_is_no_queue(root: Path, command: str) -> None:
    done = on(root, command)
    assert done.status == 6
    assert_one_line_about(root, done)


def test_create_where_no_eventfs_is_status_6_and_leaves_nothing(tmp_path: Path) -> None:
    done = run("create", tmp_path / "queue")
    assert done.status == 6
    assert_one_line_about(tmp_path / "queue", done)
    assert not (tmp_path / "queue").exists()


def test_create_where_nothing_is_is_status_3(tmp_path: Path) -> None:
    done = run("create", tmp_path / "missing/queue")
    assert done.status == 3
    assert_one_line_about(tmp_path / "missing/queue", done)


@every_command
def test_without_permission_it_is_status_5(queue: Path, command: str) -> None:
    queue.chmod(0o700)
    done = on(queue, command, uid=ALICE)
    assert done.status == 5
    assert_one_line_about(queue, done)


def test_to_remove_anothers_queue_isnt_permitted(queue: Path) -> None:
    queue.chmod(0o777)
    fill(queue, b"text")
    done = run("rm", queue, uid=ALICE)
    assert done.status == 5
    assert queue.is_dir()


def test_a_user_may_do_all_in_a_queue_for_all(queue: Path) -> None:
    queue.chmod(0o777)
    succeed("send", queue, stdin=b"text", uid=ALICE)
    assert succeed("recv", queue, uid=ALICE) == b"text"


@pytest.fixture
def limited(public_path: Path, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount with limits for every user; the function returns the root."""
    with ExitStack() as mounts:

        def limited(**limits: str) -> Path:
            config = tmp_path / "limits.conf"
            lines = "".join(f"default_{name} = {limit}\n" for name, limit in limits.items())
            config.write_text(f"[eventfs-config]\n{lines}")
            path = public_path / f"limited-{next(_numbers)}"
            arguments = ("-c", str(config), "-o", "allow_other")
            return mounts.enter_context(mounted(path, *arguments)).path

        yield limited


@pytest.mark.parametrize("command", ["send", "send --lines", "cast"])
def test_a_full_queue_is_status_4(limited: Callable[..., Path], command: str) -> None:
    queue = limited(max_files_per_dir="2") / "queue"
    queue.mkdir()
    queue.chmod(0o777)
    succeed("send", "--lines", queue, stdin=b"1\n2\n", uid=ALICE)
    done = on(queue, command, uid=ALICE)
    assert done.status == 4
    assert_one_line_about(queue, done)
    assert contents(queue) == [b"1", b"2"]


def test_a_queue_that_fills_up_says_how_many_are_in(limited: Callable[..., Path]) -> None:
    queue = limited(max_files="2") / "queue"
    queue.mkdir()
    queue.chmod(0o777)
    done = run("send", "--lines", queue, stdin=b"1\n2\n3\n4\n", uid=ALICE)
    assert done.status == 4
    assert "(2 messages are in)" in done.complaint
    assert contents(queue) == [b"1", b"2"]


def test_as_many_queues_as_are_allowed_are_enough(limited: Callable[..., Path]) -> None:
    root = limited(max_dirs="1")
    succeed("create", "--sticky", root / "one", uid=ALICE)
    done = run("create", "--sticky", root / "two", uid=ALICE)
    assert done.status == 4
    assert_one_line_about(root / "two", done)
    assert not (root / "two").exists()


@pytest.mark.parametrize("size", [100_000, 3 << 20])
def test_a_message_that_will_never_fit_is_status_8(limited: Callable[..., Path], size: int) -> None:
    queue = limited(max_bytes="64K") / "queue"
    queue.mkdir()
    queue.chmod(0o777)
    done = run("send", queue, stdin=bytes(size), uid=ALICE)
    assert done.status == 8
    assert_one_line_about(queue, done)
    assert contents(queue) == []


@pytest.mark.parametrize("command", [["recv"], ["recv", "--follow"], ["recv", "--json"]])
def test_a_queue_that_vanishes_meanwhile_is_status_7(
    queue: Path, begin_waiting: Start, command: list[str]
) -> None:
    receiver = begin_waiting(*command, queue)
    queue.rmdir()
    done = receiver.end()
    assert done.status == 7
    assert_one_line_about(queue, done)


@every_command
def test_a_dead_daemon_is_status_9(dead: Path, command: str) -> None:
    done = on(dead / "queue", command)
    assert done.status == 9
    assert_one_line_about(dead / "queue", done)


def test_a_dead_daemon_is_status_9_for_create_and_ls(dead: Path) -> None:
    assert_one_line_about(dead / "new", run("create", dead / "new"))
    assert run("create", dead / "new").status == 9
    assert run("ls", dead).status == 9
    assert run("ls").status == 9


class Doomed:
    """A mount with a queue, whose daemon will be killed."""

    def __init__(self, commands: Commands) -> None:
        self._daemon = commands.mount(commands.mountpoint)
        self.queue = commands.mountpoint / "queue"
        self.queue.mkdir()

    def kill(self) -> None:
        self._daemon.kill()
        wait_until(lambda: is_cut_off(self.queue.parent), "the kernel to notice")


def is_cut_off(path: Path) -> bool:
    try:
        os.listdir(path)
    except OSError as error:
        return error.errno in {errno.ENOTCONN, errno.ECONNABORTED}
    return False


@pytest.fixture
def doomed(commands: Commands) -> Doomed:
    return Doomed(commands)


@pytest.fixture
def dead(doomed: Doomed) -> Path:
    """A mount whose daemon was killed."""
    doomed.kill()
    return doomed.queue.parent


@pytest.mark.parametrize(
    "command", [["recv"], ["recv", "--follow"], ["wait"], ["wait", "--gone"], ["watch"]]
)
def test_a_daemon_that_dies_meanwhile_is_status_9(
    doomed: Doomed, begin_waiting: Start, command: list[str]
) -> None:
    waiting = begin_waiting(*command, doomed.queue)
    doomed.kill()
    done = waiting.end()
    assert done.status == 9
    assert_one_line_about(doomed.queue, done)


def test_a_name_with_odd_bytes_is_one_line(root: Path) -> None:
    done = run("recv", root / "a\nb\x1b[31m\udcff")
    assert done.status == 3
    assert "a\\nb\\x1b[31m\\xff" in done.complaint


def test_a_name_that_is_too_long_is_one_line(root: Path) -> None:
    done = run("recv", root / ("x" * 300))
    assert done.status in {3, 10}
    assert done.complaint
