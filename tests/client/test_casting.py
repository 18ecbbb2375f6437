"""One message for many queues."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventfs import AccessDenied, CastIncomplete, MessageTooLarge, Queue, QueueError, QueueFull
from eventfs.client.message import Content
from tests.config.making import configure
from tests.mount.processes import ALICE, in_child
from tests.mounts import Mount

MIB = 1 << 20


@pytest.fixture
def queues(root: Path) -> Iterator[list[Queue]]:
    """Ten queues."""
    queues = [Queue.create(root / f"cast-{number}") for number in range(10)]
    yield queues
    for queue in queues:
        queue.remove()


@pytest.mark.parametrize("size", [0, 1, 5000, 3 * MIB])
@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_all_get_it_and_it_is_stored_once(
    queues: list[Queue], size: int, kind: type[bytes | io.BytesIO]
) -> None:
    content: Content = kind(b"x" * size)
    Queue.cast(queues, content)
    assert len({os.stat(Path(queue.path, "head")).st_ino for queue in queues}) == 1
    assert [queue.receive(0).content for queue in queues] == [b"x" * size] * 10


@pytest.mark.parametrize("count", [0, 1])
def test_to_one_or_to_nobody(queues: list[Queue], count: int) -> None:
    Queue.cast(queues[:count], io.BytesIO(b"message"))
    assert [len(queue) for queue in queues] == [1] * count + [0] * (10 - count)


def test_twice_to_the_same_and_in_order(queue: Queue) -> None:
    for content in (b"one", b"two"):
        Queue.cast([queue, queue], content)
    assert [message.content for message in queue] == [b"one", b"one", b"two", b"two"]


def test_those_who_cannot_get_it_are_told_and_the_others_get_it(queues: list[Queue]) -> None:
    paths = [queue.path for queue in queues]
    for number in (0, 3):
        Path(paths[number]).chmod(0o755)
    for number in (1, 2):
        Path(paths[number]).chmod(0o777)

    def cast() -> list[tuple[type[QueueError], str]]:
        with pytest.raises(CastIncomplete, match="2 of 4 queues") as caught:
            Queue.cast(map(Queue, paths[:4]), b"message")
        return [(type(error), error.queue) for error in caught.value.errors]

    assert in_child(cast, uid=ALICE) == [(AccessDenied, paths[0]), (AccessDenied, paths[3])]
    assert [len(queue) for queue in queues[:4]] == [0, 1, 1, 0]


def test_queues_of_two_mounts(queues: list[Queue], mount: Mount) -> None:
    with Queue.create(mount.path / "queue") as elsewhere:
        for content in (b"small", b"", b"x" * 2 * MIB):
            Queue.cast([queues[0], elsewhere, queues[1]], io.BytesIO(content))
            for queue in (queues[0], elsewhere, queues[1]):
                assert queue.receive(0).content == content


def test_what_is_not_written_reaches_nobody(queues: list[Queue]) -> None:
    with pytest.raises(TypeError):
        Queue.cast(queues, "text")  # type: ignore[arg-type]
    assert [len(queue) for queue in queues] == [0] * 10


@pytest.mark.parametrize("size", [8_000, 20_000])
def test_where_it_does_not_fit_all_are_told(
    mounter: Callable[..., Mount], tmp_path: Path, size: int
) -> None:
    text = "[eventfs-config]\ndefault_max_bytes = 12288\n"
    mount = mounter("-c", str(configure(tmp_path, text)))
    with Queue.create(mount.path / "one") as one, Queue.create(mount.path / "two") as two:
        Queue.cast([one, two], b"x" * 5_000)  # once
        with pytest.raises(CastIncomplete, match="2 of 2 queues") as caught:
            Queue.cast([one, two], b"x" * size)
        kind = QueueFull if size < 12_288 else MessageTooLarge
        assert [type(error) for error in caught.value.errors] == [kind, kind]
        assert [len(one), len(two)] == [1, 1]
