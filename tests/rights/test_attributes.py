"""Raw access control lists as on tmpfs, and the attributes that a queue doesn't keep."""

import os
from errno import E2BIG, EOPNOTSUPP, errorcode
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.mount.calls import refused
from tests.rights.places import (
    ROOT,
    USERS,
    Place,
    answer,
    differences,
    done_by,
    make_place,
    state,
)
from tests.rights.raw_lists import (
    ACCESS,
    DEFAULT,
    EXTENDED,
    GROUP_OBJ,
    MASK,
    MINIMAL,
    NO_ID,
    OTHER_TAG,
    USER,
    USER_OBJ,
    encode,
)

_FIRST, _REST = EXTENDED[0], EXTENDED[1:]

LISTS = {
    "minimal": encode(*MINIMAL),
    "extended": encode(*EXTENDED),
    "minimal with a mask": encode(*MINIMAL[:2], (MASK, 4, NO_ID), MINIMAL[2]),
    "no rights": encode((USER_OBJ, 0, NO_ID), (GROUP_OBJ, 0, NO_ID), (OTHER_TAG, 0, NO_ID)),
    "an id where none counts": encode((USER_OBJ, 7, 5), *_REST),
    "nothing": b"",
    "no entries": encode(),
    "half a header": b"\2\0",
    "another version": encode(*EXTENDED, version=1),
    "no version": encode(*EXTENDED, version=0xFFFFFFFF),
    "a byte too few": encode(*EXTENDED)[:-1],
    "a byte too many": encode(*EXTENDED) + b"\0",
    "text": b"user::rwx,group::rwx,other::rwx",
    "without the owner": encode(*_REST),
    "without the group": encode(*(entry for entry in EXTENDED if entry[0] != GROUP_OBJ)),
    "without the mask": encode(*(entry for entry in EXTENDED if entry[0] != MASK)),
    "without the others": encode(*EXTENDED[:-1]),
    "the owner twice": encode(_FIRST, *EXTENDED),
    "the mask twice": encode(*EXTENDED[:-1], (MASK, 7, NO_ID), EXTENDED[-1]),
    "out of order": encode(*reversed(EXTENDED)),
    "unknown rights": encode((USER_OBJ, 8, NO_ID), *_REST),
    "an unknown tag": encode(*EXTENDED, (0x40, 7, 5)),
    "a user without an id": encode(_FIRST, (USER, 7, NO_ID), *_REST[1:]),
}


def set_and_remove(place: Place, value: bytes) -> list[Any]:
    """Set a list on a directory and on a message, with and without one before, and remove it."""
    found: list[Any] = []
    for path in (place.path, place.message, place.head):
        for name in (ACCESS, DEFAULT):
            for flags in (0, 0, os.XATTR_CREATE, os.XATTR_REPLACE):
                found += [
                    (path.name, name, flags),
                    answer(os.setxattr, path, name, value, flags),
                    answer(os.getxattr, path, name),
                    state(path),
                ]
            found += [answer(os.removexattr, path, name), answer(os.removexattr, path, name)]
            found += [state(path)]
    return found


@pytest.mark.parametrize("value", LISTS.values(), ids=LISTS)
def test_a_raw_list_is_taken_or_refused_as_on_tmpfs(
    eventfs: Path, tmpfs: Path, value: bytes
) -> None:
    said = []
    for root in (eventfs, tmpfs):
        with done_by(ROOT, partial(make_place, root / "place", 0o2755)) as place:
            said.append(set_and_remove(place, value))
    assert differences(dict(enumerate(said[0])), dict(enumerate(said[1]))) == {}


@pytest.mark.parametrize("name", [ACCESS, DEFAULT])
def test_a_list_that_is_not_there_is_removed_without_a_word(eventfs: Path, name: str) -> None:
    with done_by(ROOT, lambda: make_place(eventfs / "place", 0o755)) as place:
        for path in (eventfs, place.path, place.message):
            before = state(path)
            os.removexattr(path, name)
            assert state(path) == before


def test_a_list_of_more_than_a_page_is_too_big_for_fuse(eventfs: Path) -> None:
    many = [(USER, 7, 20_000 + number) for number in range(600)]
    with done_by(ROOT, lambda: make_place(eventfs / "place", 0o755)) as place:
        before = state(place.path)
        with refused(E2BIG):
            os.setxattr(place.path, ACCESS, encode(_FIRST, *many, *_REST[1:]))
        assert state(place.path) == before


NOT_SUPPORTED = errorcode[EOPNOTSUPP]

#: What the kernel answers by itself to users without capabilities who set, get and remove.
KERNELS = {
    "trusted.x": ("EPERM", "ENODATA", "EPERM"),
    "security.x": ("EPERM", NOT_SUPPORTED, "EPERM"),
}


@pytest.mark.parametrize("user", ["root", "owner"])
@pytest.mark.parametrize(
    "name",
    ["trusted.x", "security.x", "system.x", "system.posix_acl", "system.posix_acl_access2", "x.y"],
)
def test_other_attributes_are_not_supported(eventfs: Path, name: str, user: str) -> None:
    def set_get_remove() -> list[tuple[object, ...]]:
        paths = (place.path, place.message, place.head, eventfs)
        return [
            (
                answer(os.setxattr, path, name, b"x"),
                answer(os.getxattr, path, name),
                answer(os.removexattr, path, name),
            )
            for path in paths
        ]

    expected = 3 * (NOT_SUPPORTED,)
    if user != "root":
        expected = KERNELS.get(name, expected)
    with done_by(ROOT, lambda: make_place(eventfs / "place", 0o777, 0o666)) as place:
        before = state(eventfs)
        with done_by(USERS[user], set_get_remove) as said:
            assert set(said) == {expected}
        assert state(eventfs) == before
