"""ls and stat: what queues there are, for programs and for people."""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

import pytest

from eventfs import Queue
from tests.eventq.running import fill, run, succeed
from tests.eventq.terminals import show
from tests.mount.processes import ALICE
from tests.mounts import MAKE_QUEUE, Child, Mount, mounted

_numbers = itertools.count()


@pytest.fixture
def queues(public_path: Path, start: Callable[..., Child]) -> Iterator[Path]:
    """A mount with a queue of a child, one of nobody, a topic and a hidden one."""
    with mounted(public_path / f"list-{next(_numbers)}", "-o", "allow_other") as mount:
        start(MAKE_QUEUE, mount.path / "childs")
        fill(mount.path / "childs", b"one", b"three")
        os.utime(mount.path / "childs/head", (1.5, 1.5))
        gone = start(MAKE_QUEUE, mount.path / "nobodys")
        os.setxattr(mount.path / "nobodys", "user.eventfs_sticky", b"")
        gone.end()
        (mount.path / "topic").mkdir()
        os.setxattr(mount.path / "topic", "user.eventfs_keep", b"no")
        (mount.path / ".hidden").mkdir()
        yield mount.path


def owner(path: Path) -> str:
    return os.getxattr(path, "user.eventfs_owner").decode()


def comm(pid: str | int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def rows(said: bytes) -> list[list[str]]:
    return [line.split("\t") for line in said.decode().splitlines()]


def test_programs_get_a_line_of_tabbed_values_for_each_queue(queues: Path) -> None:
    found = rows(succeed("ls", queues))
    assert [len(row) for row in found] == [9, 9, 9]
    childs, nobodys, topic = found
    pid = owner(queues / "childs")
    assert childs[:5] == [str(queues / "childs"), pid, comm(pid), "2", "8"]
    assert float(childs[5]) > 1e9
    assert childs[6:] == ["-", "0", "0"]
    assert nobodys == [str(queues / "nobodys"), "-", "-", "0", "0", "-", "sticky", "0", "0"]
    us = [str(os.getpid()), comm("self")]
    assert topic == [str(queues / "topic"), *us, "0", "0", "-", "topic", "0", "0"]


def test_hidden_queues_are_shown_if_asked_for(queues: Path) -> None:
    assert str(queues / ".hidden") not in [row[0] for row in rows(succeed("ls", queues))]
    assert str(queues / ".hidden") in [row[0] for row in rows(succeed("ls", "--all", queues))]


def test_all_mounts_are_listed_where_none_is_named(queues: Path, queue: Path) -> None:
    done = run("ls")
    # There may be mounts of others, whose daemons have died.
    assert done.status in {0, 9}
    found = {row[0] for row in rows(done.stdout)}
    assert {str(queues / "childs"), str(queue)} <= found


def test_mounts_of_others_alone_are_no_error_unless_named(queues: Path, public_path: Path) -> None:
    with mounted(public_path / f"list-{next(_numbers)}") as roots:
        done = run("ls", uid=ALICE)
        assert str(queues / "nobodys").encode() in done.stdout
        assert str(roots.path).encode() not in done.stdout + done.stderr
        assert run("ls", roots.path, uid=ALICE).status == 5


def test_a_mount_that_cant_be_listed_is_status_5(public_path: Path) -> None:
    path = public_path / f"list-{next(_numbers)}"
    with mounted(path, "-o", "allow_other,mode=1733"):
        done = run("ls", path, uid=ALICE)
        assert done.status == 5
        assert done.complaint.startswith(f"{path}: no permission")


def test_a_queue_may_be_named(queue: Path) -> None:
    # So a container sees one, of which only a queue is mounted there.
    assert [row[0] for row in rows(succeed("ls", queue))] == [str(queue)]


def test_json_is_an_object_for_each_queue(queues: Path) -> None:
    childs, nobodys, topic = map(json.loads, succeed("ls", "--json", queues).splitlines())
    assert childs == {
        "queue": str(queues / "childs"),
        "owner": int(owner(queues / "childs")),
        "command": comm(owner(queues / "childs")),
        "messages": 2,
        "bytes": 8,
        "oldest": 1.5,
        "sticky": False,
        "topic": False,
        "lent": 0,
        "dropped": 0,
        "expired": 0,
    }
    assert (nobodys["owner"], nobodys["command"], nobodys["sticky"]) == (None, None, True)
    assert (topic["topic"], topic["oldest"]) == (True, None)


def test_what_isnt_ours_to_read_is_dashes(queues: Path) -> None:
    (queues / "childs").chmod(0o700)
    found = {row[0]: row[1:] for row in rows(succeed("ls", queues, uid=ALICE))}
    assert found[str(queues / "childs")] == ["-"] * 8
    assert found[str(queues / "nobodys")][5] == "sticky"


def test_names_are_shown_without_doing_harm(mount: Mount) -> None:
    (mount.path / "tab\there\x1b[31m").mkdir()
    assert rows(succeed("ls", mount.path))[0][0] == f"{mount.path}/tab\\there\\x1b[31m"
    assert "\\x1b[31m" in show("ls", mount.path)


def test_an_empty_mount_is_no_error(mount: Mount) -> None:
    assert run("ls", mount.path) == (0, b"", b"")


def test_people_get_a_table_with_units(queues: Path) -> None:
    fill(queues / "topic", b"")
    (queues / "nobodys/large").write_bytes(bytes(3 << 19))
    heading, childs, nobodys, _topic = show("ls", queues, NO_COLOR="1").splitlines()
    assert heading.split() == "QUEUE OWNER COMMAND MESSAGES BYTES OLDEST FLAGS".split()  # noqa: SIM905
    assert childs.split()[:2] == [str(queues / "childs"), owner(queues / "childs")]
    assert "8 B" in childs
    assert "1.5 MiB" in nobodys
    assert nobodys.split()[-1] == "sticky"


def test_loans_and_losses_have_columns_where_there_are_any(queues: Path) -> None:
    fill(queues / "childs", b"five")
    os.setxattr(queues / "childs", "user.eventfs_max_messages", b"2")
    os.setxattr(queues / "childs", "user.eventfs_overflow", b"drop-oldest")
    with Queue(queues / "childs") as queue:
        heading, childs, *_ = show("ls", queues, NO_COLOR="1").splitlines()
        assert heading.split()[-2:] == ["FLAGS", "LOST"]
        assert childs.split()[-2:] == ["-", "1"]
        with queue.claim(0):
            found = rows(succeed("ls", "--all", queues))
            heading, childs, *_ = show("ls", queues, NO_COLOR="1").splitlines()
            assert heading.split()[-3:] == ["FLAGS", "LENT", "LOST"]
            assert childs.split()[-3:] == ["-", "1", "1"]
    assert {row[0].rpartition("/")[2].partition("-")[0]: row[6:] for row in found} == {
        "childs": ["-", "1", "1"],
        "nobodys": ["sticky", "0", "0"],
        "topic": ["topic", "0", "0"],
        ".hidden": ["-", "0", "0"],
        ".lease": ["lease", "0", "0"],
    }


def test_stat_tells_the_rules(queues: Path) -> None:
    rules = {
        "max_messages": 5,
        "max_bytes": 1 << 20,
        "overflow": "reject",
        "ttl": 1.5,
        "max_attempts": 2,
        "dead_letter": "topic",
        "lease": inf,
    }
    path = queues / "ruled"
    Queue.create(path, **rules).close()  # type: ignore[arg-type]
    said = json.loads(succeed("stat", "--json", path))
    assert {name: said[name] for name in rules} == {**rules, "lease": "inf"}
    lines = dict(line.split("\t") for line in succeed("stat", path).decode().splitlines())
    assert (lines["ttl"], lines["lease"], lines["overflow"]) == ("1.500000000", "inf", "reject")
    shown = show("stat", path, NO_COLOR="1")
    about = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in shown.splitlines()}
    assert (about["ttl"], about["lease"]) == ("1.5 s", "without end")
    assert (about["max_bytes"], about["max_messages"]) == ("1 MiB", "5")


def test_colours_are_for_terminals_that_want_them(queues: Path) -> None:
    assert "\x1b[" in show("ls", queues)
    assert "\x1b[" not in show("ls", queues, NO_COLOR="1")
    assert "\x1b[" not in show("ls", queues, TERM="dumb")
    assert b"\x1b[" not in succeed("ls", queues)


def test_narrow_terminals_get_the_whole_path(queues: Path) -> None:
    shown = show("ls", queues, columns=30, NO_COLOR="1")
    assert shown.splitlines()[1].split()[0] == str(queues / "childs")
    assert str(queues / "childs") in show("stat", queues / "childs", columns=30, NO_COLOR="1")


def test_markup_in_names_means_nothing(mount: Mount) -> None:
    (mount.path / "[red]name[bold]").mkdir()
    assert "[red]name[bold]" in show("ls", mount.path, NO_COLOR="1")


def test_stat_tells_programs_all_in_plain_values(queues: Path) -> None:
    os.setxattr(queues / "childs", "user.eventfs_follow", b"nobodys/topic")
    (queues / "childs").chmod(0o750)
    said = dict(
        line.split("\t") for line in succeed("stat", queues / "childs").decode().splitlines()
    )
    assert said == {
        "queue": str(queues / "childs"),
        "owner": owner(queues / "childs"),
        "command": comm(owner(queues / "childs")),
        "messages": "2",
        "bytes": "8",
        "oldest": "1.500000000",
        "sticky": "no",
        "topic": "no",
        "sources": "nobodys/topic",
        "followers": "-",
        "lent": "0",
        "dropped": "0",
        "expired": "0",
        "max_messages": "-",
        "max_bytes": "-",
        "overflow": "-",
        "ttl": "-",
        "max_attempts": "-",
        "dead_letter": "-",
        "lease": "-",
        "uid": "0",
        "gid": "0",
        "mode": "0750",
    }


def test_stat_is_an_object_too(queues: Path) -> None:
    os.setxattr(queues / "childs", "user.eventfs_follow", b"topic")
    said = json.loads(succeed("stat", "--json", queues / "topic"))
    assert said["followers"] == ["childs"]
    assert said["sources"] == []
    assert said["topic"] is True
    assert said["owner"] == os.getpid()
    assert said["mode"] == "0755"


def test_stat_tells_people_in_units(queues: Path) -> None:
    shown = show("stat", queues / "childs", NO_COLOR="1")
    pid = owner(queues / "childs")
    lines = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in shown.splitlines()}
    assert lines["owner"] == f"{pid} ({comm(pid)})"
    assert lines["bytes"] == "8 B"
    assert lines["oldest"].endswith(" d ago")
    assert lines["user"] == "root (0)"
