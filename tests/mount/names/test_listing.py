"""The order of messages, and listing them."""

import itertools
import os
from pathlib import Path

from tests.mount.calls import (
    getdents,
)
from tests.mount.making import (
    fill,
    listed,
    messages,
)
from tests.mounts import Mount


def test_a_queue_lists_head_the_messages_as_they_came_and_tail(queue: Path) -> None:
    fill(queue, "z", "a", "m")
    assert listed(queue) == ["head", "z", "a", "m", "tail"]


def test_an_empty_queue_lists_nothing(queue: Path) -> None:
    assert listed(queue) == []


def test_the_raw_listing_begins_with_the_directory_and_its_parent(queue: Path) -> None:
    fill(queue, "message")
    fd = os.open(queue, os.O_RDONLY)
    lines = getdents(fd)
    assert getdents(fd) == []
    os.close(fd)
    assert [line.name for line in lines] == [b".", b"..", b"head", b"message", b"tail"]


def test_the_listing_tells_types_and_inode_numbers(queue: Path) -> None:
    fill(queue, "message")
    fd = os.open(queue, os.O_RDONLY)
    lines = {line.name.decode(): (line.type, line.ino) for line in getdents(fd)}
    os.close(fd)
    directory, regular, link = 4, 8, 10  # DT_DIR, DT_REG and DT_LNK of dirent.h
    assert lines == {
        ".": (directory, queue.stat().st_ino),
        "..": (directory, queue.parent.stat().st_ino),
        "head": (link, (queue / "head").lstat().st_ino),
        "message": (regular, (queue / "message").stat().st_ino),
        "tail": (link, (queue / "tail").lstat().st_ino),
    }


def test_the_root_lists_queues_as_they_were_made(mount: Mount) -> None:
    for name in ("z", "a", "m"):
        (mount.path / name).mkdir()
    assert listed(mount.path) == ["z", "a", "m"]


def test_order_is_that_of_arrival_whatever_happens_to_a_message_later(queue: Path) -> None:
    fill(queue, "1", "2", "3")
    (queue / "1").write_text("longer than it was")
    os.truncate(queue / "1", 1)
    (queue / "1").touch()
    (queue / "1").chmod(0o600)
    os.utime(queue / "2", (0, 0))
    os.setxattr(queue / "1", "user.x", b"")
    assert messages(queue) == ["1", "2", "3"]


def test_a_message_that_comes_back_comes_last(queue: Path) -> None:
    fill(queue, "1", "2")
    (queue / "1").unlink()
    fill(queue, "1")
    assert messages(queue) == ["2", "1"]


def test_a_reader_that_pauses_after_each_line_sees_what_was_there_throughout_once(
    queue: Path,
) -> None:
    fill(queue, *(f"{number:03}" for number in range(60)))
    fd = os.open(queue, os.O_RDONLY)
    seen = []
    one_line = 40  # bytes: a record of the names used here takes 24, the next wouldn't fit
    while lines := getdents(fd, one_line):
        assert len(lines) == 1
        seen.append(lines[0].name.decode())
        number = len(seen)
        # Removed in front of the reader, behind it, and where it stands; added at the end.
        for gone in (number * 2, number - 9, number - 4):
            if gone % 3:
                (queue / f"{gone:03}").unlink(missing_ok=True)
        if number < 30:
            fill(queue, f"new-{number}")
    os.close(fd)
    assert len(seen) == len(set(seen))
    throughout = [name for name in messages(queue) if name.isdigit()]
    assert len(throughout) >= 20
    assert [name for name in seen if name in throughout] == throughout
    assert [seen[0], seen[1], seen[2], seen[-1]] == [".", "..", "head", "tail"]


def test_a_reader_that_pauses_while_the_head_is_popped_loses_nothing_else(queue: Path) -> None:
    names = [f"{number:03}" for number in range(100)]
    fill(queue, *names)
    fd = os.open(queue, os.O_RDONLY)
    seen = []
    while lines := getdents(fd, 40):
        seen += [line.name.decode() for line in lines]
        if names[0] < "050":
            (queue / "head").unlink()
            names.pop(0)
    os.close(fd)
    assert [name for name in seen if name >= "050" and name.isdigit()] == names


def test_a_place_in_a_listing_can_be_returned_to(queue: Path) -> None:
    fill(queue, *"abcdef")
    fd = os.open(queue, os.O_RDONLY)
    lines = getdents(fd)
    (queue / "a").unlink()
    (queue / "c").unlink()
    for before, line in itertools.pairwise(lines):
        os.lseek(fd, before.place, os.SEEK_SET)
        expected = [later.name for later in lines[lines.index(line) :]]
        expected = [name for name in expected if name not in (b"a", b"c")]
        assert [later.name for later in getdents(fd)] == expected
    os.close(fd)
