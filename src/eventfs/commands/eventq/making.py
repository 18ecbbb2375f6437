"""Queues themselves: make them, remove them, let them follow others."""

import errno
import os
from argparse import Namespace

from eventfs import Queue, QueueError
from eventfs.commands.eventq.outcome import Complaint, Status, report


def create(asked: Namespace) -> Status:
    """Make a queue that somebody owns who lives on."""
    if asked.mode is not None:
        os.umask(0)  # as for mkdir --mode, which means what it says
    owner: int | None = asked.owner
    if owner is None and not asked.sticky:
        owner = os.getppid()
        if owner == 0:
            raise Complaint(
                f"{asked.queue}: what started eventq can't be seen from here and so can't own a"
                " queue; name a process with --owner PID, or keep the queue with --sticky"
            )
    try:
        queue = Queue.create(
            asked.queue,
            sticky=asked.sticky,
            mode=0o777 if asked.mode is None else asked.mode,
            exist_ok=asked.exist_ok,
            owner=owner,
            topic=asked.topic,
            max_messages=asked.max_messages,
            max_bytes=asked.max_bytes,
            overflow=asked.overflow,
            ttl=asked.ttl,
            max_attempts=asked.max_attempts,
            dead_letter=None if asked.dead_letter is None else Queue.open(asked.dead_letter),
            lease=asked.lease,
        )
    except QueueError as error:
        if error.errno == errno.ESRCH:
            raise Complaint(
                f"{asked.queue}: there is no process {owner} that could own it; name another with"
                " --owner PID, or keep the queue with --sticky"
            ) from None
        raise
    queue.close()
    return Status.DONE


def rm(asked: Namespace) -> Status:
    """Remove queues; return the first failure's status."""
    first = Status.DONE
    for path in asked.queues:
        try:
            with Queue.open(path) as queue:
                queue.remove()
        except QueueError as error:
            first = first or report(error)
    return first


def follow(asked: Namespace) -> Status:
    """Set what a queue follows."""
    with Queue.open(asked.queue) as queue:
        queue.follow(*map(Queue.open, asked.sources))
    return Status.DONE
