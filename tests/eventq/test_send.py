"""send and cast: messages from standard input and from files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventq.conftest import Start
from tests.eventq.running import contents, run, shell, succeed
from tests.mounts import wait_until

#: More than a port takes in one call.
LARGE = bytes(range(256)) * 8192


@pytest.mark.parametrize(
    "content",
    [b"text", b"text\n", b"one\ntwo\n", b"", b"\0\xff", LARGE],
    ids=["text", "line", "lines", "empty", "binary", "large"],
)
def test_standard_input_is_one_message(queue: Path, content: bytes) -> None:
    assert succeed("send", queue, stdin=content) == b""
    assert contents(queue) == [content]


def test_each_file_is_a_message(queue: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, content in zip(files, [b"a\n", b"", LARGE], strict=True):
        file.write_bytes(content)
    succeed("send", queue, *files)
    assert contents(queue) == [b"a\n", b"", LARGE]


def test_a_dash_is_standard_input(queue: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"file")
    succeed("send", queue, tmp_path / "file", "-", stdin=b"stdin")
    assert contents(queue) == [b"file", b"stdin"]


@pytest.mark.parametrize(
    ("flag", "stdin", "sent"),
    [
        ("--lines", b"one\n\ntwo\n", [b"one", b"", b"two"]),
        ("--lines", b"one\ntwo", [b"one", b"two"]),
        ("--lines", b"", []),
        ("--lines", b"a\0b\r\n", [b"a\0b\r"]),
        ("-0", b"one\0two\n\0\0", [b"one", b"two\n", b""]),
        ("-0", b"one", [b"one"]),
    ],
)
def test_lines_are_messages(queue: Path, flag: str, stdin: bytes, sent: list[bytes]) -> None:
    succeed("send", flag, queue, stdin=stdin)
    assert contents(queue) == sent


def test_thousands_of_lines_are_thousands_of_messages(queue: Path) -> None:
    lines = [b"%d" % number for number in range(20_000)]
    succeed("send", "--lines", queue, stdin=b"\n".join(lines))
    assert os.getxattr(queue, "user.eventfs_messages") == b"20000"
    assert (queue / "head").read_bytes() == lines[0]
    assert (queue / "tail").read_bytes() == lines[-1]


def test_a_line_is_sent_when_it_has_come(queue: Path, begin: Start) -> None:
    sender = begin("send", "--lines", queue)
    assert sender.process.stdin is not None
    sender.process.stdin.write(b"one\ntw")
    wait_until(lambda: contents(queue) == [b"one"], "the first line")
    sender.process.stdin.write(b"o\n")
    wait_until(lambda: contents(queue) == [b"one", b"two"], "the second line")


def test_a_line_that_is_no_message_is_status_8(queue: Path) -> None:
    done = run("send", "--lines", queue, stdin=b"one\n" + bytes(3 << 20))
    assert done.status == 8
    assert "(1 messages are in)" in done.complaint
    assert contents(queue) == [b"one"]


def test_a_file_that_isnt_there_is_told(queue: Path) -> None:
    done = run("send", queue, "/nowhere/file")
    assert done.status == 10
    assert done.complaint == "/nowhere/file: No such file or directory"
    assert contents(queue) == []


def test_closed_standard_input_is_no_empty_message(queue: Path) -> None:
    done = shell('"$eventq" send "$1" <&-', queue)
    assert done.status == 10
    assert done.complaint
    assert contents(queue) == []


def test_a_cast_is_in_all_queues_and_stored_once(make: Callable[[], Path]) -> None:
    queues = [make() for _ in range(3)]
    succeed("cast", *queues, stdin=b"text")
    assert [contents(queue) for queue in queues] == [[b"text"]] * 3
    assert len({(queue / "head").stat().st_ino for queue in queues}) == 1


def test_a_cast_may_be_a_file(make: Callable[[], Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    queues = [make(), make()]
    succeed("cast", "--file", tmp_path / "file", "--", *queues)
    assert [contents(queue) for queue in queues] == [[LARGE]] * 2


def test_a_cast_to_one_queue_is_a_send(queue: Path) -> None:
    succeed("cast", queue, stdin=b"text")
    assert contents(queue) == [b"text"]


def test_a_cast_that_some_dont_get_reaches_the_others(make: Callable[[], Path], root: Path) -> None:
    queues = [make(), make()]
    done = run("cast", queues[0], root / "missing", queues[1], stdin=b"text")
    assert done.status == 3
    assert str(root / "missing") in done.complaint
    assert [contents(queue) for queue in queues] == [[b"text"]] * 2
