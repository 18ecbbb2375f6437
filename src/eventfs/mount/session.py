"""A mount, from mounting to unmounting."""

import inspect
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path
from typing import Any

import pyfuse3
import trio

from eventfs.mount import mounting
from eventfs.mount.notifier import Notifier
from eventfs.mount.operations import Operations
from eventfs.mount.owners import ProcThreads, best_owners
from eventfs.mount.reader import SPIN_NS, Reader
from eventfs.queues.inode import Mode
from eventfs.queues.ledger import Gid, Settings, Uid
from eventfs.queues.tree import Tree

log = logging.getLogger(__name__)

#: As /tmp: everybody may make a queue, nobody may remove another's.
ROOT_MODE = Mode(0o1777)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: How long the notifier may take to end after the last request, in seconds.
_JOIN_S = 1


@dataclass(frozen=True)
class Plan:
    """What to mount, where and how.

    `options` are those of libfuse. `read_settings` returns the limits, and is called again on
    SIGHUP; it raises ValueError with a message where they can't be had. The daemon polls for
    `spin_ns` nanoseconds before it sleeps.
    """

    mountpoint: Path
    read_settings: Callable[[], Settings]
    options: AbstractSet[str] = field(default_factory=frozenset)
    root_mode: Mode = ROOT_MODE
    spin_ns: int = SPIN_NS
    trace: bool = False


def serve(plan: Plan, ready: Callable[[], None]) -> None:
    """Mount, and answer requests until it is unmounted, or SIGTERM or SIGINT comes.

    *ready* is called once the mount is usable. Raises `mounting.MountFailed`, and what
    `read_settings` raises.
    """
    # They wait for the thread that takes them. A handler would run between two steps of Python: a
    # signal that came just before the reader slept would be seen when it wakes.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    settings = plan.read_settings()
    _raise_descriptor_limit()
    owners = best_owners()
    notifier = Notifier()
    tree = Tree(
        plan.root_mode,
        Uid(os.geteuid()),
        Gid(os.getegid()),
        settings,
        ProcThreads(),
        time.time_ns(),
    )
    noatime = "noatime" in plan.options
    operations = Operations(tree, owners, notifier, ready, noatime=noatime)
    reader = Reader(owners, operations.owners_died, operations.dead, plan.spin_ns)
    reader.install()
    if plan.trace:
        _trace(operations)

    def reload() -> None:
        try:
            tree.ledger.change(plan.read_settings())
        except (OSError, ValueError) as error:
            log.error("the old limits stay in force: %s", error)  # noqa: TRY400  # it says all
        except Exception:
            log.exception("the old limits stay in force")  # no reason to end
        else:
            log.info("the limits have been read again")

    def take_signals() -> None:
        while True:
            if signal.sigwait(_SIGNALS) == signal.SIGHUP:
                reader.call_soon(reload)
            else:
                # The notifier ends first, as long as requests are answered: it may wait for one.
                notifier.stop(pyfuse3.terminate)

    try:
        unmount = mounting.mount(operations, plan.mountpoint, plan.options)
        try:
            notifier.start()
            threading.Thread(target=take_signals, name="signals", daemon=True).start()
            # More tasks would only wait for each other: no handler waits for anything.
            trio.run(pyfuse3.main, 1, 1)
        finally:
            notifier.join(_JOIN_S)
            unmount()
    finally:
        reader.close()
        owners.close()


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
            # A lookup of nothing is answered without an error.
            nothing = isinstance(answer, pyfuse3.EntryAttributes) and not answer.st_ino
            log.debug("%s(%s)%s", name, shown, f": {os.strerror(ENOENT)}" if nothing else "")
            return answer

        return handle

    for name in vars(Operations):
        handler = getattr(operations, name)
        if inspect.iscoroutinefunction(handler):
            setattr(operations, name, traced(name, handler))
