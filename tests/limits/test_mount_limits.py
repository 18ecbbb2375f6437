"""The mount's own limits, size and nr_inodes: they hold for root too."""

import mmap
import os
from collections.abc import Iterator
from errno import ENOSPC
from functools import partial
from pathlib import Path

import pytest

from tests.limits.conftest import limited_mount
from tests.limits.users import FREE, User, being
from tests.limits.ways_in import (
    BYTES,
    NAMES,
    QUEUES,
    Bytes,
    Way,
    append,
    check_bytes,
    check_counted,
    fill,
    state,
    succeeds,
)
from tests.mount.calls import refused
from tests.mount.processes import in_child
from tests.mounts import Mount, wait_until

SIZE = 3_000
INODES = 20

users = pytest.mark.parametrize("user", [User(0, 0), User(FREE, FREE)], ids=["root", "other"])


@pytest.fixture(scope="module")
def shared(public_path: Path) -> Iterator[Mount]:
    with limited_mount(public_path, {"size": SIZE, "nr_inodes": INODES}, {}) as mount:
        yield mount


@pytest.fixture
def small(shared: Mount) -> Mount:
    """A small mount, in which nothing is left of other tests."""
    wait_until(lambda: shared.inodes() == 1, "the kernel to forget what is gone")
    return shared


@users
@pytest.mark.parametrize(
    "way", [pytest.param(way, id=name) for name, way in BYTES.items() if way.stored]
)
def test_a_mount_stores_no_more_than_its_size(small: Mount, user: User, way: Bytes) -> None:
    in_child(being(user, partial(check_bytes, way, small.path / "queue", SIZE, ENOSPC)))


@users
@pytest.mark.parametrize("way", NAMES.values(), ids=NAMES)
def test_a_mount_has_no_more_names_than_nr_inodes(small: Mount, user: User, way: Way) -> None:
    def check() -> None:
        queue = small.path / "queue"
        queue.mkdir()
        (queue / "source").touch()
        state(queue)  # `head` and `tail` take an inode each as soon as they are looked at
        places = [queue / f"{number}" for number in range(INODES - 5 + 1)]
        check_counted(way, places, ENOSPC)

    in_child(being(user, check))


@users
def test_a_mount_has_no_more_queues_than_nr_inodes(small: Mount, user: User) -> None:
    places = [small.path / f"{number}" for number in range(INODES)]
    in_child(being(user, partial(check_counted, QUEUES["mkdir"], places, ENOSPC)))


@pytest.fixture
def queue(small: Mount) -> Iterator[Path]:
    path = small.path / "queue"
    path.mkdir()
    yield path
    for name in ("message", "other"):
        (path / name).unlink(missing_ok=True)
    path.rmdir()


@pytest.mark.parametrize("size", [SIZE + 1, 2**40, 2**63 - 1])
def test_a_hole_takes_nothing_of_the_size(queue: Path, size: int) -> None:
    (queue / "message").touch()
    os.truncate(queue / "message", size)
    assert fill(queue / "other", ENOSPC) == SIZE


def test_what_is_written_in_a_hole_takes_its_size(queue: Path) -> None:
    (queue / "message").touch()
    os.truncate(queue / "message", 2**40)
    with (queue / "message").open("r+b", buffering=0) as message:
        message.seek(2**39)
        assert message.write(b"x" * 1_000) == 1_000
        with refused(ENOSPC):
            message.write(b"x" * SIZE)
    assert SIZE - 1_500 < fill(queue / "other", ENOSPC) <= SIZE - 1_000


def test_what_is_unlinked_makes_room_when_it_is_closed(queue: Path) -> None:
    with (queue / "message").open("wb", buffering=0) as message:
        message.write(bytes(SIZE))
        (queue / "message").unlink()
        assert fill(queue / "other", ENOSPC) == 0
    wait_until(lambda: fill(queue / "other", ENOSPC) == SIZE, "room in the mount")


def test_a_vanished_queue_makes_room(small: Mount) -> None:
    def write() -> None:
        queue = small.path / "fated"
        queue.mkdir()
        wait_until(lambda: fill(queue / "message", ENOSPC) == SIZE, "room in the mount")

    for _ in range(3):
        in_child(write)


def test_a_page_of_a_mapping_that_does_not_fit_is_told_by_msync(queue: Path) -> None:
    (queue / "message").touch()
    append(queue / "message", 100)
    os.truncate(queue / "message", 10 * mmap.PAGESIZE)
    with (queue / "message").open("r+b", buffering=0) as message:
        with mmap.mmap(message.fileno(), 0) as mapped:
            mapped[5 * mmap.PAGESIZE] = 1
            with refused(ENOSPC):
                mapped.flush()
        # It is told once.
        succeeds(lambda: os.fsync(message.fileno()), ENOSPC)
    assert fill(queue / "other", ENOSPC) == SIZE - 100
