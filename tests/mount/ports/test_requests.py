"""How many requests a message takes through a port: exact, as in kernel/test_requests.py."""

import os
import select
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mount.kernel.test_requests import counted, requests, waited
from tests.mount.ports.using import FOLLOW, MIB, opened, put, take, take_all
from tests.mount.processes import Forked
from tests.mounts import Mount, wait_until


@pytest.fixture
def root(mount: Mount) -> Path:
    """A root of the test's own: nobody else's requests are counted."""
    return mount.path


@pytest.fixture
def queue(root: Path) -> Path:
    """A queue of the test's own root."""
    path = root / "queue"
    path.mkdir()
    return path


@pytest.fixture
def ends(queue: Path) -> Iterator[tuple[int, int]]:
    """A handle to write through and one to read through, where a message has passed.

    When a port has been looked up, the first write through the page cache makes the kernel ask for
    `security.capability`, once.
    """
    with opened(queue, os.O_RDONLY) as reader, opened(queue, os.O_WRONLY) as writer:
        os.write(writer, b"first")
        os.read(reader, 100)
        yield reader, writer


@pytest.fixture
def reader(ends: tuple[int, int]) -> int:
    """The one to read through."""
    return ends[0]


@pytest.fixture
def writer(ends: tuple[int, int]) -> int:
    """The one to write through."""
    return ends[1]


@pytest.mark.parametrize("size", [1, 100, 4096, 5000, 100_000])
def test_a_message_is_a_request_each_way(root: Path, writer: int, reader: int, size: int) -> None:
    message = b"x" * size
    with counted(root) as counts:
        for _ in range(100):
            os.write(writer, message)
    assert counts == Counter(write=100)
    with counted(root) as counts:
        for _ in range(100):
            assert os.read(reader, MIB) == message
    assert counts == Counter(read=100)
    with counted(root) as counts:
        for _ in range(100):
            os.write(writer, message)
            os.read(reader, MIB)
    assert counts == Counter(write=100, read=100)


def test_also_through_one_handle(root: Path, queue: Path) -> None:
    with opened(queue, os.O_RDWR) as fd:
        os.write(fd, b"first")
        os.read(fd, 100)
        with counted(root) as counts:
            for _ in range(100):
                os.write(fd, b"message")
                os.read(fd, 100)
    assert counts == Counter(write=100, read=100)


def test_also_the_largest_one(root: Path, writer: int, reader: int) -> None:
    with counted(root) as counts:
        os.write(writer, b"x" * 255 * 4096)
        os.read(reader, MIB)
    assert counts == Counter(write=1, read=1)


def test_that_nothing_is_there_is_a_request_too(root: Path, reader: int) -> None:
    with counted(root) as counts:
        assert os.read(reader, MIB) == b""
    assert counts == Counter(read=1)


def test_a_batch_of_lines_is_a_request_each_way(root: Path, queue: Path) -> None:
    batch = b"".join(b"%d\n" % number for number in range(1000))
    with (
        opened(queue, os.O_WRONLY, ".lines") as writer,
        opened(queue, os.O_RDONLY, ".lines") as reader,
    ):
        os.write(writer, b"first\n")
        os.read(reader, 100)
        with counted(root) as counts:
            for _ in range(10):
                os.write(writer, batch)
        assert counts == Counter(write=10)
        with counted(root) as counts:
            assert os.read(reader, MIB) == batch * 10
        assert counts == Counter(read=1)


@pytest.mark.parametrize("keep", ["yes", "no"])
def test_a_message_to_a_hundred_followers_is_one_request(
    root: Path, queue: Path, writer: int, keep: str
) -> None:
    os.setxattr(queue, "user.eventfs_keep", keep.encode())
    followers = [root / f"follower-{number}" for number in range(100)]
    for follower in followers:
        follower.mkdir()
        os.setxattr(follower, FOLLOW, b"queue")
    with counted(root) as counts:
        os.write(writer, b"message")
    assert counts == Counter(write=1)
    assert [take_all(follower) for follower in followers] == [[b"message"]] * 100


def test_a_wait_is_two_requests(root: Path, queue: Path, writer: int, reader: int) -> None:
    def wait() -> None:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        assert poll.poll() == [(reader, select.POLLIN)]

    before = requests(root)
    child = Forked(wait)
    try:
        wait_until(lambda: requests(root)["poll"] == before["poll"] + 1, "the wait to begin")
        os.write(writer, b"message")
        child.result()
        assert requests(root)["poll"] == before["poll"] + 2
    finally:
        child.end()
    assert take_all(queue) == [b"message"]


def test_so_is_one_with_epoll_edge_triggered(root: Path, writer: int, reader: int) -> None:
    with ExitStack() as stack:
        epoll = select.epoll()
        stack.callback(epoll.close)
        epoll.register(reader, select.EPOLLIN | select.EPOLLET)
        with counted(root) as counts:
            for _ in range(100):
                os.write(writer, b"message")
                assert epoll.poll() == [(reader, select.EPOLLIN)]
                assert os.read(reader, 100)
                assert os.read(reader, 100) == b""
    # One is enough where nobody asks whether it is ready before it is.
    assert counts["poll"] <= 200
    assert waited(counts).keys() == {"write", "read", "poll"}


def test_to_open_a_port_and_write_and_close_it_takes_five_that_anyone_waits_for(
    root: Path, queue: Path
) -> None:
    put(queue, b"first")
    with counted(root) as counts:
        put(queue, b"message")
    assert sum(waited(counts).values()) <= 5, counts
    assert (counts["open"], counts["write"]) == (1, 1)


def test_to_read_takes_four(root: Path, queue: Path) -> None:
    put(queue, b"message")
    with counted(root) as counts:
        take(queue)
    assert sum(waited(counts).values()) <= 4, counts
    assert (counts["open"], counts["read"]) == (1, 1)
