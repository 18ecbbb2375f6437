"""Messages that came through a port, until somebody looks at them by their names."""

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


class Batch:
    """Lines that came with one call, as long as nobody looks at one of them.

    Most leave as they came, many with one call. Until then they are no more than their content and
    what they have in common: whose they are, who pays for their names, when they came, and how many
    bytes they have. The first of `lines` that is still there is `lines[start]`; `number` is that of
    `lines[0]`, its place in the order. That takes a sixth of the time of a packet for each.
    """

    __slots__ = (
        "count_bytes",
        "inode_payer",
        "lines",
        "mode",
        "number",
        "payer",
        "start",
        "time_ns",
    )

    def __init__(  # noqa: PLR0913  # what they have in common
        self,
        lines: list[bytes],
        count_bytes: int,
        number: int,
        mode: Mode,
        inode_payer: Payer,
        payer: Payer,
        time_ns: int,
    ) -> None:
        """Keep what came at *time_ns* from *inode_payer*; *payer* pays for the names."""
        self.lines = lines
        self.count_bytes = count_bytes
        self.number = number
        self.mode = mode
        self.inode_payer = inode_payer
        self.payer = payer
        self.time_ns = time_ns
        self.start = 0

    def __len__(self) -> int:
        """Count the lines that are still there."""
        return len(self.lines) - self.start

    def packets(self) -> list[tuple[int, Packet]]:
        """Return what is still there as packets, with their numbers."""
        mode, payer, time_ns = self.mode, self.inode_payer, self.time_ns
        lines = self.lines[self.start :]
        return [
            (number, Packet(line, mode, payer, time_ns))
            for number, line in enumerate(lines, self.number + self.start)
        ]

    def take(self, room_bytes: int) -> list[bytes]:
        """Take out as many of the first as fit, with a byte more for each."""
        lines, start = self.lines, self.start
        end = len(lines)
        if self.count_bytes + end - start > room_bytes:
            end = start
            while (room_bytes := room_bytes - len(lines[end]) - 1) >= 0:
                end += 1
        taken = lines[start:end]
        self.count_bytes -= sum(map(len, taken))
        self.start = end
        if end > len(lines) // 2:
            del lines[:end]
            self.number += end
            self.start = 0
        return taken


class Unpacker(Protocol):
    """What makes messages of packets."""

    def message_of(self, packet: Packet) -> Message:
        """Return the message that a packet is, made now if nobody has looked at it before."""
