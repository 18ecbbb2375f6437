"""Callers that the daemon can't see."""

import os
import subprocess
from collections.abc import Iterator
from errno import EPERM
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.daemon import Mounter
from tests.mount.fate.owners import Start
from tests.mount.making import is_gone
from tests.mounts import MAKE_QUEUE, Mount, is_mounted

#: Lets the daemon live in a pid namespace of its own, with the /proc of that; the process that was
#: started waits for it.
NAMESPACE = """
import ctypes, os, signal, sys
NEWNS, NEWPID, PRIVATE = 0x20000, 0x20000000, 1 << 18  # linux/sched.h, linux/mount.h
libc = ctypes.CDLL(None)
assert libc.unshare(NEWNS | NEWPID) == 0
child = os.fork()
if child:
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert libc.mount(None, b"/proc", None, PRIVATE, None) == 0
assert libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0
"""


@pytest.fixture
def shared_tmp_path(tmp_path: Path) -> Iterator[Path]:
    """The test's directory, in which mounts of other mount namespaces show too."""
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
    subprocess.run(["mount", "--make-shared", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@pytest.fixture
def blind_mount(shared_tmp_path: Path, mounter: Mounter) -> Mount:
    """A mount whose daemon lives in a pid namespace below ours."""
    assert is_mounted(shared_tmp_path)
    return mounter("-o", "allow_other", program=NAMESPACE)


def test_a_caller_that_the_daemon_cannot_see_makes_no_queue(blind_mount: Mount) -> None:
    with refused(EPERM):
        (blind_mount.path / "fated").mkdir()
    assert os.listdir(blind_mount.path) == []
    [line] = blind_mount.said().splitlines()
    blind_mount.expected.append(line)
    for word in ("mkdir fated refused", "user 0", "pid namespace"):
        assert word in line


def test_the_log_has_one_line_for_each_caller_that_cannot_be_seen(blind_mount: Mount) -> None:
    for number in range(3):
        with refused(EPERM):
            (blind_mount.path / str(number)).mkdir()
    blind_mount.expected.append("refused: its caller")
    assert len(blind_mount.said().splitlines()) == 3


def test_a_caller_that_the_daemon_cannot_see_uses_the_queues_of_others(
    blind_mount: Mount, start: Start
) -> None:
    path = blind_mount.path / "fated"
    # Entered, the daemon's namespace has us as one of those whom it sees.
    children = Path(f"/proc/{blind_mount.pid}/task/{blind_mount.pid}/children").read_text()
    owner = start(MAKE_QUEUE, path, argv0=("nsenter", "--pid", "--target", children.strip()))
    assert owner.line == "made"
    for text in ("1", "2"):
        (path / text).write_text(text)
    assert (path / "head").read_text() == "1"
    (path / "head").unlink()
    assert os.listdir(path) == ["head", "2", "tail"]
    assert owner.process.stdin is not None
    owner.process.stdin.close()
    owner.process.wait()
    assert is_gone(path)
