"""What --help says, and what the command line mustn't be."""

import re

import pytest

from tests.eventq.running import run, shell, succeed

COMMANDS = "create send recv claim peek cast ls stat watch wait rm follow".split()  # noqa: SIM905

MISTAKES = [
    "",
    "sned queue",
    "send",
    "recv",
    "recv queue other",
    "recv --count 0 queue",
    "recv --count many queue",
    "recv --count 2 --follow queue",
    "recv --timeout -1 queue",
    "recv --timeout nan queue",
    "recv --timeout soon queue",
    "recv --lines --json queue",
    "recv --exec cat --json queue",
    "recv --foll queue",
    "claim",
    "claim queue",
    "claim --exec cat",
    "claim --exec cat queue other",
    "claim --exec cat --count 2 --follow queue",
    "claim --exec cat --json queue",
    "claim --exec cat --lease 0 queue",
    "claim --exec cat --lease soon queue",
    "peek --lines -0 queue",
    "cast",
    "create",
    "create --owner 0 queue",
    "create --owner -5 queue",
    "create --owner me queue",
    "create --mode 888 queue",
    "create --mode 2770 queue",
    "create --mode u=rw queue",
    "create --max-messages 0 queue",
    "create --max-messages 1.5 queue",
    "create --max-bytes many queue",
    "create --overflow drop queue",
    "create --ttl 0 queue",
    "create --ttl nan queue",
    "create --max-attempts 0 queue",
    "create --lease -1 queue",
    "stat",
    "watch",
    "wait --empty --gone queue",
    "rm",
    "follow",
]


def test_help_names_every_command_and_every_status() -> None:
    said = succeed("--help").decode()
    for command in COMMANDS:
        assert re.search(rf"^    {command} +\S", said, re.MULTILINE), command
    for status in range(13):
        assert re.search(rf"^  {status} +\S", said, re.MULTILINE), status


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_how_it_is_used(command: str) -> None:
    said = succeed(command, "--help").decode()
    assert said.startswith(f"usage: eventq {command} ")
    assert "\nexamples:\n" in said
    assert re.search(rf"^  .*eventq {command}", said, re.MULTILINE)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_terminal(command: str) -> None:
    done = shell(f'COLUMNS=80 "$eventq" {command} --help')
    assert (done.status, done.stderr) == (0, b"")
    assert [line for line in done.stdout.decode().splitlines() if len(line) > 80] == []


def test_help_of_create_says_whose_queue_it_is() -> None:
    said = " ".join(succeed("create", "--help").decode().split())
    assert "the process that started eventq" in said
    assert "--owner $$" in said


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_command_line_is_status_2_and_one_line(mistake: str) -> None:
    done = run(*mistake.split())
    assert done.status == 2
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"eventq( \w+)?: .*; see eventq( \w+)? --help", lines[0])


def test_the_version_is_that_of_the_project() -> None:
    assert re.fullmatch(rb"eventq \d+\.\d+\.\d+\n", succeed("--version"))
