"""recv: what is taken, and how it is printed."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.eventq.conftest import Start
from tests.eventq.running import contents, fill, run, shell, succeed

LARGE = bytes(range(256)) * 8192


@pytest.mark.parametrize(
    "content",
    [b"text", b"text\n", b"", b"one\ntwo", b"\0\xff", LARGE],
    ids=["text", "line", "empty", "lines", "binary", "large"],
)
def test_one_message_is_printed_as_it_is(queue: Path, content: bytes) -> None:
    (queue / "message").write_bytes(content)
    assert succeed("recv", queue) == content
    assert contents(queue) == []


def test_the_oldest_is_taken_and_the_others_stay(queue: Path) -> None:
    fill(queue, b"one", b"two", b"three")
    assert succeed("recv", queue) == b"one"
    assert contents(queue) == [b"two", b"three"]


def test_several_are_ended_by_newlines(queue: Path) -> None:
    fill(queue, b"one", b"two\n", b"three", b"four")
    assert succeed("recv", "--count", "3", queue) == b"one\ntwo\nthree\n"
    assert contents(queue) == [b"four"]


@pytest.mark.parametrize(("flag", "end"), [("--lines", b"\n"), ("-0", b"\0")])
def test_each_can_be_ended_by_what_is_asked_for(queue: Path, flag: str, end: bytes) -> None:
    fill(queue, b"one", b"two\n")
    expected = b"one" + end + b"two\n" + end
    assert succeed("recv", "--count", "2", flag, queue) == expected


def test_lines_come_out_as_they_went_in(queue: Path) -> None:
    lines = b"one\n\nthree\n"
    succeed("send", "--lines", queue, stdin=lines)
    assert succeed("recv", "--lines", "--follow", "--timeout", "0", queue) == lines


def test_parts_come_out_as_they_went_in(queue: Path) -> None:
    parts = b"one\n\0\0three\0"
    succeed("send", "-0", queue, stdin=parts)
    assert succeed("recv", "-0", "--follow", "--timeout", "0", queue) == parts


def test_json_tells_all_of_a_message(queue: Path) -> None:
    (queue / "name").write_bytes("text\n\u00e4".encode())
    os.chown(queue / "name", 1234, -1)
    os.utime(queue / "name", (1.5, 1.5))
    said = succeed("recv", "--json", queue)
    assert said.endswith(b"\n")
    assert json.loads(said) == {
        "name": "name",
        "uid": 1234,
        "time": 1.5,
        "size": 7,
        "content": "text\n\u00e4",
    }
    assert contents(queue) == []


def test_json_has_base64_for_what_is_no_text(queue: Path) -> None:
    fill(queue, b"\xff\x00", b"text")
    lines = succeed("recv", "--json", "--count", "2", queue).splitlines()
    first, second = map(json.loads, lines)
    assert (first["content_base64"], first["size"]) == ("/wA=", 2)
    assert "content" not in first
    assert second["content"] == "text"


def test_a_message_is_waited_for(queue: Path, begin_waiting: Start) -> None:
    receiver = begin_waiting("recv", queue)
    fill(queue, b"text")
    assert receiver.end() == (0, b"text", b"")


def test_a_message_by_name_is_waited_for(queue: Path, begin_waiting: Start) -> None:
    receiver = begin_waiting("recv", queue)
    (queue / "name").touch()
    assert receiver.end() == (0, b"", b"")
    assert contents(queue) == []


def test_follow_goes_on(queue: Path, begin_waiting: Start) -> None:
    receiver = begin_waiting("recv", "--follow", queue)
    for line in (b"one\n", b"two\n"):
        fill(queue, line)
        assert receiver.line() == line


def test_without_waiting_an_empty_queue_is_status_1(queue: Path) -> None:
    assert run("recv", "--timeout", "0", queue) == (1, b"", b"")


def test_a_timeout_is_status_1(queue: Path) -> None:
    began = time.monotonic()
    assert run("recv", "--timeout", "0.2", queue) == (1, b"", b"")
    assert time.monotonic() - began >= 0.2


def test_fewer_than_counted_is_status_1(queue: Path) -> None:
    fill(queue, b"one", b"two")
    assert run("recv", "--count", "3", "--timeout", "0", queue) == (1, b"one\ntwo\n", b"")


def test_follow_with_a_timeout_takes_all_that_is_there(queue: Path) -> None:
    fill(queue, b"one", b"two")
    assert run("recv", "--follow", "--timeout", "0", queue) == (0, b"one\ntwo\n", b"")
    assert run("recv", "--follow", "--timeout", "0", queue) == (1, b"", b"")


def test_years_can_be_waited(queue: Path, begin_waiting: Start) -> None:
    receiver = begin_waiting("recv", "--timeout", "1e300", queue)
    fill(queue, b"text")
    assert receiver.end() == (0, b"text", b"")


def test_two_receivers_share_what_comes(queue: Path, begin_waiting: Start) -> None:
    receivers = [begin_waiting("recv", "--count", "200", queue) for _ in range(2)]
    lines = [b"%d" % number for number in range(400)]
    succeed("send", "--lines", queue, stdin=b"\n".join(lines))
    taken = [receiver.end().stdout.splitlines() for receiver in receivers]
    assert [len(one) for one in taken] == [200, 200]
    assert sorted(taken[0] + taken[1]) == sorted(lines)
    assert all(one == sorted(one, key=int) for one in taken)


def test_a_closed_output_gives_the_message_back(queue: Path) -> None:
    fill(queue, b"text")
    done = shell('"$eventq" recv "$1" >&-', queue)
    assert done.status == 10
    assert "standard output" in done.complaint
    assert contents(queue) == [b"text"]


def test_a_full_disk_gives_the_message_back(queue: Path) -> None:
    fill(queue, b"text")
    done = shell('"$eventq" recv "$1" >/dev/full', queue)
    assert done.status == 10
    assert "No space left" in done.complaint
    assert contents(queue) == [b"text"]
