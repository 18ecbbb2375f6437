"""Where no further owner can be watched."""

import os
from collections.abc import Iterator
from errno import ENFILE

import pytest

from tests.mount.calls import refused
from tests.mount.daemon import Mounter
from tests.mount.fate.owners import Start
from tests.mount.making import is_gone
from tests.mount.processes import Forked, in_child
from tests.mounts import Mount

#: The command that starts a daemon which can't have more than this many descriptors.
DESCRIPTORS = 40
SCARCE = (
    "setpriv",
    "--bounding-set=-sys_resource",
    "--inh-caps=-sys_resource",
    "prlimit",
    f"--nofile={DESCRIPTORS}:{DESCRIPTORS}",
)


@pytest.fixture
def scarce_mount(mounter: Mounter) -> Mount:
    """A mount whose daemon has few descriptors, and no right to allow itself more."""
    return mounter("-o", "allow_other", argv0=SCARCE)


@pytest.fixture
def exhausted(scarce_mount: Mount) -> Iterator[list[Forked]]:
    """As many owners as the daemon can watch, each with the queue that is its place here."""
    owners = []
    try:
        for number in range(DESCRIPTORS):
            owner = Forked((scarce_mount.path / str(number)).mkdir)
            owners.append(owner)
            owner.result()
    except OSError:
        owners.pop().end()
    try:
        yield owners
    finally:
        for owner in owners:
            owner.end()


def test_where_no_owner_can_be_watched_mkdir_is_refused(
    scarce_mount: Mount, exhausted: list[Forked]
) -> None:
    assert 10 < len(exhausted) < DESCRIPTORS
    for _ in range(3):
        with refused(ENFILE):
            in_child((scarce_mount.path / "one more").mkdir)
    assert len(os.listdir(scarce_mount.path)) == len(exhausted)
    assert is_gone(scarce_mount.path / "one more")


def test_where_no_owner_can_be_watched_a_threads_mkdir_is_refused_too(
    scarce_mount: Mount, exhausted: list[Forked], start: Start
) -> None:
    code = (
        "import errno, os, sys, threading\n"
        "def make():\n"
        "    try: os.mkdir(sys.argv[1])\n"
        "    except OSError as error: print(errno.errorcode[error.errno], flush=True)\n"
        "threading.Thread(target=make).start()"
    )
    assert start(code, scarce_mount.path / "one more").line == "ENFILE"
    assert len(os.listdir(scarce_mount.path)) == len(exhausted)


@pytest.mark.usefixtures("exhausted")
def test_a_refused_mkdir_leaves_no_descriptor_behind(scarce_mount: Mount) -> None:
    before = scarce_mount.descriptors()
    for _ in range(20):
        with refused(ENFILE):
            (scarce_mount.path / "one more").mkdir()
    assert scarce_mount.descriptors() == before


def test_an_owner_that_is_watched_already_can_make_more_queues(
    scarce_mount: Mount, exhausted: list[Forked]
) -> None:
    def make() -> None:
        (scarce_mount.path / "first").mkdir()
        (scarce_mount.path / "second").mkdir()

    exhausted.pop().end()
    owner = Forked(make)
    exhausted.append(owner)
    owner.result()
    with refused(ENFILE):
        (scarce_mount.path / "one more").mkdir()
    owner.end()
    assert is_gone(scarce_mount.path / "second")


@pytest.mark.usefixtures("exhausted")
def test_all_else_works_where_no_owner_can_be_watched(scarce_mount: Mount) -> None:
    queue = scarce_mount.path / "0"
    (queue / "message").write_text("text")
    assert (queue / "head").read_text() == "text"
    (queue / "head").unlink()
    assert os.listdir(queue) == []


def test_when_owners_have_died_others_can_be_watched_again(
    scarce_mount: Mount, exhausted: list[Forked]
) -> None:
    exhausted.pop().end()
    owner = Forked((scarce_mount.path / "one more").mkdir)
    exhausted.append(owner)
    owner.result()
    assert (scarce_mount.path / "one more").is_dir()
    for number in range(len(exhausted)):
        exhausted[number].end()
    assert os.listdir(scarce_mount.path) == []
    (scarce_mount.path / "one more").mkdir()
