"""Links between queues."""

import os
from pathlib import Path

from tests.mount.making import fill, listed, messages
from tests.mount.processes import Fork


def test_a_link_is_one_more_message_with_the_same_inode_and_content(
    queue: Path, other_queue: Path
) -> None:
    fill(queue, "message")
    os.link(queue / "message", other_queue / "linked")
    assert listed(other_queue) == ["head", "linked", "tail"]
    assert (other_queue / "head").read_text() == "message"
    assert (other_queue / "linked").stat() == (queue / "message").stat()
    assert (queue / "message").stat().st_nlink == 2


def test_a_link_arrives_at_the_tail_when_it_is_made(queue: Path, other_queue: Path) -> None:
    fill(queue, "oldest")
    fill(other_queue, "1", "2")
    os.link(queue / "oldest", other_queue / "linked")
    assert messages(other_queue) == ["1", "2", "linked"]
    assert os.readlink(other_queue / "tail") == "linked"


def test_a_link_in_the_same_queue_is_one_more_message(queue: Path) -> None:
    fill(queue, "1", "2")
    os.link(queue / "1", queue / "3")
    assert messages(queue) == ["1", "2", "3"]
    (queue / "head").unlink()
    assert messages(queue) == ["2", "3"]
    assert (queue / "tail").read_text() == "1"


def test_what_is_written_to_a_link_is_seen_by_all(queue: Path, other_queue: Path) -> None:
    fill(queue, "message")
    os.link(queue / "message", other_queue / "linked")
    (other_queue / "linked").write_text("changed")
    assert (queue / "message").read_text() == "changed"


def test_a_message_lives_until_its_last_name_is_gone(queue: Path, other_queue: Path) -> None:
    fill(queue, "message")
    os.link(queue / "message", other_queue / "linked")
    (queue / "head").unlink()
    assert (other_queue / "linked").read_text() == "message"
    assert (other_queue / "linked").stat().st_nlink == 1


def test_a_message_outlives_the_queue_it_was_made_in(queue: Path, root: Path, fork: Fork) -> None:
    source = root / "source"
    owner = fork(source.mkdir)
    fill(source, "message")
    os.link(source / "message", queue / "linked")
    owner.end()
    assert (queue / "linked").read_text() == "message"
    assert (queue / "linked").stat().st_nlink == 1
    os.link(queue / "linked", queue / "again")
    assert messages(queue) == ["linked", "again"]
