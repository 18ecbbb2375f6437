"""A message as a program gets it, and what can be sent as one."""

from typing import BinaryIO, NamedTuple

#: What can be sent: bytes, or a file that is read from where it is to its end.
Content = bytes | bytearray | memoryview | BinaryIO


class Message(NamedTuple):
    """A message: its content, and where it was asked for, what else is known of it.

    `name` is its name in the queue, `uid` the sender's user, `time` when its content was last
    written, in seconds since the epoch. All three are None where a port handed over the content
    alone: a name costs more requests than the message itself.

    >>> Message(b"hello").size
    5
    """

    content: bytes
    name: str | None = None
    uid: int | None = None
    time: float | None = None

    @property
    def size(self) -> int:
        """The content's length in bytes."""
        return len(self.content)
