"""`head` and `tail`: what they are, and that nobody can make them."""

import os
import subprocess
from errno import (
    EEXIST,
    ELOOP,
    ENOENT,
    EOPNOTSUPP,
    EPERM,
)
from pathlib import Path

from tests.mount.calls import (
    access,
    link_following,
    refused,
)
from tests.mount.daemon import wait_until_empty
from tests.mount.making import (
    MAKE_FILE,
    MAKE_NEW,
    MAKE_OTHER,
    Call,
    each,
    ends,
    fill,
    listed,
    open_with,
)
from tests.mount.processes import ALICE, BOB
from tests.mounts import Mount


@ends
@each({**MAKE_FILE, **MAKE_OTHER, "mkdir": os.mkdir})
def test_no_end_can_be_made_in_an_empty_queue(queue: Path, end: str, call: Call) -> None:
    with refused(EPERM):
        call(queue / end)
    assert listed(queue) == []


@ends
@each({**MAKE_FILE, **MAKE_OTHER, "mkdir": os.mkdir})
def test_no_end_can_be_made_in_a_queue_that_became_empty_behind_the_kernels_back(
    queue: Path, end: str, call: Call
) -> None:
    fill(queue, "message")
    (queue / end).lstat()
    (queue / "message").unlink()  # the kernel doesn't know that this removes the links
    with refused(EPERM):
        call(queue / end)
    assert listed(queue) == []


@ends
@each(MAKE_NEW)
def test_an_end_that_shows_exists(queue: Path, end: str, call: Call) -> None:
    fill(queue, "message")
    with refused(EEXIST):
        call(queue / end)
    assert listed(queue) == ["head", "message", "tail"]


@ends
def test_opening_an_end_with_o_creat_opens_its_target(queue: Path, end: str) -> None:
    fill(queue, "message")
    fd = os.open(queue / end, os.O_CREAT | os.O_RDONLY)
    assert os.read(fd, 100) == b"message"
    os.close(fd)


@ends
def test_an_end_itself_cannot_be_linked(queue: Path, end: str) -> None:
    fill(queue, "message")
    with refused(EPERM):
        os.link(queue / end, queue / "new", follow_symlinks=False)


@ends
def test_a_link_that_follows_an_end_is_one_to_the_message(queue: Path, end: str) -> None:
    fill(queue, "message")
    link_following(queue / end, queue / "new")
    assert (queue / "new").samefile(queue / "message")


@ends
def test_an_end_is_a_symlink_that_shows_while_the_queue_has_messages(queue: Path, end: str) -> None:
    assert not os.path.lexists(queue / end)
    fill(queue, "message")
    assert (queue / end).is_symlink()
    (queue / "message").unlink()
    assert not os.path.lexists(queue / end)
    fill(queue, "message")
    assert (queue / end).is_symlink()


def test_head_leads_to_the_oldest_message_and_tail_to_the_newest(queue: Path) -> None:
    fill(queue, "c", "a", "b")
    assert (os.readlink(queue / "head"), os.readlink(queue / "tail")) == ("c", "b")


@ends
def test_the_size_of_an_end_is_the_length_of_its_target(queue: Path, end: str) -> None:
    fill(queue, "message")
    assert (queue / end).lstat().st_size == len("message")


@ends
def test_opening_an_end_opens_its_target(queue: Path, end: str) -> None:
    fill(queue, "message")
    assert (queue / end).read_text() == "message"


@ends
def test_o_nofollow_refuses_an_end(queue: Path, end: str) -> None:
    fill(queue, "message")
    with refused(ELOOP):
        os.open(queue / end, os.O_NOFOLLOW | os.O_RDONLY)


#: What can be asked of a link. In a queue that has become empty it isn't there for any of them.
ASK_END: dict[str, Call] = {
    "open": lambda path: open_with(path, os.O_RDONLY),
    "lstat": os.lstat,
    "stat": os.stat,
    "readlink": os.readlink,
    "unlink": os.unlink,
    "access": access,
    "link": lambda path: os.link(path, path.with_name("new"), follow_symlinks=False),
    "link the target": lambda path: link_following(path, path.with_name("new")),
    "lchown": lambda path: os.lchown(path, 0, 0),
    "utime": lambda path: os.utime(path, follow_symlinks=False),
    "listxattr": lambda path: os.listxattr(path, follow_symlinks=False),
}


#: What the kernel answers itself if it knows the link.
ASK_KERNEL: dict[str, Call] = {
    "O_NOFOLLOW": lambda path: open_with(path, os.O_NOFOLLOW | os.O_RDONLY),
    "O_PATH": lambda path: open_with(path, os.O_NOFOLLOW | os.O_PATH),
}


@ends
@each({**ASK_END, **ASK_KERNEL})
def test_an_end_of_an_empty_queue_is_not_there(queue: Path, end: str, call: Call) -> None:
    with refused(ENOENT):
        call(queue / end)


@ends
@each(ASK_END)
def test_an_end_of_a_queue_that_became_empty_behind_the_kernels_back_is_not_there(
    queue: Path, end: str, call: Call
) -> None:
    fill(queue, "message")
    (queue / end).lstat()
    (queue / "message").unlink()
    with refused(ENOENT):
        call(queue / end)


#: What a link hasn't got of its own, so that it can't be changed.
CHANGE_END: dict[str, Call] = {
    "lchown": lambda path: os.lchown(path, ALICE, ALICE),
    "utime": lambda path: os.utime(path, (1, 1), follow_symlinks=False),
}


@ends
@each(CHANGE_END)
def test_an_end_cannot_be_changed_and_nothing_breaks(mount: Mount, end: str, call: Call) -> None:
    queue = mount.path / "queue"
    queue.mkdir()
    fill(queue, "message")
    before = (queue / end).lstat()
    with refused(EOPNOTSUPP):
        call(queue / end)
    assert (queue / end).lstat() == before
    (queue / end).unlink()
    queue.rmdir()
    wait_until_empty(mount)


def test_chown_of_a_whole_queue_passes_over_the_ends(queue: Path) -> None:
    fill(queue, "message")
    subprocess.run(["chown", "-R", f"{ALICE}:{ALICE}", queue], check=True)
    subprocess.run(["chown", "-Rh", f"{BOB}:{BOB}", queue], check=True)
    assert (queue / "message").stat().st_uid == BOB
    assert queue.stat().st_uid == BOB
