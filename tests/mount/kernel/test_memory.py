"""Nothing is used twice, and nothing is left."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.mount.daemon import drop_caches, wait_until_empty
from tests.mount.inotify import Watch
from tests.mount.processes import Forked, in_child
from tests.mounts import Mount, wait_until


def test_inode_numbers_are_never_used_twice(mount: Mount) -> None:
    queue = mount.path / "queue"
    seen: list[int] = []
    for _ in range(5):
        queue.mkdir()
        seen.append(queue.stat().st_ino)
        for name in ("a", "b", "c"):
            for _ in range(20):
                (queue / name).touch()
                seen.append((queue / name).stat().st_ino)
                (queue / "head").unlink()
        queue.rmdir()
    assert len(seen) == len(set(seen))


def test_ends_have_inode_numbers_of_their_own(queue: Path) -> None:
    (queue / "message").touch()
    numbers = {
        (queue / "head").lstat().st_ino,
        (queue / "tail").lstat().st_ino,
        (queue / "message").stat().st_ino,
        queue.stat().st_ino,
        queue.parent.stat().st_ino,
    }
    assert len(numbers) == 5


def use_heavily(directory: Path) -> None:
    """Make, read, link, list, pop, and leave messages and queues behind."""
    queues = [directory / name for name in ("one", "two")]
    for queue in queues:
        queue.mkdir()
    for number in range(200):
        (queues[0] / str(number)).write_text("text")
        os.link(queues[0] / str(number), queues[1] / str(number))
        assert (queues[0] / "head").read_text() == "text"
        if number % 2:
            (queues[0] / "head").unlink()
        if number % 3:
            (queues[1] / "tail").unlink()
    for queue in queues:
        for name in os.listdir(queue):
            (queue / name).stat()


def test_all_memory_and_descriptors_are_free_after_heavy_use(mount: Mount) -> None:
    assert mount.inodes() == 1
    descriptors = mount.descriptors()
    for _ in range(3):
        in_child(lambda: use_heavily(mount.path))
        assert os.listdir(mount.path) == []
    wait_until_empty(mount)
    assert mount.descriptors() == descriptors


def test_handles_keep_a_vanished_queue_in_memory_only_until_they_are_closed(mount: Mount) -> None:
    owner = Forked(lambda: use_heavily(mount.path))
    try:
        owner.result()
        fds = [os.open(mount.path / "one" / name, os.O_RDONLY) for name in (".", "head", "tail")]
    finally:
        owner.end()
    assert os.listdir(mount.path) == []
    drop_caches()
    wait_until(lambda: mount.inodes() == 4, "the root and the three that are open")
    for fd in fds:
        os.close(fd)
    wait_until_empty(mount)


def test_a_watch_keeps_a_vanished_queue_in_memory_only_until_it_has_been_told(
    mount: Mount,
) -> None:
    owner = Forked((mount.path / "queue").mkdir)
    try:
        owner.result()
        (mount.path / "queue" / "message").touch()
        with Watch(mount.path / "queue") as watch, Watch(mount.path / "queue" / "message"):
            owner.end()
            watch.events_until("IN_DELETE_SELF")
    finally:
        owner.end()
    wait_until_empty(mount)


def test_removing_everything_by_hand_frees_all_memory(mount: Mount) -> None:
    queue = mount.path / "queue"
    queue.mkdir()
    for number in range(50):
        (queue / str(number)).write_text("text")
    (queue / "head").read_text()
    subprocess.run(["rm", "-rf", queue], check=True)
    assert os.listdir(mount.path) == []
    wait_until_empty(mount)


def test_messages_popped_through_head_take_no_memory(mount: Mount) -> None:
    """As long as the kernel isn't short of memory itself, it keeps the names that it knew."""
    queue = mount.path / "queue"
    queue.mkdir()
    size, rounds = 1_000_000, 100
    before = mount.rss_bytes()
    for number in range(rounds):
        (queue / str(number)).write_bytes(b"x" * size)
        assert len((queue / "head").read_bytes()) == size
        (queue / "head").unlink()
    assert os.listdir(queue) == []
    wait_until(
        lambda: mount.rss_bytes() - before < rounds * size // 4,
        f"the memory of {rounds} popped messages of {size} bytes",
        deadline_s=5,
    )


def test_the_types_that_the_kernel_sees_never_change(queue: Path) -> None:
    (queue / "message").touch()
    kinds = {name: stat.S_IFMT((queue / name).lstat().st_mode) for name in os.listdir(queue)}
    assert kinds == {"head": stat.S_IFLNK, "message": stat.S_IFREG, "tail": stat.S_IFLNK}


@pytest.mark.parametrize("port", [".pipe", ".lines"])
def test_nothing_is_left_of_a_queue_that_was_removed_while_a_port_was_open(
    mount: Mount, port: str
) -> None:
    for number in range(10):
        queue = mount.path / f"queue-{number}"
        queue.mkdir()
        with (queue / port).open("rb", buffering=0):
            queue.rmdir()
    wait_until(lambda: mount.inodes() == 1, "the root alone to be left")


def test_nothing_is_left_of_a_queue_that_was_removed_while_its_head_was_held(mount: Mount) -> None:
    queue = mount.path / "queue"
    queue.mkdir()
    (queue / "message").touch()
    fd = os.open(queue / "head", os.O_PATH | os.O_NOFOLLOW)
    (queue / "message").unlink()
    queue.rmdir()
    os.close(fd)
    wait_until(lambda: mount.inodes() == 1, "the root alone to be left")
