"""Messages on loan: moved into a queue of this process's own, from which eventfs returns them.

A message that is claimed is renamed into that queue. There it is done by unlinking it, and given
back by renaming it. When the process dies its queue vanishes, and what is in it returns.
"""

import errno
import math
import os
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import NamedTuple, Self

from eventfs.client import beside, classic, rules
from eventfs.client.directory import has_vanished, readable
from eventfs.client.errors import LeaseExpired, translated
from eventfs.client.handles import CLOSED, Handles
from eventfs.client.message import Message
from eventfs.client.names import fresh_name

_CLAIMING = beside.Purpose(
    name="lease",
    who="claimer",
    reason="to hold what is claimed",
    instead="receive messages instead of claiming them",
)

_ATTEMPTS = "user.eventfs_attempts"

#: linux/fs.h
_RENAME_NOREPLACE = 1


class Source(NamedTuple):
    """A queue from which messages are claimed."""

    directory: int
    """A handle to it."""
    path: str
    """Its path as it was given."""
    absolute_path: str


class LeaseQueue:
    """A queue of this process's own with what it has claimed from another, its source."""

    def __init__(self, source: Source, lease_s: float | None) -> None:
        """Make it beside its source (QueueError)."""
        self.source = source
        self._process = os.getpid()
        #: What is here, by the name that it has here: its name in the source.
        self.held: dict[str, str] = {}
        path = source.path
        with beside.parent_of(source.directory, path, _CLAIMING) as (parent, _), translated(path):
            self._name = beside.make(parent, path, _CLAIMING)
            self.directory = os.open(self._name, os.O_PATH | os.O_DIRECTORY, dir_fd=parent)
        try:
            with readable(self.directory) as handle:
                rules.set_rule(handle, path, "lease", math.inf if lease_s is None else lease_s)
        except BaseException:
            self.close()
            raise
        self.path = os.path.join(
            os.path.dirname(os.path.realpath(source.absolute_path)), self._name
        )

    @property
    def is_ours(self) -> bool:
        """Tell whether this process has made it, and isn't a child of that which did."""
        return self._process == os.getpid()

    def take(self, name: str, held: str) -> None:
        """Move a message here (OSError)."""
        # Noted before it is here, and until it isn't any more: so nothing is forgotten that is here
        # when a signal interrupts this.
        self.held[held] = name
        try:
            os.rename(name, held, src_dir_fd=self.source.directory, dst_dir_fd=self.directory)
        except OSError:
            del self.held[held]
            raise

    def finish(self, held: str) -> None:
        """Remove a message for good (OSError)."""
        try:
            os.unlink(held, dir_fd=self.directory)
        except FileNotFoundError:
            self.held.pop(held, None)
            raise
        self.held.pop(held, None)

    def give_back(self, held: str) -> None:
        """Move a message back to where it was, if it is here (OSError)."""
        name = self.held.get(held)
        if name is None:
            return
        here, there = self.directory, self.source.directory
        try:
            _rename_unless_taken(held, name, here, there)
        except FileExistsError:
            os.rename(held, fresh_name(), src_dir_fd=here, dst_dir_fd=there)
        except FileNotFoundError:
            # It has been returned already; or there is nothing any more that it could return to.
            with suppress(FileNotFoundError):
                os.unlink(held, dir_fd=here)
        self.held.pop(held, None)

    def touch(self, held: str) -> None:
        """Let a message's time begin anew (OSError)."""
        try:
            os.utime(held, dir_fd=self.directory)
        except PermissionError:
            # It is another user's. Another name here does the same.
            here, other = self.directory, fresh_name()
            os.rename(held, other, src_dir_fd=here, dst_dir_fd=here)
            os.rename(other, held, src_dir_fd=here, dst_dir_fd=here)

    def has_vanished(self) -> bool:
        """Tell whether somebody has removed it."""
        return has_vanished(self.directory)

    def close(self) -> None:
        """Give all back, and remove the queue; a child's copy is only closed."""
        if self.is_ours:
            for held in list(self.held):
                with suppress(OSError):
                    self.give_back(held)
            with suppress(OSError):
                os.rmdir(f"../{self._name}", dir_fd=self.directory)
        directory, self.directory = self.directory, CLOSED
        with suppress(OSError):
            os.close(directory)


class LeaseQueues:
    """The lease queues of one source: this process has one for each time that was asked for."""

    def __init__(self) -> None:
        # By the user too, since a lease queue is for who made it; and by the process, since it
        # returns what it holds when that dies.
        self._queues: dict[tuple[int, int, float | None], LeaseQueue] = {}

    def get(self, source: Source, lease_s: float | None) -> LeaseQueue:
        """Return the one that has this time; make it where there is none (QueueError)."""
        key = os.getpid(), os.geteuid(), lease_s
        queue = self._queues.get(key)
        if queue is None:
            made = LeaseQueue(source, lease_s)
            queue = self._queues.setdefault(key, made)
            if queue is not made:  # another thread was faster
                made.close()
        return queue

    def forget(self, queue: LeaseQueue) -> None:
        """Make a new one instead of this the next time."""
        for key, kept in list(self._queues.items()):
            if kept is queue:
                self._queues.pop(key, None)
        queue.close()

    def close(self) -> None:
        """Give all back that is on loan."""
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            queue.close()


class ClaimedMessage:
    """A message while it is claimed: still to be done, or given back.

    It has all that a `Message` has. Its content, and whatever else needs a look at it, is read when
    it is asked for, which may raise LeaseExpired.
    """

    def __init__(self, name: str, lease: LeaseQueue, held: str) -> None:
        self.name = name
        """Its name in the queue."""
        self._lease = lease
        self._held = held

    @cached_property
    def _details(self) -> Message:
        with translated(self._lease.source.path):
            details = classic.look_at(self._lease.directory, self._held)
        if details is None:
            raise _expired(self._lease)
        return details

    @property
    def content(self) -> bytes:
        """All of its content."""
        return self._details.content

    @property
    def size(self) -> int:
        """The content's length in bytes."""
        return len(self.content)

    @property
    def uid(self) -> int | None:
        """The sender's user."""
        return self._details.uid

    @property
    def time(self) -> float | None:
        """When its content was last written, in seconds since the epoch."""
        return self._details.time

    @property
    def path(self) -> str:
        """Where the message is while it is claimed: for a program that is to read or touch it."""
        return os.path.join(self._lease.path, self._held)

    @property
    def attempts(self) -> int:
        """How often it was claimed before and returned; it takes requests to ask for it.

        Raises LeaseExpired.
        """
        with translated(self._lease.source.path):
            try:
                file = os.open(self._held, os.O_RDONLY, dir_fd=self._lease.directory)
            except FileNotFoundError as error:
                raise _expired(self._lease) from error
            try:
                return int(os.getxattr(file, _ATTEMPTS))
            finally:
                os.close(file)

    def touch(self) -> None:
        """Let the lease's time begin anew: a sign of life (LeaseExpired)."""
        with translated(self._lease.source.path):
            try:
                self._lease.touch(self._held)
            except FileNotFoundError as error:
                raise _expired(self._lease) from error


class Claim:
    """A message is taken, and at the end of a `with` statement it is done, or given back."""

    def __init__(self, queue: Handles, queues: LeaseQueues, lease_s: float | None) -> None:
        self._queue = queue
        self._queues = queues
        self._lease_s = None if lease_s == math.inf else lease_s
        self._lease: LeaseQueue | None = None
        self._held = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lease = self._lease
        # A child that was forked meanwhile leaves it to its parent, whose message it is.
        if lease is None or not lease.is_ours:
            return
        if kind is not None:
            # That is what is told; and where it fails, it returns when this process dies.
            with suppress(OSError):
                lease.give_back(self._held)
            return
        with translated(lease.source.path):
            try:
                lease.finish(self._held)
            except FileNotFoundError as missing:
                raise _expired(lease) from missing

    def take(self) -> ClaimedMessage | None:
        """Take the oldest message; None where there is none (QueueError)."""
        # It may be closed while one waits.
        source = Source(self._queue._directory, self._queue._path, self._queue._absolute_path)
        with translated(source.path):
            missed = None
            while (name := classic.oldest_name(source.directory)) is not None:
                # Known before it is there: whatever comes between, it is given back.
                lease = self._lease = self._queues.get(source, self._lease_s)
                held = self._held = fresh_name()
                try:
                    lease.take(name, held)
                except OSError as error:
                    if error.errno not in classic.GONE:
                        raise
                    # Somebody else was faster; or has removed our queue, if it's still there.
                    if name == missed and lease.has_vanished():
                        self._queues.forget(lease)
                    missed = name
                    continue
                return ClaimedMessage(name, lease, held)
            return None


def _expired(lease: LeaseQueue) -> LeaseExpired:
    return LeaseExpired(
        errno.ENOENT,
        "the lease has run out, so the message was returned and another may have it by now",
        lease.source.path,
        "claim it for a longer time, or touch it in between",
    )


def _rename_unless_taken(name: str, new_name: str, directory: int, new_directory: int) -> None:
    """Rename; FileExistsError where something has the new name already, or can't be told."""
    import ctypes  # noqa: PLC0415  # what isn't given back doesn't wait for its import

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        renameat2 = libc.renameat2
    except AttributeError:  # not every C library has it
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
    names = os.fsencode(name), os.fsencode(new_name)
    if renameat2(directory, names[0], new_directory, names[1], _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
