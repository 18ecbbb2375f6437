"""watch: what happens in a queue, while it happens."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.eventq.conftest import Start
from tests.eventq.running import Running, contents, fill, run
from tests.mount.processes import ALICE, in_child
from tests.mounts import names


@pytest.fixture
def watch(queue: Path, begin_waiting: Start) -> Running:
    return begin_waiting("watch", queue)


def event(watch: Running) -> list[str]:
    """Return the next event, without its time."""
    time, *about = watch.line().decode().rstrip("\n").split("\t")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", time)
    return about


def test_a_message_by_name_is_told(queue: Path, watch: Running) -> None:
    (queue / "name").touch()
    assert event(watch) == ["arrived", "name", "0", "0"]


def test_a_message_through_a_port_is_told(queue: Path, watch: Running) -> None:
    fill(queue, b"text")
    what, name, uid, size = event(watch)
    assert (what, uid, size) == ("arrived", "0", "4")
    assert re.fullmatch("[0-9a-f]{16}", name)


def test_its_sender_is_told(queue: Path, watch: Running) -> None:
    queue.chmod(0o777)
    in_child(lambda: (queue / ".pipe").write_bytes(b"text"), ALICE)
    assert event(watch)[2:] == [str(ALICE), "4"]


def test_a_removal_is_told(queue: Path, watch: Running) -> None:
    (queue / "name").touch()
    (queue / "name").unlink()
    assert event(watch)[:2] == ["arrived", "name"]
    assert event(watch) == ["removed", "name"]


def test_a_claim_is_told_and_no_return(queue: Path, watch: Running) -> None:
    (queue / "name").touch()
    assert run("claim", "--exec", "false", queue).status == 11
    (queue / "another").touch()
    assert event(watch)[:2] == ["arrived", "name"]
    assert event(watch) == ["moved", "name"]
    assert event(watch)[:2] == ["arrived", "another"]


def test_a_pop_is_told(queue: Path, watch: Running) -> None:
    fill(queue, b"text")
    (queue / "head").unlink()
    assert event(watch)[0] == "arrived"
    assert event(watch) == ["removed", "head"]


def test_all_of_many_are_told(queue: Path, watch: Running) -> None:
    fill(queue, *(b"x" * size for size in range(1, 200)))
    assert [event(watch)[-1] for _ in range(1, 200)] == [str(size) for size in range(1, 200)]


def test_nothing_is_taken(queue: Path, watch: Running) -> None:
    fill(queue, b"text")
    event(watch)
    assert contents(queue) == [b"text"]


def test_the_end_is_told_and_is_the_watchs_end(queue: Path, watch: Running) -> None:
    queue.rmdir()
    assert event(watch) == ["vanished"]
    assert watch.end() == (0, b"", b"")


def test_nothing_of_it_is_left(queue: Path, watch: Running, root: Path) -> None:
    assert [name for name in names(root) if name.startswith(".eventq-watch-")]
    watch.process.kill()
    watch.process.wait()
    assert not [name for name in names(root) if name.startswith(".eventq-watch-")]
    assert os.getxattr(queue, "user.eventfs_followers") == b""


def test_json_is_an_object_for_each_event(queue: Path, begin_waiting: Start) -> None:
    watch = begin_waiting("watch", "--json", queue)
    (queue / "name").touch()
    queue.joinpath("name").unlink()
    queue.rmdir()
    arrived, removed, vanished = map(json.loads, watch.end().stdout.splitlines())
    assert arrived.pop("time") <= removed.pop("time") <= vanished.pop("time")
    assert arrived == {"event": "arrived", "name": "name", "uid": 0, "size": 0}
    assert removed == {"event": "removed", "name": "name"}
    assert vanished == {"event": "vanished"}


def test_a_watch_goes_with_its_reader(queue: Path, begin_waiting: Start) -> None:
    watch = begin_waiting("watch", queue)
    assert watch.process.stdout is not None
    watch.process.stdout.close()
    (queue / "name").touch()
    assert watch.process.wait(20) == -13
