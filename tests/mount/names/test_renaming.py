"""Nothing can be renamed."""

import os
from errno import (
    ENOENT,
    EPERM,
)
from pathlib import Path

import pytest

from tests.mount.calls import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    refused,
    renameat2,
)
from tests.mount.making import ends, fill, listed


def test_rename_is_refused_within_a_queue(queue: Path) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / "message").rename(queue / "new")
    assert listed(queue) == ["head", "message", "tail"]


def test_rename_is_refused_onto_another_message(queue: Path) -> None:
    fill(queue, "1", "2")
    with refused(EPERM):
        (queue / "1").rename(queue / "2")
    assert (queue / "2").read_text() == "2"


def test_rename_is_refused_from_queue_to_queue(queue: Path, other_queue: Path) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / "message").rename(other_queue / "message")


def test_rename_is_refused_to_the_root(queue: Path) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / "message").rename(queue.parent / "message")


def test_a_queue_cannot_be_renamed(queue: Path) -> None:
    with refused(EPERM):
        queue.rename(queue.parent / "renamed")


@ends
def test_an_end_cannot_be_renamed(queue: Path, end: str) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / end).rename(queue / "new")


@ends
def test_nothing_can_be_renamed_to_an_end(queue: Path, end: str) -> None:
    fill(queue, "message")
    with refused(EPERM):
        (queue / "message").rename(queue / end)


@pytest.mark.parametrize("flags", [RENAME_NOREPLACE, RENAME_EXCHANGE])
def test_renameat2_is_refused_too(queue: Path, flags: int) -> None:
    fill(queue, "1", "2")
    target = b"2" if flags == RENAME_EXCHANGE else b"new"
    with refused(EPERM):
        renameat2(os.fsencode(queue / "1"), os.path.join(os.fsencode(queue), target), flags)


def test_rename_of_what_is_not_there_says_so(queue: Path) -> None:
    with refused(ENOENT):
        (queue / "missing").rename(queue / "new")
