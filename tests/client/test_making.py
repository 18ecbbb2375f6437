"""Queues come and go: create, open, close, remove."""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from eventfs import (
    AccessDenied,
    AsyncQueue,
    NoSuchQueue,
    Queue,
    QueueError,
    QueueFull,
    QueueVanished,
)
from tests.mount.processes import ALICE, Fork, Forked, in_child
from tests.mounts import Child, wait_until

MIB = 1 << 20

each_kind = pytest.mark.parametrize("kind", [Queue, AsyncQueue])


@each_kind
def test_a_queue_is_made_and_used(path: Path, kind: type[Queue]) -> None:
    with kind.create(path) as queue:
        assert (queue.path, queue.name) == (str(path), path.name)
        assert repr(queue) == f"{kind.__name__}({str(path)!r})"
        assert path.is_dir()
    with kind.open(str(path)) as queue:
        assert type(queue) is kind
        assert len(queue) == 0


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_the_umask_applies_to_the_mode(path: Path, mask: int) -> None:
    def create() -> None:
        os.umask(mask)
        Queue.create(path, mode=0o775, sticky=True)

    in_child(create)
    assert stat.S_IMODE(path.stat().st_mode) == 0o775 & ~mask


def test_its_owner_is_who_made_it(path: Path, fork: Fork) -> None:
    owner = fork(lambda: Queue.create(path).close())
    owner.end()
    with pytest.raises(NoSuchQueue):
        Queue(path)


def test_or_the_process_that_is_named(path: Path, fork: Fork) -> None:
    owner = fork(lambda: None)
    in_child(lambda: Queue.create(path, owner=owner.pid).close())
    with Queue(path) as queue:
        assert queue.stat().owner == owner.pid
    owner.end()
    assert not path.exists()


@pytest.mark.parametrize("attributes", [{}, {"sticky": True}, {"topic": True, "sticky": True}])
def test_an_owner_that_cannot_be_leaves_no_queue(path: Path, attributes: dict[str, Any]) -> None:
    gone = in_child(os.getpid)
    with pytest.raises(QueueError, match=f"there is no process {gone}; name one that lives"):
        Queue.create(path, owner=gone, **attributes)
    assert not path.exists()
    with pytest.raises(AccessDenied, match="process 1 is another user's"):
        in_child(lambda: Queue.create(path, owner=1, **attributes), uid=ALICE)
    assert not path.exists()


def test_a_sticky_one_stays(path: Path) -> None:
    in_child(lambda: Queue.create(path, sticky=True).send(b"message"))
    with Queue(path) as queue:
        assert queue.receive(0).content == b"message"


RULES: dict[str, Any] = {
    "max_messages": 3,
    "max_bytes": 10**12,
    "overflow": "drop-oldest",
    "ttl": 3600.5,
    "max_attempts": 2,
    "lease": 0.000001,
}


def test_rules_are_told_as_they_were_given(path: Path, other: Queue) -> None:
    with Queue.create(path, **RULES, dead_letter=other) as queue:
        about = queue.stat()._asdict()
        assert {name: about[name] for name in RULES} == RULES
        assert about["dead_letter"] == other.name
        for number in range(4):
            queue.send(b"%d" % number)
        assert len(queue) == 3
        assert queue.stat().dropped == 1
        assert os.getxattr(path, "user.eventfs_ttl") == b"3600.5"
        assert os.getxattr(path, "user.eventfs_lease") == b"0.000001"


def test_a_lease_may_be_without_a_time(path: Path) -> None:
    with Queue.create(path, lease=inf) as queue:
        assert queue.stat().lease == inf
        assert os.getxattr(path, "user.eventfs_lease") == b""


def test_what_is_too_old_is_counted(path: Path) -> None:
    with Queue.create(path, ttl=0.02) as queue:
        queue.send(b"message")
        wait_until(lambda: len(queue) == 0, "the message's end")
        assert queue.stat().expired == 1


def test_a_full_queue_refuses(path: Path) -> None:
    with Queue.create(path, max_messages=1) as queue:
        queue.send(b"message")
        with pytest.raises(QueueFull):
            queue.send(b"message")
        assert len(queue) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_messages": 0}, "max_messages can't be 0; give a whole number, at least 1"),
        ({"max_messages": -1}, "max_messages can't be -1; give a whole"),
        ({"max_bytes": 1.5}, r"max_bytes can't be 1\.5; give a whole"),
        ({"max_attempts": 0}, "max_attempts can't be 0; give a whole"),
        ({"overflow": "drop"}, "overflow can't be 'drop'; give reject or drop-oldest"),
        ({"ttl": 0}, "ttl can't be 0; give a number of seconds, more than 0"),
        ({"ttl": inf}, "ttl can't be inf; give a number of seconds"),
        ({"ttl": nan}, "ttl can't be nan; give a number of seconds"),
        ({"lease": -1}, "lease can't be -1; give a number of seconds, .* or inf for no limit"),
        ({"lease": 1e-10}, "lease can't be 1e-10; give a number of seconds"),
        ({"ttl": 1e9}, "ttl can't be 1000000000.0; give a number of seconds, .* less than 1e9"),
    ],
)
def test_a_rule_that_cannot_be_leaves_no_queue(
    path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(QueueError, match=f"{path}: {said}"):
        Queue.create(path, sticky=True, **options)
    assert not path.exists()


def test_dead_letters_need_a_place(path: Path, other: Queue) -> None:
    with pytest.raises(NoSuchQueue, match=f"missing: there is .* dead_letter of {path}; make it"):
        Queue.create(path, dead_letter="missing")
    assert not path.exists()
    with pytest.raises(QueueError, match=r"dead_letter can't be .* whose messages would come back"):
        Queue.create(path, dead_letter=path.name)
    assert not path.exists()
    with pytest.raises(ValueError, match="is no name of a queue"):
        Queue.create(path, dead_letter="some/where")
    assert not path.exists()
    Path(other.path).chmod(0o700)
    with pytest.raises(AccessDenied, match=r"dead_letter can't be .* to which you may not write"):
        in_child(lambda: Queue.create(path, dead_letter=other), uid=ALICE)
    assert not path.exists()


def test_one_that_is_there_is_opened_as_it_is(path: Path, queue: Queue) -> None:
    queue.send(b"message")
    with Queue.create(path, exist_ok=True, mode=0o700, topic=True, sticky=True) as same:
        assert same.stat() == queue.stat()
        assert same.receive(0).content == b"message"


def test_of_many_that_make_one_all_have_it(root: Path) -> None:
    path = root / "made-by-many"
    with Queue.create(path):
        pass
    removed = 0

    def make() -> None:
        for _ in range(100):
            # It may be removed as soon as it is made.
            with suppress(NoSuchQueue):
                Queue.create(path, exist_ok=True).close()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            path.rmdir()
            removed += 1
        except FileNotFoundError:
            pass
    assert removed > 1
    Queue.create(path, exist_ok=True).remove()


def test_closing_gives_all_descriptors_back(path: Path, queue: Queue) -> None:
    queue.close()
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        with Queue(path) as one:
            one.send(b"message")
            one.send(b"x" * 2 * MIB)
            one.send_lines([b"line"])
            one.peek()
            assert len(one) == len([*one])
            one.stat()
            for _ in one.receive_each(0):
                pass
        forgotten = Queue(path)
        forgotten.fileno()
        del forgotten
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "fill",
    [
        lambda _: None,
        lambda queue: queue.send_lines([b"line"] * 10_000),
        lambda queue: queue.send(b""),
        lambda queue: queue.send(b"x" * 3 * MIB),
        lambda queue: Path(queue.path, "by hand").write_bytes(b"x" * 2 * MIB),
    ],
)
def test_a_queue_is_removed_with_its_messages(
    path: Path, queue: Queue, fill: Callable[[Queue], object]
) -> None:
    fill(queue)
    fill(queue)
    queue.remove()
    assert not path.exists()


def test_who_may_not_remove_it_takes_nothing_out(path: Path, queue: Queue) -> None:
    path.chmod(0o777)
    queue.send(b"message")
    with pytest.raises(AccessDenied):
        in_child(lambda: Queue(path).remove(), uid=ALICE)
    assert len(queue) == 1


def test_it_is_removed_while_others_send(path: Path, queue: Queue) -> None:
    def send() -> None:
        with Queue(path) as mine:
            while True:
                mine.send(b"message")

    senders = [Forked(send) for _ in range(2)]
    try:
        queue.receive()
        queue.remove()
        for sender in senders:
            with pytest.raises((QueueVanished, NoSuchQueue)):
                sender.result()
    finally:
        for sender in senders:
            sender.end()
    assert not path.exists()


def test_a_relative_path_is_meant_from_where_it_was_opened(
    path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del queue
    monkeypatch.chdir(path)
    here = Queue(".")
    assert (here.path, here.name) == (".", path.name)
    (tmp_path / "link").symlink_to(path)
    by_link = Queue(tmp_path / "link")
    monkeypatch.chdir(tmp_path)
    with Queue.create(path.with_name("follower")) as follower:
        follower.follow(here)
        assert follower.stat().sources == (path.name,)
        follower.follow(by_link)
        assert follower.stat().sources == (path.name,)
        follower.remove()
    here.send(b"x" * 2 * MIB)
    here.remove()
    by_link.close()
    assert not path.exists()


#: A program that sees nothing of a mount but one queue, on /mnt, and uses that.
IN_CONTAINER = """
import os, subprocess, sys
queue = sys.argv[1]
subprocess.run(["mount", "--bind", queue, "/mnt"], check=True)
subprocess.run(["umount", "-l", os.path.dirname(queue)], check=True)
from eventfs import Queue, QueueError
with Queue("/mnt") as queue:
    print(queue.receive(5).content.decode(), flush=True)
    queue.send(b"answer")
    queue.send(b"x" * 1_044_480)
    queue.send(b"")
    queue.send_lines([b"line"])
    print(len(queue), queue.peek().content.decode(), queue.stat().messages)
    try:
        queue.send(b"x" * 1_044_481)
    except QueueError as error:
        print(error)
    try:
        with queue.claim():
            pass
    except QueueError as error:
        print(error)
    Queue.cast([queue, queue], b"cast")
    try:
        queue.remove()
    except QueueError as error:
        print(type(error).__name__, len(os.listdir("/mnt")))
sys.stdout.flush()
sys.stdin.read()
"""


def test_one_queue_is_enough_to_be_seen(
    path: Path, queue: Queue, start: Callable[..., Child]
) -> None:
    queue.send(b"question")
    child = start(IN_CONTAINER, path, argv0=("unshare", "-m", "--propagation", "private"))
    assert child.line == "question"
    assert child.read_line() == "4 answer 4"
    assert child.read_line() == (
        "/mnt: no queue of the sender's own can be made beside it, for a message that large;"
        " send less at once, or where all of the mount can be seen"
    )
    assert child.read_line() == (
        "/mnt: no queue of the claimer's own can be made beside it, to hold what is claimed;"
        " receive messages instead of claiming them, or where all of the mount can be seen"
    )
    # A mountpoint stays, and so does what is in it.
    assert child.read_line() == "QueueError 8"
    assert len(Queue(path)) == 6
