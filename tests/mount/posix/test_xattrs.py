"""Extended attributes."""

import ctypes
import os
from errno import (
    E2BIG,
    EACCES,
    EEXIST,
    ENODATA,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
)
from pathlib import Path

import pytest

from tests.mount.calls import check, libc, refused
from tests.mount.posix.checks import (
    noise,
)
from tests.mount.processes import ALICE, in_child


def test_xattrs_are_kept(directory: Path, fd: int) -> None:
    os.setxattr(fd, "user.one", b"1")
    os.setxattr(directory / "file", "user.\udcff", b"\0binary\xff")
    assert os.getxattr(directory / "file", "user.one") == b"1"
    assert os.getxattr(fd, "user.\udcff") == b"\0binary\xff"
    assert set(os.listxattr(fd)) == {"user.one", "user.\udcff"}


def test_a_directory_has_xattrs_too(directory: Path) -> None:
    os.setxattr(directory, "user.one", b"1")
    assert os.getxattr(directory, "user.one") == b"1"
    os.removexattr(directory, "user.one")
    assert os.listxattr(directory) == []


def test_an_xattr_may_be_empty(fd: int) -> None:
    os.setxattr(fd, "user.empty", b"")
    assert os.getxattr(fd, "user.empty") == b""
    assert os.listxattr(fd) == ["user.empty"]


def test_setting_an_xattr_again_replaces_it(fd: int) -> None:
    os.setxattr(fd, "user.one", b"a long value")
    os.setxattr(fd, "user.one", b"short")
    assert os.getxattr(fd, "user.one") == b"short"


def test_xattr_create_refuses_one_that_is_there(fd: int) -> None:
    os.setxattr(fd, "user.one", b"1", os.XATTR_CREATE)
    with refused(EEXIST):
        os.setxattr(fd, "user.one", b"2", os.XATTR_CREATE)
    assert os.getxattr(fd, "user.one") == b"1"


def test_xattr_replace_refuses_one_that_is_not_there(fd: int) -> None:
    with refused(ENODATA):
        os.setxattr(fd, "user.one", b"1", os.XATTR_REPLACE)
    assert os.listxattr(fd) == []
    os.setxattr(fd, "user.one", b"1")
    os.setxattr(fd, "user.one", b"2", os.XATTR_REPLACE)
    assert os.getxattr(fd, "user.one") == b"2"


def test_an_xattr_that_is_not_there_says_so(fd: int) -> None:
    with refused(ENODATA):
        os.getxattr(fd, "user.none")
    with refused(ENODATA):
        os.removexattr(fd, "user.none")


def test_a_removed_xattr_is_gone(fd: int) -> None:
    os.setxattr(fd, "user.one", b"1")
    os.setxattr(fd, "user.two", b"2")
    os.removexattr(fd, "user.one")
    assert os.listxattr(fd) == ["user.two"]
    with refused(ENODATA):
        os.getxattr(fd, "user.one")


def test_a_buffer_of_no_size_asks_for_the_size(fd: int) -> None:
    os.setxattr(fd, "user.one", b"12345")
    assert libc.fgetxattr(fd, b"user.one", None, 0) == 5
    assert libc.flistxattr(fd, None, 0) == len("user.one") + 1


def test_a_buffer_that_is_too_small_is_refused(fd: int) -> None:
    os.setxattr(fd, "user.one", b"12345")
    buffer = ctypes.create_string_buffer(100)
    with refused(ERANGE):
        check(libc.fgetxattr(fd, b"user.one", buffer, 4))
    assert libc.fgetxattr(fd, b"user.one", buffer, 5) == 5
    with refused(ERANGE):
        check(libc.flistxattr(fd, buffer, 8))
    assert libc.flistxattr(fd, buffer, 9) == 9


def test_an_xattrs_name_may_have_255_bytes_and_no_more(fd: int) -> None:
    os.setxattr(fd, "user.".ljust(255, "x"), b"1")
    assert os.listxattr(fd) == ["user.".ljust(255, "x")]
    with refused(ERANGE):
        os.setxattr(fd, "user.".ljust(256, "x"), b"1")


def test_an_xattr_may_have_64_kib_and_no_more(fd: int) -> None:
    os.setxattr(fd, "user.big", noise(1 << 16))
    assert os.getxattr(fd, "user.big") == noise(1 << 16)
    with refused(E2BIG):
        os.setxattr(fd, "user.big", bytes((1 << 16) + 1))
    assert os.getxattr(fd, "user.big") == noise(1 << 16)


@pytest.mark.parametrize("name", ["unknown.x", "user", "x"])
def test_xattrs_of_other_namespaces_are_not_supported(fd: int, name: str) -> None:
    with refused(EOPNOTSUPP):
        os.setxattr(fd, name, b"1")
    with refused(EOPNOTSUPP):
        os.getxattr(fd, name)


def test_setting_an_xattr_needs_the_right_to_write(open_directory: Path) -> None:
    (open_directory / "file").touch()
    with refused(EACCES):
        in_child(lambda: os.setxattr(open_directory / "file", "user.x", b"1"), ALICE)
    (open_directory / "file").chmod(0o666)
    in_child(lambda: os.setxattr(open_directory / "file", "user.x", b"1"), ALICE)
    assert os.getxattr(open_directory / "file", "user.x") == b"1"


def test_in_a_directory_with_s_isvtx_only_the_owner_sets_xattrs(open_directory: Path) -> None:
    open_directory.chmod(0o1777)
    with refused(EPERM):
        in_child(lambda: os.setxattr(open_directory, "user.x", b"1"), ALICE)


def test_xattrs_belong_to_the_inode_not_to_the_name(directory: Path, fd: int) -> None:
    os.setxattr(fd, "user.one", b"1")
    os.link(directory / "file", directory / "two")
    (directory / "file").unlink()
    assert os.getxattr(directory / "two", "user.one") == b"1"
