"""The daemon as tests see it."""

from collections.abc import Callable
from pathlib import Path

from tests.mounts import Mount, wait_until

#: The fixture `mounter`: arguments are those of `Mount` after the paths.
Mounter = Callable[..., Mount]


def drop_caches() -> None:
    """Make the kernel forget all names and inodes that nobody uses."""
    Path("/proc/sys/vm/drop_caches").write_text("2")


def wait_until_empty(mount: Mount) -> None:
    """Wait until the daemon has nothing but the root in its memory."""
    drop_caches()
    wait_until(lambda: mount.inodes() == 1, "the daemon to have nothing but the root in memory")
