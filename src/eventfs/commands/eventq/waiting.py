"""wait: for a message, for none, or for a queue's end."""

from argparse import Namespace
from select import POLLIN, poll

from eventfs import NoSuchQueue, Queue, QueueVanished
from eventfs.client.deadline import Deadline
from eventfs.commands.eventq.outcome import Status, raise_end


def wait(asked: Namespace) -> Status:
    """Wait."""
    try:
        with Queue.open(asked.queue) as queue:
            if asked.empty:
                queue.wait_empty(asked.timeout)
                return Status.DONE
            return _poll(queue, 0 if asked.gone else POLLIN, asked.timeout)
    except (NoSuchQueue, QueueVanished):
        if asked.gone:
            return Status.DONE
        raise


def _poll(queue: Queue, event: int, timeout_s: float | None) -> Status:
    """Wait for a queue's *event*, or for its end."""
    deadline = Deadline(timeout_s)
    poller = poll()
    poller.register(queue.fileno(), event)
    while not (told := poller.poll(deadline.left_ms())):
        if deadline.is_past():
            return Status.NOTHING
    [(_, events)] = told
    if not events & event:
        raise_end(queue)
    return Status.DONE
