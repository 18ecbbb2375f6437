"""Owners: which process made a queue, and when it dies.

All that depends on the operating system is here. `Owners` is the interface; `PidfdOwners` is for
Linux since 5.3, `PolledOwners` for where pidfds can't be had: an older kernel, or a container whose
seccomp filter forbids them.
"""

import contextlib
import errno
import itertools
import os
import select
import threading
import time
from pathlib import Path
from typing import Final, Protocol

import psutil

from eventfs.mount import device
from eventfs.mount.pids import field
from eventfs.queues.queue import Owner

#: How often `PolledOwners` looks, in seconds: what a person doesn't notice.
POLL_S = 0.1

#: linux/capability.h
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAP_FOWNER = 3
_CAP_FSETID = 4

#: What a program has that nobody has told otherwise.
_USUAL_UMASK = 0o022

#: Deaths fetched by one system call; more are fetched by the next.
_BATCH: Final = 1024

_readable: Final = device.readable

#: Those who died, when nobody did.
_NONE: Final[list[Owner]] = []


class CallerUnseen(Exception):
    """The caller can't be identified: it is in a pid namespace that the daemon doesn't see."""


class OwnersExhausted(Exception):
    """The system allows no further owner to be watched (descriptors or memory)."""


class Owners(Protocol):
    """A watch on processes."""

    def fileno(self) -> int:
        """Return a descriptor that polls as readable while there are deaths to fetch."""

    def watch(self, tid: int) -> Owner:
        """Return the owner that is the process of the thread *tid*; same process, same owner.

        The thread must be waiting for the answer to its request, so that its id can't be reused
        meanwhile. Raises CallerUnseen, OwnersExhausted.
        """

    def unwatch(self, owner: Owner) -> None:
        """End the watch on *owner*: nothing of it is left."""

    def pid(self, owner: Owner) -> int:
        """Return the id of the process that *owner* is."""

    def lives(self, owner: Owner) -> bool:
        """Tell whether *owner* still lives."""

    def deaths(self) -> list[Owner]:
        """Return those who died since the last call; their numbers are theirs until unwatched."""

    def close(self) -> None:
        """End all watches."""


def best_owners() -> Owners:
    """Return the best watch that this system offers."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return PolledOwners()
    return PidfdOwners()


def sees_itself() -> bool:
    """Tell whether /proc is that of our pid namespace, so that it knows our callers' ids."""
    try:
        # Our id in the namespace of this /proc, and in each one below.
        return len(field("self", "NSpid")) == 1
    except OSError:
        return False


def process_of(tid: int) -> int:
    """Return the id of the process (thread group) that the thread *tid* belongs to.

    Raises CallerUnseen, OwnersExhausted.
    """
    try:
        return int(field(tid, "Tgid")[0])
    except (FileNotFoundError, ProcessLookupError) as error:
        raise CallerUnseen from error
    except OSError as error:
        raise OwnersExhausted from error


class ProcThreads:
    """The callers' threads as /proc shows them (see `eventfs.queues.sightings.Threads`)."""

    def now_ns(self) -> int:
        """Return the time since boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def started_ns(self, tid: int) -> int:
        """Return the time since boot at which the thread started, rounded down to a clock tick.

        0 where /proc hides it.
        """
        try:
            stat = Path(f"/proc/{tid}/stat").read_text(errors="replace")
        except OSError:
            return 0
        # Field 22 of proc_pid_stat(5); the name in field 2 may contain anything.
        ticks = int(stat.rpartition(")")[2].split()[22 - 3])
        return ticks * 10**9 // os.sysconf("SC_CLK_TCK")

    def same_process(self, one: int, other: int) -> bool:
        """Tell whether two threads live and belong to the same process."""
        try:
            return process_of(one) == process_of(other)
        except (CallerUnseen, OwnersExhausted):
            return False

    def in_group(self, tid: int, uid: int, gid: int) -> bool:
        """Tell whether a thread is in the group *gid*, or counts as such for what is *uid*'s too.

        The latter takes CAP_FSETID. False where /proc hides it.
        """
        return gid in self.groups(tid) or self._has_capability(tid, _CAP_FSETID, uid, gid)

    def umask(self, tid: int) -> int:
        """Return a thread's umask, or the usual one where /proc hides it."""
        try:
            return int(field(tid, "Umask")[0], 8)
        except OSError:
            return _USUAL_UMASK

    def user(self, tid: int) -> int:
        """Return the user as whom a thread acts; -1 where there is none or /proc hides it."""
        try:
            return int(field(tid, "Uid")[1])
        except OSError:
            return -1

    def groups(self, tid: int) -> frozenset[int]:
        """Return the groups that a thread is in; none where /proc hides it."""
        try:
            # Real, effective, saved, and what counts for files.
            own = field(tid, "Gid")[3]
            return frozenset(map(int, (own, *field(tid, "Groups"))))
        except OSError:
            return frozenset()

    def reads_all(self, tid: int, uid: int, gid: int) -> bool:
        """Tell whether a thread may read and search all that is this user's and this group's.

        That takes CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH in a user namespace that has both ids.
        """
        return any(
            self._has_capability(tid, capability, uid, gid)
            for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH)
        )

    def writes_all(self, tid: int, uid: int, gid: int) -> bool:
        """Tell whether a thread may write to all that is this user's and this group's.

        That takes CAP_DAC_OVERRIDE in a user namespace that has both ids.
        """
        return self._has_capability(tid, _CAP_DAC_OVERRIDE, uid, gid)

    def owns_all(self, tid: int, uid: int, gid: int) -> bool:
        """Tell whether a thread counts as the owner of what is this user's and this group's.

        That takes CAP_FOWNER in a user namespace that has both ids (capabilities(7)); False where
        /proc hides it.
        """
        return self._has_capability(tid, _CAP_FOWNER, uid, gid)

    @staticmethod
    def _has_capability(tid: int, capability: int, uid: int, gid: int) -> bool:
        try:
            effective = int(field(tid, "CapEff")[0], 16)
            return (
                bool(effective >> capability & 1)
                and _has_id(tid, "uid_map", uid)
                and _has_id(tid, "gid_map", gid)
            )
        except OSError:
            return False


def _has_id(tid: int, kind: str, number: int) -> bool:
    """Tell whether the user namespace of a thread has the user or group *number*."""
    lines = Path(f"/proc/{tid}/{kind}").read_text()
    # Ours tells of ids in the parent namespace, all others of ids in ours. What reads the same as
    # ours either is ours, or maps all of our ids.
    if lines == Path(f"/proc/self/{kind}").read_text():
        return True
    ranges = (map(int, line.split()) for line in lines.splitlines())
    return any(outside <= number < outside + length for _, outside, length in ranges)


class PidfdOwners:
    """Owners by pidfd, which becomes readable before the parent's wait() returns.

    An owner's number is that of its pidfd: process ids are unique only among the living.
    """

    def __init__(self) -> None:
        """Start without owners."""
        self._epoll = select.epoll()
        self._fd = self._epoll.fileno()
        self._by_pid: dict[int, Owner] = {}
        self._pids: dict[Owner, int] = {}

    def fileno(self) -> int:
        """See Owners."""
        return self._epoll.fileno()

    def watch(self, tid: int) -> Owner:
        """See Owners."""
        if tid == 0:
            raise CallerUnseen
        try:
            return self._watch_process(tid)
        except OSError as error:
            # A thread that doesn't lead its group: EINVAL, in newer kernels ENOENT.
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise _reason(error) from error
        try:
            return self._watch_process(process_of(tid))
        except OSError as error:
            raise _reason(error) from error

    def unwatch(self, owner: Owner) -> None:
        """See Owners."""
        pid = self._pids.pop(owner)
        if self._by_pid.get(pid) == owner:
            del self._by_pid[pid]
        # Which also takes it from the epoll, if it is still there.
        os.close(owner)

    def pid(self, owner: Owner) -> int:
        """See Owners."""
        return self._pids[owner]

    def lives(self, owner: Owner) -> bool:
        """See Owners."""
        return not _readable(owner)

    def deaths(self) -> list[Owner]:
        """See Owners."""
        if not _readable(self._fd):
            return _NONE
        dead: list[Owner] = []
        while events := self._epoll.poll(0, _BATCH):
            dead += [Owner(pidfd) for pidfd, _ in events]
        return dead

    def close(self) -> None:
        """See Owners."""
        for owner in list(self._pids):
            self.unwatch(owner)
        self._epoll.close()

    def _watch_process(self, pid: int) -> Owner:
        known = self._by_pid.get(pid)
        if known is not None and not _readable(known):
            return known
        pidfd = os.pidfd_open(pid)
        try:
            # Each death is told once.
            self._epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)
        except OSError:
            os.close(pidfd)
            raise
        owner = self._by_pid[pid] = Owner(pidfd)
        self._pids[owner] = pid
        return owner


def _reason(error: OSError) -> Exception:
    # EMFILE and ENFILE for descriptors, ENOMEM, and ENOSPC for epoll's watches (epoll_ctl(2)).
    gone = error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT)
    return CallerUnseen() if gone else OwnersExhausted()


class PolledOwners:
    """Owners by process id and start time, looked at every POLL_S seconds by a thread.

    So a death is seen late, and the promise that nobody sees a queue after wait() doesn't hold.
    """

    def __init__(self) -> None:
        """Start without owners."""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._processes: dict[Owner, psutil.Process] = {}
        self._pids: dict[Owner, int] = {}
        self._dead: list[Owner] = []
        self._stop = threading.Event()
        self._reader, self._writer = os.pipe()
        self._watcher = threading.Thread(target=self._look, name="owners", daemon=True)
        self._watcher.start()

    def fileno(self) -> int:
        """See Owners."""
        return self._reader

    def watch(self, tid: int) -> Owner:
        """See Owners."""
        if tid == 0:
            raise CallerUnseen
        try:
            process = psutil.Process(process_of(tid))
        except psutil.Error as error:
            raise CallerUnseen from error
        with self._lock:
            for owner, known in self._processes.items():
                if known == process:
                    return owner
            owner = Owner(next(self._numbers))
            self._processes[owner] = process
            self._pids[owner] = process.pid
            return owner

    def unwatch(self, owner: Owner) -> None:
        """See Owners."""
        with self._lock:
            self._processes.pop(owner, None)
            self._pids.pop(owner, None)

    def pid(self, owner: Owner) -> int:
        """See Owners."""
        return self._pids[owner]

    def lives(self, owner: Owner) -> bool:
        """See Owners."""
        with self._lock:
            process = self._processes.get(owner)
        return process is not None and not _is_dead(process)

    def deaths(self) -> list[Owner]:
        """See Owners."""
        with self._lock:
            dead, self._dead = self._dead, []
            if dead:
                os.read(self._reader, 1)
            return dead

    def close(self) -> None:
        """See Owners."""
        self._stop.set()
        self._watcher.join()
        os.close(self._reader)
        os.close(self._writer)

    def _look(self) -> None:
        while not self._stop.wait(POLL_S):
            with self._lock:
                processes = list(self._processes.items())
            # Without the lock: a process in exec may keep us waiting until it is answered itself.
            dead = [owner for owner, process in processes if _is_dead(process)]
            with self._lock:
                dead = [owner for owner in dead if self._processes.pop(owner, None)]
                if dead and not self._dead:
                    os.write(self._writer, b"!")
                self._dead += dead


def _is_dead(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        # is_running compares start times, so it isn't fooled by a reused id. A process whose first
        # thread has ended looks like a zombie, but lives on in the others.
        return not process.is_running() or (
            process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
        )
    return True
