"""recv: take messages, and lose none that isn't printed or worked through."""

import os
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import POLLIN

from eventfs import Message, Queue, QueueEmpty, QueueError, QueueFull
from eventfs.client.deadline import Deadline
from eventfs.commands.eventq import formats
from eventfs.commands.eventq.endings import Endings
from eventfs.commands.eventq.outcome import Complaint, Ended, Status, status_of

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
            message = _take(queue, endings, asked.timeout, details=asked.json)
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


def _take(
    queue: Queue, endings: Endings, timeout_s: float | None, *, details: bool
) -> Message | None:
    """Take a message; None if there was none in time."""
    deadline = Deadline(timeout_s)
    while True:
        endings.check()
        try:
            return queue.receive(0, details=details)
        except QueueEmpty:
            if deadline.is_past():
                return None
            endings.wait(queue.fileno(), POLLIN, deadline)


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
    """Run a shell command with the content on its standard input."""
    import subprocess  # noqa: PLC0415  # who only prints doesn't wait for its import

    # A file, not a pipe: the command may end without reading it, or read it when it likes.
    stdin = os.memfd_create("message")
    with os.fdopen(stdin, "r+b", buffering=0) as file:
        view = memoryview(message.content)
        while view:
            view = view[file.write(view) :]
        file.seek(0)
        child = subprocess.Popen(["/bin/sh", "-c", command], stdin=file)  # noqa: S603  # as asked
    with endings.passed_on_to(child):
        status = child.wait()
    if status == 0:
        return
    if endings.number is not None:
        raise Ended(endings.number)
    how = f"with status {status}" if status > 0 else f"by signal {-status}"
    raise Complaint(
        f"{queue.path}: the command ended {how}; its message is in the queue again, as the newest",
        Status.COMMAND_FAILED,
    )
