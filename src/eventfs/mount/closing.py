"""When a message is closed by the process that makes it, where that is what commits it.

The kernel tells of each close(2) before anybody else hears of it (FLUSH), but not whether it was
the last one of that process: a shell opens a file, makes a duplicate of the descriptor, and closes
the first one, all before it has written anything. So we look whether the process still has another
descriptor of the file. (close(2), dup2(2) and exec take theirs away before the request is sent.)

The same request comes for each descriptor that a process has open when it dies. Then the thread has
PF_EXITING, and its exit code tells whether it was killed by a signal: what it was writing may be
torn, and is removed. An exit by its own will closes all, as ever.

A last close in whatever process (RELEASE) commits in any case: that is for what can't be seen at
FLUSH. It comes too late for those who wait with inotify for IN_CLOSE_WRITE, which comes in between.

Nothing here may stat what the links in /proc/PID/fd lead to: that is a request to ourselves.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from eventfs.mount.clock import clock_ns
from eventfs.mount.owners import CallerUnseen, OwnersExhausted, process_of
from eventfs.queues.inode import Ino
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.queue import Queue, Tid
from eventfs.queues.tree import Tree
from eventfs.queues.unfinished import Unfinished

#: linux/sched.h
_PF_EXITING = 0x4
_PF_SIGNALED = 0x400

#: In an exit code as wait(2) tells it, the signal that has killed the process.
_SIGNAL = 0x7F

#: What a descriptor's link ends with where its name is gone (proc_pid_fd(5)): for the kernel it is
#: as soon as another process has asked for it and was told that there is nothing.
_DELETED = b" (deleted)"


class Closing:
    """The closing of a mount's unfinished messages."""

    def __init__(
        self,
        tree: Tree,
        deaths_first: Callable[[Queue], None],
        on_commit: Callable[[Message], None],
        on_discard: Callable[[Unfinished], None],
    ) -> None:
        """Close those of *tree*.

        *deaths_first* lets a queue vanish whose owner is dead. *on_commit* is told of each message
        that has arrived, and *on_discard* of what was removed.
        """
        self._tree = tree
        self._by_ino = tree.unfinished.by_ino
        self._deaths_first = deaths_first
        self._on_commit = on_commit
        self._on_discard = on_discard

    def flushed(self, ino: Ino, tid: Tid) -> None:
        """Take note that a thread has closed a descriptor of a file, or does so by ending."""
        unfinished = self._by_ino.get(ino)
        if unfinished is None or not self._tree.unfinished.is_creator(unfinished, tid):
            return
        try:
            exiting, killed = _end_of(tid)
            # What shares descriptors with a thread that ends has ended before, but for one that has
            # become another program by exec.
            threads = _threads(unfinished.creator) if exiting else [tid]
            held = not killed and any(_holds(one, unfinished) for one in threads)
        except OSError:
            return
        if killed:
            self._tree.unfinished.discard(unfinished, clock_ns())
            self._on_discard(unfinished)
        elif not held:
            self._commit(unfinished)

    def released(self, message: Message) -> None:
        """Take note that the last descriptor of a message is being closed, in any process."""
        unfinished = self._by_ino.get(message.ino)
        if unfinished is not None:
            self._commit(unfinished)

    def publish(self, unfinished: Unfinished | None, tid: Tid) -> None:
        """Commit what a thread is about to link or rename, if that is a message that it makes."""
        if unfinished is not None and self._tree.unfinished.is_creator(unfinished, tid):
            self._commit(unfinished)

    def _commit(self, unfinished: Unfinished) -> None:
        message = unfinished.message
        self._deaths_first(unfinished.queue)
        if message.ino in self._by_ino:
            self._tree.unfinished.commit(unfinished, clock_ns())
            self._on_commit(message)


def process(tid: Tid) -> Tid:
    """Return the id of the process of a thread that waits for our answer; 0 where it isn't seen."""
    try:
        # Only for a process's first thread: it takes a fifth of the time to read its status.
        os.close(os.pidfd_open(tid))
    except OSError:
        with contextlib.suppress(CallerUnseen, OwnersExhausted):
            return Tid(process_of(tid))
        return Tid(0)
    return tid


def _end_of(tid: Tid) -> tuple[bool, bool]:
    """Tell whether a thread is exiting, and whether that is because a signal kills it (OSError)."""
    # The name in field 2 of proc_pid_stat(5) may contain anything.
    fields = Path(f"/proc/{tid}/stat").read_bytes().rpartition(b")")[2].split()
    flags, exit_code = int(fields[9 - 3]), int(fields[52 - 3])
    if not flags & _PF_EXITING:
        return False, False
    if not exit_code and flags & _PF_SIGNALED and _is_hidden(tid):
        # Killed, or another of its threads has called exit_group(2). It is better to lose what was
        # complete but never closed than to deliver what is torn.
        return True, True
    return True, bool(exit_code & _SIGNAL)


def _is_hidden(tid: Tid) -> bool:
    """Tell whether /proc hides a thread's exit code from us, which then reads as 0."""
    try:
        # It takes the same right, and it is there until after the descriptors are closed.
        Path(f"/proc/{tid}/root").readlink()
    except OSError:
        return True
    return False


def _threads(pid: Tid) -> list[Tid]:
    return [Tid(int(name)) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208  # numbers


def _holds(tid: Tid, unfinished: Unfinished) -> bool:
    """Tell whether a thread has a descriptor of a message open (OSError)."""
    name, ino = unfinished.dentry.name, unfinished.message.ino
    folder = b"/proc/%d" % tid
    return any(
        _may_lead_to(folder + b"/fd/" + fd, name) and _is_of(folder + b"/fdinfo/" + fd, ino)
        for fd in os.listdir(folder + b"/fd")  # noqa: PTH208  # of a million descriptors
    )


def _may_lead_to(path: bytes, name: Name) -> bool:
    try:
        target = os.readlink(path)  # noqa: PTH115  # as above
    except FileNotFoundError:
        return False  # closed meanwhile
    except OSError:
        return True  # a path that is too long for the kernel
    return target.endswith((b"/" + name, b"/" + name + _DELETED))


def _is_of(path: bytes, ino: Ino) -> bool:
    """Tell whether a descriptor is of an inode, by its fdinfo; kernels before 5.14 don't say."""
    try:
        info = Path(os.fsdecode(path)).read_bytes()
    except FileNotFoundError:
        return False
    _, found, number = info.partition(b"\nino:")
    return not found or int(number.split()[0]) == ino
