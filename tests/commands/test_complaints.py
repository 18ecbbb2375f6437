"""What the command says when it can't mount: one line, which says what to do."""

import re
import signal
from pathlib import Path

import pytest

from tests.commands.daemons import Commands, complaint


@pytest.fixture(params=[(), ("-f",), ("-d",)], ids=["background", "foreground", "debugging"])
def mode(request: pytest.FixtureRequest) -> tuple[str, ...]:
    arguments: tuple[str, ...] = request.param
    return arguments


def test_a_missing_mountpoint_is_to_be_made(commands: Commands, mode: tuple[str, ...]) -> None:
    said = complaint(commands.run(*mode, "absent"))
    assert said == "absent doesn't exist; make it with: mkdir absent"


def test_a_mountpoint_must_be_a_directory(commands: Commands, mode: tuple[str, ...]) -> None:
    (commands.folder / "file").touch()
    said = complaint(commands.run(*mode, "file"))
    assert re.search(r"^file is no directory; .*directory", said)


def test_the_folder_of_the_mountpoint_must_be_a_directory(commands: Commands) -> None:
    (commands.folder / "file").touch()
    said = complaint(commands.run("file/events"))
    assert said.startswith("file/events can't be used: Not a directory")


def test_a_stale_mount_is_to_be_unmounted(commands: Commands, mode: tuple[str, ...]) -> None:
    commands.mount("events").kill(signal.SIGKILL)
    said = complaint(commands.run(*mode, "events"))
    assert "stale" in said
    assert "Transport endpoint is not connected" in said
    assert said.endswith("fusermount3 -u events")


def test_what_the_complaint_about_a_stale_mount_says_helps(
    commands: Commands, mountpoint: Path
) -> None:
    commands.mount("events").kill(signal.SIGKILL)
    said = complaint(commands.run("events"))
    commands.run(script=said.rpartition(": ")[2])
    commands.mount("events")
    (mountpoint / "queue").mkdir()


def test_a_directory_in_a_stale_mount_is_not_blamed_itself(commands: Commands) -> None:
    commands.mount("events").kill(signal.SIGKILL)
    said = complaint(commands.run("events/queue"))
    assert "Transport endpoint is not connected" in said


def test_an_empty_name_is_no_mountpoint(commands: Commands) -> None:
    # As from eventfs "$UNSET": by no means the working directory.
    assert "exist" in complaint(commands.run(""))


def test_a_command_that_is_advised_can_be_pasted(commands: Commands) -> None:
    said = complaint(commands.run("with space"))
    commands.run(script=said.rpartition(": ")[2])
    assert (commands.folder / "with space").is_dir()


def test_a_symlink_that_leads_nowhere_is_no_mountpoint(commands: Commands) -> None:
    (commands.folder / "link").symlink_to("absent")
    assert complaint(commands.run("link")).startswith("link ")


def test_a_symlink_that_leads_to_itself_is_no_mountpoint(commands: Commands) -> None:
    (commands.folder / "link").symlink_to("link")
    assert "symbolic links" in complaint(commands.run("link"))


def test_no_arguments_are_too_few(commands: Commands) -> None:
    assert re.search("MOUNTPOINT is missing; see eventfs --help", complaint(commands.run()))


def test_a_third_name_is_one_too_many(commands: Commands) -> None:
    assert "'third'" in complaint(commands.run("source", "events", "third"))


def test_a_fourth_name_is_too(commands: Commands) -> None:
    assert "'third'" in complaint(commands.run("source", "events", "third", "fourth"))


@pytest.mark.parametrize("flag", ["-q", "--quick", "-x"])
def test_an_unknown_flag_is_named(commands: Commands, flag: str) -> None:
    assert flag in complaint(commands.run(flag, "events"))


@pytest.mark.parametrize("flag", ["-o", "-c"])
def test_a_flag_without_its_value_is_named(commands: Commands, flag: str) -> None:
    assert f"{flag}: expected one argument" in complaint(commands.run("events", flag))


def test_bad_usage_has_a_status_of_its_own(commands: Commands) -> None:
    assert commands.run("-q").returncode == 2
    assert commands.run("absent").returncode == 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("bogus", "bogus"),
        ("ro,bogus=1", "bogus"),
        ("ro=1", "ro"),
        ("fsname", "fsname"),
        ("fsname=", "fsname"),
        ("subtype=", "subtype"),
        ("max_read=much", "max_read"),
        ("line\nbreak", "line\\nbreak"),
    ],
)
def test_a_bad_mount_option_is_named(commands: Commands, options: str, name: str) -> None:
    # More of them are in test_options: there they cost no process.
    said = complaint(commands.run("-o", options, "events"))
    assert "option" in said
    assert name in said


def test_a_bad_option_is_named_in_every_mode(commands: Commands, mode: tuple[str, ...]) -> None:
    said = complaint(commands.run(*mode, "-o", "ro", "-o", "bogus", "events"))
    assert said == "unknown mount option 'bogus'"


def test_allow_other_and_allow_root_exclude_each_other(commands: Commands) -> None:
    said = complaint(commands.run("-o", "allow_other", "-o", "allow_root", "events"))
    assert "'allow_other'" in said
    assert "'allow_root'" in said


def test_a_start_that_fails_leaves_no_mount_and_no_process(commands: Commands) -> None:
    commands.run("-o", "fsname=", "events")
    assert not commands.is_mounted()
    # `run` returned, so nobody holds its output: whoever is left would.
