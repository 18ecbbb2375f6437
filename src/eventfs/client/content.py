"""What a message is made of: bytes, whole or in pieces."""

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, cast

from eventfs.client.message import Content

#: A file is read in pieces of so many bytes.
_PIECE_BYTES = 1 << 20


def within(content: Content, limit_bytes: int) -> bytes | Iterator[bytes | memoryview]:
    """Return the content in one if it has at most so many bytes, else piece by piece.

    TypeError for what is neither bytes nor a file.
    """
    file = _file(content)
    if file is None:
        view = _view(content)
        return bytes(view) if view.nbytes <= limit_bytes else iter([view])
    beginning: list[bytes] = []
    size = 0
    # What isn't buffered, as a pipe, gives what it has.
    while size <= limit_bytes and (piece := file.read(limit_bytes + 1 - size)):
        beginning.append(piece)
        size += len(piece)
    if size <= limit_bytes:
        return b"".join(beginning)
    return chain(beginning, pieces(file))


def pieces(content: Content) -> Iterator[bytes | memoryview]:
    """Return the content piece by piece (errors as for `within`)."""
    file = _file(content)
    if file is None:
        return iter([_view(content)])
    return iter(lambda: file.read(_PIECE_BYTES), b"")


def _file(content: Content) -> BinaryIO | None:
    return cast("BinaryIO", content) if hasattr(content, "read") else None


def _view(content: Content) -> memoryview:
    """Look at what is made of bytes, whatever else it is made of: arrays are too."""
    view = memoryview(cast("bytes", content))
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
