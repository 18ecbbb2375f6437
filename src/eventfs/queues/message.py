"""A message's bytes: dense ones in one buffer, those with large holes in chunks."""

from eventfs.queues.errors import FileTooLarge
from eventfs.queues.inode import Gid, Ino, Inode, Mode, Uid

#: The largest offset of a file: that of off_t.
MAX_BYTES = 2**63 - 1

#: The largest gap that a write fills with zeros; behind a larger one the message becomes sparse and
#: is kept in chunks of this size. It is what the kernel reads ahead, so that a read seldom crosses
#: a chunk's end, and bounds what one byte in a hole can take.
CHUNK_BYTES = 128 * 1024


class Message(Inode):
    """A regular file.

    `size` may be larger than what is stored: the rest is a hole, and reads as zeros. `opens` counts
    open handles, which are among the holds too.
    """

    __slots__ = ("_chunks", "_dense", "opens", "size")

    def __init__(self, ino: Ino, mode: Mode, uid: Uid, gid: Gid, now_ns: int) -> None:
        """Make an empty message without names."""
        super().__init__(ino, mode, uid, gid, now_ns)
        self.size = 0
        self.opens = 0
        self._dense: bytes | bytearray = b""
        self._chunks: dict[int, bytearray] | None = None

    @property
    def blocks(self) -> int:  # type: ignore[override]  # a class attribute where it is constant
        """What is really stored, in blocks of 512 bytes."""
        stored = len(self._dense)
        if self._chunks is not None:
            stored = sum(map(len, self._chunks.values()))
        return (stored + 511) // 512

    def read(self, offset: int, length: int, now_ns: int) -> bytes:
        """Return up to *length* bytes from *offset*; fewer only at the end."""
        self.touch_read(now_ns)
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        if self._chunks is not None:
            return self._read_chunks(self._chunks, offset, end)
        piece = bytes(self._dense[offset:end])
        return piece if len(piece) == end - offset else piece.ljust(end - offset, b"\0")

    def write(self, offset: int, data: bytes, now_ns: int) -> int:
        """Store *data* at *offset*, all of it; return its length.

        Refused with FileTooLarge where it would end behind MAX_BYTES.
        """
        end = offset + len(data)
        if end > MAX_BYTES:
            raise FileTooLarge
        if data:
            self._store(offset, data)
            self.size = max(self.size, end)
            self.drop_set_id()
            self.mtime_ns = self.ctime_ns = now_ns
        return len(data)

    def truncate(self, size: int, now_ns: int) -> None:
        """Cut to *size* bytes, or add a hole up to there (FileTooLarge behind MAX_BYTES)."""
        if size > MAX_BYTES:
            raise FileTooLarge
        if size == 0:
            self._dense, self._chunks = b"", None
        elif self._chunks is not None:
            self._cut_chunks(self._chunks, size)
        elif size < len(self._dense):
            self._dense = self._dense[:size]
        self.size = size
        self.drop_set_id()
        self.mtime_ns = self.ctime_ns = now_ns

    def _store(self, offset: int, data: bytes) -> None:
        dense = self._dense
        if self._chunks is None and offset - len(dense) > CHUNK_BYTES:
            self._chunks = {}
            self._dense = b""
            self._store_chunks(self._chunks, 0, dense)
        if self._chunks is not None:
            self._store_chunks(self._chunks, offset, data)
        elif offset == 0 and len(data) >= len(dense):
            # Most messages are written in one piece: it is kept as it came, without a copy.
            self._dense = data
        else:
            if not isinstance(dense, bytearray):
                dense = self._dense = bytearray(dense)
            if offset > len(dense):
                dense.extend(bytes(offset - len(dense)))
            dense[offset : offset + len(data)] = data

    @staticmethod
    def _store_chunks(chunks: dict[int, bytearray], offset: int, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            index, start = divmod(offset, CHUNK_BYTES)
            piece = view[: CHUNK_BYTES - start]
            chunk = chunks.setdefault(index, bytearray())
            if start > len(chunk):
                chunk.extend(bytes(start - len(chunk)))
            chunk[start : start + len(piece)] = piece
            offset += len(piece)
            view = view[len(piece) :]

    @staticmethod
    def _read_chunks(chunks: dict[int, bytearray], offset: int, end: int) -> bytes:
        pieces = []
        while offset < end:
            index, start = divmod(offset, CHUNK_BYTES)
            length = min(CHUNK_BYTES - start, end - offset)
            piece = bytes(chunks.get(index, b"")[start : start + length])
            pieces.append(piece.ljust(length, b"\0"))
            offset += length
        return b"".join(pieces)

    @staticmethod
    def _cut_chunks(chunks: dict[int, bytearray], size: int) -> None:
        last, keep = divmod(size, CHUNK_BYTES)
        for index in [index for index in chunks if index > last or (index == last and not keep)]:
            del chunks[index]
        if last in chunks:
            del chunks[last][keep:]
