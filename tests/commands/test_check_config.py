"""`eventfs --check-config`, and which configuration a mount has."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.daemons import EVENTFS, EVENTFS_AS, NOBODY, Commands, mounts
from tests.commands.namespace import Namespace
from tests.config.making import MAIN, configure, default_folder, paused_at, quota
from tests.mounts import DEADLINE_S, wait_until

GOOD = {"root": quota("user = root", max_dirs=1), "daemon": quota("group = daemon", max_bytes="1M")}

#: Mistakes in three files, and all that is said of them.
BAD_MAIN = MAIN + "size = much\n"
BAD = {"a": quota("user = nobody-of-us"), "b": quota("user = root", max_fils=1)}
BAD_LINES = [
    "eventfs.conf:3: 'much' is no number; expected one like 100, 64K, 10M, 2G or unlimited",
    "quotas/a:2: there is no user 'nobody-of-us'; expected a user's name or number",
    (
        "quotas/b:3: unknown key 'max_fils'; expected one of: group, max_bytes, max_dirs,"
        " max_files, max_files_per_dir, user"
    ),
]

MODES = pytest.mark.parametrize("mode", [(), ("-f",)], ids=["background", "foreground"])


def test_a_good_configuration_is_checked_without_a_word(commands: Commands) -> None:
    configure(commands.folder, MAIN, GOOD)
    done = commands.run("--check-config", "-c", "eventfs.conf")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["eventfs.conf", "./eventfs.conf", "{}/eventfs.conf"])
def test_all_mistakes_are_told_at_once_by_the_name_that_was_given(
    commands: Commands, name: str
) -> None:
    configure(commands.folder, BAD_MAIN, BAD)
    name = name.format(commands.folder)
    done = commands.run("--check-config", "-c", name)
    prefix = name.removesuffix("eventfs.conf").removeprefix("./")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [prefix + line for line in BAD_LINES]


def test_checking_mounts_nothing(commands: Commands) -> None:
    configure(commands.folder, MAIN, GOOD)
    done = commands.run("--check-config", "-c", "eventfs.conf", "events")
    assert done.returncode == 0
    assert not commands.is_mounted()


@pytest.mark.parametrize("arguments", [("--check-config",), ("events",), ("-f", "events")])
def test_a_fifo_holds_up_nobody(commands: Commands, arguments: tuple[str, ...]) -> None:
    os.mkfifo(commands.folder / "fifo")
    done = commands.run("-c", "fifo", *arguments)
    said = done.stderr.replace(f"{commands.folder}/", "")
    assert (done.returncode, said) == (1, "fifo:1: can't be read: not a file\n")


@MODES
def test_with_mistakes_there_is_no_mount(commands: Commands, mode: tuple[str, ...]) -> None:
    configure(commands.folder, BAD_MAIN, BAD)
    done = commands.run(*mode, "-c", "eventfs.conf", "events")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [f"{commands.folder}/{line}" for line in BAD_LINES]
    assert not commands.is_mounted()


@MODES
def test_a_file_that_goes_bad_after_the_check_is_told_as_in_the_check(
    commands: Commands, mode: tuple[str, ...]
) -> None:
    path = configure(commands.folder, MAIN, GOOD)
    running: list[subprocess.Popen[str]] = []

    def run() -> None:
        command: list[str | Path] = [EVENTFS, *mode, "-c", path, commands.mountpoint]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))

    try:
        # Both files are read twice: to check them before the daemon starts, and by the daemon.
        with paused_at(commands.folder / "quotas/root", run):
            configure(commands.folder, "bad\n")
        said = running[0].communicate(timeout=DEADLINE_S)[1]
        assert said == f"{path}:1: neither [section] nor KEY = VALUE: 'bad'\n"
        assert running[0].returncode == 1
        assert not commands.is_mounted()
    finally:
        for process in running:
            process.kill()
            process.communicate()


@MODES
def test_a_file_that_is_asked_for_must_exist(commands: Commands, mode: tuple[str, ...]) -> None:
    done = commands.run(*mode, "-c", "none.conf", "events")
    said = f"{commands.folder}/none.conf:1: can't be read: No such file or directory\n"
    assert (done.returncode, done.stderr) == (1, said)


def files_and_bytes(path: Path) -> tuple[int, int]:
    """Return the caller's limits, as statvfs(3) tells them."""
    stat = os.statvfs(path)
    return stat.f_files, stat.f_blocks * stat.f_frsize


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ((), (100, 2**20)),
        (("-o", "size=2M"), (100, 2**21)),
        (("-o", "nr_inodes=200"), (200, 2**20)),
        (("-o", "size=2M,nr_inodes=1K"), (1024, 2**21)),
    ],
)
def test_mount_options_go_before_the_file(
    commands: Commands, mountpoint: Path, option: tuple[str, ...], expected: tuple[int, int]
) -> None:
    configure(commands.folder, "[eventfs-config]\nsize = 1M\nnr_inodes = 100\n")
    commands.mount(*option, "-c", "eventfs.conf", "events")
    assert files_and_bytes(mountpoint) == expected


def test_each_user_has_the_limits_of_their_file(commands: Commands, mountpoint: Path) -> None:
    main = MAIN + "default_max_files = 300\nsize = 1G\n"
    configure(commands.folder, main, {"root": quota("user = root", max_bytes="1M", max_files=200)})
    commands.mount("-c", "eventfs.conf", "events")
    assert files_and_bytes(mountpoint) == (200, 2**20)


@pytest.fixture
def etc(apart: Namespace) -> Path:
    """The folder /etc/eventfs of a machine of the test's own."""
    return default_folder(apart)


def test_without_a_default_file_the_configuration_is_good(
    commands: Commands, apart: Namespace, etc: Path
) -> None:
    for _ in range(2):  # with an empty folder, and without it
        done = commands.run("--check-config", command=(*apart.enter, EVENTFS))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        if etc.exists():
            etc.rmdir()


def test_the_default_file_is_read_where_no_other_is_named(
    commands: Commands, apart: Namespace, etc: Path
) -> None:
    configure(etc, BAD_MAIN, BAD)
    apart.path("/mnt/events").mkdir()
    for arguments in (("--check-config",), ("/mnt/events",), ("-f", "/mnt/events")):
        done = commands.run(*arguments, command=(*apart.enter, EVENTFS))
        assert done.returncode == 1
        assert done.stderr.splitlines() == [f"/etc/eventfs/{line}" for line in BAD_LINES]


def test_the_default_files_limits_are_in_force(
    commands: Commands, apart: Namespace, etc: Path
) -> None:
    configure(etc, "[eventfs-config]\nnr_inodes = 7\n")
    apart.path("/mnt/events").mkdir()
    commands.mount("/mnt/events", command=(*apart.enter, EVENTFS))
    assert os.statvfs(apart.path("/mnt/events")).f_files == 7


def test_another_file_stands_instead_of_the_default_one(
    commands: Commands, apart: Namespace, etc: Path
) -> None:
    configure(etc, BAD_MAIN, BAD)
    path = configure(commands.folder, MAIN, GOOD)
    done = commands.run("--check-config", "-c", path, command=(*apart.enter, EVENTFS))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("folder_mode", [0o700, 0o755])
def test_a_default_file_that_may_not_be_read_is_told(
    commands: Commands, apart: Namespace, etc: Path, folder_mode: int
) -> None:
    configure(etc, MAIN, GOOD).chmod(0o600)
    etc.chmod(folder_mode)
    user = (*apart.enter, sys.executable, "-c", EVENTFS_AS, str(NOBODY))
    for arguments in (("--check-config",), ("/mnt",)):
        done = commands.run(*arguments, command=user)
        said = "/etc/eventfs/eventfs.conf:1: can't be read: Permission denied\n"
        assert (done.returncode, done.stderr) == (1, said)


def test_a_users_daemon_outlives_whatever_becomes_of_the_default_file(
    apart: Namespace, tmp_path: Path
) -> None:
    apart.let_users_mount()
    apart.let_users_allow_others()
    etc = default_folder(apart)
    path = apart.path("/mnt/events")
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    log = tmp_path / "log"
    user = (*apart.enter, sys.executable, "-c", EVENTFS_AS, str(NOBODY))
    with log.open("wb") as stderr:
        daemon = subprocess.Popen([*user, "-f", "-o", "allow_other", "/mnt/events"], stderr=stderr)

    def limit_after_sighup() -> int:
        lines = len(log.read_text().splitlines())
        daemon.send_signal(signal.SIGHUP)
        wait_until(lambda: len(log.read_text().splitlines()) > lines, "a word of the daemon")
        return os.statvfs(path).f_files

    try:
        wait_until(
            lambda: "/mnt/events" in mounts(apart.pid) or daemon.poll() is not None, "the mount"
        )
        before = os.statvfs(path).f_files
        assert limit_after_sighup() == before
        configure(etc, "[eventfs-config]\nnr_inodes = 7\n")
        assert limit_after_sighup() == 7
        etc.chmod(0o700)
        assert limit_after_sighup() == 7
        etc.rename(etc.with_name("gone"))
        assert limit_after_sighup() == before
        denied = "/etc/eventfs/eventfs.conf:1: can't be read: Permission denied"
        read = "eventfs: the limits have been read again"
        kept = f"eventfs: the old limits stay in force: {denied}"
        assert log.read_text().splitlines() == [read, read, kept, read]
        daemon.terminate()
        assert daemon.wait(DEADLINE_S) == 0
    finally:
        daemon.kill()
        daemon.wait()
