"""Creators that the daemon sees badly, or not at all."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.commit.writers import TEXT
from tests.mount.daemon import Mounter
from tests.mount.fate.test_unseen import NAMESPACE, shared_tmp_path
from tests.mount.making import messages
from tests.mount.processes import ALICE, BOB, in_child
from tests.mounts import Mount, is_mounted, mounted, wait_until

__all__ = ["shared_tmp_path"]

OPTIONS = ("-o", "allow_other,commit=close")

#: The daemon, once mounted, acts as a user who has no right to look at others' processes.
AS_A_USER = f"""
import os
from eventfs.mount.reader import Reader
run = Reader.run
def run_as_a_user(self):
    os.setegid({BOB})
    os.seteuid({BOB})
    try:
        run(self)
    finally:
        os.seteuid(0)
Reader.run = run_as_a_user
"""


@pytest.fixture
def weak_mount(public_path: Path) -> Iterator[Mount]:
    """A mount whose daemon may not look at others' processes."""
    path = public_path / "weak"
    path.mkdir()
    mount = Mount(path, public_path / "weak.log", *OPTIONS, program=AS_A_USER)
    yield mount
    mount.unmount()
    path.rmdir()


def begin(queue: Path) -> int:
    fd = os.open(queue / "message", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(fd, TEXT)
    return fd


@pytest.fixture
def queue(weak_mount: Mount) -> Path:
    """A queue in it, for all."""
    path = weak_mount.path / "queue"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.mark.parametrize("uid", [ALICE, BOB])
def test_closed_it_is_there_though_the_daemon_may_not_look(queue: Path, uid: int) -> None:
    def check() -> None:
        fd = begin(queue)
        os.close(os.dup(fd))
        assert messages(queue) == []
        os.close(fd)
        assert messages(queue) == ["message"]

    in_child(check, uid)


def run(queue: Path, uid: int, code: str) -> int:
    """Begin a message as a user, in a process that does *code* then; return its status."""
    program = f"""
import os, sys
os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})
fd = os.open("message", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
os.write(fd, b"text")
{code}
"""
    return subprocess.run([sys.executable, "-IS", "-c", program], cwd=queue, check=False).returncode


@pytest.mark.parametrize("uid", [ALICE, BOB])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_it_is_gone(queue: Path, uid: int, number: int) -> None:
    assert run(queue, uid, f"os.kill(os.getpid(), {number})") == -number
    assert messages(queue) == []
    (queue / "message").write_bytes(TEXT)


@pytest.mark.parametrize("uid", [ALICE, BOB])
@pytest.mark.parametrize("code", ["", "os._exit(0)", 'os.execv("/bin/true", ["true"])'])
def test_exited_it_is_there(queue: Path, uid: int, code: str) -> None:
    assert run(queue, uid, code) == 0
    assert messages(queue) == ["message"]


@pytest.fixture
def blind_mount(shared_tmp_path: Path, mounter: Mounter) -> Mount:
    """A mount whose daemon lives in a pid namespace below ours."""
    assert is_mounted(shared_tmp_path)
    return mounter(*OPTIONS, program=NAMESPACE + MAKE_QUEUE)


#: The daemon owns a queue: who is unseen can't make one.
MAKE_QUEUE = """
from eventfs.mount.reader import Reader
import os, subprocess
run_reader = Reader.run
def run_beside_an_owner(self):
    code = "import os, sys; os.mkdir(sys.argv[1]); os.setxattr(sys.argv[1], sys.argv[2], b'')"
    path = sys.argv[-1] + "/queue"
    subprocess.Popen([sys.executable, "-IS", "-c", code, path, "user.eventfs_sticky"])
    run_reader(self)
Reader.run = run_beside_an_owner
"""


def test_a_creator_that_is_not_seen_commits_at_the_last_close(blind_mount: Mount) -> None:
    queue = blind_mount.path / "queue"
    wait_until(lambda: queue.exists() and os.listxattr(queue), "a queue that stays")
    fd = begin(queue)
    other = os.dup(fd)
    os.close(fd)
    assert messages(queue) == []
    assert not (queue / "message").exists()
    os.close(other)
    assert messages(queue) == ["message"]


@pytest.fixture
def visible_queue(public_path: Path) -> Iterator[Path]:
    """A queue of a mount whose daemon sees all."""
    with mounted(public_path / "seen", *OPTIONS) as mount:
        queue = mount.path / "queue"
        queue.mkdir()
        yield queue
    mount.path.rmdir()


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 0", "exec 3>&-; ls; kill -9 $$"])
def test_in_a_container_it_is_as_anywhere(visible_queue: Path, end: str) -> None:
    script = f"exec 3> message; echo text >&3; ls; bash -c 'exec 3> other; {end}'; true"
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "bash", "-c", script],
        cwd=visible_queue,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    finished = [] if end.startswith("kill") else ["other"]
    assert done.stdout.split() == (["head", "other", "tail"] if "ls" in end else [])
    assert messages(visible_queue) == [*finished, "message"]
