"""What df shows: each user their own limits, and what is left of them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.limits.conftest import Limited, limited_mount
from tests.limits.users import FREE, User, being
from tests.limits.ways_in import append
from tests.mount.processes import in_child
from tests.mounts import Mount, wait_until

BLOCK = 4_096
ANN, BEN, MEMBER, OTHER = User(30_001, FREE), User(30_002, FREE), User(FREE, 30_003), User(FREE, 1)


@pytest.fixture(scope="module")
def mount(public_path: Path) -> Iterator[Mount]:
    quotas = {
        f"user = {ANN.uid}": {"max_bytes": 100 * BLOCK, "max_files": 50},
        f"user = {BEN.uid}": {"max_bytes": 80 * BLOCK, "max_files": 60},
        f"group = {MEMBER.gid}": {"max_bytes": 60 * BLOCK, "max_files": 70},
    }
    with limited_mount(public_path, {"size": 1_000 * BLOCK, "nr_inodes": 500}, quotas) as mount:
        yield mount


@pytest.fixture
def queue(mount: Mount) -> Iterator[Path]:
    wait_until(lambda: mount.inodes() == 1, "the kernel to forget what is gone")
    path = mount.path / "queue"
    path.mkdir()
    path.chmod(0o777)
    yield path
    (path / "message").unlink(missing_ok=True)
    path.rmdir()


def room(path: Path, user: User) -> tuple[int, int, int, int]:
    """Return blocks and free ones, inodes and free ones, as a user sees them."""

    def ask() -> tuple[int, int, int, int]:
        stat = os.statvfs(path)
        assert (stat.f_bsize, stat.f_frsize) == (BLOCK, BLOCK)
        assert (stat.f_bavail, stat.f_favail) == (stat.f_bfree, stat.f_ffree)
        return stat.f_blocks, stat.f_bfree, stat.f_files, stat.f_ffree

    answer: tuple[int, int, int, int] = in_child(being(user, ask))
    return answer


def write(queue: Path, user: User) -> None:
    """Write ten blocks."""
    in_child(being(user, lambda: append(queue / "message", 10 * BLOCK)))


def test_each_user_sees_limits_and_room_of_their_own(queue: Path) -> None:
    write(queue, ANN)
    assert room(queue, ANN) == (100, 90, 50, 49)
    assert room(queue, BEN) == (80, 80, 60, 60)


def test_a_member_sees_the_groups_limits_and_room(queue: Path) -> None:
    write(queue, User(1, MEMBER.gid))
    assert room(queue, MEMBER) == (60, 50, 70, 69)


def test_who_is_not_limited_sees_the_mounts_limits(mount: Mount, queue: Path) -> None:
    write(queue, ANN)
    # The root, the queue and the message.
    assert room(mount.path, OTHER) == (1_000, 990, 500, 497)


def test_a_hole_takes_its_users_room_and_none_of_the_mounts(queue: Path) -> None:
    in_child(being(ANN, lambda: append(queue / "message", 0)))
    os.truncate(queue / "message", 30 * BLOCK)
    assert room(queue, ANN) == (100, 70, 50, 49)
    assert room(queue, OTHER)[:2] == (1_000, 1_000)


def df(path: Path, user: User) -> list[str]:
    """Return what df shows in columns: size, used, available."""
    command = ["df", "--block-size=4096", "--output=size,used,avail", str(path)]
    done: subprocess.CompletedProcess[str] = in_child(
        being(user, lambda: subprocess.run(command, capture_output=True, text=True, check=False))
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[1].split()


def test_df_shows_the_users_own(queue: Path) -> None:
    write(queue, BEN)
    assert df(queue, BEN) == ["80", "10", "70"]


def test_df_works_where_nothing_is_limited(limited: Limited) -> None:
    path = limited({"size": "unlimited", "nr_inodes": "unlimited"}, {}).path
    size, used, available = map(int, df(path, OTHER))
    assert size == used + available
    assert used == 0
    assert size >= 2**50 // BLOCK
