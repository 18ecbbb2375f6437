"""Until it is committed, a message is its creator's alone; committed, it arrives."""

import os
import select
from errno import EEXIST, ENOENT, ENOTEMPTY
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.commit.writers import TEXT, Write
from tests.mount.daemon import drop_caches
from tests.mount.inotify import Watch
from tests.mount.making import MAKE_FILE, Call, each, messages
from tests.mount.ports.using import FOLLOW, opened, take
from tests.mount.processes import ALICE, Fork, in_child
from tests.mounts import DEADLINE_S, Mount, wait_until

# Who sees it


def test_its_creator_uses_its_name(queue: Path, message: int) -> None:
    path = queue / "message"
    assert path.stat().st_ino == os.fstat(message).st_ino
    assert path.stat().st_nlink == 1
    path.chmod(0o600)
    os.setxattr(path, "user.key", b"value")
    assert path.read_bytes() == TEXT
    os.utime(path, (1, 1))
    assert os.fstat(message).st_mtime == 1
    assert messages(queue) == []


def test_also_after_others_have_asked_for_it_in_vain(queue: Path, message: int) -> None:
    for _ in range(3):
        assert not in_child((queue / "message").exists)
        assert (queue / "message").stat().st_ino == os.fstat(message).st_ino
        drop_caches()


USES: dict[str, Call] = {
    "stat": os.stat,
    "open": lambda path: os.open(path, os.O_RDONLY),
    "unlink": os.unlink,
    "rename": lambda path: os.rename(path, path.with_name("other")),
    "link": lambda path: os.link(path, path.with_name("other")),
    "truncate": lambda path: os.truncate(path, 0),
}


@each(USES)
def test_others_find_nothing(queue: Path, message: int, call: Call) -> None:
    def use() -> None:
        with refused(ENOENT):
            call(queue / "message")

    for _ in range(2):
        in_child(use)
        in_child(use, ALICE)
    assert os.fstat(message).st_size == len(TEXT)


def _rename(path: Path) -> None:
    os.mknod(path.with_name("other"))
    try:
        os.rename(path.with_name("other"), path)
    finally:
        path.with_name("other").unlink()


@each({**MAKE_FILE, "rename": _rename})
def test_its_name_is_taken(queue: Path, message: int, call: Call) -> None:
    def make() -> None:
        with refused(EEXIST):
            call(queue / "message")

    for _ in range(2):
        in_child(make)
    assert os.fstat(message).st_nlink == 1


@pytest.mark.usefixtures("message")
def test_a_queue_is_as_empty_as_before(queue: Path) -> None:
    assert os.listdir(queue) == []
    assert os.getxattr(queue, "user.eventfs_messages") == b"0"
    for end in ("head", "tail"):
        with refused(ENOENT):
            os.readlink(queue / end)
    with refused(ENOTEMPTY):
        queue.rmdir()


def test_its_queues_times_move_when_it_is_committed(queue: Path) -> None:
    before = queue.stat().st_mtime_ns
    fd = os.open(queue / "message", os.O_CREAT | os.O_WRONLY)
    assert queue.stat().st_mtime_ns == before
    wait_until(lambda: _tick(queue) > before, "the clock to tick")
    os.close(fd)
    assert queue.stat().st_mtime_ns > before


def _tick(queue: Path) -> int:
    """Return the time, as it is given to what is made now."""
    other = queue.parent / "tick"
    other.mkdir()
    try:
        return other.stat().st_mtime_ns
    finally:
        other.rmdir()


# What its creator does with its name


def test_unlinked_it_never_comes(queue: Path, message: int) -> None:
    (queue / "message").unlink()
    assert os.fstat(message).st_nlink == 0
    assert os.pread(message, 100, 0) == TEXT
    (queue / "message").write_text("another")
    assert (queue / "head").read_text() == "another"


def test_unlinked_and_closed_it_never_comes(queue: Path, write: Write) -> None:
    writer = write("os.unlink('message'); os.close(fd)")
    assert writer.go_on() == "done"
    assert messages(queue) == []


def test_renamed_it_is_there(queue: Path, message: int) -> None:
    os.rename(queue / "message", queue / "renamed")
    assert messages(queue) == ["renamed"]
    os.write(message, b" and more")
    assert (queue / "head").read_bytes() == TEXT + b" and more"


def test_renamed_into_another_queue_it_is_there(queue: Path, message: int, root: Path) -> None:
    other = root / "other"
    other.mkdir()
    os.rename(queue / "message", other / "message")
    assert (messages(queue), messages(other)) == ([], ["message"])
    assert os.fstat(message).st_nlink == 1
    (other / "message").unlink()
    other.rmdir()


def test_linked_it_is_there_and_in_the_other_queue(queue: Path, message: int, root: Path) -> None:
    other = root / "other"
    other.mkdir()
    os.link(queue / "message", other / "message")
    assert (messages(queue), messages(other)) == (["message"], ["message"])
    assert os.fstat(message).st_nlink == 2
    (other / "message").unlink()
    other.rmdir()


def test_others_cannot_link_it_through_its_descriptor(queue: Path, message: int) -> None:
    source = f"/proc/{os.getpid()}/fd/{message}"

    def link() -> None:
        directory = os.open(queue, os.O_DIRECTORY)
        with refused(ENOENT):
            os.link(source, "other", dst_dir_fd=directory, src_dir_fd=directory)

    in_child(link)
    assert messages(queue) == []


# Its arrival


def test_followers_get_it_when_it_is_committed(queue: Path, write: Write, root: Path) -> None:
    follower = root / "follower"
    follower.mkdir()
    os.setxattr(follower, FOLLOW, os.fsencode(queue.name))
    writer = write("os.close(fd)")
    assert os.listdir(follower) == []
    assert follower.stat().st_mtime_ns
    assert writer.go_on() == "done"
    assert messages(follower) == ["message"]
    assert (follower / "message").stat().st_nlink == 2
    assert take(follower) == TEXT
    follower.rmdir()


def test_a_topic_passes_it_on_when_it_is_committed(queue: Path, message: int, root: Path) -> None:
    follower = root / "follower"
    follower.mkdir()
    os.setxattr(follower, FOLLOW, os.fsencode(queue.name))
    os.setxattr(queue, "user.eventfs_keep", b"no")
    assert os.fstat(message).st_nlink == 1
    os.dup2(0, message)
    assert (messages(queue), messages(follower)) == ([], ["message"])
    assert take(follower) == TEXT
    follower.rmdir()


def test_a_port_gives_what_is_committed_only(queue: Path, message: int) -> None:
    (queue / "second").write_text("second")
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK) as port:
        assert os.read(port, 100) == b"second"
        poll = select.poll()
        poll.register(port, select.POLLIN)
        assert poll.poll(0) == []
        os.dup2(0, message)
        assert poll.poll(DEADLINE_S * 1000) == [(port, select.POLLIN)]
        assert os.read(port, 100) == TEXT


def test_whoever_waits_at_a_port_is_woken(queue: Path, write: Write) -> None:
    writer = write("os.close(fd)")
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK) as port:
        poll = select.poll()
        poll.register(port, select.POLLIN)
        assert poll.poll(0) == []
        writer.process.stdin.write(b"!")  # type: ignore[union-attr]
        assert poll.poll(DEADLINE_S * 1000) == [(port, select.POLLIN)]
        assert os.read(port, 100) == TEXT


def test_when_inotify_tells_of_the_close_it_is_there(queue: Path, write: Write) -> None:
    writer = write("""
for number in range(200):
    os.close(fd); fd = os.open(str(number), os.O_CREAT | os.O_WRONLY); os.write(fd, b"text")""")
    with Watch(queue, 0x8) as watch:
        writer.process.stdin.write(b"!")  # type: ignore[union-attr]
        seen = 0
        while seen < 200:
            for _ in watch.events_until("IN_CLOSE_WRITE"):
                assert (queue / "head").read_bytes() == TEXT
                (queue / "head").unlink()
                seen += 1


def test_a_vanishing_queue_takes_it_along(
    closing_mount: Mount, root: Path, start_owner: Path
) -> None:
    before = closing_mount.inodes()
    fd = os.open(start_owner / "message", os.O_CREAT | os.O_RDWR)
    os.write(fd, TEXT)
    assert closing_mount.inodes() > before
    os.kill(int(os.getxattr(start_owner, "user.eventfs_owner")), 9)
    wait_until(lambda: not start_owner.exists(), "the queue's end")
    assert os.pread(fd, 100, 0) == TEXT
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)
    drop_caches()
    wait_until(lambda: closing_mount.inodes() < before, "all to be freed")
    assert start_owner.name not in os.listdir(root)


@pytest.fixture
def start_owner(root: Path, fork: Fork) -> Path:
    """A queue whose owner can be killed."""
    path = root / "fated"
    fork(path.mkdir)
    return path
