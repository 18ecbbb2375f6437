"""A mount, from mounting to unmounting."""

import errno
import gc
import logging
import os
import resource
import signal
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic_ns

from eventfs.mount import mounting, wire
from eventfs.mount.clock import clock_ns
from eventfs.mount.errnos import ERRNOS, Failed
from eventfs.mount.notifier import Notifier
from eventfs.mount.operations import NOTHING, Operations
from eventfs.mount.owners import ProcThreads, best_owners
from eventfs.mount.reader import SPIN_NS, Reader
from eventfs.mount.wire import Answer, Handler, Request
from eventfs.queues.errors import Refused
from eventfs.queues.inode import Mode
from eventfs.queues.ledger import Gid, Ledger, Settings, Uid
from eventfs.queues.tree import Tree

log = logging.getLogger(__name__)

#: As /tmp: everybody may make a queue, nobody may remove another's.
ROOT_MODE = Mode(0o1777)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: What allow_root lets all users do: the kernel does it for them, or they have what they use open.
_FOR_ALL = ("forget", "read", "write", "flush", "release", "readdir", "releasedir")

#: How long the notifier may take to end after the last request, in seconds.
_JOIN_S = 1


@dataclass(frozen=True)
class Plan:
    """What to mount, where and how.

    `options` are those of mount.fuse3(8). `read_settings` returns the limits, and is called again
    on SIGHUP; it raises ValueError with a message where they can't be had. The daemon polls for
    `spin_ns` nanoseconds before it sleeps. With `commits_at_close` a message joins its queue when
    its creator closes it, else when it is made.
    """

    mountpoint: Path
    read_settings: Callable[[], Settings]
    options: AbstractSet[str] = field(default_factory=frozenset)
    root_mode: Mode = ROOT_MODE
    spin_ns: int = SPIN_NS
    commits_at_close: bool = False
    trace: bool = False


def serve(plan: Plan, ready: Callable[[], None]) -> None:
    """Mount, and answer requests until it is unmounted, or SIGTERM or SIGINT comes.

    *ready* is called once the mount is usable. Raises `mounting.MountFailed`, and what
    `read_settings` and *ready* raise.
    """
    # They wait for the thread that takes them. A handler would run between two steps of Python: a
    # signal that came just before the reader slept would be seen when it wakes.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    # Nothing here refers to itself, so there is nothing for it to find, and it looks at each of a
    # million messages again and again: without it they pass in half the time.
    gc.disable()
    settings = plan.read_settings()
    _raise_descriptor_limit()
    tree = Tree(
        plan.root_mode,
        Uid(os.geteuid()),
        Gid(os.getegid()),
        settings,
        ProcThreads(),
        clock_ns(),
        monotonic_ns,
    )
    with ExitStack() as ending:
        owners = best_owners()
        ending.callback(owners.close)
        mount = mounting.mount(plan.mountpoint, plan.options)
        ending.callback(mount.end)
        ready()
        notifier = Notifier(mount.connection)
        noatime = "noatime" in plan.options
        operations = Operations(
            tree,
            owners,
            notifier,
            mount.connection,
            noatime=noatime,
            commits_at_close=plan.commits_at_close,
        )
        handlers = operations.handlers
        for opcode, handler in enumerate(handlers):
            kind = wire.kind(opcode)
            if "allow_root" in plan.options and kind not in _FOR_ALL:
                handlers[opcode] = _only_for(Uid(os.geteuid()), handler)
            if plan.trace:
                handlers[opcode] = _traced(kind, handlers[opcode])
        reader = Reader(mount.connection, owners, operations, plan.spin_ns)
        ending.callback(reader.close)

        def take_signals() -> None:
            while True:
                if signal.sigwait(_SIGNALS) == signal.SIGHUP:
                    reader.call_soon(partial(_reload, tree.ledger, plan))
                else:
                    # It ends first, as long as requests are answered: it may wait for one.
                    notifier.stop(reader.end)

        notifier.start()
        ending.callback(notifier.join, _JOIN_S)
        threading.Thread(target=take_signals, name="signals", daemon=True).start()
        reader.run()


def _reload(ledger: Ledger, plan: Plan) -> None:
    """Put the limits in force that are in the files by now, if they can be used."""
    try:
        ledger.change(plan.read_settings())
    except (OSError, ValueError) as error:
        log.error("the old limits stay in force: %s", error)  # noqa: TRY400  # it says all
    except Exception:
        log.exception("the old limits stay in force")  # no reason to end
    else:
        log.info("the limits have been read again")


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as we may have: each process that owns a queue takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = int(Path("/proc/sys/fs/nr_open").read_text())
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError):
        # Only root may go over the hard limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _only_for(owner: Uid, handler: Handler) -> Handler:
    """Keep all users but *owner* and root out, as allow_root asks for."""

    def handle(request: Request) -> Answer:
        if request.uid not in (owner, 0):
            raise Failed(errno.EACCES)
        return handler(request)

    return handle


def _traced(kind: str, handler: Handler) -> Handler:
    """Log each request, and how it was refused if it was."""

    def handle(request: Request) -> Answer:
        offset = wire.NAME_OFFSETS.get(kind)
        name = "" if offset is None else f", {request.name(offset)!r}"
        said = f"{kind}({request.ino}{name})"
        try:
            answer = handler(request)
        except (Refused, Failed) as error:
            number = error.errno if isinstance(error, Failed) else ERRNOS[type(error)]
            log.debug("%s: %s", said, os.strerror(number))
            raise
        # A lookup of nothing is answered without an error.
        nothing = kind == "lookup" and answer == NOTHING
        log.debug("%s%s", said, f": {os.strerror(errno.ENOENT)}" if nothing else "")
        return answer

    return handle
