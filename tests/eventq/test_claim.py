"""claim: a command for each message, which stays the queue's until that has succeeded."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.eventq.conftest import Start
from tests.eventq.running import Running, contents, count, fill, run, shell, succeed
from tests.eventq.test_exec import is_pending_no_more
from tests.mounts import wait_until

Hanging = Callable[..., Running]

LARGE = bytes(range(256)) * 8192


def lease_queues(root: Path) -> list[str]:
    return [name for name in os.listdir(root) if name.startswith(".lease-")]


def lent(queue: Path) -> int:
    return int(os.getxattr(queue, "user.eventfs_lent"))


def attempts(queue: Path) -> int:
    """Return how often the oldest message came back."""
    return int(os.getxattr(queue / "head", "user.eventfs_attempts"))


@pytest.fixture
def hanging(begin: Start) -> Iterator[Hanging]:
    """Claim a message for a command that hangs, and lives on until the test's end."""
    started: list[Running] = []

    def hanging(*arguments: str | Path) -> Running:
        command = "echo up; exec sleep 60"
        started.append(begin("claim", "--exec", command, *arguments, new_group=True))
        assert started[-1].line() == b"up\n"
        return started[-1]

    yield hanging
    for one in started:
        os.killpg(one.pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def _nothing_is_left(root: Path) -> None:
    assert lease_queues(root) == []


def test_a_command_gets_the_content_and_the_message_is_done(queue: Path, root: Path) -> None:
    fill(queue, b"text", b"two")
    assert succeed("claim", "--exec", "tr a-z A-Z; echo", queue) == b"TEXT\n"
    assert contents(queue) == [b"two"]
    assert lease_queues(root) == []


@pytest.mark.parametrize("content", [b"", b"text\n", b"\0\xff", LARGE])
def test_it_is_whole(queue: Path, content: bytes) -> None:
    (queue / "message").write_bytes(content)
    assert succeed("claim", "--exec", "cat", queue) == content
    assert contents(queue) == []


def test_each_message_has_a_command_of_its_own(queue: Path) -> None:
    fill(queue, b"one", b"two", b"three")
    arguments = ("claim", "--follow", "--timeout", "0", "--exec", "wc -c", queue)
    assert succeed(*arguments).split() == [b"3", b"3", b"5"]
    assert contents(queue) == []


def test_as_many_are_claimed_as_asked_for(queue: Path) -> None:
    fill(queue, b"one ", b"two ", b"three ")
    assert succeed("claim", "--count", "2", "--exec", "cat", queue) == b"one two "
    assert contents(queue) == [b"three "]
    assert run("claim", "--count", "2", "--timeout", "0", "--exec", "cat", queue) == (
        1,
        b"three ",
        b"",
    )


@pytest.mark.parametrize("which", [["--follow"], ["--count", "2"], []])
def test_nothing_there_runs_nothing(queue: Path, which: list[str]) -> None:
    done = run("claim", *which, "--timeout", "0", "--exec", "echo run", queue)
    assert done == (1, b"", b"")


def test_a_message_that_comes_is_claimed(queue: Path, begin_waiting: Start) -> None:
    claimer = begin_waiting("claim", "--exec", "cat", queue)
    fill(queue, b"text")
    assert claimer.end() == (0, b"text", b"")


def test_without_a_command_it_says_what_to_use(queue: Path) -> None:
    done = run("claim", queue)
    assert done.status == 2
    assert "claim needs --exec COMMAND" in done.complaint
    assert "use recv" in done.complaint


# Failures


def test_a_failure_gives_the_message_back_to_its_place_and_stops(queue: Path) -> None:
    fill(queue, b"one", b"two", b"three")
    command = "read -r line; test $line != two"
    done = run("claim", "--follow", "--exec", command, queue)
    assert done.status == 11
    assert done.complaint == (
        f"{queue}: the command ended with status 1; its message was given back"
    )
    assert contents(queue) == [b"two", b"three"]
    assert attempts(queue) == 1


def test_a_command_that_is_killed_is_a_failure(queue: Path) -> None:
    fill(queue, b"text")
    done = run("claim", "--exec", "kill -KILL $$", queue)
    assert done.status == 11
    assert "by signal 9" in done.complaint
    assert contents(queue) == [b"text"]


def test_it_goes_on_if_that_is_asked_for(queue: Path, path: Path) -> None:
    succeed("create", "--max-attempts", "2", "--dead-letter", queue, path)
    fill(path, b"one\n", b"bad\n", b"three\n")
    command = "read -r line; test $line != bad && echo $line"
    arguments = ("--follow", "--timeout", "0", "--keep-going", "--exec", command, path)
    done = run("claim", *arguments)
    assert (done.status, done.stdout) == (11, b"one\nthree\n")
    assert done.stderr.count(b"the command ended with status 1") == 2
    assert contents(path) == []
    assert contents(queue) == [b"bad\n"]


def test_a_command_may_use_the_message(queue: Path) -> None:
    fill(queue, b"text")
    fill(queue, b"two")
    assert succeed("claim", "--exec", 'cat "$EVENTQ_MESSAGE"', queue) == b"text"
    run("claim", "--exec", "false", queue)
    command = 'getfattr --absolute-names --only-values -n user.eventfs_attempts "$EVENTQ_MESSAGE"'
    assert succeed("claim", "--exec", command, queue) == b"1"


def test_a_relative_path_will_do(queue: Path, root: Path) -> None:
    fill(queue, b"text")
    done = run("claim", "--exec", 'cat "$EVENTQ_MESSAGE"', queue.name, cwd=root)
    assert done == (0, b"text", b"")
    fill(queue, b"text")
    done = run("claim", "--exec", 'cat "$EVENTQ_MESSAGE"', ".", cwd=queue)
    assert done == (0, b"text", b"")


# Ends


def test_a_killed_eventq_gives_the_message_back(queue: Path, hanging: Hanging, root: Path) -> None:
    fill(queue, b"text", b"two")
    claimer = hanging(queue)
    assert (count(queue), lent(queue)) == (1, 1)
    claimer.process.kill()
    claimer.process.wait()
    assert contents(queue) == [b"text", b"two"]
    assert lease_queues(root) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_and_gives_the_message_back(
    queue: Path, begin: Start, number: signal.Signals
) -> None:
    fill(queue, b"text", b"two")
    claimer = begin("claim", "--follow", "--exec", "echo up; exec sleep 60", queue)
    assert claimer.line() == b"up\n"
    assert claimer.signal(number) == (-number, b"", b"")
    assert contents(queue) == [b"text", b"two"]


def test_ctrl_c_in_a_terminal_ends_both_and_gives_the_message_back(
    queue: Path, begin: Start
) -> None:
    fill(queue, b"text", b"two")
    claimer = begin("claim", "--follow", "--exec", "echo up; exec sleep 60", queue, new_group=True)
    assert claimer.line() == b"up\n"
    assert (count(queue), lent(queue)) == (1, 1)
    os.killpg(claimer.pid, signal.SIGINT)
    assert claimer.end() == (-signal.SIGINT, b"", b"")
    assert contents(queue) == [b"text", b"two"]


def test_a_command_that_ends_well_despite_a_signal_has_done_its_work(
    queue: Path, begin: Start, tmp_path: Path
) -> None:
    fill(queue, b"one", b"two")
    go_on = tmp_path / "go-on"
    command = f"echo up; until test -e {go_on}; do :; done"
    claimer = begin("claim", "--follow", "--exec", command, queue)
    assert claimer.line() == b"up\n"
    claimer.process.send_signal(signal.SIGINT)
    wait_until(lambda: is_pending_no_more(claimer.pid), "the signal to be noted")
    go_on.touch()
    assert claimer.end() == (-signal.SIGINT, b"", b"")
    assert contents(queue) == [b"two"]


def test_a_queue_that_vanishes_ends_it(make: Callable[[], Path], begin_waiting: Start) -> None:
    queue = make()
    claimer = begin_waiting("claim", "--follow", "--exec", "cat", queue)
    succeed("rm", queue)
    assert claimer.end().status == 7


def test_workers_share_messages_and_one_is_killed(
    queue: Path, begin_waiting: Start, tmp_path: Path
) -> None:
    lines = [b"%d\n" % number for number in range(60)]
    done = tmp_path / "done"
    command = f'read -r line; echo "$line" >>{done}'
    workers = [begin_waiting("claim", "--follow", "--exec", command, queue) for _ in range(3)]
    (queue / ".lines").write_bytes(b"".join(lines))
    wait_until(lambda: done.exists() and done.read_bytes().count(b"\n") > 5, "some work")
    workers[0].process.kill()
    workers[0].process.wait()
    succeed("wait", "--empty", "--timeout", "20", queue)
    said = done.read_bytes().splitlines(keepends=True)
    # What the killed one was working on may have been done twice.
    assert set(said) == set(lines)
    assert len(said) <= len(lines) + 1


# Leases


def test_a_command_that_takes_too_long_loses_its_message(queue: Path, hanging: Hanging) -> None:
    fill(queue, b"text")
    claimer = hanging("--lease", "0.05", queue)
    wait_until(lambda: count(queue) == 1, "the message's return")
    assert succeed("claim", "--exec", "cat", queue) == b"text"
    assert claimer.process.poll() is None


def test_and_its_success_comes_too_late(queue: Path, tmp_path: Path) -> None:
    fill(queue, b"text")
    back = f'until test -e "{queue}/head"; do :; done; echo done'
    done = run("claim", "--lease", "0.05", "--exec", back, queue)
    assert done.status == 12
    assert done.stdout == b"done\n"
    assert done.stderr.count(b"\n") == 1
    assert b"the lease has run out" in done.stderr
    assert contents(queue) == [b"text"]
    # And so it comes again.
    both = f"test -e {tmp_path}/late && exit; touch {tmp_path}/late; {back}"
    options = ("--follow", "--timeout", "0", "--keep-going", "--lease", "0.05")
    done = run("claim", *options, "--exec", both, queue)
    assert (done.status, done.stdout) == (12, b"done\n")
    assert contents(queue) == []


def test_a_command_that_touches_the_message_keeps_it(queue: Path) -> None:
    fill(queue, b"text")
    # Some hundred times, for two leases.
    end = time.time() + 2
    command = f'while [ "$(date +%s)" -le {end:.0f} ]; do touch "$EVENTQ_MESSAGE"; done; echo done'
    assert succeed("claim", "--lease", "1", "--exec", command, queue) == b"done\n"
    assert contents(queue) == []


def test_a_lease_may_be_without_end(queue: Path) -> None:
    fill(queue, b"text")
    assert succeed("claim", "--lease", "inf", "--exec", "cat", queue) == b"text"


# By hand


def test_a_shell_can_claim_with_plain_tools(queue: Path, path: Path) -> None:
    fill(queue, b"one", b"two", b"three")
    script = """
        "$eventq" create --mode 700 --lease inf "$2" || exit
        name=$(readlink "$1/head")
        mv "$1/$name" "$2/" && cat "$2/$name" && rm "$2/$name"
        name=$(readlink "$1/head")
        mv "$1/$name" "$2/"
        mv "$1/$name" "$2/" 2>&1 | grep -c 'No such file'
        kill -KILL $$
    """
    done = shell(script, queue, path)
    assert (done.status, done.stdout) == (-signal.SIGKILL, b"one1\n")
    assert contents(queue) == [b"two", b"three"]
    assert attempts(queue) == 1
