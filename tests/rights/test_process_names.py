"""Rights that the daemon looks up in /proc don't depend on what a thread is called."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.calls import libc
from tests.mounts import Mount
from tests.rights.places import (
    CAP_FOWNER,
    ROOT,
    STRANGER,
    USERS,
    Place,
    User,
    answer,
    done_by,
    make_place,
    state,
)
from tests.rights.raw_lists import ACCESS, EXTENDED, encode

#: linux/prctl.h
_PR_SET_NAME = 15

pytestmark = pytest.mark.parametrize(
    "name", [b"caf\xc3", b"\xff\xfe) R 1", b"a\nTgid:\t1\nUid"], ids=repr
)


def by_thread(name: bytes, call: Callable[..., object], *arguments: object) -> object:
    """Call a function in a thread with this name."""
    said: list[object] = []

    def run() -> None:
        libc.prctl(_PR_SET_NAME, name)
        said.append(answer(call, *arguments))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return said[0]


@pytest.fixture(autouse=True)
def _silent(rights_mount: Mount) -> Iterator[None]:
    """Nothing of this is worth a line in the log."""
    yield
    assert rights_mount.said() == ""


@pytest.fixture
def place(eventfs: Path) -> Iterator[Place]:
    """A queue with S_ISVTX, and another user's message in it."""
    with done_by(ROOT, lambda: make_place(eventfs / "place", 0o1777, 0o2755)) as made:
        yield made


def test_it_may_make_a_queue_which_goes_with_its_process(eventfs: Path, name: bytes) -> None:
    with done_by(USERS["stranger"], lambda: by_thread(name, os.mkdir, eventfs / "own")) as said:
        assert said is None
        assert os.listdir(eventfs) == ["own"]
    assert os.listdir(eventfs) == []


def test_it_pops_the_message_that_it_has_read(place: Place, name: bytes) -> None:
    def read_and_pop() -> str:
        text = place.head.read_text()
        place.head.unlink()
        return text

    with done_by(USERS["owner"], lambda: by_thread(name, read_and_pop)) as said:
        assert said == "text"
    assert not place.message.exists()


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (User(STRANGER), "EPERM"),
        (User(STRANGER, capabilities=(CAP_FOWNER,)), None),
        (USERS["owner"], None),
    ],
    ids=["stranger", "stranger with CAP_FOWNER", "owner"],
)
def test_s_isvtx_counts_for_it_as_for_others(
    place: Place, name: bytes, user: User, said: str | None
) -> None:
    with done_by(user, lambda: by_thread(name, place.head.unlink)) as answered:
        assert answered == said
    assert place.message.exists() == (said is not None)


def test_a_list_that_it_sets_takes_s_isgid_as_others_do(place: Place, name: bytes) -> None:
    value = encode(*EXTENDED)
    for user, mode in (("root", "-rwxrws--x"), ("owner", "-rwxrwx--x")):
        with done_by(
            USERS[user], lambda: by_thread(name, os.setxattr, place.message, ACCESS, value)
        ) as said:
            assert said is None
        assert state(place.message)["mode"] == mode
