"""Queues that are full, or whose messages are old, through system calls."""

import os
import select
from errno import EAGAIN, EDQUOT, ENOENT
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.inotify import Watch
from tests.mount.leases.using import rule, set_rule
from tests.mount.making import fill, messages
from tests.mount.ports.using import opened, put
from tests.mounts import wait_until


def make_ring(queue: Path, most: int) -> None:
    """Keep the newest messages only."""
    set_rule(queue, "max_messages", str(most))
    set_rule(queue, "overflow", "drop-oldest")


# Refused


def test_a_full_queue_refuses_and_keeps_what_it_has(queue: Path) -> None:
    set_rule(queue, "max_messages", "2")
    fill(queue, "1", "2")
    with refused(EDQUOT):
        (queue / "3").touch()
    with refused(EDQUOT):
        os.link(queue / "1", queue / "3")
    with refused(EDQUOT):
        put(queue, b"3")
    assert messages(queue) == ["1", "2"]
    assert rule(queue, "dropped") == "0"


def test_bytes_beyond_the_limit_are_refused(queue: Path) -> None:
    set_rule(queue, "max_bytes", "10")
    (queue / "1").write_bytes(b"123456")
    with (queue / "2").open("wb", buffering=0) as message:
        with refused(EDQUOT):
            message.write(b"12345")
        with refused(EDQUOT):
            message.truncate(5)
        assert message.write(b"1234") == 4
    assert (queue / "2").read_bytes() == b"1234"
    assert rule(queue, "bytes") == "10"


def test_a_port_polls_as_writable_when_there_is_room(queue: Path) -> None:
    set_rule(queue, "max_messages", "1")
    with opened(queue, os.O_RDWR | os.O_NONBLOCK) as port:
        waiting = select.poll()
        waiting.register(port, select.POLLOUT)
        assert waiting.poll(0)
        os.write(port, b"1")
        assert not waiting.poll(0)
        with refused(EDQUOT):
            os.write(port, b"2")
        os.read(port, 100)
        assert waiting.poll(20_000)


def test_an_expiry_makes_room_for_who_waits(queue: Path) -> None:
    set_rule(queue, "max_messages", "1")
    set_rule(queue, "ttl", "0.1")
    with opened(queue, os.O_WRONLY) as port:
        os.write(port, b"1")
        waiting = select.poll()
        waiting.register(port, select.POLLOUT)
        assert waiting.poll(20_000)
        os.write(port, b"2")
    assert rule(queue, "expired") == "1"


# Dropped


def test_the_oldest_is_dropped_and_counted(queue: Path) -> None:
    make_ring(queue, 2)
    fill(queue, "1", "2", "3", "4")
    assert messages(queue) == ["3", "4"]
    assert (queue / "head").readlink() == Path("3")
    assert not (queue / "1").exists()
    assert rule(queue, "dropped") == "2"


def test_a_ring_takes_all_that_ports_bring(queue: Path) -> None:
    make_ring(queue, 2)
    put(queue, b"1\n2\n3\n4\n5\n", name=".lines")
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK, ".lines") as port:
        assert os.read(port, 100) == b"4\n5\n"
    assert rule(queue, "dropped") == "3"


def test_what_is_open_stays_readable(queue: Path) -> None:
    make_ring(queue, 1)
    fill(queue, "1")
    with (queue / "1").open() as message:
        fill(queue, "2")
        assert os.fstat(message.fileno()).st_nlink == 0
        assert message.read() == "1"
    with refused(ENOENT):
        (queue / "1").stat()


def test_who_has_opened_head_unlinks_no_other(queue: Path) -> None:
    make_ring(queue, 2)
    fill(queue, "1", "2")
    with (queue / "head").open() as message:
        assert message.read() == "1"
        fill(queue, "3")
        with refused(ENOENT):
            (queue / "head").unlink()
    assert messages(queue) == ["2", "3"]
    (queue / "head").unlink()
    assert messages(queue) == ["3"]


def test_other_links_of_what_is_dropped_are_fewer_by_one(queue: Path) -> None:
    other = queue.with_name(queue.name + "-other")
    other.mkdir()
    make_ring(queue, 1)
    fill(queue, "1")
    os.link(queue / "1", other / "1")
    assert (other / "1").stat().st_nlink == 2
    fill(queue, "2")
    assert (other / "1").stat().st_nlink == 1
    assert (other / "1").read_text() == "1"
    (other / "1").unlink()
    other.rmdir()


def test_a_writer_who_lets_a_message_grow_drops_others(queue: Path) -> None:
    set_rule(queue, "max_bytes", "10")
    set_rule(queue, "overflow", "drop-oldest")
    (queue / "1").write_bytes(b"123")
    (queue / "2").write_bytes(b"123")
    with (queue / "1").open("ab", buffering=0) as message:
        message.write(b"1234567")
        with refused(EDQUOT):
            message.write(b"8")
    assert messages(queue) == ["1"]
    assert rule(queue, "dropped") == "1"


def test_who_watches_what_is_dropped_is_told(queue: Path) -> None:
    make_ring(queue, 1)
    fill(queue, "1")
    with Watch(queue / "1") as watch:
        fill(queue, "2")
        assert watch.events_until("IN_DELETE_SELF")


# Expired


def test_what_is_too_old_is_gone_and_counted(queue: Path) -> None:
    set_rule(queue, "ttl", "0.1")
    fill(queue, "1", "2")
    before = queue.stat().st_mtime_ns
    with (queue / "1").open() as message:
        wait_until(lambda: not messages(queue), "the messages to expire")
        assert message.read() == "1"
        assert os.fstat(message.fileno()).st_nlink == 0
    assert rule(queue, "expired") == "2"
    assert rule(queue, "dropped") == "0"
    assert queue.stat().st_mtime_ns > before
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK) as port, refused(EAGAIN):
        os.read(port, 100)


def test_who_watches_what_expires_is_told(queue: Path) -> None:
    set_rule(queue, "ttl", "0.1")
    fill(queue, "1")
    with Watch(queue / "1") as message, Watch(queue) as watch:
        assert message.events_until("IN_DELETE_SELF")
        # No process removed the name, so the kernel says nothing of it to who watches the queue.
        assert "IN_DELETE" not in [event.what for event in watch.events()]


@pytest.mark.parametrize("name", ["head", "tail", "1"])
def test_the_kernel_shows_nothing_that_has_expired(queue: Path, name: str) -> None:
    set_rule(queue, "ttl", "0.1")
    fill(queue, "1")
    assert (queue / name).read_text() == "1"
    wait_until(lambda: rule(queue, "messages") == "0", "the message to expire")
    for call in (os.stat, os.lstat, os.unlink, lambda path: os.open(path, os.O_RDONLY)):
        with refused(ENOENT):
            call(queue / name)
