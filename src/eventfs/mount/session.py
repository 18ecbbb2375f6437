"""A mount, from mounting to unmounting."""

import inspect
import logging
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pyfuse3
import trio

from eventfs.mount.notifier import Notifier
from eventfs.mount.operations import Operations
from eventfs.mount.owners import ProcThreads, best_owners
from eventfs.mount.reader import Reader
from eventfs.queues.inode import Gid, Mode, Uid
from eventfs.queues.tree import Tree

log = logging.getLogger(__name__)

#: As /tmp: everybody may make a queue, nobody may remove another's.
ROOT_MODE = Mode(0o1777)

#: How long the notifier may take to end after the last request, in seconds.
_JOIN_S = 1


class MountFailed(Exception):
    """The kernel or fusermount3 refused the mount; the message is theirs."""


def serve(
    mountpoint: Path, options: AbstractSet[str], ready: Callable[[], None], *, trace: bool = False
) -> None:
    """Mount on *mountpoint* and answer requests until it is unmounted, or SIGTERM or SIGINT comes.

    *options* are those of libfuse; `default_permissions` is added. *ready* is called once the mount
    is usable; *trace* logs each request. Raises MountFailed.
    """
    _raise_descriptor_limit()
    owners = best_owners()
    notifier = Notifier()
    tree = Tree(ROOT_MODE, Uid(os.geteuid()), Gid(os.getegid()), ProcThreads(), time.time_ns())
    operations = Operations(tree, owners, notifier, ready)
    reader = Reader(owners, operations.owners_died)
    reader.install()
    if trace:
        _trace(operations)
    _mount(operations, mountpoint, options)
    try:
        # The notifier ends first, as long as requests are still answered: it may wait for one.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: notifier.stop(pyfuse3.terminate))
        # More tasks would only wait for each other: no handler waits for anything.
        trio.run(pyfuse3.main, 1, 1)
    finally:
        notifier.join(_JOIN_S)
        pyfuse3.close(unmount=True)
        reader.close()
        owners.close()


def _mount(operations: Operations, mountpoint: Path, options: AbstractSet[str]) -> None:
    """Mount. What libfuse and fusermount3 say of a failure goes to descriptor 2: catch it there."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            pyfuse3.init(operations, str(mountpoint), {"default_permissions", *options})
        except RuntimeError as error:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            reasons = [line.strip() for line in lines if line.strip()]
            raise MountFailed("; ".join(reasons) or str(error)) from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as we may have: each process that owns a queue takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = int(Path("/proc/sys/fs/nr_open").read_text())
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError):
        # Only root may go over the hard limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _trace(operations: Operations) -> None:
    """Log each request and its answer. The handlers stay as they are where nobody wants that."""

    def traced(name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        async def handle(*args: Any) -> Any:  # noqa: ANN401  # whatever pyfuse3 hands over
            shown = ", ".join(repr(arg) for arg in args if isinstance(arg, int | bytes))
            try:
                answer = await handler(*args)
            except pyfuse3.FUSEError as error:
                log.debug("%s(%s): %s", name, shown, error)
                raise
            log.debug("%s(%s)", name, shown)
            return answer

        return handle

    for name in vars(Operations):
        handler = getattr(operations, name)
        if inspect.iscoroutinefunction(handler):
            setattr(operations, name, traced(name, handler))
