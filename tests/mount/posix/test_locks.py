"""Locks."""

import fcntl
import os
from collections.abc import Callable
from errno import (
    EAGAIN,
)
from pathlib import Path

from tests.mount.calls import refused
from tests.mount.processes import Fork, Forked, in_child


def test_flock_keeps_another_handle_out(
    directory: Path, fd: int, handle: Callable[..., int]
) -> None:
    other = handle(directory / "file")
    fcntl.flock(fd, fcntl.LOCK_EX)
    with refused(EAGAIN):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_UN)
    fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_flock_works_on_a_directory(directory: Path, handle: Callable[..., int]) -> None:
    fcntl.flock(handle(directory), fcntl.LOCK_EX)
    with refused(EAGAIN):
        fcntl.flock(handle(directory), fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_flock_goes_with_its_process(directory: Path, fd: int, fork: Fork) -> None:
    def lock() -> None:
        fcntl.flock(os.open(directory / "file", os.O_RDWR), fcntl.LOCK_EX)

    child = fork(lock)
    with refused(EAGAIN):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child.end()
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_record_lock_keeps_another_process_out(directory: Path, fd: int) -> None:
    def lock(start: int) -> None:
        fd = os.open(directory / "file", os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, start)

    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
    with refused(EAGAIN):
        in_child(lambda: lock(5))
    in_child(lambda: lock(10))


def test_a_record_lock_that_is_waited_for_comes(directory: Path, fd: int) -> None:
    def lock() -> str:
        fcntl.lockf(os.open(directory / "file", os.O_RDWR), fcntl.LOCK_EX)
        return "locked"

    fcntl.lockf(fd, fcntl.LOCK_EX)
    child = Forked(lock)
    try:
        fcntl.lockf(fd, fcntl.LOCK_UN)
        assert child.result() == "locked"
    finally:
        child.end()
