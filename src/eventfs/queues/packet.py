"""A message that came through a port, until somebody looks at it by its name."""

from typing import Protocol

from eventfs.queues.inode import Mode
from eventfs.queues.ledger import Payer
from eventfs.queues.message import Message


class Packet:
    """Content, and what a message is made from when somebody looks: then `message` is that.

    Most messages that come through a port go through a port too, and nobody ever asks for their
    inode number, name or attributes. So they have none until somebody does, which saves half of
    their memory and most of the time. `links` counts the queues that it is in.
    """

    __slots__ = ("content", "links", "message", "mode", "payer", "time_ns")

    def __init__(self, content: bytes, mode: Mode, payer: Payer, time_ns: int) -> None:
        """Keep what came at *time_ns* from *payer*."""
        self.content = content
        self.mode = mode
        self.payer = payer
        self.time_ns = time_ns
        self.links = 1
        self.message: Message | None = None


class Unpacker(Protocol):
    """What makes messages of packets."""

    def message_of(self, packet: Packet) -> Message:
        """Return the message that a packet is, made now if nobody has looked at it before."""
