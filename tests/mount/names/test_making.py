"""What can be made in a queue, and how."""

import os
import stat
from errno import (
    EEXIST,
    EPERM,
)
from pathlib import Path

import pytest

from tests.mount.calls import (
    refused,
)
from tests.mount.making import (
    MAKE_FILE,
    MAKE_NEW,
    MAKE_OTHER,
    Call,
    each,
    fill,
    listed,
    open_with,
)
from tests.mount.processes import CAROL, Forked, in_child


def test_a_queue_has_the_mode_it_was_made_with_less_the_umask(root: Path) -> None:
    queue = root / "masked"

    def make() -> None:
        os.umask(0o027)
        queue.mkdir(0o1775)

    child = Forked(make)
    child.result()
    assert stat.S_IMODE(queue.stat().st_mode) == 0o1750
    child.end()


def test_a_message_has_the_mode_it_was_made_with_less_the_umask(queue: Path) -> None:
    def make() -> None:
        os.umask(0o027)
        open_with(queue / "created", os.O_CREAT | os.O_WRONLY)
        os.mknod(queue / "node", 0o666)

    in_child(make)
    assert stat.S_IMODE((queue / "created").stat().st_mode) == 0o640
    assert stat.S_IMODE((queue / "node").stat().st_mode) == 0o640


def test_messages_take_the_group_of_a_queue_with_s_isgid(queue: Path) -> None:
    os.chown(queue, -1, CAROL)
    queue.chmod(0o2755)
    fill(queue, "message")
    assert (queue / "message").stat().st_gid == CAROL


@each({**MAKE_OTHER, "mkdir": os.mkdir})
def test_nothing_but_messages_can_be_made_in_a_queue(queue: Path, call: Call) -> None:
    with refused(EPERM):
        call(queue / "new")
    assert listed(queue) == []


@each(MAKE_FILE)
def test_a_message_can_be_made_in_a_queue_by(queue: Path, call: Call) -> None:
    call(queue / "new")
    assert listed(queue) == ["head", "new", "tail"]


@each(MAKE_NEW)
def test_a_name_that_is_taken_cannot_be_made_again_by(queue: Path, call: Call) -> None:
    fill(queue, "taken")
    with refused(EEXIST):
        call(queue / "taken")
    assert (queue / "taken").read_text() == "taken"


def test_mknod_without_a_type_makes_a_message(queue: Path) -> None:
    os.mknod(queue / "message", 0o644)
    assert stat.S_ISREG((queue / "message").stat().st_mode)


ports = pytest.mark.parametrize("port", [".pipe", ".lines"])


@ports
@each({**MAKE_NEW, **MAKE_OTHER, "mkdir": os.mkdir})
def test_nothing_can_be_made_in_the_place_of_a_port_by(queue: Path, port: str, call: Call) -> None:
    with refused(EEXIST):
        call(queue / port)
    assert listed(queue) == []


@ports
def test_a_port_is_there_and_not_listed(queue: Path, port: str) -> None:
    assert (queue / port).stat().st_size == 0
    fill(queue, "message")
    assert stat.S_ISREG((queue / port).stat().st_mode)
    assert listed(queue) == ["head", "message", "tail"]
