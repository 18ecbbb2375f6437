"""The daemon polls for a while before it sleeps, and then sleeps until there is something to do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounts import DEADLINE_S, Mount, wait_until

#: The numbers of epoll_wait(2) on x86-64, and of epoll_pwait(2) there and on other machines.
EPOLL_WAITS = (232, 281, 22)


#: The time for which a process sleeps that waits for events only.
FOR_EVER_MS = 0xFFFFFFFF


def sleeps_ms(daemon: int) -> int:
    """Tell for how long a process waits for events at most; 0 where it doesn't."""
    words = Path(f"/proc/{daemon}/syscall").read_text().split()
    if words[0] == "running" or int(words[0]) not in EPOLL_WAITS:
        return 0
    return int(words[4], 16) & FOR_EVER_MS


def sleeps(daemon: int) -> bool:
    """Tell whether a process waits for events, and for nothing else such as a time."""
    timeout_ms = sleeps_ms(daemon)
    assert timeout_ms in (0, FOR_EVER_MS), "it sleeps for some time only"
    return timeout_ms == FOR_EVER_MS


@pytest.mark.parametrize("options", ["spin=0", "spin=50", "spin=10000"])
def test_a_daemon_that_nobody_uses_sleeps(mounter: Callable[..., Mount], options: str) -> None:
    mount = mounter("-o", options)
    for number in range(10):
        (mount.path / f"queue-{number}").mkdir()
        wait_until(lambda: sleeps(mount.pid), "the daemon to sleep")


def test_it_sleeps_until_something_is_due(mounter: Callable[..., Mount]) -> None:
    mount = mounter()
    queue = mount.path / "queue"
    queue.mkdir()
    os.setxattr(queue, "user.eventfs_ttl", b"60")
    wait_until(lambda: sleeps_ms(mount.pid) == FOR_EVER_MS, "the daemon to sleep")
    (queue / "message").touch()
    wait_until(lambda: sleeps_ms(mount.pid), "the daemon to sleep again")
    # A 64th later than that at most.
    assert 50_000 < sleeps_ms(mount.pid) < 61_000
    os.removexattr(queue, "user.eventfs_ttl")
    (queue / "message").unlink()
    queue.rmdir()
    wait_until(lambda: sleeps_ms(mount.pid) == FOR_EVER_MS, "the daemon to sleep for good")


def test_who_asks_all_the_time_does_not_keep_it_from_what_is_due(
    mounter: Callable[..., Mount],
) -> None:
    mount = mounter()
    queue = mount.path / "queue"
    queue.mkdir()
    os.setxattr(queue, "user.eventfs_ttl", b"0.05")
    (queue / "message").touch()
    wait_until(lambda: not (queue / "message").exists(), "the message to expire")
    assert os.getxattr(queue, "user.eventfs_expired") == b"1"


#: A reader that never finds that there is no request: an eventfd can be read that often. Another
#: thread ends it as soon as that comes to run.
BUSY = """
import os, queue, threading
from eventfs.mount import wire
from eventfs.mount.connection import Connection
from eventfs.mount.owners import best_owners
from eventfs.mount.reader import Reader
from eventfs.queues.timers import Timers

asked = queue.SimpleQueue()

def end():
    asked.get()
    reader.end()

class Server:
    handlers = [asked.put] * wire.OPCODES  # what is interpreted would let others run
    requests = [0] * wire.OPCODES
    dead, short, changes, timers = {}, set(), [], Timers(lambda: 0)

kernel = os.eventfd(1, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
os.eventfd_write(kernel, 2**63)
reader = Reader(Connection(kernel), best_owners(), Server())
threading.Thread(target=end).start()
reader.run()
assert os.eventfd_read(kernel) == 1, "it was idle"
print("ended")
"""


def test_who_asks_all_the_time_does_not_keep_the_other_threads_from_their_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY], capture_output=True, timeout=DEADLINE_S, check=True
    )
    assert done.stdout == b"ended\n"
