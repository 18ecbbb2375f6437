"""Many messages a call, a line each."""

from collections.abc import Iterator, Sequence

#: So many bytes go into one write(2): 255 pages, which the kernel always hands over in one piece.
#: So a batch is in, or was stopped by a limit, when the call returns, and no half line is left.
MAX_BATCH_BYTES = 255 * 4096

#: The longest line, without its newline.
MAX_LINE_BYTES = MAX_BATCH_BYTES - 1


def checked(lines: Sequence[bytes]) -> int | None:
    """Make sure that each line is one (ValueError); return the size of one that is too long."""
    for number, line in enumerate(lines):
        if b"\n" in line:
            raise ValueError(f"line {number} has a newline in it, which would make two messages")
    longest = max(map(len, lines), default=0)
    return longest if longest > MAX_LINE_BYTES else None


def batches(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Join lines to as few pieces as go."""
    start = size = 0
    for number, line in enumerate(lines):
        if size + len(line) + 1 > MAX_BATCH_BYTES:
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
