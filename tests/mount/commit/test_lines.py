"""The beginning of a line, and the end of who wrote it."""

import os
import subprocess
from pathlib import Path

from tests.mount.ports.using import opened, take_all
from tests.mount.processes import Fork


def begin_a_line(queue: Path) -> None:
    """Write a line and half of another; nothing is closed until the process ends."""
    port = os.open(queue / ".lines", os.O_WRONLY)
    os.write(port, b"one\ntw")


def test_it_goes_with_a_writer_who_is_killed(queue: Path, fork: Fork) -> None:
    fork(lambda: begin_a_line(queue)).end()
    assert take_all(queue) == [b"one"]


def test_it_is_a_message_when_its_writer_exits(queue: Path) -> None:
    subprocess.run(["sh", "-c", f"printf 'one\\ntw' > {queue}/.lines"], check=True)
    assert take_all(queue) == [b"one", b"tw"]


def test_it_stays_where_another_process_is_killed_that_shares_the_port(
    queue: Path, fork: Fork
) -> None:
    with opened(queue, os.O_WRONLY, ".lines") as port:
        other = fork(lambda: os.write(port, b"one\n"))
        os.write(port, b"tw")
        other.end()
        os.write(port, b"o\n")
    assert take_all(queue) == [b"one", b"two"]


def test_what_is_charged_for_it_is_given_back(queue: Path, fork: Fork) -> None:
    before = os.statvfs(queue).f_bfree
    for _ in range(5):
        fork(lambda: begin_a_line(queue)).end()
    assert take_all(queue) == [b"one"] * 5
    assert os.statvfs(queue).f_bfree == before
