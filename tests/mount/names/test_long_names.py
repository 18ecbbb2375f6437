"""Names of 255 bytes, and of more."""

import os
from errno import (
    ENAMETOOLONG,
    ENOENT,
)
from pathlib import Path

import pytest

from tests.mount.calls import (
    access,
    refused,
)
from tests.mount.making import (
    MAKE_FILE,
    MAKE_OTHER,
    Call,
    each,
    fill,
    listed,
    messages,
    open_with,
)
from tests.mount.processes import in_child

LONG = "x" * 255
TOO_LONG = "x" * 256

#: What can be asked of a name, and how a name that could be but isn't there is refused.
BY_NAME: dict[str, Call] = {
    "stat": os.stat,
    "lstat": os.lstat,
    "access": access,
    "open": lambda path: open_with(path, os.O_RDONLY),
    "readlink": os.readlink,
    "listdir": os.listdir,
    "chdir": lambda path: in_child(lambda: os.chdir(path)),
    "truncate": lambda path: os.truncate(path, 0),
    "chmod": lambda path: path.chmod(0o600),
    "chown": lambda path: os.chown(path, 0, 0),
    "utime": os.utime,
    "getxattr": lambda path: os.getxattr(path, "user.x"),
    "setxattr": lambda path: os.setxattr(path, "user.x", b""),
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "rename": lambda path: path.rename(path.with_name("new")),
    "link it": lambda path: os.link(path, path.with_name("new")),
}


def rename_to(path: Path) -> None:
    """Rename a message to *path*, which nobody may."""
    queue = Path(f"{path.parent}/../rename-source").resolve()
    if path.parent.is_mount():
        queue = path.parent / "rename-source"
    queue.mkdir()
    try:
        fill(queue, "message")
        (queue / "message").rename(path)
    finally:
        (queue / "message").unlink()
        queue.rmdir()


in_root_and_queue = pytest.mark.parametrize("where", ["root", "queue"])


@in_root_and_queue
@each(BY_NAME)
def test_a_name_of_256_bytes_is_too_long_to_be_asked_for_by(
    queue: Path, where: str, call: Call
) -> None:
    directory = queue if where == "queue" else queue.parent
    with refused(ENAMETOOLONG):
        call(directory / TOO_LONG)


@in_root_and_queue
@each(BY_NAME)
def test_a_name_of_255_bytes_may_be_asked_for_by(queue: Path, where: str, call: Call) -> None:
    directory = queue if where == "queue" else queue.parent
    with refused(ENOENT):
        call(directory / LONG)


@in_root_and_queue
@each({**MAKE_FILE, **MAKE_OTHER, "mkdir": os.mkdir, "rename": rename_to})
def test_a_name_of_256_bytes_is_too_long_to_be_made_by(queue: Path, where: str, call: Call) -> None:
    directory = queue if where == "queue" else queue.parent
    before = listed(directory)
    with refused(ENAMETOOLONG):
        call(directory / TOO_LONG)
    assert listed(directory) == before


@each(MAKE_FILE)
def test_a_message_may_have_a_name_of_255_bytes_made_by(queue: Path, call: Call) -> None:
    call(queue / LONG)
    assert messages(queue) == [LONG]
    assert os.readlink(queue / "head") == LONG
    (queue / "head").unlink()


def test_a_queue_may_have_a_name_of_255_bytes(root: Path) -> None:
    (root / LONG).mkdir()
    fill(root / LONG, LONG)
    assert (root / LONG / "head").read_text() == LONG
    (root / LONG / LONG).unlink()
    (root / LONG).rmdir()


def test_names_are_counted_in_bytes(queue: Path) -> None:
    with refused(ENAMETOOLONG):
        os.mknod(queue / ("ä" * 128))
