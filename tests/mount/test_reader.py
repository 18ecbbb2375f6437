"""The daemon polls for a while before it sleeps, and then sleeps until there is something to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounts import Mount, wait_until

#: The numbers of epoll_wait(2) on x86-64, and of epoll_pwait(2) there and on other machines.
EPOLL_WAITS = (232, 281, 22)


def sleeps(daemon: int) -> bool:
    """Tell whether a process waits for events, and for nothing else such as a time."""
    words = Path(f"/proc/{daemon}/syscall").read_text().split()
    if words[0] == "running" or int(words[0]) not in EPOLL_WAITS:
        return False
    timeout_ms = int(words[4], 16) & 0xFFFFFFFF
    assert timeout_ms in (0, 0xFFFFFFFF), "it sleeps for some time only"
    return timeout_ms == 0xFFFFFFFF


@pytest.mark.parametrize("options", ["spin=0", "spin=50", "spin=10000"])
def test_a_daemon_that_nobody_uses_sleeps(mounter: Callable[..., Mount], options: str) -> None:
    mount = mounter("-o", options)
    for number in range(10):
        (mount.path / f"queue-{number}").mkdir()
        wait_until(lambda: sleeps(mount.pid), "the daemon to sleep")
