"""Who may do what: the same answers and effects as in tmpfs, for the message behind `head`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rights import operations
from tests.rights.places import (
    GROUP,
    OTHER,
    OWNER,
    ROOT,
    USERS,
    User,
    answer,
    differences,
    done_by,
    state,
)

users = pytest.mark.parametrize("user", USERS.values(), ids=USERS)
modes = pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o777, 0o1777], ids=oct)

REFUSED = ("EACCES", "EPERM", "ENOENT", "ENOTEMPTY")

MESSAGE_MODES = (0o600, 0o640, 0o644, 0o666)


def cases(user: User) -> Iterator[operations.Case]:
    for uid in {OWNER, user.uid, OTHER}:
        yield from ((name, 0o644, uid) for name in operations.QUEUE)
        yield from ((name, mode, uid) for name in operations.MESSAGE for mode in MESSAGE_MODES)


@modes
@users
def test_rights_in_a_queue_are_those_in_a_directory_of_tmpfs(
    eventfs: Path, tmpfs: Path, user: User, mode: int
) -> None:
    listed = list(cases(user))
    ours, theirs = (operations.outcomes(root, user, mode, listed) for root in (eventfs, tmpfs))
    assert differences(ours, theirs) == {}


def root_outcomes(root: Path, user: User, mode: int) -> dict[str, Any]:
    def make() -> None:
        for name, uid in (("own", user.uid), ("others", OTHER)):
            (root / name).mkdir()
            os.chown(root / name, uid, uid)
        os.setxattr(root, "user.colour", b"red")
        os.chown(root, OWNER, GROUP)
        root.chmod(mode)

    with (
        done_by(ROOT, make),
        done_by(
            user, lambda: {name: answer(call, root) for name, call in operations.ROOT.items()}
        ) as said,
    ):
        return {**said, "left": state(root)}


@modes
@users
def test_rights_in_the_mounts_root_are_those_in_tmpfss(
    eventfs: Path, tmpfs: Path, user: User, mode: int
) -> None:
    ours, theirs = (root_outcomes(root, user, mode) for root in (eventfs, tmpfs))
    assert differences(ours, theirs) == {}


def refusals(root: Path, user: User) -> dict[str, object]:
    """Return what a user may not do with a queue of mode 700 and a message of mode 600."""
    every = [(name, 0o600, OWNER) for name in (*operations.QUEUE, *operations.MESSAGE)]
    found = operations.outcomes(root, user, 0o700, every)
    return {case[0]: found[case][0] for case in every if found[case][0] in REFUSED}


def test_an_owner_may_do_everything_but_give_things_away(eventfs: Path) -> None:
    assert refusals(eventfs, USERS["owner"]) == {
        "queue: chown to another": "EPERM",
        "message: chown to another": "EPERM",
        "pop what isn't there": "ENOENT",
        "rmdir": "ENOTEMPTY",
    }


def test_a_stranger_may_do_nothing_but_see_that_the_queue_is_there(eventfs: Path) -> None:
    allowed = {*operations.QUEUE, *operations.MESSAGE} - refusals(eventfs, USERS["stranger"]).keys()
    assert allowed == {"queue: stat", "queue: access", "queue: listxattr", "message: access"}
