"""How many requests things take: exact, and the same on every machine.

A round trip to the daemon costs more than what it does, so these numbers are what speed is made of.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EPERM
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mounts import Mount, wait_until

REQUESTS = "user.eventfs_requests"

#: Nobody waits for the answers to these.
UNWAITED = ("release", "releasedir", "forget")


def requests(root: Path) -> Counter[str]:
    lines = os.getxattr(root, REQUESTS).decode().splitlines()
    return Counter({kind: int(count) for kind, count in map(str.split, lines)})


@pytest.fixture
def root(mount: Mount) -> Path:
    """A root of the test's own: nobody else's requests are counted."""
    return mount.path


@pytest.fixture
def queue(root: Path) -> Path:
    """A queue where a message came and went, so that the kernel has asked what it asks once."""
    queue = root / "queue"
    queue.mkdir()
    (queue / "first").write_bytes(b"")
    (queue / "first").unlink()
    return queue


def own_requests(root: Path) -> Counter[str]:
    """Return what it takes to read the counts: Python tries with 128 bytes first."""
    return Counter(getxattr=1 + (len(os.getxattr(root, REQUESTS)) > 128))


@contextmanager
def counted(root: Path) -> Iterator[Counter[str]]:
    """Count the requests made inside."""
    before, counts = requests(root), Counter[str]()
    yield counts
    counts.update(requests(root) - before - own_requests(root))


def waited(counts: Counter[str]) -> dict[str, int]:
    return {kind: count for kind, count in counts.items() if kind not in UNWAITED}


def publish(name: str | Path, directory: int | None = None, content: bytes = b"x" * 100) -> None:
    message = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=directory)
    os.write(message, content)
    os.close(message)


def consume(head: str | Path, directory: int | None = None) -> bytes:
    message = os.open(head, os.O_RDONLY, dir_fd=directory)
    content = os.read(message, 2**20)
    os.close(message)
    os.unlink(head, dir_fd=directory)
    return content


@pytest.fixture
def directory(queue: Path) -> Iterator[int]:
    """The queue, opened."""
    descriptor = os.open(queue, os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_to_publish_takes_four_requests_that_anyone_waits_for(root: Path, queue: Path) -> None:
    with counted(root) as counts:
        publish(queue / "message")
    assert waited(counts) == {"lookup": 2, "create": 1, "write": 1}


def test_also_in_a_queue_that_is_open(root: Path, directory: int) -> None:
    publish("another", directory)
    with counted(root) as counts:
        publish("message", directory)
    assert waited(counts) == {"getattr": 1, "lookup": 1, "create": 1, "write": 1}


def test_to_consume_takes_seven(root: Path, queue: Path) -> None:
    publish(queue / "message")
    with counted(root) as counts:
        assert consume(queue / "head") == b"x" * 100
    assert waited(counts) == {"lookup": 4, "readlink": 1, "open": 1, "unlink": 1}


def test_and_six_in_a_queue_that_is_open(root: Path, directory: int) -> None:
    publish("message", directory)
    with counted(root) as counts:
        assert consume("head", directory) == b"x" * 100
    assert waited(counts) == {"getattr": 1, "lookup": 2, "readlink": 1, "open": 1, "unlink": 1}


@pytest.fixture
def worker(root: Path) -> Iterator[int]:
    """A lease queue, opened, where a message came and went."""
    path = root / "worker"
    path.mkdir()
    os.setxattr(path, "user.eventfs_lease", b"")
    publish(path / "first")
    (path / "first").unlink()
    descriptor = os.open(path, os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def claim(directory: int, worker: int) -> str:
    """Move the oldest message to the worker's queue."""
    name = os.readlink("head", dir_fd=directory)
    os.rename(name, name, src_dir_fd=directory, dst_dir_fd=worker)
    return name


def test_to_claim_takes_six_to_read_three_and_to_be_done_two(
    root: Path, directory: int, worker: int
) -> None:
    for name in ("first", "message"):
        publish(name, directory)
    os.unlink(claim(directory, worker), dir_fd=worker)
    with counted(root) as counts:
        name = claim(directory, worker)
    assert waited(counts) == {"getattr": 2, "readlink": 1, "lookup": 2, "rename": 1}
    with counted(root) as counts:
        message = os.open(name, os.O_RDONLY, dir_fd=worker)
        assert os.read(message, 2**20) == b"x" * 100
        os.close(message)
    assert waited(counts) == {"getattr": 1, "lookup": 1, "open": 1}
    with counted(root) as counts:
        os.unlink(name, dir_fd=worker)
    assert waited(counts) == {"lookup": 1, "unlink": 1}


def test_a_large_message_is_read_by_requests(root: Path, directory: int) -> None:
    publish("message", directory, b"x" * 2**21)
    with counted(root) as counts:
        assert consume("head", directory) == b"x" * 2**20
    assert counts["read"] >= 2**20 // 2**17


@pytest.fixture
def subscribers(root: Path, queue: Path) -> list[Path]:
    """Queues to deliver the queue's message to."""
    publish(queue / "message")
    subscribers = [root / f"subscriber-{number}" for number in range(2)]
    for subscriber in subscribers:
        subscriber.mkdir()
    return subscribers


@pytest.mark.parametrize(
    ("link", "lookups"),
    [
        (lambda queue, _, new: os.link(queue / "message", new), 4),
        (lambda _, directory, new: os.link("message", new, src_dir_fd=directory), 3),
    ],
    ids=["by paths", "from a queue that is open"],
)
def test_to_deliver_by_link_takes_a_lookup_of_each_name_and_a_link(
    queue: Path,
    directory: int,
    subscribers: list[Path],
    link: Callable[[Path, int, Path], None],
    lookups: int,
) -> None:
    link(queue, directory, subscribers[0] / "message")
    with counted(queue.parent) as counts:
        link(queue, directory, subscribers[1] / "message")
    assert waited(counts) == {"lookup": lookups, "link": 1}


def test_to_deliver_an_open_message_takes_three(
    queue: Path, directory: int, subscribers: list[Path]
) -> None:
    with (queue / "message").open() as message, counted(queue.parent) as counts:
        # Python follows symlinks only where it is given a directory.
        source = f"/proc/self/fd/{message.fileno()}"
        os.link(source, subscribers[0] / "message", src_dir_fd=directory)
    assert waited(counts) == {"lookup": 2, "link": 1}


def test_a_second_listing_takes_no_more_than_the_first(root: Path, queue: Path) -> None:
    for number in range(10):
        publish(queue / str(number))

    def list_long() -> int:
        with counted(root) as counts, os.scandir(queue) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
        return sum(waited(counts).values())

    first = list_long()
    assert list_long() <= first


@pytest.mark.parametrize("readers", [1, 3])
def test_what_the_kernel_has_is_not_asked_for_again(
    root: Path, queue: Path, directory: int, readers: int
) -> None:
    publish("message", directory)
    with counted(root) as counts:
        for _ in range(readers):
            assert (queue / "message").read_bytes() == b"x" * 100
    assert counts["read"] == 0


def test_each_message_is_released_and_forgotten(root: Path, queue: Path) -> None:
    with counted(root) as counts:
        publish(queue / "message")
        consume(queue / "head")
        before = requests(root)
        wait_until(lambda: requests(root)["forget"] > before["forget"], "the kernel to forget it")
    assert counts["release"] == 2


def test_the_numbers_can_only_be_read(root: Path) -> None:
    with refused(EPERM):
        os.setxattr(root, REQUESTS, b"0")
    assert REQUESTS not in os.listxattr(root)
    first, second = requests(root), requests(root)
    assert second - first == own_requests(root)


def test_elsewhere_the_name_is_an_ordinary_one(queue: Path) -> None:
    os.setxattr(queue, REQUESTS, b"0")
    assert os.getxattr(queue, REQUESTS) == b"0"
