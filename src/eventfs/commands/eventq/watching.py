"""watch: tell what happens in a queue, as it happens."""

import json
import secrets
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from select import POLLERR, POLLIN, poll
from time import time
from typing import NamedTuple

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from eventfs import Message, Queue, QueueEmpty
from eventfs.commands.eventq import output
from eventfs.commands.eventq.outcome import Complaint, Status, raise_end

#: What is told of names that inotify tells of.
_GONE = {flags.DELETE: "removed", flags.MOVED_FROM: "moved"}


class _Event(NamedTuple):
    """What happened to which message; an arrival's sender and size; how many were missed."""

    event: str
    name: str | None = None
    uid: int | None = None
    size: int | None = None
    messages: int | None = None


def watch(asked: Namespace) -> Status:
    """Tell what happens until the queue vanishes."""
    tell = _tell_json if asked.json else _tell
    with Queue.open(asked.queue) as queue, _follower(queue) as follower, INotify() as names:
        _watch_names(names, queue)
        poller = poll()
        poller.register(queue.fileno(), 0)  # for its end alone
        poller.register(follower.fileno(), POLLIN)
        poller.register(names.fileno(), POLLIN)
        missed = 0
        while True:
            told = dict(poller.poll())
            if told.get(queue.fileno(), 0) & POLLERR:
                raise_end(queue)
            # Removals are read before arrivals and told after them: so no message goes before it
            # has come.
            gone = [(_GONE.get(event.mask), event.name) for event in names.read(timeout=0)]
            for message in _arrived(follower):
                tell(_Event("arrived", message.name, message.uid, message.size))
            if (dropped := follower.stat().dropped) > missed:
                tell(_Event("missed", messages=dropped - missed))
                missed = dropped
            for how, name in gone:
                if how:
                    tell(_Event(how, name))
            if queue.fileno() in told:
                tell(_Event("vanished"))
                return Status.DONE


def _watch_names(names: INotify, queue: Queue) -> None:
    try:
        # What is created is told by the follower, but not if it was missed.
        names.add_watch(queue.path, flags.CREATE | flags.DELETE | flags.MOVED_FROM)
    except OSError as error:
        raise Complaint(
            f"{queue.path}: inotify can't watch it: {error.strerror}; see the limits in"
            " /proc/sys/fs/inotify"
        ) from None


@contextmanager
def _follower(queue: Queue) -> Iterator[Queue]:
    """Make a queue of our own, beside the other, that sees all that arrives there."""
    # By the kernel's `..`: the path may be as short as a dot.
    path = Path(queue.path, "..", f".eventq-watch-{secrets.token_hex(8)}")
    with Queue.create(path, mode=0o700) as follower:
        follower.follow(queue)
        # It goes with its owner, which is this process.
        yield follower


def _arrived(follower: Queue) -> Iterator[Message]:
    while True:
        try:
            yield follower.receive(0, details=True)
        except QueueEmpty:
            return


def _tell(event: _Event) -> None:
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    about = [value for value in event[1:] if value is not None]
    output.put_line("\t".join([now, event.event, *(output.shown(str(value)) for value in about)]))


def _tell_json(event: _Event) -> None:
    about = {name: value for name, value in event._asdict().items() if value is not None}
    now = time()
    output.put(json.dumps({"time": now, **about}).encode() + b"\n")
