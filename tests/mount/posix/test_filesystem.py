"""The whole filesystem."""

import os
import shutil
import subprocess
from collections.abc import Callable
from errno import (
    ETXTBSY,
)
from pathlib import Path

from tests.mount.calls import refused
from tests.mount.posix.checks import noise


def test_statvfs_is_plausible(directory: Path) -> None:
    status = os.statvfs(directory)
    assert status.f_namemax == 255
    assert status.f_frsize > 0
    assert 0 < status.f_bavail <= status.f_bfree <= status.f_blocks
    assert 0 < status.f_favail <= status.f_ffree < status.f_files


def test_stat_and_lstat_agree_with_fstat(directory: Path, fd: int) -> None:
    os.write(fd, b"text")
    assert (directory / "file").stat() == (directory / "file").lstat() == os.fstat(fd)


def test_blocks_cover_what_is_written(fd: int) -> None:
    os.write(fd, noise(100_000))
    assert 100_000 <= os.fstat(fd).st_blocks * 512 < 200_000


def test_a_program_can_be_run_from_it(directory: Path) -> None:
    shutil.copy("/bin/true", directory / "program")
    subprocess.run([directory / "program"], check=True)
    (directory / "script").write_text("#!/bin/sh\necho done\n")
    (directory / "script").chmod(0o755)
    done = subprocess.run([directory / "script"], check=True, capture_output=True)
    assert done.stdout == b"done\n"


def test_a_running_program_cannot_be_written(directory: Path, handle: Callable[..., int]) -> None:
    shutil.copy("/bin/sleep", directory / "program")
    with subprocess.Popen([directory / "program", "1000"]) as process:
        try:
            with refused(ETXTBSY):
                handle(directory / "program", os.O_WRONLY)
        finally:
            process.kill()
