"""recv that ends early: what it has taken and not printed is in the queue again."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventq.conftest import Start
from tests.eventq.running import contents, count, fill, run, shell, succeed
from tests.mounts import mounted, wait_until

#: More than a pipe holds, so that it can't be printed while nobody reads.
LARGE = bytes(200_000)

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


#: The command, which writes down in the file argv[1] whatever standard output has taken.
NOTING = """
import os, sys
from eventfs.commands import eventq
from eventfs.commands.eventq import output
notes = open(sys.argv.pop(1), "wb", buffering=0)
write = output.write
def note(data):
    taken = write(data)
    notes.write(data[:taken])
    return taken
output.write = note
sys.exit(eventq.main())
"""


@pytest.mark.parametrize("size", [10, 3_000, 100_000])
@pytest.mark.parametrize("taken", [1, 3])
def test_head_loses_no_message_that_wasnt_printed(
    queue: Path, tmp_path: Path, size: int, taken: int
) -> None:
    lines = [b"%0*d\n" % (size - 1, number) for number in range(300)]
    fill(queue, *lines)
    script = '"$1" -c "$2" "$3" recv --follow "$4" | head -n "$5"; echo "${PIPESTATUS[*]}"'
    done = shell(script, sys.executable, NOTING, tmp_path / "notes", queue, str(taken))
    assert done == (0, b"".join(lines[:taken]) + b"141 0\n", b"")
    printed = (tmp_path / "notes").read_bytes().splitlines(keepends=True)
    # The last may have begun to be printed; then it was given back.
    if printed and len(printed[-1]) < size:
        printed.pop()
    assert printed == lines[: len(printed)]
    assert sorted(contents(queue)) == lines[len(printed) :]


def test_head_ends_a_waiting_receiver(queue: Path, begin: Start) -> None:
    reader, writer = os.pipe()
    receiver = begin("recv", "--follow", queue, stdout=writer)
    os.close(writer)
    fill(queue, b"one\n")
    assert os.read(reader, 100) == b"one\n"
    wait_until(receiver.is_waiting, "the receiver to be waiting")
    os.close(reader)
    assert receiver.end() == (-signal.SIGPIPE, b"", b"")
    fill(queue, b"two")
    assert contents(queue) == [b"two"]


def test_nothing_is_taken_for_a_reader_that_has_gone(queue: Path, begin: Start) -> None:
    fill(queue, b"one", b"two")
    reader, writer = os.pipe()
    os.close(reader)
    receiver = begin("recv", "--follow", queue, stdout=writer)
    os.close(writer)
    assert receiver.end() == (-signal.SIGPIPE, b"", b"")
    assert contents(queue) == [b"one", b"two"]


def test_what_isnt_read_for_want_of_a_reader_is_given_back(queue: Path, begin: Start) -> None:
    fill(queue, LARGE, b"two")
    reader, writer = os.pipe()
    receiver = begin("recv", "--follow", queue, stdout=writer)
    os.close(writer)
    wait_until(lambda: count(queue) == 1, "the message to be taken")
    wait_until(receiver.is_waiting, "the receiver to be waiting")
    os.close(reader)
    assert receiver.end() == (-signal.SIGPIPE, b"", b"")
    assert contents(queue) == [b"two", LARGE]


@pytest.mark.parametrize("number", SIGNALS)
def test_what_a_signal_keeps_from_being_printed_is_given_back(
    queue: Path, begin: Start, number: signal.Signals
) -> None:
    fill(queue, LARGE, b"two")
    reader, writer = os.pipe()
    receiver = begin("recv", "--follow", queue, stdout=writer)
    os.close(writer)
    wait_until(lambda: count(queue) == 1, "the message to be taken")
    wait_until(receiver.is_waiting, "the receiver to be waiting")
    assert receiver.signal(number) == (-number, b"", b"")
    os.close(reader)
    assert contents(queue) == [b"two", LARGE]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_waiting_receiver_without_a_word(
    queue: Path, begin_waiting: Start, number: signal.Signals
) -> None:
    assert begin_waiting("recv", queue).signal(number) == (-number, b"", b"")


@pytest.mark.parametrize("arguments", [["wait"], ["wait", "--empty"], ["watch"]])
def test_ctrl_c_ends_the_others_too(
    queue: Path, begin_waiting: Start, arguments: list[str]
) -> None:
    if "--empty" in arguments:
        fill(queue, b"text")
    done = begin_waiting(*arguments, queue).signal(signal.SIGINT)
    assert done == (-signal.SIGINT, b"", b"")


def test_a_shell_sees_the_usual_statuses(queue: Path) -> None:
    script = '"$eventq" recv "$1" & sleep 0; kill -0 $!; kill -TERM $!; wait $!; echo $?'
    assert shell(script, queue).stdout == b"143\n"
    fill(queue, b"one", b"two")
    script = '"$eventq" recv --follow "$1" | true; echo ${PIPESTATUS[0]}'
    assert shell(script, queue) == (0, b"141\n", b"")


def test_ignored_signals_stay_ignored(queue: Path) -> None:
    # So nohup has it, and a script's `&`.
    done = shell(
        "trap '' INT HUP; "
        '"$eventq" recv "$1" & '
        "until grep -q poll /proc/$!/wchan; do :; done; kill -INT $!; kill -HUP $!; "
        'echo text >"$1/.pipe"; wait $!',
        queue,
    )
    assert done == (0, b"text\n", b"")


def test_signals_at_any_moment_lose_nothing(queue: Path, begin: Start) -> None:
    """Each message is printed whole, or is still there: none both, none neither."""
    lines = [b"%d" % number for number in range(5_000)]
    succeed("send", "--lines", queue, stdin=b"\n".join(lines))
    printed: list[bytes] = []
    for round_ in range(20):
        receiver = begin("recv", "--follow", "--timeout", "0", queue)
        printed += [receiver.line().strip() for _ in range(round_ * 5)]
        done = receiver.signal(SIGNALS[round_ % 3])
        assert done.stderr == b""
        printed += done.stdout.split()
    assert sorted(printed + contents(queue), key=int) == lines


def test_a_receiver_that_cant_give_back_says_what_is_lost(
    make: Callable[[], Path], begin: Start
) -> None:
    queue = make()
    fill(queue, LARGE)
    reader, writer = os.pipe()
    receiver = begin("recv", queue, stdout=writer)
    os.close(writer)
    wait_until(lambda: count(queue) == 0, "the message to be taken")
    wait_until(receiver.is_waiting, "the receiver to be waiting")
    queue.rmdir()
    os.close(reader)
    done = receiver.end()
    assert done.status == 7
    assert "200000 bytes" in done.complaint
    assert run("recv", queue).status == 3


def test_a_receiver_gives_back_to_a_queue_that_has_filled_up(
    begin: Start, public_path: Path, tmp_path: Path
) -> None:
    config = tmp_path / "limits.conf"
    config.write_text("[eventfs-config]\ndefault_max_files_per_dir = 1\n")
    with mounted(public_path / "filled", "-c", str(config)) as mount:
        queue = mount.path / "queue"
        queue.mkdir()
        fill(queue, LARGE)
        reader, writer = os.pipe()
        receiver = begin("recv", queue, stdout=writer)
        os.close(writer)
        wait_until(lambda: count(queue) == 0, "the message to be taken")
        fill(queue, b"other")
        os.close(reader)
        wait_until(receiver.is_waiting, "the receiver to be waiting for room")
        (queue / "head").unlink()
        assert receiver.end() == (-signal.SIGPIPE, b"", b"")
        assert contents(queue) == [LARGE]
