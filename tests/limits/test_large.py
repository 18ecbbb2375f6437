"""What is too large to fit: nothing is half there, and no memory is taken for it."""

import mmap
import os
import subprocess
from collections.abc import Callable, Iterator
from errno import EDQUOT, EFBIG, ENOSPC, EOPNOTSUPP
from pathlib import Path

import pytest

from tests.limits.conftest import Limited, limited_mount
from tests.limits.users import FREE, User, being
from tests.mount.calls import fallocate, refused
from tests.mount.posix.checks import noise
from tests.mount.processes import in_child
from tests.mounts import Mount

#: More than the kernel sends in one request (1 MiB), and no multiple of a page.
MAX_BYTES = 2_500_001
BIG = 3_000_017

LIMITED = User(30_001, 30_001)
OTHER = User(FREE, FREE)


@pytest.fixture(scope="module")
def mount(public_path: Path) -> Iterator[Mount]:
    with limited_mount(
        public_path, {}, {f"user = {LIMITED.uid}": {"max_bytes": MAX_BYTES}}
    ) as mount:
        yield mount


@pytest.fixture
def queue(mount: Mount) -> Iterator[Path]:
    """A queue with a message that is larger than the limited user may have."""
    path = mount.path / "queue"
    path.mkdir()
    path.chmod(0o777)
    (path / "source").write_bytes(noise(BIG))
    yield path
    for name in ("source", "message"):
        (path / name).unlink(missing_ok=True)
    path.rmdir()


def do(function: Callable[[], object], user: User = LIMITED) -> None:
    in_child(being(user, function))


def send(source: Path, target: int) -> int:
    with source.open("rb") as opened:
        return os.sendfile(target, opened.fileno(), 0, BIG)


def copy(source: Path, target: int) -> int:
    with source.open("rb") as opened:
        return os.copy_file_range(opened.fileno(), target, BIG)


def write_direct(source: Path, target: int) -> int:
    with mmap.mmap(-1, BIG) as aligned:
        aligned.write(source.read_bytes())
        return os.write(target, aligned)


WRITES: dict[str, tuple[int, Callable[[Path, int], int]]] = {
    "write": (0, lambda source, target: os.write(target, source.read_bytes())),
    "sendfile": (0, send),
    "copy_file_range": (0, copy),
    "O_DIRECT": (os.O_DIRECT, write_direct),
}


@pytest.mark.parametrize("created", [True, False], ids=["new", "there"])
@pytest.mark.parametrize(("flags", "write"), WRITES.values(), ids=WRITES)
def test_what_a_write_says_is_written_is_there_and_nothing_else(
    queue: Path, flags: int, write: Callable[[Path, int], int], *, created: bool
) -> None:
    def go_on() -> None:
        if not created:
            (queue / "message").touch()
        message = os.open(queue / "message", os.O_CREAT | os.O_WRONLY | flags, 0o644)
        written = 0
        with refused(EDQUOT):
            while True:
                count = write(queue / "source", message)
                assert count > 0
                content = (queue / "message").read_bytes()
                assert content[written:] == noise(BIG)[:count]
                written += count
        assert (queue / "message").stat().st_size == written <= MAX_BYTES

    do(go_on)


def test_cp_says_that_it_does_not_fit(queue: Path) -> None:
    def cp() -> None:
        done = subprocess.run(
            ["cp", queue / "source", queue / "message"], capture_output=True, check=False
        )
        assert done.returncode == 1
        assert b"Disk quota exceeded" in done.stderr
        content = (queue / "message").read_bytes()
        assert content == noise(BIG)[: len(content)]
        assert len(content) <= MAX_BYTES

    do(cp)


@pytest.mark.parametrize("mode", [0, 1, 3, 16], ids=["usual", "keep size", "hole", "zeros"])
@pytest.mark.parametrize("length", [100, MAX_BYTES + 1, 2**62])
def test_fallocate_is_not_supported_and_changes_nothing(
    queue: Path, mode: int, length: int
) -> None:
    def allocate() -> None:
        with (queue / "message").open("w+b", buffering=0) as message:
            message.write(b"text")
            with refused(EOPNOTSUPP):
                fallocate(message.fileno(), mode, 0, length)
            assert (queue / "message").read_bytes() == b"text"

    do(allocate)


def test_posix_fallocate_gives_all_that_one_may_have_and_no_more(queue: Path) -> None:
    def allocate() -> None:
        with (queue / "message").open("w+b", buffering=0) as message:
            os.posix_fallocate(message.fileno(), 0, MAX_BYTES)
            with refused(EDQUOT):
                os.posix_fallocate(message.fileno(), 0, MAX_BYTES + 1)
            assert (queue / "message").read_bytes() == bytes(MAX_BYTES)

    do(allocate)


HUGE: dict[str, Callable[[int], object]] = {
    "ftruncate": lambda fd: os.ftruncate(fd, 2**62),
    "ftruncate to the largest size": lambda fd: os.ftruncate(fd, 2**63 - 1),
    "pwrite": lambda fd: os.pwrite(fd, b"x", 2**62),
    "pwrite to the largest offset": lambda fd: os.pwrite(fd, b"x", 2**63 - 2),
}


@pytest.mark.parametrize("grow", HUGE.values(), ids=HUGE)
def test_a_huge_size_is_refused_to_who_is_limited_and_takes_no_memory(
    mount: Mount, queue: Path, grow: Callable[[int], object]
) -> None:
    def go() -> None:
        with (queue / "message").open("w+b", buffering=0) as message:
            message.write(b"text")
            with refused(EDQUOT, EFBIG):
                grow(message.fileno())
            assert (queue / "message").read_bytes() == b"text"

    before = mount.rss_bytes()
    do(go)
    assert mount.rss_bytes() < before + (1 << 22)


def test_who_has_no_limit_may_have_more_than_one_huge_hole(mount: Mount) -> None:
    def make() -> None:
        queue = mount.path / "fated"
        queue.mkdir()
        for number in range(3):
            (queue / f"{number}").touch()
            os.truncate(queue / f"{number}", 2**62)
            assert (queue / f"{number}").stat().st_size == 2**62

    before = mount.rss_bytes()
    do(make, OTHER)
    assert mount.rss_bytes() < before + (1 << 22)


def test_a_shared_mapping_is_written_within_the_limits(queue: Path) -> None:
    def write() -> None:
        (queue / "message").touch()
        os.truncate(queue / "message", MAX_BYTES)
        with (
            (queue / "message").open("r+b", buffering=0) as message,
            mmap.mmap(message.fileno(), 0) as mapped,
        ):
            # What counts is the size: the hole is paid for.
            mapped[:] = noise(MAX_BYTES)
            mapped.flush()
            with refused(EDQUOT):
                os.pwrite(message.fileno(), b"x", MAX_BYTES)
        assert (queue / "message").read_bytes() == noise(MAX_BYTES)

    do(write)


@pytest.mark.parametrize("distance", [2**18, 2**32])
def test_bytes_far_apart_take_little_more_memory_than_size(limited: Limited, distance: int) -> None:
    size = 1 << 20
    mount = limited({"size": size}, {})
    (mount.path / "queue").mkdir()
    with (mount.path / "queue" / "message").open("w+b", buffering=0) as message:
        os.pwrite(message.fileno(), b"x", distance)
        before = mount.rss_bytes()
        with refused(ENOSPC):
            for number in range(2, size // 100):
                os.pwrite(message.fileno(), b"x", number * distance)
    assert mount.rss_bytes() - before < 2 * size
