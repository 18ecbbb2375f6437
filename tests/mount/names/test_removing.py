"""Removing queues."""

import os
from errno import (
    EISDIR,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    EPERM,
)
from pathlib import Path

import pytest

from tests.mount.calls import (
    refused,
)
from tests.mount.making import fill, listed
from tests.mount.processes import ALICE, BOB, Fork, in_child
from tests.mounts import Mount


def test_rmdir_of_a_queue_with_messages_is_refused(queue: Path) -> None:
    fill(queue, "message")
    with refused(ENOTEMPTY):
        queue.rmdir()


def test_rmdir_of_a_message_is_refused(queue: Path) -> None:
    fill(queue, "message")
    with refused(ENOTDIR):
        (queue / "message").rmdir()


def test_unlink_of_a_queue_is_refused(queue: Path) -> None:
    with refused(EISDIR):
        queue.unlink()


def test_an_empty_queue_can_be_removed(queue: Path, root: Path) -> None:
    queue.rmdir()
    assert queue.name not in listed(root)
    with refused(ENOENT):
        queue.stat()


@pytest.mark.parametrize("user", [ALICE, 0], ids=["its user", "root"])
def test_an_empty_queue_can_be_removed_by_another_process_of(
    root: Path, fork: Fork, user: int
) -> None:
    queue = root / "alices"
    fork(queue.mkdir, ALICE)
    in_child(queue.rmdir, user)
    assert not queue.exists()


def test_in_a_root_with_s_isvtx_nobody_may_remove_anothers_queue(root: Path, fork: Fork) -> None:
    queue = root / "alices"
    fork(queue.mkdir, ALICE)
    with refused(EPERM):
        in_child(queue.rmdir, BOB)
    assert queue.exists()


def test_in_a_root_without_s_isvtx_everyone_may_remove_anothers_queue(
    mount: Mount, fork: Fork
) -> None:
    os.chdir(mount.path)  # for users who can't come here by the path
    try:
        mount.path.chmod(0o777)
        fork(lambda: os.mkdir("alices"), ALICE)
        in_child(lambda: os.rmdir("alices"), BOB)
        assert listed(mount.path) == []
    finally:
        os.chdir("/")


def test_an_owner_whose_queue_was_removed_can_make_it_again(queue: Path) -> None:
    fill(queue, "message")
    (queue / "message").unlink()
    before = queue.stat().st_ino
    in_child(queue.rmdir)
    queue.mkdir()
    assert queue.stat().st_ino != before
