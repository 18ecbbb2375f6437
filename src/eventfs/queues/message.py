"""A message's bytes: dense ones in one buffer, those with large holes in chunks."""

from typing import Final

from eventfs.queues.errors import FileTooLarge
from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Payer
from eventfs.queues.sparse import CHUNK_BYTES, Sparse

#: The largest offset of a file: that of off_t.
MAX_BYTES: Final = 2**63 - 1

#: From how many bytes on to make a view of them is cheaper than a copy.
VIEW_BYTES: Final = 16 * 1024


class Message(Inode):
    """A regular file.

    `size` may be larger than what is stored: the rest is a hole, and reads as zeros. `opens` counts
    open handles, which are among the holds too.
    """

    __slots__ = ("_content", "_size", "opens")

    def __init__(
        self, ino: Ino, mode: Mode, payer: Payer, now_ns: int, content: bytes = b""
    ) -> None:
        """Make a message without names."""
        super().__init__(ino, mode, payer, now_ns)
        self._size = len(content)
        self.opens = 0
        self._content: bytes | bytearray | Sparse = content

    @property
    def size(self) -> int:
        """See Inode."""
        return self._size

    @property
    def blocks(self) -> int:
        """See Inode."""
        content = self._content
        stored = content.content_bytes if isinstance(content, Sparse) else len(content)
        return (stored + 511) // 512

    @property
    def stored_bytes(self) -> int:
        """See Inode."""
        return self._content_bytes + self.xattr_bytes

    @property
    def _content_bytes(self) -> int:
        content = self._content
        return content.stored_bytes if isinstance(content, Sparse) else len(content)

    def read(self, offset: int, length: int, now_ns: int) -> bytes | memoryview:
        """Return up to *length* bytes from *offset*; fewer only at the end.

        Many bytes come as a view of the message, which must be gone before it is written to.
        """
        self.touch_read(now_ns)
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        content = self._content
        if isinstance(content, Sparse):
            return content.read(offset, end)
        if end - offset >= VIEW_BYTES and end <= len(content):
            return memoryview(content)[offset:end]
        piece = bytes(content[offset:end])
        return piece if len(piece) == end - offset else piece.ljust(end - offset, b"\0")

    def growth_bytes(self, offset: int, length: int) -> int:
        """Return how many bytes more a write would store.

        Refused with FileTooLarge where it would end behind MAX_BYTES.
        """
        end = offset + length
        if end > MAX_BYTES:
            raise FileTooLarge
        content = self._content
        if not length:
            return 0
        if isinstance(content, Sparse):
            return content.growth_bytes(offset, length)
        if offset - len(content) > CHUNK_BYTES:
            # Chunks instead of one buffer.
            dense = Sparse().growth_bytes(0, len(content)) - len(content)
            return dense + Sparse().growth_bytes(offset, length)
        return max(0, end - len(content))

    def write(self, offset: int, data: bytes | bytearray, now_ns: int) -> int:
        """Store *data* at *offset*, all of it; return its length (errors as for `growth_bytes`)."""
        length = len(data)
        end = offset + length
        if end > MAX_BYTES:
            raise FileTooLarge
        if length:
            self._store(offset, data)
            self._size = max(self._size, end)
            self.drop_set_id()
            self.mtime_ns = self.ctime_ns = now_ns
        return length

    def truncate(self, size: int, now_ns: int) -> None:
        """Cut to *size* bytes, or add a hole up to there (FileTooLarge behind MAX_BYTES)."""
        if size > MAX_BYTES:
            raise FileTooLarge
        content = self._content
        if size == 0:
            self._content = b""
        elif isinstance(content, Sparse):
            content.truncate(size)
        elif size < len(content):
            self._content = content[:size]
        self._size = size
        self.drop_set_id()
        self.mtime_ns = self.ctime_ns = now_ns

    def _store(self, offset: int, data: bytes | bytearray) -> None:
        content = self._content
        if not isinstance(content, Sparse) and offset - len(content) > CHUNK_BYTES:
            dense, content = content, Sparse()
            content.write(0, dense)
            self._content = content
        if isinstance(content, Sparse):
            content.write(offset, data)
        elif offset == 0 and len(data) >= len(content):
            # Most messages are written in one piece: it is kept as it came, without a copy.
            self._content = data
        else:
            if not isinstance(content, bytearray):
                content = self._content = bytearray(content)
            if offset > len(content):
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
