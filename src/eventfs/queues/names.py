"""Lengths and reserved names."""

from typing import NewType

from eventfs.queues.errors import NameTooLong

Name = NewType("Name", bytes)

#: NAME_MAX of Linux, in bytes.
MAX_NAME_BYTES = 255

#: A directory's own names for itself and for the root, in listings.
SELF = Name(b".")
PARENT = Name(b"..")

#: The symlinks to a queue's oldest and newest message.
HEAD = Name(b"head")
TAIL = Name(b"tail")

#: A queue's ports: not there yet, but nobody may put a message in their place.
PORTS = (Name(b".pipe"), Name(b".lines"))

#: Names that no message can have.
RESERVED = frozenset((HEAD, TAIL, *PORTS))


def check_length(name: Name) -> None:
    """Refuse a name that no directory can hold (NameTooLong)."""
    if len(name) > MAX_NAME_BYTES:
        raise NameTooLong
