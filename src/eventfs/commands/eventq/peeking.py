"""peek: print messages, and leave them where they are."""

from argparse import Namespace

from eventfs import Queue
from eventfs.commands.eventq import formats, output
from eventfs.commands.eventq.outcome import Status


def peek(asked: Namespace) -> Status:
    """Print the oldest message, or all."""
    format_ = formats.chosen(asked, several=asked.all)
    status = Status.NOTHING
    with Queue.open(asked.queue) as queue:
        oldest = [] if asked.all or (one := queue.peek()) is None else [one]
        for message in queue if asked.all else oldest:
            output.put(format_(message))
            status = Status.DONE
    return status
