"""One message for many queues: written once, and linked into each."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from eventfs.client import content as contents
from eventfs.client.base import BaseQueue
from eventfs.client.errors import CastIncomplete, QueueError
from eventfs.client.message import Content


def cast(queues: Iterable[BaseQueue], content: Content) -> None:
    """Add one message to many queues (see `Queue.cast`)."""
    targets = list(queues)
    errors = _cast_shared(targets, content) if len(targets) > 1 else _send_each(targets, content)
    if errors:
        raise CastIncomplete.of(errors, len(targets))


def _cast_shared(targets: Sequence[BaseQueue], content: Content) -> list[QueueError]:
    """Write the message once and link it into each queue; return what went wrong with some."""
    errors: list[QueueError] = []
    with ExitStack() as stack:
        try:
            room = stack.enter_context(targets[0]._room())
        except QueueError:
            # Where only some of the mount can be seen, each queue gets a copy.
            return _send_each(targets, content)
        try:
            staged = room.write(contents.pieces(content))
        except QueueError as error:
            return [target._refusal(error, room.size) for target in targets]
        for target in targets:
            try:
                target._add(staged, room.size)
            except QueueError as error:
                errors.append(error)
    return errors


def _send_each(targets: Sequence[BaseQueue], content: Content) -> list[QueueError]:
    errors: list[QueueError] = []
    if len(targets) > 1:
        content = b"".join(contents.pieces(content))
    for target in targets:
        try:
            target._put(content)
        except QueueError as error:
            errors.append(error)
    return errors
