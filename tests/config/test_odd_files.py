"""Files that aren't there, may not be read, are something else, or change meanwhile."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventfs import config
from eventfs.queues.ledger import Uid
from tests.config.making import MAIN, configure, mistakes, paused_at, quota
from tests.mount.processes import ALICE, Forked, in_child

ROOT = quota("user = root", max_dirs=1)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path))


#: What there may be in place of a file, and why it can't be read as one.
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, "No such file or directory"),
    "a directory": (Path.mkdir, "Is a directory"),
    "a fifo": (os.mkfifo, "not a file"),
    "a socket": (bind, "not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "not a file"),
    "a dangling symlink": (lambda path: path.symlink_to("gone"), "No such file or directory"),
    "a looping symlink": (
        lambda path: path.symlink_to(path.name),
        "Too many levels of symbolic links",
    ),
}


@pytest.mark.parametrize(("make", "why"), ODD.values(), ids=ODD.keys())
def test_what_is_no_file_is_told_at_once(
    tmp_path: Path, make: Callable[[Path], object], why: str
) -> None:
    make(tmp_path / "eventfs.conf")
    assert mistakes(tmp_path / "eventfs.conf") == [f"eventfs.conf:1: can't be read: {why}"]


@pytest.mark.parametrize(
    ("name", "why"), [("file/file", "Not a directory"), ("x" * 256, "File name too long")]
)
def test_a_path_that_leads_nowhere_is_told(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(config.ConfigError) as caught:
        config.read(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}:1: can't be read: {why}"


def test_a_symlink_to_a_file_is_followed(tmp_path: Path) -> None:
    configure(tmp_path, MAIN, {".hidden": ROOT})
    (tmp_path / "quotas/link").symlink_to(".hidden")
    (tmp_path / "link").symlink_to("eventfs.conf")
    assert config.read(tmp_path / "link").users[Uid(0)].max_dirs == 1


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "No such file or directory"),
        (Path.touch, "Not a directory"),
        (os.mkfifo, "Not a directory"),
        (lambda path: path.symlink_to("gone"), "No such file or directory"),
        (lambda path: path.symlink_to("quotas"), "Too many levels of symbolic links"),
    ],
    ids=["nothing", "a file", "a fifo", "a dangling symlink", "a looping symlink"],
)
def test_quotas_that_are_no_directory_are_told_with_their_line(
    tmp_path: Path, make: Callable[[Path], object], why: str
) -> None:
    make(tmp_path / "quotas")
    path = configure(tmp_path)
    assert mistakes(path) == [f"eventfs.conf:2: quotas: quotas can't be read: {why}"]


@pytest.mark.parametrize("name", ["a dangling symlink", "a looping symlink"])
def test_a_broken_symlink_among_the_quota_files_is_told(tmp_path: Path, name: str) -> None:
    make, why = ODD[name]
    path = configure(tmp_path, MAIN, {"b": ROOT})
    make(tmp_path / "quotas/a")
    assert mistakes(path) == [f"quotas/a:1: can't be read: {why}"]


@pytest.mark.parametrize("name", ["a directory", "a fifo", "a socket", "a device"])
def test_what_is_no_quota_file_is_passed_over(tmp_path: Path, name: str) -> None:
    path = configure(tmp_path, MAIN, {"b": ROOT})
    ODD[name][0](tmp_path / "quotas/a")
    assert list(config.read(path).users) == [0]


def test_dot_files_are_passed_over(tmp_path: Path) -> None:
    path = configure(tmp_path, MAIN, {"a": ROOT, ".a.swp": "no quota", ".b": ROOT})
    assert list(config.read(path).users) == [0]


def test_an_editors_backup_is_a_second_file(tmp_path: Path) -> None:
    path = configure(tmp_path, MAIN, {"root": ROOT, "root~": ROOT})
    assert mistakes(path) == [
        "quotas/root~:2: user 'root' has limits in quotas/root:2 already; expected one file"
    ]


def test_an_empty_directory_of_quotas_sets_nothing(tmp_path: Path) -> None:
    settings = config.read(configure(tmp_path, MAIN, {}))
    assert (settings.users, settings.groups) == ({}, {})


@pytest.fixture
def folder(public_path: Path) -> Iterator[Path]:
    """A folder that everybody may enter."""
    path = public_path / "configuration"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        ("", "eventfs.conf:1: can't be read: Permission denied"),
        ("eventfs.conf", "eventfs.conf:1: can't be read: Permission denied"),
        ("quotas", "eventfs.conf:2: quotas: quotas can't be read: Permission denied"),
        ("quotas/root", "quotas/root:1: can't be read: Permission denied"),
    ],
)
def test_what_a_user_may_not_read_is_told(folder: Path, closed: str, said: str) -> None:
    path = configure(folder, MAIN, {"root": ROOT})
    (folder / closed).chmod(0)
    try:
        assert in_child(lambda: mistakes(path), ALICE) == [said]
    finally:
        folder.chmod(0o755)


def test_a_directory_of_quotas_that_may_be_listed_but_not_entered_is_told(folder: Path) -> None:
    path = configure(folder, MAIN, {"root": ROOT})
    (folder / "quotas").chmod(0o744)
    said = in_child(lambda: mistakes(path), ALICE)
    assert said == ["eventfs.conf:2: quotas: quotas can't be read: Permission denied"]


CHANGED = "eventfs.conf:2: quotas: quotas changed while it was read; read it again"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda quotas: (quotas / "a").unlink(), []),
        (lambda quotas: (quotas / "b").unlink(), []),
        (lambda quotas: (quotas / "c").unlink(), ["quotas/c:1: can't be read: {}"]),
        (lambda quotas: (quotas / "c").rename(quotas / "0"), ["quotas/c:1: can't be read: {}"]),
        (lambda quotas: (quotas / "0").touch(), []),
        (lambda quotas: (quotas / "d").touch(), []),
        (lambda quotas: (quotas / "d").symlink_to("c"), []),
    ],
    ids=[
        *("a file vanishes that was read", "one that is being read", "one that is still to read"),
        *("one is renamed", "one appears before it", "one appears after it", "a symlink appears"),
    ],
)
def test_a_directory_of_quotas_that_changes_while_it_is_read_is_told(
    tmp_path: Path, change: Callable[[Path], object], said: list[str]
) -> None:
    quotas = {name: quota(f"user = {number}") for number, name in enumerate("abc")}
    path = configure(tmp_path, MAIN, quotas)
    readers: list[Forked] = []
    try:
        file = tmp_path / "quotas/b"
        with paused_at(file, lambda: readers.append(Forked(lambda: mistakes(path)))):
            change(tmp_path / "quotas")
        gone = "No such file or directory"
        assert readers[0].result() == [*(line.format(gone) for line in said), CHANGED]
    finally:
        for reader in readers:
            reader.end()
