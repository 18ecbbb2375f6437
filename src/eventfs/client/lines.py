"""Many messages a call, a line each."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate


def batches(lines: Sequence[bytes], limit_bytes: int) -> list[bytes]:
    """Join lines to as few pieces as go, none with more than so many bytes; no line has as many.

    ValueError where there is a newline in a line. A piece goes with one write, which the kernel
    hands over in one: so it is in, or was stopped by a limit between two lines, and no half line
    is left.
    """
    # How many bytes come before each line; newlines are counted with them where they matter.
    before = [0, *accumulate(map(len, lines))]
    pieces: list[bytes] = []
    start = 0
    while start < len(lines):
        most = before[start] + start + limit_bytes
        stop = (
            bisect_right(range(len(before)), most, key=lambda number: before[number] + number) - 1
        )
        pieces.append(b"\n".join([*lines[start:stop], b""]))
        start = stop
    if sum(piece.count(b"\n") for piece in pieces) != len(lines):
        number = next(number for number, line in enumerate(lines) if b"\n" in line)
        raise ValueError(f"line {number} has a newline in it, which would make two messages")
    return pieces


def split(data: bytes) -> list[bytes]:
    """Return the lines in what was read."""
    return data[:-1].split(b"\n")
