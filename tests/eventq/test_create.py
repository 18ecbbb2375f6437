"""create: queues that live as long as who they belong to."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eventq.running import contents, fill, run, shell, succeed
from tests.mount.processes import ALICE, BOB
from tests.mounts import Child, wait_until


def owner(path: Path) -> int:
    return int(os.getxattr(path, "user.eventfs_owner"))


def test_a_queue_belongs_to_who_started_eventq(path: Path) -> None:
    succeed("create", path)
    assert path.is_dir()
    assert owner(path) == os.getpid()


def test_a_shells_queue_is_gone_when_the_shell_ends(path: Path) -> None:
    done = shell('"$eventq" create "$1"; test -d "$1" && echo there', path)
    assert done == (0, b"there\n", b"")
    assert not path.exists()


def test_a_queue_can_be_given_to_a_shell_by_its_number(path: Path) -> None:
    # From a subshell, which ends before.
    script = '("$eventq" create --owner $$ "$1"; true); test -d "$1" && echo there'
    assert shell(script, path) == (0, b"there\n", b"")
    assert not path.exists()


def test_a_queue_lives_on_with_its_owner(path: Path, start: Callable[..., Child]) -> None:
    child = start("import sys; print('up', flush=True); sys.stdin.read()")
    succeed("create", "--owner", str(child.process.pid), path)
    assert owner(path) == child.process.pid
    child.end()
    assert not path.exists()


def test_a_sticky_queue_needs_no_owner(path: Path) -> None:
    succeed("create", "--sticky", path)
    assert path.is_dir()
    with pytest.raises(OSError, match="No data available"):
        owner(path)


def test_a_sticky_queue_may_have_an_owner(path: Path) -> None:
    succeed("create", "--sticky", "--owner", str(os.getpid()), path)
    assert owner(path) == os.getpid()


@pytest.mark.parametrize("mode", ["0700", "0777", "1733"])
def test_a_mode_means_what_it_says(path: Path, mode: str) -> None:
    succeed("create", "--mode", mode, path)
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)


def test_without_a_mode_it_is_the_umasks(path: Path) -> None:
    assert shell('umask 027; "$eventq" create --sticky "$1"', path).status == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_topic_keeps_nothing(path: Path) -> None:
    succeed("create", "--topic", path)
    fill(path, b"text")
    assert contents(path) == []


def test_a_queue_has_the_rules_that_it_is_given(path: Path, queue: Path) -> None:
    rules = {
        "max_messages": "3",
        "max_bytes": "1000",
        "overflow": "drop-oldest",
        "ttl": "0.5",
        "max_attempts": "2",
        "lease": "60",
    }
    options = [f"--{name.replace('_', '-')}={value}" for name, value in rules.items()]
    succeed("create", *options, "--dead-letter", queue, path)
    for name, value in {**rules, "dead_letter": queue.name}.items():
        assert os.getxattr(path, f"user.eventfs_{name}") == value.encode()


def test_a_lease_may_be_without_end(path: Path) -> None:
    succeed("create", "--lease", "inf", path)
    assert os.getxattr(path, "user.eventfs_lease") == b""


def test_a_rule_that_cant_be_is_an_error_and_leaves_no_queue(path: Path, root: Path) -> None:
    done = run("create", "--ttl", "inf", path)
    assert done.status == 10
    assert done.complaint.startswith(f"{path}: ttl can't be inf; give a number")
    assert not path.exists()
    done = run("create", "--dead-letter", root / "missing", path)
    assert done.status == 3
    assert done.complaint.startswith(f"{root / 'missing'}: there is no such queue")
    assert not path.exists()


def test_a_queue_that_exists_is_an_error(path: Path) -> None:
    path.mkdir()
    done = run("create", path)
    assert done.status == 10
    assert str(path) in done.complaint


def test_a_queue_that_exists_may_be_right(path: Path) -> None:
    path.mkdir()
    fill(path, b"text")
    assert succeed("create", "--exist-ok", path) == b""
    assert contents(path) == [b"text"]


def test_a_dead_owner_is_an_error_and_leaves_no_queue(path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    done = run("create", "--owner", str(child.pid), path)
    assert done.status == 10
    assert f"no process {child.pid}" in done.complaint
    assert not path.exists()


def test_another_users_process_is_an_error_and_leaves_no_queue(
    path: Path, fork: Callable[..., object]
) -> None:
    bobs = fork(lambda: None, uid=BOB)
    done = run("create", "--owner", str(bobs.pid), path, uid=ALICE)  # type: ignore[attr-defined]
    assert done.status == 5
    assert str(path) in done.complaint
    assert not path.exists()


def test_a_users_queue_belongs_to_the_users_shell(path: Path) -> None:
    # The parent, pytest, is root's.
    done = run("create", path, uid=ALICE)
    assert done.status == 5
    assert f"process {os.getpid()} is another user's" in done.complaint
    assert not path.exists()


def test_who_isnt_seen_cant_be_an_owner(path: Path) -> None:
    # In a pid namespace of its own eventq's parent is process 0.
    done = run("create", path, argv0=["unshare", "--pid", "--fork", "--mount-proc"])
    assert done.status == 10
    assert "--owner PID" in done.complaint
    wait_until(lambda: not path.exists(), "the queue's end")
