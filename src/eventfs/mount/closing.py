"""When a message is closed by the process that makes it, where that is what commits it.

The kernel tells of each close(2) before anybody else hears of it (FLUSH), but not whether it was
the last one of that process: a shell opens a file, makes a duplicate of the descriptor, and closes
the first one, all before it has written anything. So we look whether the process still has another
descriptor of the file. (close(2), dup2(2) and exec take theirs away before the request is sent.)

The same request comes for each descriptor that a process has open when it dies, before its parent's
wait() returns. Then the exit code tells whether it was killed by a signal: what it was writing may
be torn, and is removed. An exit by its own will closes all, as ever.

A last close in whatever process (RELEASE) commits in any case: that is for what can't be seen at
FLUSH. It comes too late for those who wait with inotify for IN_CLOSE_WRITE, which comes in between.

What may be read of a thread that waits for our answer is little:

- What the links in /proc/PID/fd lead to must not be looked at: that is a request to ourselves.
- In the middle of exec, while it closes the descriptors that have O_CLOEXEC, a process holds a lock
  (exec_update_lock) that newer kernels take for reading `stat` and all links: we would wait for
  each other for ever. `statm` takes none, and tells such a process from others. It is left alone;
  its last close commits, before the new program runs.
"""

import contextlib
import os
from collections.abc import Callable
from enum import Enum, auto
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
_PF_SIGNALED = 0x400

#: In an exit code as wait(2) tells it, the signal that has killed the process.
_SIGNAL = 0x7F

#: What a descriptor's link ends with where its name is gone (proc_pid_fd(5)): for the kernel it is
#: as soon as another process has asked for it and was told that there is nothing.
_DELETED = b" (deleted)"


class _State(Enum):
    """What a thread is about that closes a descriptor."""

    RUNS = auto()
    BECOMES_ANOTHER = auto()
    EXITS = auto()
    IS_KILLED = auto()


class Closing:
    """The closing of a mount's unfinished messages."""

    def __init__(
        self,
        tree: Tree,
        deaths_first: Callable[[Queue, Tid], None],
        on_commit: Callable[[Message], None],
        on_discard: Callable[[Unfinished], None],
    ) -> None:
        """Close those of *tree*.

        *deaths_first* lets a queue vanish whose owner is dead, before a request of a thread, 0 for
        one that doesn't matter. *on_commit* is told of each message
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
            state = _state(tid)
            if state is _State.RUNS:
                held = _holds(tid, unfinished)
            elif state is _State.EXITS:
                # Who shared its descriptors has ended before, but for one that is becoming another
                # program, and has taken a copy of them along.
                others = [one for one in _threads(unfinished.creator) if one != tid]
                held = any(_holds(one, unfinished) for one in others)
            else:
                held = state is _State.BECOMES_ANOTHER
        except OSError:
            return
        if state is _State.IS_KILLED:
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
        self._deaths_first(unfinished.queue, Tid(0))
        if message.ino in self._by_ino:
            self._tree.unfinished.commit(unfinished, clock_ns())
            self._on_commit(message)


def is_killed(tid: Tid) -> bool:
    """Tell whether a thread that closes a descriptor does so since it is killed by a signal."""
    try:
        return _state(tid) is _State.IS_KILLED
    except OSError:
        return False


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


def _state(tid: Tid) -> _State:
    """Tell what a thread is about that waits for our answer to FLUSH (OSError)."""
    # All in pages: the size of its memory, what of it is resident, shared, and the program's code.
    size, _, _, code, *_ = map(int, _read(b"/proc/%d/statm" % tid).split())
    if size:
        return _State.RUNS if code else _State.BECOMES_ANOTHER
    # It has given its memory back. The name in field 2 of proc_pid_stat(5) may contain anything.
    fields = _read(b"/proc/%d/stat" % tid).rpartition(b")")[2].split()
    flags, exit_code = int(fields[9 - 3]), int(fields[52 - 3])
    if exit_code & _SIGNAL:
        return _State.IS_KILLED
    # Where the exit code is hidden, threads that another one ends by exit_group(2) look the same as
    # those that are killed. It is better to lose what was complete but never closed than to deliver
    # what is torn.
    hidden = not exit_code and flags & _PF_SIGNALED and _is_hidden(tid)
    return _State.IS_KILLED if hidden else _State.EXITS


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
    try:
        fds = os.listdir(folder + b"/fd")  # noqa: PTH208  # there may be many
    except FileNotFoundError:
        return False  # it has ended meanwhile
    return any(
        _may_lead_to(folder + b"/fd/" + fd, name) and _is_of(folder + b"/fdinfo/" + fd, ino)
        for fd in fds
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
        info = _read(path)
    except FileNotFoundError:
        return False
    _, found, number = info.partition(b"\nino:")
    return not found or int(number.split()[0]) == ino


def _read(path: bytes) -> bytes:
    """Read a file of /proc, which fits into one read, in a third of open()'s time (OSError)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
