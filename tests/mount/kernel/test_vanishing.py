"""Queues that vanish while they are used."""

import os
from pathlib import Path

import pytest

from tests.mount.making import is_gone
from tests.mount.posix.checks import tick
from tests.mount.processes import Fork, Forked, in_child
from tests.mounts import Mount, wait_until


def test_an_open_message_stays_readable_when_its_queue_vanishes(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    (path / "message").write_bytes(b"x" * 500_000)
    with (path / "message").open("rb") as file:
        owner.end()
        assert file.read() == b"x" * 500_000


def test_an_open_message_has_no_links_when_its_queue_has_vanished(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    with (path / "message").open("w+") as file:
        owner.end()
        assert is_gone(path)
        assert os.fstat(file.fileno()).st_nlink == 0


def test_an_open_directory_has_no_links_when_its_queue_has_vanished(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    fd = os.open(path, os.O_RDONLY)
    try:
        owner.end()
        assert is_gone(path)
        wait_until(lambda: os.fstat(fd).st_nlink == 0, "the kernel to be told")
    finally:
        os.close(fd)


def test_a_working_directory_that_has_vanished_has_no_name(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)

    def live_there() -> None:
        os.chdir(path)
        os.kill(owner.pid, 9)
        wait_until(lambda: is_gone(path), "the queue to vanish")
        wait_until(has_no_name, "the kernel to be told")

    def has_no_name() -> bool:
        try:
            os.getcwd()
        except FileNotFoundError:
            return True
        return False

    in_child(live_there)


def test_a_vanished_queue_that_is_in_use_is_made_again_at_once(path: Path, fork: Fork) -> None:
    fds = []
    try:
        for number in range(20):
            owner = fork(path.mkdir)
            (path / "message").write_text(str(number))
            fds += [os.open(path / "message", os.O_RDONLY), os.open(path, os.O_RDONLY)]
            owner.end()
        messages = fds[::2]
        assert [os.read(fd, 10) for fd in messages] == [b"%d" % n for n in range(20)]
        assert len({os.fstat(fd).st_ino for fd in fds}) == 40
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("opened", ["there", "here", "nowhere"])
def test_a_message_that_is_elsewhere_too_stays_as_it_is_when_one_queue_vanishes(
    path: Path, queue: Path, fork: Fork, opened: str
) -> None:
    owner = fork(path.mkdir)
    (path / "there").write_text("text")
    os.link(path / "there", queue / "here")
    names = {"there": path / "there", "here": queue / "here", "nowhere": Path(os.devnull)}
    fd = os.open(names[opened], os.O_RDONLY)
    try:
        (path / "there").stat()
        (queue / "here").stat()
        owner.end()
        assert (queue / "here").stat().st_nlink == 1
        if opened != "nowhere":
            assert os.fstat(fd).st_nlink == 1
        assert (queue / "here").read_text() == "text"
        os.link(queue / "here", queue / "again")
        assert (queue / "again").stat().st_nlink == 2
        assert (queue / "again").read_text() == "text"
        (queue / "head").unlink()
        assert (queue / "again").stat().st_nlink == 1
    finally:
        os.close(fd)


def test_the_root_has_a_link_less_when_a_queue_has_vanished(
    path: Path, root: Path, fork: Fork
) -> None:
    before = root.stat().st_nlink
    owner = fork(path.mkdir)
    assert root.stat().st_nlink == before + 1
    owner.end()
    assert is_gone(path)
    assert root.stat().st_nlink == before


def test_the_roots_mtime_and_ctime_move_when_a_queue_vanishes(
    path: Path, root: Path, fork: Fork
) -> None:
    owner = fork(path.mkdir)
    before = root.stat()
    tick()
    owner.end()
    assert is_gone(path)
    after = root.stat()
    assert after.st_mtime_ns > before.st_mtime_ns
    assert after.st_ctime_ns > before.st_ctime_ns


def test_a_listing_of_the_root_goes_on_when_queues_vanish(mount: Mount) -> None:
    owners = [Forked((mount.path / str(number)).mkdir) for number in range(10)]
    try:
        for owner in owners:
            owner.result()
        seen = []
        with os.scandir(mount.path) as entries:
            for entry in entries:
                seen.append(entry.name)
                if len(seen) == 2:
                    owners[5].end()
        assert len(seen) == len(set(seen))
        assert set(seen) >= {str(number) for number in range(10) if number != 5}
    finally:
        for owner in owners:
            owner.end()
