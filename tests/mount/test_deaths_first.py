"""A request never overtakes a death, whatever it asks and whenever it is read."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounts import Child, Mount, wait_until

#: Stops the daemon between seeing that there is a request and reading it, once it is told to.
STOP_BEFORE_READING = """
import os, signal
from eventfs.mount.reader import Reader
wait = Reader.wait
def stop_after(self):
    events = wait(self)
    if os.path.exists(os.environ["STOP"]):
        os.unlink(os.environ["STOP"])
        os.kill(os.getpid(), signal.SIGSTOP)
    return events
Reader.wait = stop_after
"""

#: Makes a queue, and uses most of what its user may have.
FILLER = """
import os, pathlib, sys
os.mkdir(sys.argv[1])
pathlib.Path(sys.argv[1], "message").write_bytes(bytes(900_000))
print("full", flush=True)
sys.stdin.read()
"""

#: Makes a queue, and on a word makes a request that it won't see answered.
OWNER = """
import os, sys
os.mkdir(sys.argv[1])
print("made", flush=True)
sys.stdin.readline()
os.stat(sys.argv[1] + "/message")
"""


@pytest.fixture
def stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return what is to be made for the next daemon to stop."""
    monkeypatch.setenv("STOP", str(tmp_path / "stop"))
    return tmp_path / "stop"


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_request_that_takes_the_place_of_a_dead_owners_does_not_find_its_queue(
    mounter: Callable[..., Mount],
    start: Callable[..., Child],
    stop: Path,
) -> None:
    mount = mounter(program=STOP_BEFORE_READING)
    queue = mount.path / "queue"
    owner = start(OWNER, queue)
    # Else the first question would be for the root, and the death be seen before the next.
    mount.path.stat()
    stop.touch()
    assert owner.process.stdin is not None
    owner.process.stdin.write(b"go\n")
    owner.process.stdin.flush()
    wait_until(lambda: state(mount.pid) == "T", "the daemon's stop before it reads")
    try:
        owner.end()
        witness = os.fork()
        if witness == 0:
            os._exit(queue.exists())
        wait_until(lambda: state(witness) in "SD", "the question for the queue")
    finally:
        os.kill(mount.pid, signal.SIGCONT)
    _, status = os.waitpid(witness, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_what_the_dead_had_is_no_reason_to_refuse_a_write_to_an_open_message(
    mounter: Callable[..., Mount],
    start: Callable[..., Child],
    stop: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "conf").write_text("[eventfs-config]\ndefault_max_bytes = 1M\n")
    mount = mounter("-c", str(tmp_path / "conf"), program=STOP_BEFORE_READING)
    (mount.path / "mine").mkdir()
    with (mount.path / "mine/message").open("wb", buffering=0) as message:
        owner = start(FILLER, mount.path / "queue")
        stop.touch()
        writer = os.fork()
        if writer == 0:
            try:
                os._exit(message.write(bytes(500_000)) != 500_000)
            except OSError as error:
                os._exit(error.errno or 1)
        wait_until(lambda: state(mount.pid) == "T", "the daemon's stop before it reads")
        try:
            owner.end()
        finally:
            os.kill(mount.pid, signal.SIGCONT)
        _, status = os.waitpid(writer, 0)
    assert os.waitstatus_to_exitcode(status) == 0
