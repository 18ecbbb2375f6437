"""Lengths and reserved names."""

from typing import Final, NewType

from eventfs.queues.errors import NameTooLong

Name = NewType("Name", bytes)

#: NAME_MAX of Linux, in bytes.
MAX_NAME_BYTES: Final = 255

#: A directory's own names for itself and for the root, in listings.
SELF: Final = Name(b".")
PARENT: Final = Name(b"..")

#: The symlinks to a queue's oldest and newest message.
HEAD: Final = Name(b"head")
TAIL: Final = Name(b"tail")

#: A queue's ports.
PIPE: Final = Name(b".pipe")
LINES: Final = Name(b".lines")
PORTS: Final = frozenset((PIPE, LINES))

#: The name of a message that came through a port, until somebody looks at it.
UNNAMED: Final = Name(b"")

#: Names that no message can have.
RESERVED: Final = frozenset((HEAD, TAIL, *PORTS))


def port_name(number: int) -> Name:
    """Name a message that came without a name: in the order of arrival, unique in the mount."""
    return Name(b"%016x" % number)


def port_number(name: Name) -> int | None:
    """Return the number whose name this is, if it is one."""
    try:
        number = int(name, 16)
    except ValueError:
        return None
    return number if number >= 0 and port_name(number) == name else None


def check_length(name: Name) -> None:
    """Refuse a name that no directory can hold (NameTooLong)."""
    if len(name) > MAX_NAME_BYTES:
        raise NameTooLong
