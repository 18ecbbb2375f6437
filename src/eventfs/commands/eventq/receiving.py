"""recv: take messages, and lose none that isn't printed or worked through."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eventfs import Message, Queue, QueueError, QueueFull
from eventfs.client.deadline import Deadline
from eventfs.commands.eventq import formats
from eventfs.commands.eventq.endings import Endings
from eventfs.commands.eventq.outcome import Complaint, Status, status_of

#: How long to try to give a message back to a queue that is full, and how often.
_PATIENCE_S = 5
_PAUSE_S = 0.01

#: Does with a message what is asked for, or raises.
_Use = Callable[[Message], None]


def recv(asked: Namespace) -> Status:
    """Take messages."""
    wanted = None if asked.follow else asked.count or 1
    with Queue.open(asked.queue) as queue, Endings(printing=asked.exec is None) as endings:
        use = _use(asked, queue, endings, several=wanted != 1)
        taken = 0
        while taken != wanted:
            message = endings.next_of(
                queue, lambda: queue.receive(0, details=asked.json), asked.timeout
            )
            if message is None:
                return Status.NOTHING if wanted or not taken else Status.DONE
            taken += 1
            with _given_back_on_failure(queue, message):
                use(message)
    return Status.DONE


def _use(asked: Namespace, queue: Queue, endings: Endings, *, several: bool) -> _Use:
    if asked.exec is not None:
        return lambda message: _work(asked.exec, queue, message, endings)
    format_ = formats.chosen(asked, several=several)
    return lambda message: endings.print(format_(message))


@contextmanager
def _given_back_on_failure(queue: Queue, message: Message) -> Iterator[None]:
    """Send a message again if what is done with it fails: it is the newest then."""
    try:
        yield
    except BaseException:
        try:
            _give_back(queue, message)
        except QueueError as error:
            raise Complaint(
                f"{error} (so a message of {message.size} bytes that was taken from it is lost)",
                status_of(error),
            ) from None
        raise


def _give_back(queue: Queue, message: Message) -> None:
    deadline = Deadline(_PATIENCE_S)
    while True:
        try:
            queue.send(message.content)
        except QueueFull:
            # Its place was another's at once, as is usual where senders wait for one.
            if deadline.is_past():
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _work(command: str, queue: Queue, message: Message, endings: Endings) -> None:
    from eventfs.commands.eventq.executing import (  # noqa: PLC0415  # who only prints needn't wait
        execute,
    )

    how = execute(command, message.content, endings)
    if how is not None:
        raise Complaint(
            f"{queue.path}: the command ended {how}; its message is in the queue again, as the"
            " newest",
            Status.COMMAND_FAILED,
        )
