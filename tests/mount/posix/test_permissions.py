"""Permissions."""

import os
import stat
from errno import (
    EACCES,
    EPERM,
)
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.posix.checks import names
from tests.mount.processes import ALICE, BOB, CAROL, Forked, in_child


def test_a_files_owner_and_group_are_its_makers(open_directory: Path) -> None:
    in_child((open_directory / "file").touch, ALICE)
    status = (open_directory / "file").stat()
    assert (status.st_uid, status.st_gid) == (ALICE, ALICE)


def test_chmod_changes_the_permission_bits(directory: Path, fd: int) -> None:
    for mode in (0o000, 0o777, 0o640, 0o1644, 0o4755, 0o2755):
        (directory / "file").chmod(mode)
        assert (directory / "file").stat().st_mode == stat.S_IFREG | mode
        assert os.fstat(fd).st_mode == stat.S_IFREG | mode


def test_chmod_is_the_owners_alone(open_directory: Path) -> None:
    (open_directory / "file").touch()
    with refused(EPERM):
        in_child(lambda: (open_directory / "file").chmod(0o777), ALICE)


def test_chown_changes_user_and_group(directory: Path, fd: int) -> None:
    os.chown(directory / "file", ALICE, -1)
    assert (os.fstat(fd).st_uid, os.fstat(fd).st_gid) == (ALICE, 0)
    os.fchown(fd, -1, BOB)
    assert (os.fstat(fd).st_uid, os.fstat(fd).st_gid) == (ALICE, BOB)


def test_chown_to_another_user_is_roots_alone(open_directory: Path) -> None:
    in_child((open_directory / "file").touch, ALICE)
    with refused(EPERM):
        in_child(lambda: os.chown(open_directory / "file", BOB, -1), ALICE)
    with refused(EPERM):
        in_child(lambda: os.chown(open_directory / "file", -1, BOB), ALICE)


@pytest.mark.parametrize(
    ("mode", "user", "may"),
    [
        (0o600, ALICE, "rw"),
        (0o400, ALICE, "r"),
        (0o077, ALICE, ""),
        (0o060, BOB, "rw"),
        (0o040, BOB, "r"),
        (0o606, BOB, ""),
        (0o006, CAROL, "rw"),
        (0o002, CAROL, "w"),
        (0o660, CAROL, ""),
        (0o000, 0, "rw"),
    ],
)
def test_the_mode_says_who_may_open(open_directory: Path, mode: int, user: int, may: str) -> None:
    path = open_directory / "file"
    path.touch()
    os.chown(path, ALICE, BOB)
    path.chmod(mode)

    def allowed() -> str:
        said = ""
        for letter, flags, access in (("r", os.O_RDONLY, os.R_OK), ("w", os.O_WRONLY, os.W_OK)):
            try:
                os.open(path, flags)
                said += letter
            except PermissionError as error:
                assert error.errno == EACCES  # noqa: PT017  # in the other process
            assert os.access(path, access) == (letter in said)
        return said

    assert in_child(allowed, user) == may


def test_a_directorys_mode_says_who_may_make_and_remove(directory: Path) -> None:
    directory.chmod(0o755)
    (directory / "file").touch()
    for call in (
        (directory / "new").touch,
        (directory / "file").unlink,
        lambda: os.mknod(directory / "new"),
    ):
        with refused(EACCES):
            in_child(call, ALICE)
    assert names(directory) == {"file"}


def test_a_change_of_mode_counts_at_once_for_everybody(open_directory: Path) -> None:
    (open_directory / "file").write_bytes(b"text")
    reader, writer = os.pipe()

    def read_twice() -> bytes:
        text = (open_directory / "file").read_bytes()
        os.read(reader, 1)
        return text + (open_directory / "file").read_bytes()

    child = Forked(read_twice, ALICE)
    (open_directory / "file").chmod(0o600)
    os.write(writer, b"!")
    try:
        with refused(EACCES):
            child.result()
    finally:
        child.end()
        os.close(reader)
        os.close(writer)


def test_a_write_by_another_user_takes_the_set_id_bits(open_directory: Path) -> None:
    path = open_directory / "file"
    path.touch()
    path.chmod(0o6777)
    in_child(lambda: path.write_bytes(b"x"), ALICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777


def test_a_write_by_another_user_on_an_open_handle_takes_the_set_id_bits(
    open_directory: Path,
) -> None:
    path = open_directory / "file"

    def write() -> None:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o777)
        os.write(fd, b"x")
        os.fchmod(fd, 0o6777)
        os.write(fd, b"y")

    in_child(write, ALICE)
    assert stat.S_IMODE(path.stat().st_mode) & 0o6000 == 0


def test_truncation_by_another_user_takes_the_set_id_bits(open_directory: Path) -> None:
    path = open_directory / "file"
    path.write_bytes(b"text")
    path.chmod(0o6777)
    in_child(lambda: os.truncate(path, 1), ALICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777


def test_chown_takes_the_set_id_bits(open_directory: Path) -> None:
    path = open_directory / "file"
    in_child(path.touch, ALICE)
    path.chmod(0o6755)
    in_child(lambda: os.chown(path, -1, ALICE), ALICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_s_isgid_without_the_groups_right_to_execute_survives_chown(directory: Path) -> None:
    (directory / "file").touch()
    (directory / "file").chmod(0o2644)
    os.chown(directory / "file", ALICE, ALICE)
    assert stat.S_IMODE((directory / "file").stat().st_mode) == 0o2644


def test_chmod_outside_the_files_group_does_not_set_s_isgid(open_directory: Path) -> None:
    (open_directory / "file").touch()
    os.chown(open_directory / "file", ALICE, BOB)
    in_child(lambda: (open_directory / "file").chmod(0o2755), ALICE)
    assert stat.S_IMODE((open_directory / "file").stat().st_mode) == 0o755
