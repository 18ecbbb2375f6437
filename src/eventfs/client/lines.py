"""Many messages a call, a line each."""

from collections.abc import Iterator, Sequence


def longest_of(lines: Sequence[bytes]) -> int:
    """Return the longest line's length; make sure that each is one line (ValueError)."""
    for number, line in enumerate(lines):
        if b"\n" in line:
            raise ValueError(f"line {number} has a newline in it, which would make two messages")
    return max(map(len, lines), default=0)


def batches(lines: Sequence[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Join lines to as few pieces as go, none with more than so many bytes.

    A piece goes with one write, which the kernel hands over in one: so it is in, or was stopped by
    a limit between two lines, and no half line is left.
    """
    start = size = 0
    for number, line in enumerate(lines):
        if size + len(line) + 1 > limit_bytes:
            yield joined(lines[start:number])
            start, size = number, 0
        size += len(line) + 1
    if start < len(lines):
        yield joined(lines[start:])


def joined(lines: Sequence[bytes]) -> bytes:
    """Return lines with a newline after each."""
    return b"\n".join([*lines, b""])


def split(data: bytes) -> list[bytes]:
    """Return the lines in what was read."""
    return data[:-1].split(b"\n")
