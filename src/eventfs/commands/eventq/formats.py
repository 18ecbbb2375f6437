"""How messages are printed."""

from argparse import Namespace
from collections.abc import Callable

from eventfs import Message

Format = Callable[[Message], bytes]


def chosen(asked: Namespace, *, several: bool) -> Format:
    """Return how messages are to be printed: one, or *several* that must be told apart."""
    if asked.json:
        return as_json
    if asked.lines:
        return lambda message: message.content + b"\n"
    if asked.null:
        return lambda message: message.content + b"\0"
    if several:
        return _ended
    return lambda message: message.content


def _ended(message: Message) -> bytes:
    content = message.content
    return content if content.endswith(b"\n") else content + b"\n"


def as_json(message: Message) -> bytes:
    """Return an object and a newline."""
    import json  # noqa: PLC0415  # the other ways don't wait for its import

    about: dict[str, object] = {
        "name": message.name,
        "uid": message.uid,
        "time": message.time,
        "size": message.size,
    }
    try:
        about["content"] = message.content.decode()
    except UnicodeDecodeError:
        from base64 import b64encode  # noqa: PLC0415  # as above

        about["content_base64"] = b64encode(message.content).decode()
    return json.dumps(about).encode() + b"\n"
