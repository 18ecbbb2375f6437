"""S_ISUID and S_ISGID: who sets them, what takes them, and what S_ISGID does for a queue."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.rights.operations import MESSAGE, Operation, outcomes
from tests.rights.places import (
    CAP_FSETID,
    GROUP,
    OWNER,
    ROOT,
    USERS,
    User,
    answer,
    differences,
    done_by,
    make_place,
    state,
)
from tests.rights.raw_lists import ACCESS, EXTENDED, MINIMAL, encode

SETTERS = {
    **USERS,
    "owner in the group": User(OWNER, (GROUP,)),
    "owner with CAP_FSETID": User(OWNER, capabilities=(CAP_FSETID,)),
}

#: Everybody may write. Where the group may not execute, FUSE filesystems keep S_ISGID always, and
#: tmpfs only for members.
MODES = (0o4777, 0o2777, 0o6777, 0o4666, 0o6676)

WRITES = (
    *("write", "append", "read and write"),
    *("empty by opening", "empty by opening to read", "truncate"),
)
CHOWNS = [name for name in MESSAGE if "chown" in name]


#: Whoever has CAP_FSETID keeps the bits on tmpfs, but not in any FUSE filesystem.
WRITERS = [name for name in SETTERS if name not in ("root", "owner with CAP_FSETID")]


@pytest.mark.parametrize("name", WRITERS)
def test_writing_takes_set_id_bits_as_on_tmpfs(eventfs: Path, tmpfs: Path, name: str) -> None:
    cases = [(call, mode, OWNER) for call in WRITES for mode in MODES]
    ours, theirs = (outcomes(root, SETTERS[name], 0o777, cases) for root in (eventfs, tmpfs))
    assert differences(ours, theirs) == {}


@pytest.mark.parametrize("name", SETTERS)
def test_chown_takes_set_id_bits_as_on_tmpfs(eventfs: Path, tmpfs: Path, name: str) -> None:
    cases = [(call, mode, OWNER) for call in CHOWNS for mode in MODES]
    ours, theirs = (outcomes(root, SETTERS[name], 0o777, cases) for root in (eventfs, tmpfs))
    assert differences(ours, theirs) == {}


def modes_after(root: Path, user: User, calls: tuple[str, ...], mode: int) -> set[str]:
    """Return the modes that a message of mode *mode* has after each of these calls."""
    cases = [(call, mode, OWNER) for call in calls]
    found = outcomes(root, user, 0o777, cases)
    return {found[case][1]["entries"]["message"]["mode"] for case in cases}


@pytest.mark.parametrize("name", ["stranger", "root", "owner"])
def test_every_write_and_truncation_takes_set_id_bits_also_roots(eventfs: Path, name: str) -> None:
    assert modes_after(eventfs, USERS[name], WRITES, 0o6777) == {"-rwxrwxrwx"}


@pytest.mark.parametrize("name", ["stranger", "group member", "root"])
def test_s_isgid_without_the_groups_right_to_execute_survives_writing(
    eventfs: Path, name: str
) -> None:
    assert modes_after(eventfs, USERS[name], WRITES, 0o2767) == {"-rwxrwSrwx"}


# Who sets them

#: On what has mode 2755, by its path.
SETS = {
    "chmod": lambda path: path.chmod(0o2711),
    "chmod of all bits": lambda path: path.chmod(0o7777),
    "a list": lambda path: os.setxattr(path, ACCESS, encode(*EXTENDED)),
    "a list that is a mode": lambda path: os.setxattr(path, ACCESS, encode(*MINIMAL)),
}


def after_setting(root: Path, user: User, name: str) -> dict[str, Any]:
    with done_by(ROOT, lambda: make_place(root / "place", 0o2755, 0o2755)) as place:
        paths = (place.path, place.head)
        with done_by(user, lambda: [answer(SETS[name], path) for path in paths]) as said:
            return {"said": said, "left": state(place.path)}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("user", SETTERS.values(), ids=SETTERS)
def test_who_may_keep_s_isgid_is_as_on_tmpfs(
    eventfs: Path, tmpfs: Path, user: User, name: str
) -> None:
    assert after_setting(eventfs, user, name) == after_setting(tmpfs, user, name)


@pytest.mark.parametrize(
    ("user", "mode"),
    [
        ("owner", "-rwxrwx--x"),
        ("owner in the group", "-rwxrws--x"),
        ("owner with CAP_FSETID", "-rwxrws--x"),
        ("root", "-rwxrws--x"),
    ],
)
def test_a_list_set_by_an_owner_outside_the_files_group_takes_s_isgid(
    eventfs: Path, user: str, mode: str
) -> None:
    left = after_setting(eventfs, SETTERS[user], "a list")["left"]
    assert left["entries"]["message"]["mode"] == mode


# Queues with S_ISGID

MAKE: dict[str, Operation] = {
    "open": lambda place: os.close(os.open(place.path / "new", os.O_CREAT | os.O_WRONLY, 0o6777)),
    "mknod": lambda place: os.mknod(place.path / "new", stat.S_IFREG | 0o6777),
    "link": lambda place: os.link(place.elsewhere / "source", place.path / "new"),
}


@pytest.mark.parametrize("mode", [0o777, 0o2777, 0o3777], ids=oct)
@pytest.mark.parametrize("user", SETTERS.values(), ids=SETTERS)
def test_a_queue_with_s_isgid_gives_its_group_to_what_is_made_in_it(
    eventfs: Path, tmpfs: Path, user: User, mode: int
) -> None:
    cases = [(call, 0o644, OWNER) for call in MAKE]
    ours, theirs = (outcomes(root, user, mode, cases, MAKE) for root in (eventfs, tmpfs))
    assert differences(ours, theirs) == {}
    for case in cases:
        inherits = mode & stat.S_ISGID and case[0] != "link"
        new = ours[case][1]["entries"]["new"]
        assert new["owners"] == (user.uid, GROUP if inherits else user.uid)
