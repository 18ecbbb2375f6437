"""A message against a plain dictionary of bytes, whatever is done to it."""

from stat import S_IFREG
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventfs.queues import message as message_module
from eventfs.queues import sparse
from eventfs.queues.errors import FileTooLarge
from eventfs.queues.inode import Ino, Mode
from eventfs.queues.ledger import Gid, Uid
from eventfs.queues.message import MAX_BYTES, Message
from eventfs.queues.sparse import CHUNK_BYTES, OVERHEAD_BYTES
from tests.queues.making import NOW, THEN, content, payer


def make_message() -> Message:
    return Message(Ino(7), Mode(S_IFREG | 0o644), payer(Uid(1000), Gid(100)), THEN)


#: Small enough that a few bytes are many chunks, and more than a block so that blocks differ.
SMALL_CHUNK_BYTES = 1024

#: Where chunks begin and end, and what is behind all others.
EDGES = [
    *(chunk * SMALL_CHUNK_BYTES for chunk in (0, 1, 2, 3, 5)),
    2**40,
    2**62,
    MAX_BYTES,
]

OFFSETS = st.builds(
    lambda edge, distance: max(edge + distance, 0), st.sampled_from(EDGES), st.integers(-20, 20)
)
DATA = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 3 * SMALL_CHUNK_BYTES).map(lambda count: bytes(range(1, 251)) * (count // 250)),
)


class DictionaryOfBytes(RuleBasedStateMachine):
    """A message and a dictionary from offsets to bytes stay the same."""

    def __init__(self) -> None:
        super().__init__()
        self.patched = [
            patch.object(module, "CHUNK_BYTES", SMALL_CHUNK_BYTES)
            for module in (message_module, sparse)
        ]
        for patched in self.patched:
            patched.start()
        self.message = make_message()
        self.stored: dict[int, int] = {}
        self.size = 0
        self.writes = 0

    def teardown(self) -> None:
        for patched in self.patched:
            patched.stop()

    @rule(offset=OFFSETS, data=DATA)
    def write(self, offset: int, data: bytes) -> None:
        if offset + len(data) > MAX_BYTES:
            with pytest.raises(FileTooLarge):
                self.message.write(offset, data, NOW)
            return
        before = self.message.stored_bytes
        growth = self.message.growth_bytes(offset, len(data))
        assert self.message.write(offset, data, NOW) == len(data)
        self._store(offset, data)
        # An empty write is a test of its own in test_message.
        assert not data or self.message.stored_bytes == before + growth

    @rule(data=DATA)
    def append(self, data: bytes) -> None:
        if self.size + len(data) <= MAX_BYTES:
            assert self.message.write(self.size, data, NOW) == len(data)
            self._store(self.size, data)

    @rule(data=DATA)
    def write_all_anew(self, data: bytes) -> None:
        self.message.truncate(0, NOW)
        self.message.write(0, data, NOW)
        self.stored.clear()
        self.size = self.writes = 0
        self._store(0, data)

    @rule(size=OFFSETS)
    def truncate(self, size: int) -> None:
        if size > MAX_BYTES:
            with pytest.raises(FileTooLarge):
                self.message.truncate(size, NOW)
            return
        self.message.truncate(size, NOW)
        self.stored = {offset: byte for offset, byte in self.stored.items() if offset < size}
        self.size = size

    @rule(offset=OFFSETS, length=st.integers(0, 3 * SMALL_CHUNK_BYTES))
    def read(self, offset: int, length: int) -> None:
        assert self.message.read(offset, length, NOW) == self._bytes(offset, length)

    @invariant()
    def the_size_is_right(self) -> None:
        assert self.message.size == self.size

    @invariant()
    def the_beginning_and_the_end_read_back(self) -> None:
        for offset in (0, max(0, self.size - 2 * SMALL_CHUNK_BYTES)):
            length = 7 * SMALL_CHUNK_BYTES
            assert self.message.read(offset, length, NOW) == self._bytes(offset, length)

    @invariant()
    def the_blocks_hold_what_was_written_and_little_more(self) -> None:
        stored_bytes = self.message.blocks * 512
        assert stored_bytes >= len(self.stored)
        # A write fills a gap of at most one chunk with zeros. The last block may be half empty.
        assert stored_bytes < len(self.stored) + self.writes * SMALL_CHUNK_BYTES + 512
        assert stored_bytes < self.size + 512

    @invariant()
    def what_is_stored_is_counted_rightly(self) -> None:
        content = self.message._content
        if isinstance(content, sparse.Sparse):
            chunks = content._chunks.values()
            assert self.message.stored_bytes == sum(len(chunk) + OVERHEAD_BYTES for chunk in chunks)
        else:
            assert self.message.stored_bytes == len(content)

    def _store(self, offset: int, data: bytes) -> None:
        self.stored.update(enumerate(data, offset))
        if data:
            self.size = max(self.size, offset + len(data))
            self.writes += 1

    def _bytes(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        return bytes(self.stored.get(position, 0) for position in range(offset, end))


TestDictionaryOfBytes = DictionaryOfBytes.TestCase
TestDictionaryOfBytes.settings = settings(max_examples=60, stateful_step_count=20)


REAL_OFFSETS = st.builds(
    lambda chunk, distance: max(0, chunk * CHUNK_BYTES + distance),
    st.integers(0, 3),
    st.integers(-2, 2),
)


@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from(["write", "truncate"]),
            REAL_OFFSETS,
            st.sampled_from([1, 2, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1]),
        ),
        max_size=6,
    )
)
@example(pieces=[("write", 0, 1), ("write", CHUNK_BYTES + 1, 1)])  # the largest gap that is filled
@example(pieces=[("write", 0, 1), ("write", CHUNK_BYTES + 2, 1)])  # and the smallest that isn't
@settings(max_examples=50)
def test_real_chunks_keep_what_a_bytearray_keeps(pieces: list[tuple[str, int, int]]) -> None:
    message = make_message()
    reference = bytearray()
    for number, (verb, offset, length) in enumerate(pieces, 1):
        reference.extend(bytes(max(0, offset - len(reference))))
        if verb == "write":
            data = bytes([number]) * length
            message.write(offset, data, NOW)
            reference[offset : offset + length] = data
        else:
            message.truncate(offset, NOW)
            del reference[offset:]
        assert content(message) == reference
