"""Mounts of users who aren't root: fusermount3 makes them, where the system lets it."""

import os
import signal
import subprocess
import sys

import pytest

from tests.commands.daemons import EVENTFS_AS, NOBODY, Commands, Daemon, complaint, mounts
from tests.commands.namespace import Namespace
from tests.mounts import wait_until


class User:
    """Somebody who is not root, and a directory of theirs to mount on."""

    mountpoint = "/mnt/events"

    def __init__(self, apart: Namespace, commands: Commands) -> None:
        self._apart = apart
        self._commands = commands
        self._eventfs = (*apart.enter, sys.executable, "-c", EVENTFS_AS, str(NOBODY))
        apart.path(self.mountpoint).mkdir()
        os.chown(apart.path(self.mountpoint), NOBODY, NOBODY)

    def eventfs(self, *arguments: str, program: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command; *program* is Python to run before it, still as root."""
        *python, code, uid = self._eventfs
        return self._commands.run(*arguments, command=(*python, program + code, uid))

    def mount(self, *arguments: str) -> Daemon:
        return self._commands.mount(*arguments, self.mountpoint, command=self._eventfs)

    def run(self, code: str) -> str:
        """Run Python in the mountpoint's folder, and return what it prints."""
        # Imports first: the user may have no right to where Python is installed.
        become = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); os.chdir('/mnt')"
        command = [*self._apart.enter, sys.executable, "-IS", "-c"]
        code = f"import os, subprocess\n{become}\n{code}"
        return subprocess.run([*command, code], stdout=subprocess.PIPE, check=True).stdout.decode()

    def is_mounted(self) -> bool:
        return self.mountpoint in mounts(self._apart.pid)


@pytest.fixture
def user(apart: Namespace, commands: Commands) -> User:
    return User(apart, commands)


@pytest.fixture
def permitted(apart: Namespace, user: User) -> User:
    """A user of a system that lets everybody mount."""
    apart.let_users_mount()
    return user


def test_where_dev_fuse_is_roots_alone_a_user_is_told_so(apart: Namespace, user: User) -> None:
    apart.reserve_fuse_for_root()
    said = complaint(user.eventfs(user.mountpoint))
    assert "/dev/fuse" in said
    assert "Permission denied" in said


@pytest.mark.parametrize("mode", [(), ("-f",)], ids=["background", "foreground"])
def test_a_mountpoint_that_is_anothers_is_not_permitted(
    apart: Namespace, permitted: User, mode: tuple[str, ...]
) -> None:
    apart.path("/mnt/roots").mkdir()
    said = complaint(permitted.eventfs(*mode, "/mnt/roots"))
    assert "/mnt/roots" in said
    assert "write" in said
    assert_advises(said)


def test_a_mountpoint_in_a_private_folder_is_not_permitted(
    apart: Namespace, permitted: User
) -> None:
    apart.path("/mnt/private/events").mkdir(parents=True)
    apart.path("/mnt/private").chmod(0o700)
    said = complaint(permitted.eventfs("/mnt/private/events"))
    assert said.startswith("/mnt/private/events can't be used: Permission denied")
    assert_advises(said)


def assert_advises(said: str) -> None:
    """Check that a complaint says what to do: after a semicolon, as all that do."""
    assert "; " in said, f"this doesn't say what to do: {said}"


@pytest.mark.parametrize("option", ["allow_other", "allow_root"])
def test_what_fuse_conf_must_allow_is_said(permitted: User, option: str) -> None:
    said = complaint(permitted.eventfs("-o", option, permitted.mountpoint))
    assert "user_allow_other" in said
    assert "/etc/fuse.conf" in said


def test_a_user_mounts_and_owns_the_root_directory(permitted: User) -> None:
    permitted.mount()
    stat = "s = os.stat('events'); print(s.st_uid, s.st_gid, oct(s.st_mode))"
    assert permitted.run(stat).split() == [str(NOBODY), str(NOBODY), "0o41777"]


def test_a_users_queues_live_and_die_as_roots_do(permitted: User) -> None:
    permitted.mount()
    permitted.run("os.mkdir('events/queue'); open('events/queue/message', 'x').close()")
    assert permitted.run("print(os.listdir('events'))").strip() == "[]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_users_daemon(permitted: User, number: signal.Signals) -> None:
    assert permitted.mount().kill(number) == 0
    assert not permitted.is_mounted()


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_signal_ends_a_users_daemon_also_when_busy(
    apart: Namespace, permitted: User, number: signal.Signals
) -> None:
    apart.let_users_allow_others()
    daemon = permitted.mount("-o", "allow_other")
    inside = os.open(apart.path(permitted.mountpoint), os.O_DIRECTORY)
    try:
        assert daemon.kill(number) == 0
        assert not permitted.is_mounted()
    finally:
        os.close(inside)


def test_a_user_unmounts(permitted: User) -> None:
    daemon = permitted.mount()
    permitted.run("subprocess.run(['fusermount3', '-u', 'events'], check=True)")
    assert daemon.wait() == 0
    assert not permitted.is_mounted()


def test_auto_unmount_is_for_users_too(apart: Namespace, permitted: User) -> None:
    # fusermount3 unmounts only what it can look into, which it does as root: hence allow_other.
    apart.let_users_allow_others()
    permitted.mount("-o", "auto_unmount,allow_other").kill(signal.SIGKILL)
    wait_until(lambda: not permitted.is_mounted(), "the unmounting")


def test_a_users_stale_mount_gets_advice(permitted: User) -> None:
    permitted.mount().kill(signal.SIGKILL)
    said = complaint(permitted.eventfs(permitted.mountpoint))
    assert said.endswith(f"fusermount3 -u {permitted.mountpoint}")


def test_a_user_who_is_not_let_in_is_told_so(
    apart: Namespace, permitted: User, commands: Commands
) -> None:
    # Root's mount, for root alone; a user mounts on it.
    commands.mount("/mnt/events", command=(*apart.enter, "eventfs"))
    said = complaint(permitted.eventfs(permitted.mountpoint))
    assert "Permission denied" in said


def test_a_user_may_not_end_roots_mount(
    apart: Namespace, permitted: User, commands: Commands
) -> None:
    daemon = commands.mount("/mnt/events", command=(*apart.enter, "eventfs"))
    permitted.run(
        "done = subprocess.run(['fusermount3', '-u', 'events'], stderr=subprocess.DEVNULL)\n"
        "assert done.returncode != 0"
    )
    assert not daemon.ended()


def test_without_fusermount3_a_user_is_told_what_to_install(
    permitted: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What has to be run until then is run by its whole path.
    monkeypatch.setenv("PATH", "/nowhere")
    said = complaint(permitted.eventfs(permitted.mountpoint))
    assert "fusermount3" in said
    assert "fuse3" in said


@pytest.mark.parametrize("mode", [(), ("-f",)], ids=["background", "foreground"])
def test_a_system_that_refuses_more_descriptors_is_one_line_too(
    permitted: User, mode: tuple[str, ...]
) -> None:
    program = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))"
    complaint(permitted.eventfs(*mode, permitted.mountpoint, program=program))


@pytest.mark.parametrize("mode", [(), ("-f",)], ids=["background", "foreground"])
def test_no_room_for_temporary_files_is_needed(permitted: User, mode: tuple[str, ...]) -> None:
    program = "import tempfile; tempfile._candidate_tempdir_list = list"
    arguments = (*mode, "-o", "allow_other", permitted.mountpoint)
    assert "user_allow_other" in complaint(permitted.eventfs(*arguments, program=program))
