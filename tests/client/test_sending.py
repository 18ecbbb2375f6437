"""What can be sent, and that it arrives whole and in order."""

import array
import io
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from eventfs import NoSuchQueue, Queue, QueueError
from eventfs.client.message import Content
from tests.mount.processes import in_child

MIB = 1 << 20

#: What goes through a port, and what is one byte more.
PORT_BYTES = 255 * 4096

SIZES = [1, 100, 4096, 4097, 70_000, PORT_BYTES, PORT_BYTES + 1, MIB, MIB + 1, 3 * MIB + 5]


def staging_queues(root: Path) -> list[str]:
    return [name for name in os.listdir(root) if name.startswith(".staging-")]


@pytest.mark.parametrize("size", [0, *SIZES])
def test_a_message_of_any_size_arrives_as_it_was_sent(queue: Queue, size: int) -> None:
    content = os.urandom(size)
    queue.send(content)
    assert len(queue) == 1
    assert queue.receive(0).content == content
    assert len(queue) == 0


@pytest.mark.parametrize("size", [0, *SIZES])
def test_so_does_a_files(queue: Queue, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(b"before" + content)
    with (tmp_path / "file").open("rb") as file:
        file.read(6)
        queue.send(file)
        assert file.read() == b""
    assert queue.receive(0).content == content


@pytest.mark.parametrize("size", [0, 5, PORT_BYTES, PORT_BYTES + 1, 2 * MIB])
def test_so_does_what_comes_through_a_pipe_in_pieces(queue: Queue, size: int) -> None:
    class Pieces(io.RawIOBase):
        """Gives less than what is asked for, as a pipe does."""

        def __init__(self, content: bytes) -> None:
            self.content = content

        def read(self, size: int = -1) -> bytes:
            piece = self.content[: min(10_000, size)]
            self.content = self.content[len(piece) :]
            return piece

    content = os.urandom(size)
    queue.send(Pieces(content))  # type: ignore[arg-type]  # it reads, which is enough
    assert queue.receive(0).content == content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        (memoryview(b"every second")[::2], b"eeyscn"),
        (memoryview(array.array("H", [1, 2])), b"\1\0\2\0"),
        (array.array("H", [1, 2]), b"\1\0\2\0"),
        (bytearray(b"x" * (MIB + 1)), b"x" * (MIB + 1)),
        (memoryview(b"xy" * (MIB + 1))[::2], b"x" * (MIB + 1)),
        (array.array("H", [257]) * MIB, b"\1" * 2 * MIB),
        (io.BytesIO(b"file"), b"file"),
    ],
    ids=[
        "bytearray",
        "view",
        "strided",
        "numbers",
        "array",
        "large",
        "strided large",
        "large array",
        "file",
    ],
)
def test_all_that_is_made_of_bytes_can_be_sent(
    queue: Queue, content: Content, expected: bytes
) -> None:
    queue.send(content)
    assert queue.receive(0).content == expected


@pytest.mark.parametrize("content", ["text", 5, None, [b"list"]])
def test_nothing_else_can(queue: Queue, content: Content) -> None:
    with pytest.raises(TypeError):
        queue.send(content)
    assert len(queue) == 0


def test_messages_of_all_ways_stand_in_the_order_in_which_they_were_sent(queue: Queue) -> None:
    contents = [b"1", b"", b"3" * 2 * MIB, b"4", b"", b"6" * 2 * MIB, b"7" * 5000]
    for content in contents:
        queue.send(content)
    assert [message.content for message in queue] == contents
    assert [message.content for message in queue.receive_each(timeout=0)] == contents


def test_large_messages_leave_nothing_but_one_hidden_queue(queue: Queue, root: Path) -> None:
    for _ in range(3):
        queue.send(b"x" * 2 * MIB)
        queue.receive(0)
    (staging,) = staging_queues(root)
    assert os.listdir(root / staging) == []
    assert (root / staging).stat().st_mode & 0o7777 == 0o700


def test_it_is_made_again_if_somebody_removes_it(queue: Queue, root: Path) -> None:
    for _ in range(2):
        queue.send(b"x" * 2 * MIB)
        (staging,) = staging_queues(root)
        os.rmdir(root / staging)
    assert len(queue) == 2


def test_and_goes_with_the_process(queue: Queue, root: Path) -> None:
    queue.send(b"x" * 2 * MIB)
    before = staging_queues(root)
    in_child(lambda: queue.send(b"x" * 2 * MIB))
    assert staging_queues(root) == before
    assert len(queue) == 2


def test_a_file_that_fails_leaves_nothing(queue: Queue, root: Path) -> None:
    class Fails(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 2 * MIB:
                raise OSError(5, "the disk is broken")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is broken") as caught:
        queue.send(Fails(b"x" * 5 * MIB))
    assert not isinstance(caught.value, QueueError)
    assert len(queue) == 0
    assert [os.listdir(root / name) for name in staging_queues(root)] == [[]]


@pytest.mark.parametrize("size", [4096, 50_000, 2 * MIB])
def test_a_limit_of_file_sizes_cuts_no_message(queue: Queue, size: int) -> None:
    def send() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        with Queue.open(queue.path) as mine:
            mine.send(b"x" * size)

    if size <= 10_000:
        in_child(send)
        assert queue.receive(0).size == size
    else:
        with pytest.raises(QueueError, match="too large"):
            in_child(send)
        assert len(queue) == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda queue: queue.send(b"x"),
        lambda queue: queue.send(b""),
        lambda queue: queue.send(b"x" * 2 * MIB),
        lambda queue: queue.send_lines([b"x"]),
        lambda queue: queue.receive(),
        lambda queue: queue.receive(details=True),
        lambda queue: queue.receive_lines(),
        lambda queue: queue.peek(),
        list,
        len,
        lambda queue: queue.stat(),
        lambda queue: queue.follow(),
        lambda queue: queue.fileno(),
        lambda queue: queue.remove(),
    ],
)
def test_a_closed_object_says_so(queue: Queue, use: Callable[[Queue], object]) -> None:
    queue.send(b"message")
    queue.close()
    queue.close()
    with pytest.raises(QueueError, match="has been closed"):
        use(queue)


def test_a_topic_passes_on_what_is_sent_any_way(path: Path, queue: Queue, root: Path) -> None:
    with Queue.create(root / "topic", topic=True) as topic:
        queue.follow(topic)
        for content in (b"small", b"", b"x" * 2 * MIB):
            topic.send(content)
            assert queue.receive(0).content == content
        assert len(topic) == 0
        topic.remove()
    with pytest.raises(NoSuchQueue):
        Queue(root / "topic")
    assert Queue(path).stat().sources == ()
