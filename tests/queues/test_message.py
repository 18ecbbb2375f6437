"""A message's bytes, against a plain dictionary of them; and what they take."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from stat import S_IFREG

import pytest

from eventfs.queues.errors import FileTooLarge
from eventfs.queues.inode import Ino, Mode
from eventfs.queues.ledger import Gid, Uid
from eventfs.queues.message import MAX_BYTES, Message
from eventfs.queues.sparse import CHUNK_BYTES, OVERHEAD_BYTES
from tests.queues.making import NOW, THEN, content, payer, times

MIB = 1024 * 1024


def make_message(mode: int = 0o644) -> Message:
    return Message(Ino(7), Mode(S_IFREG | mode), payer(Uid(1000), Gid(100)), THEN)


def make_dense() -> Message:
    message = make_message()
    message.write(0, b"0123456789", THEN)
    return message


def make_sparse() -> Message:
    message = make_dense()
    message.write(10 * CHUNK_BYTES, b"far", THEN)
    return message


@pytest.fixture(params=[make_message, make_dense, make_sparse], ids=["empty", "dense", "sparse"])
def message(request: pytest.FixtureRequest) -> Message:
    """A message of each way in which bytes are kept."""
    make: Callable[[], Message] = request.param
    return make()


@contextmanager
def memory_at_most(limit_bytes: int) -> Iterator[None]:
    """Check that what runs never has more than so much memory at once."""
    tracemalloc.start()
    try:
        yield
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes <= limit_bytes


# Reading


def test_a_new_message_is_empty() -> None:
    message = make_message()
    assert (message.size, message.blocks, content(message)) == (0, 0, b"")


def test_a_read_returns_what_there_is_and_no_more(message: Message) -> None:
    assert message.read(message.size, 10, NOW) == b""
    assert message.read(message.size + 1, 10, NOW) == b""
    assert message.read(MAX_BYTES, 10, NOW) == b""


def test_a_read_stops_at_the_end() -> None:
    assert make_dense().read(7, 100, NOW) == b"789"
    assert make_sparse().read(10 * CHUNK_BYTES, 100, NOW) == b"far"


def test_a_hole_reads_as_zeros() -> None:
    message = make_sparse()
    assert message.read(0, 12, NOW) == b"0123456789\0\0"
    assert message.read(5 * CHUNK_BYTES - 1, 2, NOW) == b"\0\0"
    assert message.read(10 * CHUNK_BYTES - 2, 9, NOW) == b"\0\0far"


def test_what_was_read_does_not_change_with_the_message() -> None:
    message = make_dense()
    message.write(3, b"x", NOW)
    before = message.read(0, 10, NOW)
    message.write(0, b"yyyyy", NOW)
    assert before == b"012x456789"


# Writing


def test_a_write_replaces_what_is_there_and_keeps_the_rest() -> None:
    message = make_dense()
    message.write(2, b"xx", NOW)
    assert content(message) == b"01xx456789"


def test_a_shorter_write_at_the_beginning_keeps_the_rest() -> None:
    message = make_dense()
    message.write(0, b"xx", NOW)
    assert content(message) == b"xx23456789"


def test_a_write_behind_the_end_leaves_zeros_between() -> None:
    message = make_dense()
    message.write(12, b"x", NOW)
    assert content(message) == b"0123456789\0\0x"


def test_writing_nothing_changes_nothing(message: Message) -> None:
    before = message.size, message.mode, times(message)
    assert message.write(message.size + 1000, b"", NOW) == 0
    assert (message.size, message.mode, times(message)) == before


def test_changing_a_byte_does_not_copy_the_rest() -> None:
    # Else appending in small pieces would take quadratic time.
    message = make_message()
    message.write(0, bytes(4 * MIB), NOW)
    message.write(5, b"x", NOW)
    with memory_at_most(MIB):
        message.write(7, b"x", NOW)
    assert message.read(0, 10, NOW) == b"\0\0\0\0\0x\0x\0\0"


def test_writing_nothing_stores_nothing(message: Message) -> None:
    for offset in (0, 5, message.size, message.size + 5, 2**40 + 5):
        assert message.growth_bytes(offset, 0) == 0


def test_what_the_writer_does_with_its_buffer_later_does_not_matter() -> None:
    # The first piece is kept without a copy, and so must never be changed in place.
    data = b"0123456789"
    message = make_message()
    message.write(0, data, NOW)
    message.write(0, b"x", NOW)
    assert data == b"0123456789"


# Truncating


def test_what_is_cut_off_comes_back_as_zeros(message: Message) -> None:
    size = message.size
    message.truncate(min(5, size), NOW)
    message.truncate(size + 10, NOW)
    message.write(size + 10, b"x", NOW)
    assert message.read(0, 5, NOW) == (b"01234" if size else b"\0" * 5)
    assert message.read(5, 5, NOW) == b"\0" * 5
    assert message.read(size, 11, NOW) == b"\0" * 10 + b"x"


def test_truncating_inside_a_chunk_keeps_what_is_before() -> None:
    message = make_sparse()
    message.truncate(10 * CHUNK_BYTES + 1, NOW)
    message.truncate(10 * CHUNK_BYTES + 3, NOW)
    assert message.read(10 * CHUNK_BYTES, 10, NOW) == b"f\0\0"


def test_truncating_to_nothing_gives_all_memory_back(message: Message) -> None:
    message.truncate(0, NOW)
    assert (message.size, message.blocks, content(message)) == (0, 0, b"")


# The largest file


def test_a_file_may_end_at_the_largest_offset(message: Message) -> None:
    message.write(MAX_BYTES - 1, b"x", NOW)
    assert message.size == MAX_BYTES == 2**63 - 1
    assert message.read(MAX_BYTES - 2, 10, NOW) == b"\0x"


@pytest.mark.parametrize(
    ("offset", "data"), [(MAX_BYTES, b"x"), (MAX_BYTES - 1, b"xx"), (2**64, b"x")]
)
def test_a_write_behind_the_largest_offset_is_refused(
    message: Message, offset: int, data: bytes
) -> None:
    before = message.size, message.blocks, times(message)
    with pytest.raises(FileTooLarge):
        message.write(offset, data, NOW)
    assert (message.size, message.blocks, times(message)) == before


def test_a_file_can_be_truncated_to_the_largest_size(message: Message) -> None:
    message.truncate(MAX_BYTES, NOW)
    assert message.size == MAX_BYTES
    assert message.read(MAX_BYTES - 1, 10, NOW) == b"\0"


def test_a_larger_truncation_is_refused(message: Message) -> None:
    before = message.size, message.blocks, times(message)
    with pytest.raises(FileTooLarge):
        message.truncate(MAX_BYTES + 1, NOW)
    assert (message.size, message.blocks, times(message)) == before


# What holes take


def test_a_huge_hole_takes_no_memory(message: Message) -> None:
    blocks = message.blocks
    with memory_at_most(CHUNK_BYTES):
        message.truncate(2**60, NOW)
    assert message.size == 2**60
    assert message.blocks == blocks


@pytest.mark.parametrize("offset", [2**40, 2**62 + 5, MAX_BYTES - 1])
def test_a_byte_at_a_huge_offset_takes_at_most_a_chunk(message: Message, offset: int) -> None:
    blocks = message.blocks
    # While a chunk grows there may be two of them, the zeros and the buffer.
    with memory_at_most(3 * CHUNK_BYTES):
        message.write(offset, b"x", NOW)
    assert message.blocks <= blocks + CHUNK_BYTES // 512
    assert message.read(offset - 1, 10, NOW) == b"\0x"


def test_many_bytes_far_from_each_other_take_at_most_a_chunk_each() -> None:
    message = make_message()
    # A buffer that grows is given an eighth more than it asks for.
    with memory_at_most(100 * CHUNK_BYTES * 9 // 8 + MIB):
        for number in range(1, 101):
            message.write(number * 2**40 - 1, b"x", NOW)
    assert message.blocks * 512 == 100 * CHUNK_BYTES
    assert message.read(100 * 2**40 - 2, 10, NOW) == b"\0x"


def test_a_byte_in_the_hole_that_a_truncation_left_takes_at_most_a_chunk(message: Message) -> None:
    blocks = message.blocks
    message.truncate(2**60, NOW)
    with memory_at_most(3 * CHUNK_BYTES):
        message.write(2**59, b"x", NOW)
    assert message.blocks <= blocks + CHUNK_BYTES // 512
    assert message.size == 2**60


def test_a_short_read_in_a_huge_hole_takes_no_memory() -> None:
    message = make_sparse()
    message.truncate(2**60, NOW)
    with memory_at_most(2 * CHUNK_BYTES):
        assert message.read(2**59, 4096, NOW) == bytes(4096)


# st_blocks


@pytest.mark.parametrize(("length", "blocks"), [(1, 1), (511, 1), (512, 1), (513, 2), (5120, 10)])
def test_blocks_count_512_bytes_each(length: int, blocks: int) -> None:
    message = make_message()
    message.write(0, b"x" * length, NOW)
    assert message.blocks == blocks


def test_a_hole_at_the_end_has_no_blocks() -> None:
    message = make_dense()
    message.truncate(MIB, NOW)
    assert (message.size, message.blocks) == (MIB, 1)


def test_a_hole_between_has_no_blocks() -> None:
    message = make_sparse()
    assert message.size == 10 * CHUNK_BYTES + 3
    assert message.blocks == 1  # ten bytes and three


def test_lengthening_within_the_last_chunk_adds_no_blocks() -> None:
    message = make_sparse()
    message.truncate(10 * CHUNK_BYTES + 5000, NOW)
    assert (message.blocks, message.stored_bytes) == (1, 13 + 2 * OVERHEAD_BYTES)


def test_truncating_gives_blocks_back() -> None:
    message = make_sparse()
    message.write(20 * CHUNK_BYTES, b"x" * 5120, NOW)
    assert message.blocks == 11
    message.truncate(20 * CHUNK_BYTES + 512, NOW)
    assert message.blocks == 2
    message.truncate(20 * CHUNK_BYTES, NOW)
    assert message.blocks == 1
    message.truncate(10, NOW)
    assert message.blocks == 1
    message.truncate(0, NOW)
    assert message.blocks == 0


# Times and set-id bits


def test_a_write_moves_mtime_and_ctime(message: Message) -> None:
    message.write(3, b"x", NOW)
    assert times(message) == (THEN, NOW, NOW)


@pytest.mark.parametrize("size", [0, 5, 10, 1000])
def test_a_truncation_moves_mtime_and_ctime(message: Message, size: int) -> None:
    message.truncate(size, NOW)
    assert times(message) == (THEN, NOW, NOW)


def test_a_read_moves_only_atime(message: Message) -> None:
    message.read(0, 10, NOW)
    assert times(message) == (NOW, THEN, THEN)


def test_a_write_takes_the_set_id_bits() -> None:
    message = make_message(0o6755)
    message.write(0, b"x", NOW)
    assert message.mode == S_IFREG | 0o755


def test_a_truncation_takes_the_set_id_bits() -> None:
    message = make_message(0o6755)
    message.truncate(5, NOW)
    assert message.mode == S_IFREG | 0o755


def test_a_write_keeps_the_mark_of_mandatory_locking() -> None:
    message = make_message(0o6745)
    message.write(0, b"x", NOW)
    assert message.mode == S_IFREG | 0o2745


def test_a_refused_write_takes_no_bits() -> None:
    message = make_message(0o6755)
    with pytest.raises(FileTooLarge):
        message.write(MAX_BYTES, b"x", NOW)
    assert message.mode == S_IFREG | 0o6755
