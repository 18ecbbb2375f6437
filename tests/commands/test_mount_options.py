"""What each mount option does."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import EVENTFS_AS, NOBODY, Commands, complaint, mounts
from tests.commands.namespace import Namespace
from tests.mount.posix.checks import tick
from tests.mounts import names, wait_until


def flags(mountpoint: Path) -> set[str]:
    return mounts()[str(mountpoint)][2]


def as_nobody(code: str, folder: Path) -> str:
    """Run Python in a folder as a user who owns nothing; return what it prints, or its errno."""
    # It starts in the folder: this user can't walk the path to it.
    prelude = "import errno, os, sys; os.setgroups([]); os.setgid({0}); os.setuid({0})\n"
    body = "try:\n    {}\nexcept OSError as error:\n    print(errno.errorcode[error.errno])"
    return subprocess.run(
        [sys.executable, "-IS", "-c", prelude.format(NOBODY) + body.format(code)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        ("ro", "ro"),
        ("rw", "rw"),
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("sync", "sync"),
        ("dirsync", "dirsync"),
        ("noatime", "noatime"),
        ("allow_other", "allow_other"),
    ],
)
def test_the_kernel_shows_the_option(
    commands: Commands, mountpoint: Path, option: str, flag: str
) -> None:
    commands.mount("-o", option, "events")
    assert names(mountpoint) == []
    assert flag in flags(mountpoint)


@pytest.mark.parametrize("size", [4096, 131072])
def test_max_read_is_obeyed_or_refused(commands: Commands, mountpoint: Path, size: int) -> None:
    done = commands.run("-o", f"max_read={size}", "events")
    if done.returncode == 0:
        assert f"max_read={size}" in flags(mountpoint)
    else:
        assert "max_read" in complaint(done)


@pytest.mark.parametrize(
    ("option", "flag"),
    [("suid", "nosuid"), ("dev", "nodev"), ("exec", "noexec"), ("async", "sync"), ("rw", "ro")],
)
def test_the_option_keeps_another_from_being_set(
    commands: Commands, mountpoint: Path, option: str, flag: str
) -> None:
    commands.mount("-o", option, "events")
    assert flag not in flags(mountpoint)


def test_rights_are_always_checked_by_the_kernel(commands: Commands, mountpoint: Path) -> None:
    commands.mount("events")
    assert "default_permissions" in flags(mountpoint)


def test_set_user_ids_and_devices_are_off_unless_asked_for(
    commands: Commands, mountpoint: Path
) -> None:
    commands.mount("events")
    assert {"nosuid", "nodev"} <= flags(mountpoint)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["head", "message", "tail"]),
        (["-o", "commit=create"], ["head", "message", "tail"]),
        (["-o", "commit=close"], []),
    ],
)
def test_a_message_joins_when_it_is_made_unless_the_mount_commits_at_close(
    commands: Commands, mountpoint: Path, options: list[str], shown: list[str]
) -> None:
    commands.mount(*options, "events")
    queue = mountpoint / "queue"
    queue.mkdir()
    with (queue / "message").open("w"):
        assert names(queue) == shown
    assert names(queue) == ["head", "message", "tail"]


def test_ro_lets_nobody_make_a_queue(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-o", "ro", "events")
    assert names(mountpoint) == []
    with pytest.raises(OSError, match="Read-only") as raised:
        (mountpoint / "queue").mkdir()
    assert raised.value.errno == errno.EROFS


def message_that_runs(mountpoint: Path) -> Path:
    (mountpoint / "queue").mkdir()
    program = mountpoint / "queue/program"
    shutil.copy(shutil.which("id") or "", program)
    program.chmod(0o4755)
    return program


def test_exec_lets_a_message_be_run(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-o", "exec", "events")
    assert subprocess.run([message_that_runs(mountpoint)], stdout=subprocess.DEVNULL, check=True)


def test_noexec_lets_no_message_be_run(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-o", "noexec", "events")
    with pytest.raises(PermissionError):
        subprocess.run([message_that_runs(mountpoint)], check=True)


@pytest.mark.parametrize(("option", "uid"), [("suid", 0), ("nosuid", NOBODY)])
def test_set_user_id_counts_only_with_suid(
    commands: Commands, mountpoint: Path, option: str, uid: int
) -> None:
    commands.mount("-o", option, "-o", "allow_other", "events")
    program = message_that_runs(mountpoint)
    printed = as_nobody("os.execv('./program', ['id', '-u'])", program.parent)
    assert printed == str(uid)


def test_noatime_keeps_the_time_of_access(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-o", "noatime", "events")
    (mountpoint / "queue").mkdir()
    message = mountpoint / "queue/message"
    message.write_text("text")
    before = message.stat().st_atime_ns
    assert message.read_text() == "text"
    assert message.stat().st_atime_ns == before


def test_without_noatime_the_time_of_access_moves(commands: Commands, mountpoint: Path) -> None:
    commands.mount("events")
    (mountpoint / "queue").mkdir()
    message = mountpoint / "queue/message"
    message.write_text("text")
    before = message.stat().st_atime_ns
    tick()
    assert message.read_text() == "text"
    assert message.stat().st_atime_ns > before


@pytest.mark.parametrize(
    ("option", "source"),
    [
        ("fsname=name", "name"),
        (r"fsname=a\,b\\c", r"a,b\c"),
        ("fsname=with space", "with space"),
        ("fsname=größe", "größe"),
        ("fsname=a=b", "a=b"),
        ("fsname=first,fsname=second", "second"),
    ],
)
def test_fsname_names_the_source(
    commands: Commands, mountpoint: Path, option: str, source: str
) -> None:
    commands.mount("-o", option, "events")
    assert mounts()[str(mountpoint)][0] == source


def test_options_after_an_fsname_that_ends_in_a_backslash_count(
    commands: Commands, mountpoint: Path
) -> None:
    commands.mount("-o", r"fsname=a\\,noexec", "events")
    assert mounts()[str(mountpoint)][0] == "a\\"
    assert "noexec" in flags(mountpoint)


def test_an_unknown_option_after_a_backslash_is_rejected_as_any_other(commands: Commands) -> None:
    done = commands.run("-o", r"fsname=a\\,bogus", "events")
    assert complaint(done) == "unknown mount option 'bogus'"


@pytest.mark.parametrize(
    "source",
    ["name", "a,b", "back\\slash", "with space", "größe", "a=b", os.fsdecode(b"\xff")],
    ids=["plain", "comma", "backslash", "space", "umlaut", "equals sign", "not UTF-8"],
)
def test_the_argument_source_names_the_source(
    commands: Commands, mountpoint: Path, source: str
) -> None:
    commands.mount(source, "events")
    assert mounts()[str(mountpoint)][0] == source


def test_fsname_goes_before_the_argument_source(commands: Commands, mountpoint: Path) -> None:
    commands.mount("source", "events", "-o", "fsname=name")
    assert mounts()[str(mountpoint)][0] == "name"


def test_subtype_names_the_type(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-o", "subtype=queues", "events")
    assert mounts()[str(mountpoint)][1] == "fuse.queues"


def test_without_allow_other_the_mount_is_its_users_alone(
    commands: Commands, mountpoint: Path
) -> None:
    commands.mount("events")
    # A path walk doesn't get far here: the child starts inside.
    code = "os.listdir('.')"
    assert as_nobody(code, mountpoint) == "EACCES"


def test_allow_other_lets_others_in(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-o", "allow_other", "events")
    assert as_nobody("os.mkdir('queue'); print(os.listdir('.'))", mountpoint) == "['queue']"


@pytest.fixture
def users_mount(apart: Namespace, commands: Commands) -> Iterator[Namespace]:
    """Prepare a directory of a user's own, /mnt/events, and the right to mount on it."""
    apart.let_users_mount()
    apart.let_users_allow_others()
    apart.path("/mnt/events").mkdir()
    os.chown(apart.path("/mnt/events"), NOBODY, NOBODY)
    yield apart
    commands.close()


def mount_as_nobody(commands: Commands, apart: Namespace, *options: str) -> None:
    command = (*apart.enter, sys.executable, "-c", EVENTFS_AS, str(NOBODY), *options)
    commands.mount("/mnt/events", command=command)


def test_allow_root_lets_root_in(commands: Commands, users_mount: Namespace) -> None:
    mount_as_nobody(commands, users_mount, "-o", "allow_root")
    assert names(users_mount.path("/mnt/events")) == []


def test_without_allow_root_even_root_stays_outside(
    commands: Commands, users_mount: Namespace
) -> None:
    mount_as_nobody(commands, users_mount)
    with pytest.raises(PermissionError):
        names(users_mount.path("/mnt/events"))


def test_allow_root_keeps_others_out(commands: Commands, mountpoint: Path) -> None:
    commands.mount("-o", "allow_root", "events")
    assert names(mountpoint) == []
    assert as_nobody("os.mkdir('queue')", mountpoint) == "EACCES"


def test_auto_unmount_leaves_no_stale_mount(commands: Commands) -> None:
    daemon = commands.mount("-o", "auto_unmount", "events")
    daemon.kill(signal.SIGKILL)
    wait_until(lambda: not commands.is_mounted(), "the unmounting")


def test_without_auto_unmount_a_killed_daemon_leaves_its_mount(commands: Commands) -> None:
    commands.mount("events").kill(signal.SIGKILL)
    assert commands.is_mounted()


@pytest.mark.parametrize("end", ["SIGTERM", "umount", "fusermount3"])
def test_with_auto_unmount_the_daemon_ends_as_without(commands: Commands, end: str) -> None:
    daemon = commands.mount("-o", "auto_unmount", "events")
    if end == "SIGTERM":
        daemon.kill(signal.SIGTERM)
    else:
        command = ["umount"] if end == "umount" else ["fusermount3", "-u"]
        subprocess.run([*command, commands.mountpoint], check=True)
    assert commands.ended_well(daemon)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "noexec", "-o", "ro"),
        ("-o", "noexec,ro"),
        ("-onoexec", "-oro"),
        ("-o", ",noexec,,ro"),
    ],
    ids=" ".join,
)
def test_options_may_be_given_together_or_apart(
    commands: Commands, mountpoint: Path, arguments: tuple[str, ...]
) -> None:
    commands.mount(*arguments, "events")
    assert {"noexec", "ro"} <= flags(mountpoint)


def test_options_may_stand_after_the_mountpoint(commands: Commands, mountpoint: Path) -> None:
    commands.mount("events", "-o", "ro")
    assert "ro" in flags(mountpoint)


@pytest.mark.parametrize("last", ["ro", "rw"])
def test_of_two_options_that_contradict_each_other_the_last_counts(
    commands: Commands, mountpoint: Path, last: str
) -> None:
    commands.mount("-o", "ro,rw", "-o", last, "events")
    assert last in flags(mountpoint)
