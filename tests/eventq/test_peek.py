"""peek: messages that stay where they are."""

import json
from pathlib import Path

from tests.eventq.running import contents, fill, run, succeed

LARGE = bytes(range(256)) * 8192


def test_the_oldest_is_printed_as_it_is_and_stays(queue: Path) -> None:
    fill(queue, b"one", b"two")
    assert succeed("peek", queue) == b"one"
    assert contents(queue) == [b"one", b"two"]


def test_all_are_printed_in_order_and_stay(queue: Path) -> None:
    fill(queue, b"one", b"two\n", b"three")
    assert succeed("peek", "--all", queue) == b"one\ntwo\nthree\n"
    assert succeed("peek", "--all", "--lines", queue) == b"one\ntwo\n\nthree\n"
    assert succeed("peek", "--all", "-0", queue) == b"one\0two\n\0three\0"
    assert contents(queue) == [b"one", b"two\n", b"three"]


def test_json_tells_all_of_them(queue: Path) -> None:
    (queue / "name").write_bytes(b"one")
    (queue / "other").write_bytes(b"\xff")
    first, second = map(json.loads, succeed("peek", "--all", "--json", queue).splitlines())
    assert (first["name"], first["size"], first["uid"], first["content"]) == ("name", 3, 0, "one")
    assert (second["name"], second["content_base64"]) == ("other", "/w==")
    assert json.loads(succeed("peek", "--json", queue)) == first


def test_a_large_message_is_whole(queue: Path) -> None:
    (queue / "large").write_bytes(LARGE)
    assert succeed("peek", queue) == LARGE


def test_an_empty_queue_is_status_1(queue: Path) -> None:
    assert run("peek", queue) == (1, b"", b"")
    assert run("peek", "--all", queue) == (1, b"", b"")


def test_an_empty_message_is_one(queue: Path) -> None:
    (queue / "empty").touch()
    assert run("peek", queue) == (0, b"", b"")
