"""`user.eventfs_owner`: the process that a queue belongs to, read and set."""

import os
import subprocess
from errno import EEXIST, EINVAL, ENODATA, ENOENT, EPERM, ESRCH
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.making import STICKY, is_gone
from tests.mount.processes import ALICE, BOB, Fork, in_child

OWNER = "user.eventfs_owner"


def nothing() -> None:
    """Only live."""


def owner_of(queue: Path) -> int:
    """Return the owner's process id."""
    return int(os.getxattr(queue, OWNER))


def hand_over(queue: Path, pid: int, flags: int = 0) -> None:
    """Make a queue another process's."""
    os.setxattr(queue, OWNER, str(pid).encode(), flags)


def test_it_reads_as_the_owners_process_id(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    assert owner_of(path) == owner.pid
    assert OWNER not in os.listxattr(path)


def test_a_sticky_queue_of_a_dead_owner_has_none(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"")
    owner.end()
    with refused(ENODATA):
        os.getxattr(path, OWNER)
    path.rmdir()


def test_a_queue_handed_over_shares_the_fate_of_its_new_owner(path: Path, fork: Fork) -> None:
    maker, heir = fork(path.mkdir), fork(nothing)
    hand_over(path, heir.pid)
    assert owner_of(path) == heir.pid
    maker.end()
    (path / "message").write_text("text")
    heir.end()
    assert is_gone(path)


def test_a_sticky_queue_gets_an_owner_again(path: Path, fork: Fork) -> None:
    maker, heir = fork(path.mkdir), fork(nothing)
    os.setxattr(path, STICKY, b"")
    maker.end()
    hand_over(path, heir.pid, os.XATTR_REPLACE)
    os.removexattr(path, STICKY)
    assert path.is_dir()
    heir.end()
    assert is_gone(path)


def test_a_user_hands_it_to_processes_of_their_own(path: Path, fork: Fork) -> None:
    fork(path.mkdir, ALICE)
    heir = fork(nothing, ALICE)
    in_child(lambda: hand_over(path, heir.pid), ALICE)
    assert owner_of(path) == heir.pid


def test_a_user_hands_it_to_no_process_of_another(path: Path, fork: Fork) -> None:
    maker, stranger = fork(path.mkdir, ALICE), fork(nothing, BOB)
    with refused(EPERM):
        in_child(lambda: hand_over(path, stranger.pid), ALICE)
    assert owner_of(path) == maker.pid


def test_who_may_only_write_to_it_does_not_hand_it_over(path: Path, fork: Fork) -> None:
    def make() -> None:
        path.mkdir()
        path.chmod(0o777)

    maker, own = fork(make, ALICE), fork(nothing, BOB)
    with refused(EPERM):
        in_child(lambda: hand_over(path, own.pid), BOB)
    assert owner_of(path) == maker.pid


def test_root_hands_it_to_anybody(path: Path, fork: Fork) -> None:
    fork(path.mkdir, ALICE)
    heir = fork(nothing, BOB)
    hand_over(path, heir.pid)
    assert owner_of(path) == heir.pid


@pytest.mark.parametrize(
    "value", [b"", b"no number", b"-1", b"1.5", b" 1", b"1" * 8, b"9" * 65_536, b"\xb2"], ids=repr
)
def test_what_is_no_process_id_is_refused(queue: Path, value: bytes) -> None:
    with refused(EINVAL):
        os.setxattr(queue, OWNER, value)
    assert owner_of(queue) == os.getpid()


def test_a_process_that_is_not_there_is_refused(queue: Path, fork: Fork) -> None:
    dead = fork(nothing)
    dead.end()
    for pid in (0, dead.pid, 9_999_999):
        with refused(ESRCH):
            hand_over(queue, pid)
    assert owner_of(queue) == os.getpid()


def test_a_process_that_is_dead_but_not_waited_for_is_refused(queue: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with refused(ESRCH):
            hand_over(queue, process.pid)
    assert owner_of(queue) == os.getpid()


def test_it_is_always_there(queue: Path) -> None:
    with refused(EEXIST):
        hand_over(queue, os.getpid(), os.XATTR_CREATE)
    with refused(EPERM):
        os.removexattr(queue, OWNER)


def test_a_container_reads_and_sets_its_own_numbers(queue: Path) -> None:
    # There `sh` is number 1, and the rest follows; here they have others.
    script = f"""
        getfattr --only-values -n {OWNER} {queue} && echo
        sleep 1000 & setfattr -n {OWNER} -v $! {queue} && echo $! &&
        getfattr --only-values -n {OWNER} {queue} && echo && read -r _
    """
    with subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        outside, own, read = (shell.stdout.readline().strip() for _ in range(3))
        assert outside == "0"  # it doesn't see us
        assert own == read
        assert owner_of(queue) not in (int(own), os.getpid())
        shell.communicate("end\n")
    assert is_gone(queue)


@pytest.mark.parametrize("name", ["owner", "messages", "bytes", "oldest", "followers", "dropped"])
def test_a_vanished_queue_tells_nothing_of_itself(path: Path, fork: Fork, name: str) -> None:
    owner = fork(path.mkdir)
    fd = os.open(path, os.O_DIRECTORY)
    owner.end()
    with refused(ENOENT):
        os.getxattr(fd, f"user.eventfs_{name}")
    os.close(fd)
