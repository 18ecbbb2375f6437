"""What --help and --version say."""

import re
import subprocess

import pytest

from tests.commands.daemons import EVENTFS, Commands


@pytest.fixture(scope="module")
def help_() -> str:
    done = subprocess.run([EVENTFS, "--help"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_help_shows_the_usage_first(help_: str) -> None:
    usage = "usage: eventfs [-c FILE] [-f] [-d] [-s] [-o OPTION[,OPTION...]] [SOURCE] MOUNTPOINT"
    assert help_.startswith(usage)


def test_help_says_what_a_queue_is_and_how_long_it_lives(help_: str) -> None:
    text = " ".join(help_.split())
    assert "each directory is a message queue that belongs to the process that made it" in text
    assert "`head`" in text
    assert "`tail`" in text
    assert "user.eventfs_sticky" in text


@pytest.mark.parametrize("flag", ["-c", "-f", "-d", "-s", "-o", "--version"])
def test_help_explains_every_flag(help_: str, flag: str) -> None:
    assert re.search(rf"^ +{flag}( [A-Z]+)? +\S", help_, re.MULTILINE)


@pytest.mark.parametrize(
    "option",
    ["allow_other", "allow_root", "auto_unmount", "fsname=", "subtype=", "ro", "noexec", "nosuid"],
)
def test_help_names_the_usual_mount_options(help_: str, option: str) -> None:
    assert option in help_


def test_help_shows_how_to_mount_and_unmount(help_: str) -> None:
    assert re.search(r"^  eventfs /\S+ ", help_, re.MULTILINE)
    assert re.search(r"^  fusermount3 -u /\S+ ", help_, re.MULTILINE)


def test_help_shows_a_line_for_fstab(help_: str) -> None:
    assert re.search(r"^ *\S+ +/\S+ +fuse\.eventfs +\S+ +0 +0$", help_, re.MULTILINE)


def test_help_fits_a_terminal(commands: Commands) -> None:
    done = commands.run(script='COLUMNS=80 "$eventfs" --help')
    assert max(map(len, done.stdout.splitlines()[1:])) <= 100


def test_the_short_flag_is_the_same(commands: Commands, help_: str) -> None:
    assert commands.run("-h").stdout == help_


def test_the_version_is_that_of_the_project(commands: Commands) -> None:
    done = commands.run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"eventfs \d+\.\d+\.\d+ \(compiled\)\n", done.stdout)


def test_the_version_needs_no_mountpoint_and_mounts_nothing(commands: Commands) -> None:
    assert commands.run("--version", "events").returncode == 0
    assert not commands.is_mounted()
