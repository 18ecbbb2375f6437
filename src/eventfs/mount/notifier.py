"""What the kernel is told without having asked: that a name is gone.

The kernel keeps names, if only to ask for them again, and with them the inodes, which keeps those
in our memory too. So a vanished queue's must be taken from it, and that of a message which was
popped through `head` or `tail`. That is also what tells those who watch with inotify
(IN_DELETE_SELF).

The kernel takes the parent directory's lock for it, which may be held by a process that waits for
an answer of ours. So only the thread of this module sends these notices, never the thread that
answers requests: it would wait for itself.
"""

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

from eventfs.mount.connection import Connection
from eventfs.queues.inode import Ino, Inode
from eventfs.queues.message import Message
from eventfs.queues.names import Name
from eventfs.queues.tree import ROOT_INO, Vanished

log = logging.getLogger(__name__)

#: How long `Notifier.settle` waits at most, in seconds. A notice takes 0.2 to 1.2 ms, and longer on
#: a busy machine, or if somebody holds the directory's lock: they may be waiting for us.
SETTLE_S = 0.1

#: How long the names of popped messages are collected, in seconds, and for how many bytes at most:
#: to wake the thread for each would slow down who pops.
COLLECT_S = 0.05
COLLECT_BYTES = 4 * 1024 * 1024

#: What an inode takes besides its content, roughly.
_INODE_BYTES = 1024

#: When there is nothing to do. ENOENT: the kernel doesn't know the name, or by now another inode by
#: it. ENOTEMPTY: a name below it was just being looked up. The others: there is no mount any more.
_IN_VAIN = (errno.ENOENT, errno.ENOTEMPTY, errno.EBADF, errno.ENOTCONN, errno.ENODEV)


class Notifier:
    """A thread that sends notices, in order."""

    def __init__(self, connection: Connection) -> None:
        """Make a notifier that hasn't got its thread yet: what it is told waits for `start`."""
        self._connection = connection
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._popped: deque[tuple[Ino, Name, Ino]] = deque()
        self._popped_bytes = 0
        # Vanished queues whose names the kernel may still have.
        self._vanished: dict[Name, threading.Event] = {}
        self._sender = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._sender.start()

    def vanished(self, vanished: list[Vanished]) -> None:
        """Tell the kernel, at once, of queues that are gone."""
        if self._popped:
            self._jobs.put(self._forget_popped)
        for queue, held in vanished:
            children = [(name, _unless_linked(inode)) for name, inode in held]
            self._vanished[queue.name] = done = threading.Event()
            self._jobs.put(partial(self._forget_queue, queue.name, queue.ino, children, done))

    def popped(self, parent: Ino, name: Name, message: Message) -> None:
        """Tell the kernel, before long, that a message is gone which it didn't unlink itself."""
        if not self._popped:
            self._popped_bytes = 0
            self._jobs.put(_wake)
        self._popped.append((parent, name, _unless_linked(message)))
        self._popped_bytes += message.size + _INODE_BYTES
        if self._popped_bytes > COLLECT_BYTES:
            self._popped_bytes = 0
            self._jobs.put(self._forget_popped)

    def forget_names(self, parent: Ino, names: list[Name]) -> None:
        """Make the kernel look up *names* again."""
        for name in names:
            self._jobs.put(partial(self._forget_name, parent, name, Ino(0)))

    def settle(self, name: Name) -> None:
        """Wait until the kernel has been told of a vanished queue, but no longer than SETTLE_S.

        Else the lookup that is answered next would take the name from the kernel first, and those
        who watch the queue would never be told.
        """
        done = self._vanished.pop(name, None)
        if done is not None:
            done.wait(SETTLE_S)

    def stop(self, then: Callable[[], None]) -> None:
        """Send nothing more, and call *then* in the thread; safe in any thread."""
        self._jobs.put(then)
        self._jobs.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._jobs.put(None)
        self._sender.join(timeout_s)

    def _run(self) -> None:
        while True:
            job = self._next_job()
            if job is None:
                return
            try:
                job()
            except Exception:
                log.exception("a notice to the kernel failed")

    def _next_job(self) -> Callable[[], object] | None:
        try:
            return self._jobs.get(timeout=COLLECT_S if self._popped else None)
        except Empty:
            return self._forget_popped

    def _forget_queue(
        self, name: Name, ino: Ino, children: list[tuple[Name, Ino]], done: threading.Event
    ) -> None:
        """Take a queue's name from the kernel.

        Its children come first: while the kernel uses names below it, it drops the name without
        telling those who watch.
        """
        for child, child_ino in children:
            self._forget_name(ino, child, child_ino)
        self._forget_name(ROOT_INO, name, ino)
        done.set()
        if self._vanished.get(name) is done:
            self._vanished.pop(name, None)

    def _forget_popped(self) -> None:
        for _ in range(len(self._popped)):
            self._forget_name(*self._popped.popleft())

    def _forget_name(self, parent: Ino, name: Name, ino: Ino) -> None:
        """Take a name from the kernel; with *ino*, tell it that the inode is deleted."""
        try:
            if ino:
                self._connection.delete_name(parent, name, ino)
            else:
                self._connection.forget_name(parent, name)
        except OSError as error:
            if error.errno not in _IN_VAIN:
                raise


def _wake() -> None:
    """Do nothing; the thread looks at what was popped then."""


def _unless_linked(inode: Inode) -> Ino:
    """Return the number by which the kernel is to take the inode for deleted, 0 if it isn't.

    One that has a name elsewhere must not be: the kernel wouldn't let anyone link it again.
    """
    return Ino(0) if inode.links else inode.ino
