"""The root: it holds queues, and nothing else."""

import os
import stat
from errno import (
    EEXIST,
    EPERM,
)
from pathlib import Path

import pytest

from tests.mount.calls import (
    refused,
)
from tests.mount.making import (
    MAKE_FILE,
    MAKE_OTHER,
    Call,
    each,
    listed,
)
from tests.mount.processes import ALICE, Fork


def test_mkdir_in_the_root_makes_an_empty_queue(root: Path) -> None:
    queue = root / "made"
    queue.mkdir()
    assert listed(queue) == []
    assert "made" in listed(root)
    queue.rmdir()


def test_mkdir_of_a_name_that_is_taken_is_refused(queue: Path) -> None:
    with refused(EEXIST):
        queue.mkdir()


@each({**MAKE_FILE, **MAKE_OTHER})
def test_nothing_but_queues_can_be_made_in_the_root(root: Path, call: Call) -> None:
    with refused(EPERM):
        call(root / "new")
    assert "new" not in listed(root)


def test_the_root_has_mode_1777_as_tmp(root: Path) -> None:
    assert stat.S_IMODE(root.stat().st_mode) == 0o1777


def test_the_root_belongs_to_who_mounted_it(root: Path) -> None:
    assert (root.stat().st_uid, root.stat().st_gid) == (os.geteuid(), os.getegid())


def test_everyone_may_make_a_queue(root: Path, fork: Fork) -> None:
    queue = root / "alices"
    fork(queue.mkdir, ALICE)
    assert (queue.stat().st_uid, queue.stat().st_gid) == (ALICE, ALICE)


@pytest.mark.parametrize("name", ["head", "tail", ".pipe", ".lines"])
def test_in_the_root_the_names_of_ends_and_ports_are_ordinary(root: Path, name: str) -> None:
    queue = root / name
    queue.mkdir()
    assert stat.S_ISDIR(queue.lstat().st_mode)
    queue.rmdir()
