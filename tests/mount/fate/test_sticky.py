"""A sticky queue outlives its owner."""

import os
import subprocess
from errno import EACCES, EEXIST, ENODATA, EPERM
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.making import STICKY, is_gone
from tests.mount.processes import ALICE, BOB, Fork, in_child


@pytest.mark.parametrize("value", [b"", b"1", b"0", b"\0\xff", b"x" * 65_536], ids=len)
def test_a_sticky_queue_outlives_its_owner(path: Path, fork: Fork, value: bytes) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, value)
    (path / "message").write_text("text")
    owner.end()
    assert (path / "head").read_text() == "text"
    assert os.getxattr(path, STICKY) == value
    (path / "message").unlink()
    path.rmdir()


def test_a_sticky_queue_without_an_owner_is_used_as_any_other(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"")
    owner.end()
    for text in ("1", "2"):
        (path / text).write_text(text)
    (path / "head").unlink()
    assert os.listdir(path) == ["head", "2", "tail"]
    (path / "tail").unlink()
    path.rmdir()
    assert is_gone(path)


def test_only_sticky_queues_of_an_owner_stay(root: Path, fork: Fork) -> None:
    paths = [root / f"fated-{number}" for number in range(3)]

    def make() -> None:
        for path in paths:
            path.mkdir()
        os.setxattr(paths[1], STICKY, b"")

    owner = fork(make)
    owner.end()
    assert [is_gone(path) for path in paths] == [True, False, True]
    paths[1].rmdir()


def test_a_queue_that_lost_its_stickiness_while_its_owner_lived_vanishes_with_it(
    path: Path, fork: Fork
) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"")
    os.removexattr(path, STICKY)
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_a_queue_without_an_owner_vanishes_with_its_stickiness(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"")
    (path / "message").write_text("text")
    owner.end()
    assert (path / "message").is_file()
    os.removexattr(path, STICKY)
    assert is_gone(path)
    assert is_gone(path / "message")


def test_stickiness_is_replaced_without_harm(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"1")
    owner.end()
    os.setxattr(path, STICKY, b"2", os.XATTR_REPLACE)
    with refused(EEXIST):
        os.setxattr(path, STICKY, b"3", os.XATTR_CREATE)
    assert os.getxattr(path, STICKY) == b"2"
    os.removexattr(path, STICKY)


def test_other_attributes_do_not_make_a_queue_sticky(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, "user.eventfs_stick", b"1")
    os.setxattr(path, "user.eventfs_stickyy", b"1")
    owner.end()
    assert is_gone(path)


def test_removing_another_attribute_keeps_a_sticky_queue(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"")
    os.setxattr(path, "user.other", b"")
    owner.end()
    os.removexattr(path, "user.other")
    with refused(ENODATA):
        os.removexattr(path, "user.other")
    assert path.is_dir()
    os.removexattr(path, STICKY)


def test_a_sticky_message_means_nothing(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    (path / "message").touch()
    os.setxattr(path / "message", STICKY, b"")
    owner.end()
    assert is_gone(path)


def test_setting_stickiness_needs_the_right_to_write(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir, ALICE)
    with refused(EACCES):
        in_child(lambda: os.setxattr(path, STICKY, b""), BOB)
    owner.end()
    assert is_gone(path)


def test_who_may_write_to_a_queue_may_make_it_sticky(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir, ALICE)
    path.chmod(0o777)
    in_child(lambda: os.setxattr(path, STICKY, b""), BOB)
    owner.end()
    assert path.is_dir()
    in_child(lambda: os.removexattr(path, STICKY), BOB)
    assert is_gone(path)


def test_in_a_queue_with_s_isvtx_only_its_user_sets_stickiness(path: Path, fork: Fork) -> None:
    fork(path.mkdir, ALICE)
    path.chmod(0o1777)
    with refused(EPERM):
        in_child(lambda: os.setxattr(path, STICKY, b""), BOB)
    in_child(lambda: os.setxattr(path, STICKY, b""), ALICE)
    os.removexattr(path, STICKY)


def test_the_setfattr_command_makes_a_queue_sticky(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    subprocess.run(["setfattr", "-n", STICKY, path], check=True)
    owner.end()
    said = subprocess.run(["getfattr", "-n", STICKY, path], check=True, capture_output=True)
    assert STICKY.encode() in said.stdout
    subprocess.run(["setfattr", "-x", STICKY, path], check=True)
    assert is_gone(path)
