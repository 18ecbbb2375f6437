"""Where a queue differs from other directories."""

import os
from errno import (
    ENOSPC,
    EOPNOTSUPP,
)
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mounts import Mount


@pytest.mark.parametrize("name", ["trusted.x", "security.x"])
def test_a_queue_keeps_no_xattrs_but_the_users(queue: Path, name: str) -> None:
    (queue / "file").touch()
    for path in (queue, queue / "file"):
        with refused(EOPNOTSUPP):
            os.setxattr(path, name, b"1")
        with refused(EOPNOTSUPP):
            os.getxattr(path, name)


def test_all_names_of_xattrs_together_have_64_kib_at_most(queue: Path) -> None:
    (queue / "file").touch()
    for number in range(256):
        os.setxattr(queue / "file", f"user.{number:03}".ljust(255, "x"), b"")
    with refused(ENOSPC):
        os.setxattr(queue / "file", "user.x", b"")
    assert len(os.listxattr(queue / "file")) == 256


def test_a_queue_makes_no_nameless_files(queue: Path) -> None:
    with refused(EOPNOTSUPP):
        os.open(queue, os.O_TMPFILE | os.O_RDWR)


def test_huge_offsets_take_no_memory(queue: Path, shared_mount: Mount) -> None:
    before = shared_mount.rss_bytes()
    for number in range(20):
        with (queue / str(number)).open("wb") as file:
            file.seek(2**50)
            file.write(b"x")
            file.truncate(2**57)
    assert shared_mount.rss_bytes() - before < 10_000_000
