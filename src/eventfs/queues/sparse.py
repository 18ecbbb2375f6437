"""Bytes with holes: only the chunks that something was written to are stored."""

from typing import Final

#: The size of a chunk. It is what the kernel reads ahead, so that a read seldom crosses a chunk's
#: end, and bounds what one byte in a hole can take.
CHUNK_BYTES = 128 * 1024

#: What a chunk takes besides its bytes: some 145 bytes in CPython. If it weren't counted, single
#: bytes far apart would take 150 times the memory that they are counted for.
OVERHEAD_BYTES: Final = 160


class Sparse:
    """A file's content in chunks; what isn't stored reads as zeros."""

    __slots__ = ("_chunks", "stored_bytes")

    def __init__(self) -> None:
        """Start without content."""
        self._chunks: dict[int, bytearray] = {}
        self.stored_bytes = 0

    @property
    def content_bytes(self) -> int:
        """What is stored, without the chunks' overhead."""
        return self.stored_bytes - OVERHEAD_BYTES * len(self._chunks)

    def growth_bytes(self, offset: int, length: int) -> int:
        """Return how many bytes more a write would store."""
        end = offset + length
        growth = 0
        for index in range(offset // CHUNK_BYTES, -(-end // CHUNK_BYTES)):
            needed = min(CHUNK_BYTES, end - index * CHUNK_BYTES)
            chunk = self._chunks.get(index)
            growth += OVERHEAD_BYTES + needed if chunk is None else max(0, needed - len(chunk))
        return growth

    def read(self, offset: int, end: int) -> bytes:
        """Return what is between *offset* and *end*."""
        pieces = []
        while offset < end:
            index, start = divmod(offset, CHUNK_BYTES)
            length = min(CHUNK_BYTES - start, end - offset)
            piece = bytes(self._chunks.get(index, b"")[start : start + length])
            pieces.append(piece.ljust(length, b"\0"))
            offset += length
        return b"".join(pieces)

    def write(self, offset: int, data: bytes | bytearray) -> None:
        """Store *data* at *offset*."""
        self.stored_bytes += self.growth_bytes(offset, len(data))
        view = memoryview(data)
        while view:
            index, start = divmod(offset, CHUNK_BYTES)
            piece = view[: CHUNK_BYTES - start]
            chunk = self._chunks.setdefault(index, bytearray())
            if start > len(chunk):
                chunk.extend(bytes(start - len(chunk)))
            chunk[start : start + len(piece)] = piece
            offset += len(piece)
            view = view[len(piece) :]

    def truncate(self, size: int) -> None:
        """Drop what is behind *size*."""
        last, keep = divmod(size, CHUNK_BYTES)
        for index in [index for index in self._chunks if index >= last]:
            chunk = self._chunks[index]
            kept = keep if index == last else 0
            self.stored_bytes -= max(0, len(chunk) - kept)
            if kept:
                del chunk[kept:]
            else:
                self.stored_bytes -= OVERHEAD_BYTES
                del self._chunks[index]
