"""The rules that a queue may be given, by attributes that are called as the options of `create`."""

import errno
import math
import os
from typing import Final

from eventfs.client.errors import AccessDenied, NoSuchQueue, QueueError, meaning_of

#: What the attributes' names begin with.
_PREFIX: Final = "user.eventfs_"

#: What a rule can be set to; seconds may be `math.inf`, for no limit of time.
Value = int | float | str

_WHOLE = "give a whole number, at least 1"
_SECONDS = "give a number of seconds, more than 0 and less than 1e9"


#: What may be given for each.
_REMEDIES = {
    "max_messages": _WHOLE,
    "max_bytes": _WHOLE,
    "overflow": "give reject or drop-oldest",
    "ttl": _SECONDS,
    "max_attempts": _WHOLE,
    "dead_letter": "give the name of a queue in the same mount",
    "lease": f"{_SECONDS}, or inf for no limit of time",
}


def attribute_of(name: str) -> str:
    """Return the name of a rule's attribute."""
    return f"{_PREFIX}{name}"


def set_rule(target: int | str, queue: str, name: str, value: Value) -> None:
    """Give an open queue, or that at a path, a rule; *queue* is what it's called (QueueError)."""
    try:
        os.setxattr(target, attribute_of(name), _encoded(value))
    except OSError as error:
        raise _refusal(error, queue, name, value) from error


def _encoded(value: Value) -> bytes:
    match value:
        case str():
            return os.fsencode(value)
        case int():
            return b"%d" % value
        case math.inf:
            return b""
    # No exponents; and no zeros at the end, for people who read it.
    return f"{value:.9f}".rstrip("0").rstrip(".").encode()


def _refusal(error: OSError, queue: str, name: str, value: Value) -> QueueError:
    """Say why a queue can't have a rule."""
    number = error.errno or errno.EIO
    if number == errno.EINVAL:
        return QueueError(number, f"{name} can't be {value!r}", queue, _REMEDIES[name])
    if name == "dead_letter":
        if number == errno.ENOENT:
            what = f"there is no such queue to be the dead_letter of {queue}"
            return NoSuchQueue(number, what, str(value), "make it in the same mount first")
        if number == errno.ELOOP:
            what = f"dead_letter can't be {value!r}, whose messages would come back"
            return QueueError(number, what, queue, "name a queue that isn't fed by this one")
        if number == errno.EACCES:
            what = f"dead_letter can't be {value!r}, to which you may not write"
            return AccessDenied(number, what, queue, "its user can grant it")
    meaning = meaning_of(error, queue, NoSuchQueue)
    what = f"{name} can't be set: {meaning.strerror}"
    return type(meaning)(number, what, queue, meaning.remedy)
