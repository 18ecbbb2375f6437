"""Send: one message, many, or one to many queues."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from eventfs import CastIncomplete, Queue, QueueError
from eventfs.commands.eventq.outcome import Complaint, Status, report, status_of

#: A read that takes all that a pipe holds.
_READ_BYTES = 65_536

#: What is longer is no line: what a queue takes in one call is less.
_MOST_LINE_BYTES = 1 << 20


def send(asked: Namespace) -> Status:
    """Send standard input or files."""
    with Queue.open(asked.queue) as queue:
        for name in asked.files or ["-"]:
            with _opened(name) as file:
                if asked.lines or asked.null:
                    _send_parts(queue, _split(file, b"\0" if asked.null else b"\n"))
                else:
                    queue.send(file)
    return Status.DONE


def cast(asked: Namespace) -> Status:
    """Send one message to many queues; return the first failure's status."""
    first = Status.DONE
    queues = []
    for path in asked.queues:
        try:
            queues.append(Queue.open(path))
        except QueueError as error:
            first = first or report(error)
    if not queues:
        return first
    with _opened(asked.file) as file:
        try:
            Queue.cast(queues, file)
        except CastIncomplete as error:
            first = first or report(error)
    return first


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file to read what there is now, without waiting for a buffer to fill."""
    with open(0 if name == "-" else name, "rb", buffering=0, closefd=name != "-") as file:
        yield file


def _split(file: BinaryIO, end: bytes) -> Iterator[list[bytes]]:
    """Cut what comes at each *end*: as many whole lines as there are with each read."""
    rest = b""
    while data := file.read(_READ_BYTES):
        *lines, rest = (rest + data).split(end)
        if lines:
            yield lines
        if len(rest) > _MOST_LINE_BYTES:
            raise Complaint(
                f"a line of more than {_MOST_LINE_BYTES} bytes is no message; send it as a file,"
                " without --lines and -0",
                Status.TOO_LARGE,
            )
    if rest:
        yield [rest]


def _send_parts(queue: Queue, batches: Iterable[list[bytes]]) -> None:
    sent = 0
    try:
        for batch in batches:
            if any(b"\n" in line for line in batch):
                for line in batch:
                    queue.send(line)
                    sent += 1
            else:
                sent += queue.send_lines(batch)
    except QueueError as error:
        sent += error.sent
        raise Complaint(f"{error} ({sent} messages are in)", status_of(error)) from None
    except Complaint as complaint:
        raise Complaint(f"{complaint} ({sent} messages are in)", complaint.status) from None
