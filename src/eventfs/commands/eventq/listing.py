"""ls and stat: what queues there are, and all about one."""

import errno
import json
import os
import re
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from eventfs import (
    AccessDenied,
    NoSuchQueue,
    NotEventfs,
    Queue,
    QueueError,
    QueueStat,
    QueueVanished,
)
from eventfs.commands.eventq import output, values
from eventfs.commands.eventq.outcome import Complaint, Status, report

#: How the kernel calls a mount of eventfs, unless it was mounted with another subtype.
_KIND = b"fuse.eventfs"


class Row(NamedTuple):
    """A queue in the list."""

    path: str
    #: None where it isn't ours to read.
    stat: QueueStat | None


def ls(asked: Namespace) -> Status:
    """List queues; return the first failure's status."""
    places = asked.mountpoints or _mountpoints()
    if not places:
        raise Complaint(
            "no eventfs is mounted here; mount one with: eventfs MOUNTPOINT", Status.NO_EVENTFS
        )
    first = Status.DONE
    rows: list[Row] = []
    for place in places:
        try:
            rows += _rows(place, hidden=asked.all)
        except QueueError as error:
            # What is mounted for others alone is only an error for who asked for it.
            if asked.mountpoints or not isinstance(error, AccessDenied):
                first = first or report(error)
    _show(rows, as_json=asked.json)
    return first


def _show(rows: list[Row], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            about = values.listed(row.stat)
            output.put(json.dumps({"queue": row.path, **about}).encode() + b"\n")
    elif output.is_terminal():
        from eventfs.commands.eventq import tables  # noqa: PLC0415  # rich's import takes a while

        tables.show_queues([(row.path, row.stat) for row in rows])
    else:
        for row in rows:
            columns = [row.path, *values.columns(row.stat)]
            output.put_line("\t".join(map(output.shown, columns)))


def stat(asked: Namespace) -> Status:
    """Tell all about a queue."""
    with Queue.open(asked.queue) as queue:
        about = queue.stat()
    if asked.json:
        output.put(json.dumps({"queue": asked.queue, **values.all_of(about)}).encode() + b"\n")
    elif output.is_terminal():
        from eventfs.commands.eventq import tables  # noqa: PLC0415  # rich's import takes a while

        tables.show_queue(asked.queue, about)
    else:
        for name, value in {"queue": asked.queue, **values.all_of(about)}.items():
            output.put_line(f"{name}\t{output.shown(values.plain(value))}")
    return Status.DONE


def _mountpoints() -> list[str]:
    """Return where eventfs is mounted, as far as this process sees."""
    lines = Path("/proc/self/mounts").read_bytes().splitlines()
    fields = [line.split(b" ") for line in lines]
    # The kernel writes white space and backslashes as octal numbers.
    return [
        os.fsdecode(re.sub(rb"\\(\d{3})", lambda octal: bytes([int(octal[1], 8)]), path))
        for _, path, kind, *_ in fields
        if kind == _KIND
    ]


def _rows(place: str, *, hidden: bool) -> Iterator[Row]:
    """Look at all queues of a mount; or at one, where only that is mounted (or asked for)."""
    try:
        with Queue.open(place) as queue:
            return iter([Row(place, queue.stat())])
    except NotEventfs:
        if not _is_root(place):
            raise
    return _queues(place, hidden=hidden)


def _is_root(place: str) -> bool:
    """Tell whether it is the root of a mount, which is the only one that counts requests."""
    try:
        os.getxattr(place, "user.eventfs_requests")
    except PermissionError:
        raise _unlisted(place) from None
    except OSError:
        return False
    return True


def _unlisted(root: str) -> AccessDenied:
    remedy = "queues can still be used by their names"
    return AccessDenied(errno.EACCES, "no permission to list it", root, remedy)


def _queues(root: str, *, hidden: bool) -> Iterator[Row]:
    try:
        names = sorted(os.listdir(root))  # noqa: PTH208  # names are what is wanted
    except PermissionError:
        raise _unlisted(root) from None
    for name in names:
        if name.startswith(".") and not hidden:
            continue
        path = str(Path(root, name))
        try:
            with Queue.open(path) as queue:
                yield Row(path, queue.stat())
        except AccessDenied:
            yield Row(path, None)
        except (NoSuchQueue, QueueVanished):
            continue  # since it was listed
