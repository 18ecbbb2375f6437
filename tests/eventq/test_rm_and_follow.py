"""rm and follow: queues themselves."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.eventq.running import contents, fill, run, succeed
from tests.mounts import Mount


def test_queues_are_removed_with_their_messages(make: Callable[[], Path]) -> None:
    queues = [make(), make()]
    fill(queues[0], b"one", b"two")
    assert succeed("rm", *queues) == b""
    assert not any(queue.exists() for queue in queues)


def test_what_can_be_removed_is_though_others_cant(make: Callable[[], Path], root: Path) -> None:
    queues = [make(), make()]
    done = run("rm", queues[0], root / "missing", queues[1])
    assert done.status == 3
    assert str(root / "missing") in done.complaint
    assert not any(queue.exists() for queue in queues)


def test_a_queue_follows_others(make: Callable[[], Path]) -> None:
    queue, *sources = [make() for _ in range(3)]
    succeed("follow", queue, *sources)
    fill(sources[0], b"one")
    fill(sources[1], b"two")
    assert contents(queue) == [b"one", b"two"]


def test_a_queue_follows_others_instead(make: Callable[[], Path]) -> None:
    queue, *sources = [make() for _ in range(3)]
    succeed("follow", queue, sources[0])
    succeed("follow", queue, sources[1])
    assert os.getxattr(queue, "user.eventfs_follow") == sources[1].name.encode()


def test_a_queue_follows_nothing_any_more(make: Callable[[], Path]) -> None:
    queue, source = make(), make()
    succeed("follow", queue, source)
    succeed("follow", queue)
    fill(source, b"text")
    assert contents(queue) == []


def test_names_are_paths(make: Callable[[], Path], root: Path) -> None:
    queue, source = make(), make()
    assert run("follow", queue.name, source.name, cwd=root) == (0, b"", b"")
    assert os.getxattr(source, "user.eventfs_followers") == queue.name.encode()


def test_a_source_that_isnt_there_is_an_error(make: Callable[[], Path], root: Path) -> None:
    done = run("follow", make(), root / "missing")
    assert done.status == 3
    assert str(root / "missing") in done.complaint


def test_a_source_of_another_mount_is_an_error(make: Callable[[], Path], mount: Mount) -> None:
    (mount.path / "source").mkdir()
    done = run("follow", make(), mount.path / "source")
    assert done.status not in {0, 2}
    assert done.complaint


def test_a_circle_is_an_error(make: Callable[[], Path]) -> None:
    queue, source = make(), make()
    succeed("follow", source, queue)
    done = run("follow", queue, source)
    assert done.status == 10
    assert str(queue) in done.complaint
