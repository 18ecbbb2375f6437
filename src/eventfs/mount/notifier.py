"""What the kernel is told without having asked: that a queue has vanished.

The kernel remembers names, so a vanished queue's must be taken from it. That is also what tells
those who watch the queue with inotify (IN_DELETE_SELF).

The kernel takes the parent directory's lock for it, which may be held by a process that waits for
an answer of ours. So only the thread of this module sends these notices, never the thread that
answers requests: it would wait for itself.
"""

import errno
import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

import pyfuse3

from eventfs.queues.inode import Ino
from eventfs.queues.names import Name
from eventfs.queues.tree import ROOT_INO, Vanished

log = logging.getLogger(__name__)

#: How long `Notifier.settle` waits at most, in seconds. A notice takes 0.2 to 1.2 ms; longer only
#: if somebody holds the directory's lock, and they may be waiting for us.
SETTLE_S = 0.002


class Notifier:
    """A thread that sends notices, in order."""

    def __init__(self) -> None:
        """Start the thread."""
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._thread.start()

    def vanished(self, vanished: list[Vanished]) -> None:
        """Tell the kernel of queues that are gone."""
        for queue, held in vanished:
            children = [(name, message.ino, message.links > 0) for name, message in held]
            self._jobs.put(partial(_forget_queue, queue.name, queue.ino, children))

    def forget_names(self, parent: Ino, names: list[Name]) -> None:
        """Make the kernel look up *names* again."""
        for name in names:
            self._jobs.put(partial(_forget_name, parent, name, Ino(0)))

    def settle(self) -> None:
        """Wait until all that was told so far is sent, but no longer than SETTLE_S."""
        done = threading.Event()
        self._jobs.put(done.set)
        done.wait(SETTLE_S)

    def stop(self, then: Callable[[], None]) -> None:
        """Send nothing more, and call *then* in the thread; safe in a signal handler."""
        self._jobs.put(then)
        self._jobs.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("a notice to the kernel failed")


def _forget_queue(name: Name, ino: Ino, children: list[tuple[Name, Ino, bool]]) -> None:
    """Take a queue's name from the kernel.

    That fails with ENOTEMPTY as long as the kernel keeps names below it. It drops those that nobody
    uses by itself; what is left are messages that are open or watched.
    """
    if _forget_name(ROOT_INO, name, ino):
        return
    for child, child_ino, has_links in children:
        # A message that has a name elsewhere isn't deleted: the kernel would take it for unlinked.
        _forget_name(ino, child, Ino(0) if has_links else child_ino)
    if not _forget_name(ROOT_INO, name, ino):
        log.warning("the kernel keeps the vanished queue %r", name)


def _forget_name(parent: Ino, name: Name, ino: Ino) -> bool:
    """Take a name from the kernel; tell whether it is gone."""
    try:
        pyfuse3.invalidate_entry(parent, name, ino)
    except OSError as error:
        # ENOENT: the kernel doesn't know it (any more). ENOTDIR and EBADF, ENOTCONN: it knows it by
        # another inode by now, or the mount is gone.
        if error.errno == errno.ENOTEMPTY:
            return False
        if error.errno not in (
            errno.ENOENT,
            errno.ENOTDIR,
            errno.EBADF,
            errno.ENOTCONN,
            errno.ENODEV,
        ):
            raise
    return True
