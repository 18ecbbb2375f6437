"""A user at every limit hammers the mount: others go on, and the daemon's memory is bounded."""

import errno
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.mount.processes import ALICE, BOB, Forked, in_child
from tests.mounts import Mount, mounted, names, wait_until

MAX_DIRS, MAX_FILES, MAX_FILES_PER_DIR, MAX_BYTES = 40, 4_000, 300, 16 * 2**20

QUOTA = f"""[eventfs-quota]
user = {ALICE}
max_dirs = {MAX_DIRS}
max_files = {MAX_FILES}
max_files_per_dir = {MAX_FILES_PER_DIR}
max_bytes = {MAX_BYTES}
"""

#: What docs/limits.md promises.
FACTOR = 2
NAME_BYTES, QUEUE_BYTES = 1024, 4096

HAMMERS = 20
ROUND_TRIPS = 200


def hammer(root: Path, number: int, stop: Path) -> Counter[str]:
    """Do whatever takes memory, in the smallest and in the largest pieces; count the answers."""
    chance = random.Random(number)  # noqa: S311  # the same storm each time
    answers: Counter[str] = Counter()
    queues: list[Path] = []
    opened: list[int] = []

    def mkdir() -> None:
        queues.append(root / f"hammer-{number}-{len(queues)}")
        try:
            queues[-1].mkdir()
        except OSError:
            del queues[-1]
            raise

    def some_message() -> Path:
        return chance.choice(queues) / str(chance.randrange(2 * MAX_FILES_PER_DIR))

    def with_file(action: Callable[[int], object]) -> None:
        descriptor = os.open(some_message(), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            action(descriptor)
        finally:
            os.close(descriptor)

    def keep_open() -> None:
        """Keep a file that has no name any more."""
        if len(opened) == 20:
            os.close(opened.pop(0))
        path = some_message()
        opened.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.unlink()
        os.write(opened[-1], b"x" * 1000)

    actions: list[Callable[[], object]] = [
        mkdir,
        keep_open,
        lambda: with_file(lambda fd: os.write(fd, b"x")),
        lambda: with_file(lambda fd: [os.pwrite(fd, b"x", 100 * n) for n in range(5)]),
        lambda: with_file(lambda fd: os.pwrite(fd, b"x", 200_000)),
        lambda: with_file(lambda fd: os.pwrite(fd, b"x" * 100_000, 0)),
        lambda: with_file(lambda fd: os.ftruncate(fd, 2**40)),
        lambda: with_file(
            lambda fd: set_attributes(fd, [f"user.{chance.randrange(9999)}" for _ in range(9)])
        ),
        lambda: os.link(some_message(), some_message()),
        lambda: some_message().unlink(),
        lambda: chance.choice(queues).joinpath("head").unlink(),
        lambda: names(chance.choice(queues)),
    ]
    while not stop.exists():
        try:
            (chance.choice(actions) if queues else mkdir)()
            answers["done"] += 1
        except OSError as error:
            answers[errno.errorcode[error.errno or 0]] += 1
    return answers


def set_attributes(descriptor: int, names: list[str]) -> None:
    for name in names:
        os.setxattr(descriptor, name, b"xy")


def go_round(root: Path) -> int:
    """Send messages, and take them again."""
    queue = root / "undisturbed"
    queue.mkdir()
    for number in range(ROUND_TRIPS):
        (queue / f"{number}").write_text(f"{number}")
        assert (queue / "head").read_text() == f"{number}"
        (queue / "head").unlink()
    return ROUND_TRIPS


def is_full(mount: Mount) -> bool:
    """Tell whether the user has nearly all that they may have, as statfs shows it to them."""

    def free() -> tuple[int, int]:
        stat = os.statvfs(mount.path)
        return stat.f_bavail * stat.f_bsize, stat.f_favail

    free_bytes, free_files = in_child(free, ALICE)
    return bool(free_bytes < MAX_BYTES // 10 and free_files < MAX_FILES // 10)


def peak_bytes(mount: Mount) -> int:
    """Return the most memory that the daemon ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{mount.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.fixture
def mount(public_path: Path) -> Iterator[Mount]:
    """A mount in which ALICE has limits."""
    folder = public_path / "hammer"
    (folder / "quotas").mkdir(parents=True)
    (folder / "quotas" / "alice").write_text(QUOTA)
    config = folder / "eventfs.conf"
    config.write_text("[eventfs-config]\nquotas = quotas\n")
    options = ("-o", "allow_other,nr_inodes=1M", "-c", str(config))
    with mounted(folder / "mount", *options) as mount:
        yield mount


def test_a_user_at_every_limit_stops_nobody_and_takes_bounded_memory(
    mount: Mount,
) -> None:
    stop = mount.path.parent / "stop"
    before_bytes = mount.rss_bytes()
    hammers = [
        Forked(partial(hammer, mount.path, number, stop), ALICE) for number in range(HAMMERS)
    ]
    try:
        assert in_child(lambda: go_round(mount.path), BOB) == ROUND_TRIPS
        wait_until(lambda: is_full(mount), "the user to be at every limit")
        stop.touch()
        answers = sum((child.result() for child in hammers), Counter[str]())
    finally:
        for child in hammers:
            child.end()
    assert answers.keys() <= {"done", "EDQUOT", "ENOENT", "EEXIST", "ESTALE"}, answers
    assert answers["done"]
    assert answers["EDQUOT"]
    allowed_bytes = MAX_BYTES + MAX_FILES * NAME_BYTES + MAX_DIRS * QUEUE_BYTES
    taken_bytes = peak_bytes(mount) - before_bytes
    print(f"{taken_bytes / allowed_bytes:.2f} times what the limits allow")  # noqa: T201  # with -s
    assert taken_bytes < FACTOR * allowed_bytes
