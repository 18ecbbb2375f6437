"""Clients that die in the middle of requests harm nobody."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.mount.daemon import Mounter, wait_until_empty
from tests.mount.processes import Forked, wait_until_blocked
from tests.mounts import Mount, wait_until


def work_forever(directory: Path) -> None:
    """Use a queue of one's own, in a process that only a signal ends."""
    queue = directory / f"{os.getpid()}"
    queue.mkdir()
    while True:
        (queue / "message").write_bytes(b"x" * 10_000)
        os.listdir(queue)
        (queue / "head").read_bytes()
        (queue / "tail").unlink()


def test_clients_that_are_killed_in_the_middle_of_requests_harm_nobody(mount: Mount) -> None:
    for _ in range(25):
        clients = [Forked(lambda: work_forever(mount.path)) for _ in range(3)]
        # Each has come some way, and not two rounds have the same.
        wait_until(lambda: len(os.listdir(mount.path)) == 3, "the clients to be at work")
        for client in clients:
            client.end()
        assert os.listdir(mount.path) == []
    wait_until_empty(mount)


def test_requests_whose_clients_are_gone_before_they_are_read_harm_nobody(mount: Mount) -> None:
    queue = mount.path / "queue"
    queue.mkdir()
    (queue / "message").write_text("text")
    calls: list[Callable[[], object]] = [
        lambda: os.mknod(queue / "new"),
        lambda: os.unlink(queue / "head"),
        lambda: os.open(queue / "created", os.O_CREAT | os.O_WRONLY),
        (mount.path / "other").mkdir,
        lambda: os.listdir(queue),
    ]
    os.kill(mount.pid, signal.SIGSTOP)
    clients = [Forked(call) for call in calls]
    try:
        for client in clients:
            wait_until_blocked(client.pid)
    finally:
        for client in clients:
            client.end()
        os.kill(mount.pid, signal.SIGCONT)
    assert os.listdir(queue) == ["head", "message", "tail"]
    assert os.listdir(mount.path) == ["queue"]


#: Lets each create wait, in the middle, as long as there is a file beside the mountpoint that is
#: called like it, with `-hold` behind; `-held` shows that it waits.
HOLD = """
import pathlib, sys, time
from eventfs.queues.tree import Tree
create = Tree.create
hold, held = (pathlib.Path(sys.argv[-1] + end) for end in ("-hold", "-held"))
def create_slowly(*arguments):
    if hold.exists():
        held.touch()
        while hold.exists():
            time.sleep(0.001)
    return create(*arguments)
Tree.create = create_slowly
"""


def test_a_request_whose_client_is_killed_while_it_is_answered_harms_nobody(
    mounter: Mounter,
) -> None:
    mount = mounter("-o", "allow_other", program=HOLD)
    queue = mount.path / "queue"
    queue.mkdir()
    hold, held = (Path(f"{mount.path}{end}") for end in ("-hold", "-held"))
    hold.touch()
    client = Forked(lambda: os.open(queue / "created", os.O_CREAT | os.O_WRONLY))
    try:
        wait_until(held.exists, "the request to be handled")
        os.kill(client.pid, signal.SIGKILL)
    finally:
        hold.unlink()
        client.wait()
    assert os.listdir(queue) == ["head", "created", "tail"]
    assert (queue / "head").read_bytes() == b""
    (queue / "head").unlink()
    queue.rmdir()
    wait_until_empty(mount)


def test_a_daemon_that_is_unmounted_while_requests_come_ends_well(mount: Mount) -> None:
    clients = [Forked(lambda: work_forever(mount.path)) for _ in range(2)]
    try:
        wait_until(lambda: len(os.listdir(mount.path)) == 2, "the clients to be at work")
        mount.unmount()
    finally:
        for client in clients:
            client.end()
