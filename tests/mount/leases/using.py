"""How workers claim messages, and how queues are told their rules."""

import os
from pathlib import Path

from tests.mount.making import messages


def set_rule(queue: Path, rule: str, value: str = "") -> None:
    """Set one of a queue's attributes."""
    os.setxattr(queue, f"user.eventfs_{rule}", value.encode())


def rule(path: Path, name: str) -> str:
    """Read one."""
    return os.getxattr(path, f"user.eventfs_{name}").decode()


def claim(queue: Path, worker: Path) -> str:
    """Move the oldest message to a worker's queue; return its name."""
    name = str((queue / "head").readlink())
    (queue / name).rename(worker / name)
    return name


def work(queue: Path, worker: Path, count: int = 1, lease: str = "") -> list[str]:
    """Make a lease queue and claim messages; for a process of its own."""
    worker.mkdir()
    set_rule(worker, "lease", lease)
    return [claim(queue, worker) for _ in range(count)]


def is_empty(queue: Path) -> bool:
    """Tell whether a queue lists no messages."""
    return not messages(queue)
