"""Listing."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.mount.calls import getdents
from tests.mount.processes import Forked


def test_a_listing_shows_files_made_since_the_handle_was_rewound(
    directory: Path, handle: Callable[..., int]
) -> None:
    fd = handle(directory)
    assert {line.name for line in getdents(fd)} == {b".", b".."}
    (directory / "file").touch()
    os.lseek(fd, 0, os.SEEK_SET)
    assert b"file" in {line.name for line in getdents(fd)}


def test_a_long_listing_shows_each_file_once(directory: Path) -> None:
    made = {f"{number:04}" for number in range(1_500)}
    for name in made:
        os.mknod(directory / name)
    listed = os.listdir(directory)
    assert len(listed) == len(set(listed))
    assert set(listed) - {"head", "tail"} == made


def test_a_listing_in_pieces_shows_each_file_once(
    directory: Path, handle: Callable[..., int]
) -> None:
    made = {b"%03d" % number for number in range(100)}
    for name in made:
        os.mknod(os.path.join(os.fsencode(directory), name))
    fd = handle(directory)
    seen = []
    while lines := getdents(fd, 100):
        seen += [line.name for line in lines]
    assert len(seen) == len(set(seen))
    assert set(seen) - {b".", b"..", b"head", b"tail"} == made


def test_seekdir_returns_to_a_place(directory: Path, handle: Callable[..., int]) -> None:
    for number in range(20):
        os.mknod(directory / str(number))
    fd = handle(directory)
    lines = getdents(fd)
    for place in range(len(lines) - 1):
        os.lseek(fd, lines[place].place, os.SEEK_SET)
        assert [line.name for line in getdents(fd)] == [line.name for line in lines[place + 1 :]]


def test_a_file_that_is_there_throughout_is_listed_while_others_come_and_go(
    directory: Path,
) -> None:
    stays = {f"stays-{number}" for number in range(50)}
    for name in stays:
        os.mknod(directory / name)

    worker = Forked(lambda: churn(directory))
    try:
        for _ in range(50):
            listed = os.listdir(directory)
            assert len(listed) == len(set(listed))
            assert stays <= set(listed)
    finally:
        worker.end()


def churn(directory: Path) -> None:
    """Make and remove files, until killed."""
    while True:
        for number in range(50):
            os.mknod(directory / f"goes-{number}")
        for number in range(50):
            (directory / f"goes-{number}").unlink()
