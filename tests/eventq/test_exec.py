"""recv --exec: a command for each message, which is given back where that fails."""

import os
import signal
from pathlib import Path

from tests.eventq.conftest import Start
from tests.eventq.running import contents, fill, run, succeed
from tests.mounts import wait_until

LARGE = bytes(range(256)) * 8192


def test_a_command_gets_the_content(queue: Path) -> None:
    fill(queue, b"text", b"two")
    assert succeed("recv", "--exec", "tr a-z A-Z; echo", queue) == b"TEXT\n"
    assert contents(queue) == [b"two"]


def test_each_message_has_a_command_of_its_own(queue: Path) -> None:
    fill(queue, b"one", b"two", b"three")
    arguments = ("recv", "--follow", "--timeout", "0", "--exec", "wc -c", queue)
    assert succeed(*arguments).split() == [b"3", b"3", b"5"]
    assert contents(queue) == []


def test_a_command_needs_not_read_what_it_gets(queue: Path) -> None:
    (queue / "large").write_bytes(LARGE)
    assert succeed("recv", "--exec", "true", queue) == b""
    assert contents(queue) == []


def test_a_large_content_is_whole(queue: Path) -> None:
    (queue / "large").write_bytes(LARGE)
    assert succeed("recv", "--exec", "cat", queue) == LARGE


def test_a_failure_gives_the_message_back_and_stops(queue: Path) -> None:
    fill(queue, b"one", b"two", b"three")
    command = "read -r line; test $line != two"
    done = run("recv", "--follow", "--exec", command, queue)
    assert done.status == 11
    assert done.complaint.startswith(f"{queue}: the command ended with status 1;")
    assert contents(queue) == [b"three", b"two"]


def test_a_command_that_isnt_there_is_a_failure(queue: Path) -> None:
    fill(queue, b"text")
    done = run("recv", "--exec", "nowhere-to-be-found 2>&-", queue)
    assert done.status == 11
    assert "status 127" in done.complaint
    assert contents(queue) == [b"text"]


def test_a_command_that_is_killed_is_a_failure(queue: Path) -> None:
    fill(queue, b"text")
    done = run("recv", "--exec", "kill -KILL $$", queue)
    assert done.status == 11
    assert "by signal 9" in done.complaint
    assert contents(queue) == [b"text"]


def test_nothing_there_runs_nothing(queue: Path) -> None:
    done = run("recv", "--timeout", "0", "--exec", "echo run", queue)
    assert done == (1, b"", b"")


def test_a_command_may_use_the_queue(queue: Path) -> None:
    fill(queue, b"text")
    succeed("recv", "--exec", f"cat >{queue}/answer", queue)
    assert contents(queue) == [b"text"]


def test_a_command_is_free_of_what_eventq_ignores(queue: Path) -> None:
    fill(queue, b"text")
    # SIGPIPE ends it, as it does in a shell.
    command = "yes | head -1"
    assert succeed("recv", "--exec", command, queue) == b"y\n"


def test_a_signal_ends_the_command_and_gives_the_message_back(queue: Path, begin: Start) -> None:
    fill(queue, b"text")
    receiver = begin("recv", "--exec", "echo up; exec sleep 60", queue)
    assert receiver.line() == b"up\n"
    assert receiver.signal(signal.SIGTERM) == (-signal.SIGTERM, b"", b"")
    assert contents(queue) == [b"text"]


def test_ctrl_c_in_a_terminal_ends_both_and_gives_the_message_back(
    queue: Path, begin: Start
) -> None:
    fill(queue, b"text", b"two")
    receiver = begin("recv", "--follow", "--exec", "echo up; exec sleep 60", queue, new_group=True)
    assert receiver.line() == b"up\n"
    os.killpg(receiver.pid, signal.SIGINT)
    assert receiver.end() == (-signal.SIGINT, b"", b"")
    assert contents(queue) == [b"two", b"text"]


def test_a_command_that_ends_well_despite_a_signal_has_done_its_work(
    queue: Path, begin: Start, tmp_path: Path
) -> None:
    fill(queue, b"one", b"two")
    go_on = tmp_path / "go-on"
    command = f"echo up; until test -e {go_on}; do :; done"
    receiver = begin("recv", "--follow", "--exec", command, queue)
    assert receiver.line() == b"up\n"
    receiver.process.send_signal(signal.SIGINT)
    wait_until(lambda: is_pending_no_more(receiver.pid), "the signal to be noted")
    go_on.touch()
    assert receiver.end() == (-signal.SIGINT, b"", b"")
    assert contents(queue) == [b"two"]


def is_pending_no_more(pid: int) -> bool:
    """Tell whether the first SIGINT was handled: the next would end the process."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return not caught & 1 << signal.SIGINT - 1
