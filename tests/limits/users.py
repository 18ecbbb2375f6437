"""Who asks, and what they may have."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.mount.calls import libc

#: A user and a group without limits.
FREE = 20_000

#: What each of the four limits is for the one user and the one group that have it.
LIMITS = {"max_dirs": 3, "max_files": 4, "max_files_per_dir": 3, "max_bytes": 2_000}

#: linux/prctl.h
_PR_SET_PDEATHSIG = 1


class User(NamedTuple):
    """Who asks: a user and the group that their processes are in."""

    uid: int
    gid: int


def being(
    user: User, function: Callable[[], object], groups: tuple[int, ...] = ()
) -> Callable[[], object]:
    """Make a function for a forked process, which becomes that user and can be root again."""

    def run() -> object:
        os.setgroups(groups)
        os.setresgid(user.gid, user.gid, 0)
        os.setresuid(user.uid, user.uid, 0)
        _die_with_parent()
        return function()

    return run


@contextmanager
def as_root() -> Iterator[None]:
    """Be root for a while, in a process of another user."""
    uid, gid = os.geteuid(), os.getegid()
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(gid)
        os.seteuid(uid)
        _die_with_parent()


def _die_with_parent() -> None:
    """Ask for it again: the kernel forgets it whenever a process changes its user."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def short_of(limit: str, kind: str) -> User:
    """Return who has that limit, as a user or as the member of a group."""
    number = FREE + 1 + list(LIMITS).index(limit)
    return User(number, FREE) if kind == "user" else User(FREE, number)
