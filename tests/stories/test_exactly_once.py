"""The storm: a queue that several processes fill and empty at once. No message is lost or doubled.

Four writers and four readers are twice as many as small machines have processors, so they are
interrupted anywhere. 10,000 messages take a few seconds, and show what goes wrong once in a
thousand times.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mounts import Mount, names
from tests.stories.storm import (
    BY_NAME,
    THROUGH_HEAD,
    THROUGH_HEAD_LOCKED,
    THROUGH_TAIL,
    WRITER,
    by_writer,
    output,
    started,
)

MESSAGES = 10_000
WRITERS = 4
DEADLINE_S = 100


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for descriptor in ends:
            os.close(descriptor)


def storm(  # noqa: PLR0913  # two places and four numbers
    mount: Mount,
    queue: Path,
    reader: str,
    readers: int,
    *,
    messages: int = MESSAGES,
    room: int = 0,
) -> list[list[str]]:
    """Let writers and readers run until all is done; return what each reader took.

    *room* is how many messages may be there at once, 0 for any number. With 1 the queue is filled
    and emptied for each message.
    """
    with pipe() as (of_writers, of_readers):
        os.write(of_readers, bytes(room))
        ends = (of_writers, of_readers) if room else (-1, -1)
        each = messages // WRITERS
        writing = [(mount.path, queue, f"writer{n}", each, ends[0]) for n in range(WRITERS)]
        reading = [(queue, ends[1])] * readers
        with (
            started(reader, reading, [of_readers]) as readers_,
            started(WRITER, writing, [of_writers]) as writers,
        ):
            for process in writers:
                output(process, DEADLINE_S)
            return [output(process, DEADLINE_S) for process in readers_]


def check(taken: list[list[str]], messages: int = MESSAGES) -> None:
    """Check that all was taken, once, and in the order in which each writer wrote."""
    everything = by_writer([message for each in taken for message in each])
    assert everything.keys() == {f"writer{n}" for n in range(WRITERS)}
    for numbers in everything.values():
        assert sorted(numbers) == list(range(messages // WRITERS))
    for each in taken:
        for numbers in by_writer(each).values():
            assert numbers == sorted(numbers)


def test_readers_who_unlink_by_name_take_each_message_once(
    shared_mount: Mount, queue: Path
) -> None:
    check(storm(shared_mount, queue, BY_NAME, 4, room=1))
    assert names(queue) == []


def test_readers_who_unlink_head_take_each_message_once(shared_mount: Mount, queue: Path) -> None:
    check(storm(shared_mount, queue, THROUGH_HEAD, 4, room=1))
    assert names(queue) == []


def test_readers_who_unlink_tail_take_each_message_once(shared_mount: Mount, queue: Path) -> None:
    # In no order: the newest is first, whoever wrote it.
    taken = storm(shared_mount, queue, THROUGH_TAIL, 4, messages=4_000)
    assert names(queue) == []
    everything = by_writer([message for each in taken for message in each])
    assert [sorted(numbers) for numbers in everything.values()] == [[*range(1_000)]] * WRITERS


def test_a_reader_alone_takes_each_message_once_through_head(
    shared_mount: Mount, queue: Path
) -> None:
    check(storm(shared_mount, queue, THROUGH_HEAD, 1))
    assert names(queue) == []


def test_readers_with_a_lock_take_each_message_once_through_head(
    shared_mount: Mount, queue: Path
) -> None:
    check(storm(shared_mount, queue, THROUGH_HEAD_LOCKED, 4, messages=4_000), 4_000)
    assert names(queue) == []
