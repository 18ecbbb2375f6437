"""What can be done with what is still held of a queue that has vanished."""

import os
from collections.abc import Callable, Iterator
from errno import (
    ENOENT,
    errorcode,
)
from pathlib import Path

import pytest

from tests.mount.calls import (
    link_following,
    refused,
)
from tests.mount.making import (
    fill,
    is_gone,
    listed,
    open_with,
)
from tests.mount.processes import Forked, in_child

#: Both ways in which a queue can vanish.
vanishing = pytest.mark.parametrize("how", ["rmdir", "death"])


class Leftover:
    """What is still held of a queue that has vanished: a message, the directory, and a place."""

    def __init__(self, root: Path, how: str) -> None:
        """Make a queue with an open message and an open directory, and let it vanish."""
        self.path = root / "vanishing"
        owner = Forked(self.path.mkdir)
        owner.result()
        fill(self.path, "message")
        self.message = os.open(self.path / "message", os.O_RDWR)
        self.directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        if how == "rmdir":
            (self.path / "message").unlink()
            self.path.rmdir()
        owner.end()
        assert is_gone(self.path)  # by now the kernel has been told of it

    def close(self) -> None:
        os.close(self.message)
        os.close(self.directory)


@pytest.fixture
def leftover(root: Path, how: str) -> Iterator[Leftover]:
    leftover = Leftover(root, how)
    yield leftover
    leftover.close()


#: New names relative to a directory's descriptor.
MAKE_AT: dict[str, Callable[[int], object]] = {
    "create": lambda fd: os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=fd),
    "create exclusively": lambda fd: os.open("new", os.O_CREAT | os.O_EXCL, dir_fd=fd),
    "mknod": lambda fd: os.mknod("new", dir_fd=fd),
    "mkdir": lambda fd: os.mkdir("new", dir_fd=fd),
    "symlink": lambda fd: os.symlink("target", "new", dir_fd=fd),
    "head": lambda fd: os.open("head", os.O_CREAT | os.O_WRONLY, dir_fd=fd),
    "port": lambda fd: os.open(".pipe", os.O_CREAT | os.O_WRONLY, dir_fd=fd),
}


@vanishing
@pytest.mark.parametrize("make", MAKE_AT.values(), ids=MAKE_AT.keys())
def test_a_vanished_queue_takes_no_new_names_through_a_handle_by(
    leftover: Leftover, make: Callable[[int], object]
) -> None:
    with refused(ENOENT):
        make(leftover.directory)


@vanishing
def test_a_vanished_queue_takes_no_links(leftover: Leftover, queue: Path) -> None:
    fill(queue, "message")
    with refused(ENOENT):
        os.link(queue / "message", "new", dst_dir_fd=leftover.directory)
    assert (queue / "message").stat().st_nlink == 1


@vanishing
@pytest.mark.parametrize("name", ["message", "head", "tail", "never there"])
def test_a_vanished_queue_shows_no_name_through_a_handle(leftover: Leftover, name: str) -> None:
    with refused(ENOENT):
        os.stat(name, dir_fd=leftover.directory, follow_symlinks=False)


@vanishing
def test_a_vanished_queue_lists_nothing_through_a_handle(leftover: Leftover) -> None:
    # As for any removed directory: rewound and read, it fails or is at its end.
    try:
        names = os.listdir(leftover.directory)
    except FileNotFoundError:
        names = []
    assert names == []


@vanishing
def test_an_open_message_of_a_vanished_queue_can_be_read_and_written(leftover: Leftover) -> None:
    assert os.pread(leftover.message, 100, 0) == b"message"
    assert os.pwrite(leftover.message, b"M" * 200_000, 0) == 200_000
    os.ftruncate(leftover.message, 100_000)
    assert os.pread(leftover.message, 200_000, 0) == b"M" * 100_000
    assert os.fstat(leftover.message).st_size == 100_000


@vanishing
def test_an_open_message_of_a_vanished_queue_can_be_opened_again(leftover: Leftover) -> None:
    again = os.open(f"/proc/self/fd/{leftover.message}", os.O_RDONLY)
    assert os.read(again, 100) == b"message"
    os.close(again)


@vanishing
def test_an_open_message_of_a_vanished_queue_has_no_links(leftover: Leftover) -> None:
    assert os.fstat(leftover.message).st_nlink == 0


@vanishing
def test_an_open_message_of_a_vanished_queue_cannot_get_a_name_again(
    leftover: Leftover, queue: Path
) -> None:
    with refused(ENOENT):
        link_following(Path(f"/proc/self/fd/{leftover.message}"), queue / "new")
    assert listed(queue) == []


@vanishing
def test_a_vanished_queues_name_is_free(leftover: Leftover) -> None:
    before = os.fstat(leftover.directory).st_ino
    leftover.path.mkdir()
    assert leftover.path.stat().st_ino != before
    fill(leftover.path, "new")
    assert os.pread(leftover.message, 100, 0) == b"message"
    (leftover.path / "new").unlink()
    leftover.path.rmdir()


@vanishing
def test_a_working_directory_in_a_vanished_queue_takes_no_new_names(root: Path, how: str) -> None:
    queue = root / "vanishing"

    def live_in(directory: int) -> tuple[list[str], int]:
        os.fchdir(directory)
        said = []
        for call in (
            lambda: open_with(Path("new"), os.O_CREAT | os.O_WRONLY),
            lambda: os.mkdir("new"),
            os.getcwd,
            lambda: os.stat("head"),
        ):
            try:
                call()
                said.append("done")
            except OSError as error:
                said.append(errorcode[error.errno or 0])
        return said, os.stat(".").st_nlink

    owner = Forked(queue.mkdir)
    owner.result()
    directory = os.open(queue, os.O_RDONLY)
    if how == "rmdir":
        queue.rmdir()
    owner.end()
    try:
        assert in_child(lambda: live_in(directory)) == (["ENOENT"] * 4, 0)
    finally:
        os.close(directory)
