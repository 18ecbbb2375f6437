"""The root's mode by mount option, and rights in a user's own mount."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import EVENTFS_AS, NOBODY, Commands, complaint
from tests.commands.namespace import Namespace, namespace
from tests.mount.processes import in_child
from tests.rights.operations import accesses
from tests.rights.places import STRANGER, User, become


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ([], 0o1777),
        (["-o", "mode=700"], 0o700),
        (["-o", "mode=0"], 0),
        (["-o", "mode=7777"], 0o7777),
        (["-o", "mode=0000755"], 0o755),
        (["-o", "mode=700,mode=1770"], 0o1770),
    ],
    ids=str,
)
def test_the_root_has_the_mode_asked_for(commands: Commands, options: list[str], mode: int) -> None:
    commands.mount(*options, "events")
    assert stat.S_IMODE(commands.mountpoint.stat().st_mode) == mode


@pytest.mark.parametrize(
    "value",
    ["-1", "+777", "10000", "1_777", "0o777", "778", "7.7", "rwx", " 777", "777 ", "\u0667"],
)
def test_what_is_no_mode_is_refused_with_one_line(commands: Commands, value: str) -> None:
    said = complaint(commands.run("-o", f"mode={value}", "events"))
    assert said == f"mount option 'mode': {value!r} isn't an octal number up to 7777"
    assert not commands.is_mounted()


@pytest.mark.parametrize("option", ["mode", "mode="])
def test_a_mode_is_needed(commands: Commands, option: str) -> None:
    said = complaint(commands.run("-o", option, "events"))
    assert said == "mount option 'mode' needs a value: mode=..."


# A user's own mount, for all users


@pytest.fixture
def users_mount(commands: Commands) -> Iterator[Path]:
    """The root of a mount whose daemon is NOBODY's, by a path that only root can walk."""
    with namespace() as apart:
        mount_as_nobody(commands, apart)
        yield apart.path("/mnt/events")
        commands.close()


def mount_as_nobody(commands: Commands, apart: Namespace) -> None:
    apart.let_users_mount()
    apart.let_users_allow_others()
    apart.path("/mnt/events").mkdir()
    os.chown(apart.path("/mnt/events"), NOBODY, NOBODY)
    command = (*apart.enter, sys.executable, "-c", EVENTFS_AS, str(NOBODY))
    commands.mount("-o", "allow_other", "/mnt/events", command=command)


def in_folder(folder: Path, uid: int, function: Callable[[], object]) -> object:
    """Call a function as a user, in a folder that this user couldn't enter."""

    def run() -> object:
        os.chdir(folder)
        become(User(uid))
        return function()

    return in_child(run)


def make_masked(umask: int) -> str:
    os.umask(umask)
    Path("new").touch()
    return stat.filemode(Path("new").stat().st_mode)


@pytest.fixture
def users_queue(users_mount: Path) -> Path:
    """A queue in it, of NOBODY's and with mode 700."""
    path = users_mount / "queue"
    path.mkdir(0o700)
    os.chown(path, NOBODY, NOBODY)
    return path


def test_a_list_lets_a_user_into_a_queue_of_a_users_own_mount(users_queue: Path) -> None:
    setfacl = ["setfacl", "-m", f"u:{STRANGER}:rx", "."]
    assert in_folder(users_queue, STRANGER, lambda: accesses(Path())) == ""
    in_folder(users_queue, NOBODY, lambda: subprocess.run(setfacl, check=True))
    assert in_folder(users_queue, STRANGER, lambda: accesses(Path())) == "rx"
    assert in_folder(users_queue, STRANGER + 1, lambda: accesses(Path())) == ""


def test_the_umask_counts_in_a_users_own_mount(users_queue: Path) -> None:
    assert in_folder(users_queue, NOBODY, lambda: make_masked(0o027)) == "-rw-r-----"


def test_a_list_that_is_inherited_replaces_the_umask_in_a_users_own_mount_too(
    users_queue: Path,
) -> None:
    subprocess.run(["setfacl", "-m", f"d:u:{STRANGER}:rw", users_queue], check=True)
    assert in_folder(users_queue, NOBODY, lambda: make_masked(0o077)) == "-rw-rw----"
    shown = subprocess.run(
        ["getfacl", "-ncp", users_queue / "new"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    assert shown == [
        *("user::rw-", f"user:{STRANGER}:rw-", "group::---", "mask::rw-", "other::---"),
    ]
