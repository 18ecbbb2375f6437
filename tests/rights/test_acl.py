"""Access control lists by the commands that people use, as on tmpfs."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.rights.operations import accesses, use
from tests.rights.places import (
    GROUP,
    MEMBER,
    OTHER,
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

#: A group that lists name; nobody's own.
TEAM = 10_011

#: Who tries to get in.
VISITORS = {
    **USERS,
    "other": User(OTHER),
    "other of the team": User(OTHER, (TEAM,)),
}

#: What STRANGER's, OTHER's and TEAM's rights are in the commands.
NUMBERS = {"stranger": STRANGER, "other": OTHER, "team": TEAM}

SERIES = {
    "user": "setfacl -m u:{stranger}:rwx . message",
    "user without a right": "chmod 755 .; setfacl -m u:{stranger}:- . message",
    "two users": "setfacl -m u:{stranger}:rwx,u:{other}:r-x . message",
    "group": "setfacl -m g:{team}:rwx . message",
    "group and its member": "setfacl -m g:{team}:rwx,u:{other}:--x . message",
    "owner's group": "setfacl -m g::rwx . message",
    "others": "setfacl -m o::rx . ; setfacl -m o::r message",
    "owner": "setfacl -m u::rx . message",
    "mask": "setfacl -m u:{stranger}:rwx,g:{team}:rwx . message; setfacl -m m::rx . message",
    "mask by itself": "setfacl -m m::x . message",
    "mask that isn't reckoned": "setfacl -n -m u:{stranger}:rwx . message",
    "whole list": "setfacl --set u::rwx,u:{stranger}:rw,g::-,m::rwx,o::- . message",
    "mode": "setfacl --set u::rw,g::r,o::- message",
    "change": "setfacl -m u:{stranger}:rwx .; setfacl -m u:{stranger}:x .",
    "remove one": "setfacl -m u:{stranger}:rwx,u:{other}:rwx .; setfacl -x u:{stranger} .",
    "remove the last": "setfacl -m u:{stranger}:rwx .; setfacl -x u:{stranger},m .",
    "remove what isn't there": "setfacl -x u:{stranger} . message",
    "remove all": "setfacl -m u:{stranger}:rwx,d:u:{stranger}:rwx .; setfacl -b . message",
    "remove the default": "setfacl -m d:u:{stranger}:rwx .; setfacl -k .; echo x > new",
    "chmod": "setfacl -m u:{stranger}:rwx . message; chmod 750 .; chmod 604 message",
    "chmod of the group": "setfacl -m u:{stranger}:rwx . message; chmod g= . message",
    "chmod of all": "setfacl -m g:{team}:rwx . message; chmod 7777 .; chmod 6777 message",
    "default": "setfacl -m d:u:{stranger}:rwx .; echo x > new; umask 077; echo x > private",
    "default mode": "setfacl -m d:u::rw,d:g::rw,d:o::- .; umask 077; echo x > new",
    "default and its mask": "setfacl -m d:u:{stranger}:rwx,d:m::r .; echo x > new",
    "default of a message": "setfacl -m d:u:{stranger}:rwx message",
    "default and link": "setfacl -m d:u:{stranger}:rwx .; ln message linked",
    "link": "ln message linked; setfacl -m u:{stranger}:rw linked",
    "through head": "setfacl -m u:{stranger}:rw head; getfacl -ncp head",
    "copy": "setfacl -m u:{stranger}:rw message; cp -p message copy; cp message plain",
    "list from another": "setfacl -m u:{stranger}:rw message; echo x > new;"
    " getfacl -np message | setfacl --set-file=- new",
    "restore": "setfacl -m u:{stranger}:rwx,d:g:{team}:rx ."
    " ; saved=$(getfacl -np . message); setfacl -b . message; chmod 777 ."
    ' ; echo "$saved" | setfacl --restore=-',
    "nonsense": "setfacl -m u:{stranger}:rwq .; setfacl -m m::rwx,u::rwx,x::r message",
}


def shell(place: Place, script: str) -> tuple[str, str]:
    """Run commands in a place; return what they say, and the lists that are there then."""
    lists = 'umask 022; getfacl -np . $(ls | grep -v -e "^head$" -e "^tail$")'
    commands = [script.format(**NUMBERS), lists]
    done = [
        subprocess.run(
            ["sh", "-c", command],
            cwd=place.path,
            env={**os.environ, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        ).stdout
        for command in commands
    ]
    return done[0], done[1]


def visit(path: Path) -> dict[str, object]:
    """Try what a queue's and its messages' lists allow."""
    names = ("", "message", "new", "private", "linked", "copy", "plain")
    return {
        "rights": {name: accesses(path / name) for name in names},
        "read": {name: answer(use, path / name, os.O_RDONLY) for name in names[1:]},
        "write": {name: answer(use, path / name, os.O_WRONLY, b"x") for name in names[1:]},
        "list": answer(lambda: sorted(set(os.listdir(path)) - {"head", "tail"})),
        "create": answer(use, path / "mine", os.O_CREAT | os.O_EXCL | os.O_WRONLY),
        "remove": answer(os.unlink, path / "mine"),
    }


def outcome(root: Path, script: str, user: User, mode: int = 0o700) -> dict[str, Any]:
    """Run commands as a user; return what they said and left, and who may do what then."""
    with done_by(ROOT, lambda: make_place(root / "place", mode, mode & 0o666)) as place:
        with done_by(user, lambda: shell(place, script)) as said:
            found = {"said": said, "left": state(place.path)}
        for name, visitor in VISITORS.items():
            with done_by(visitor, lambda: visit(place.path)) as tried:
                found[name] = tried
        return found


@pytest.mark.parametrize("script", SERIES.values(), ids=SERIES)
def test_commands_do_and_say_what_they_do_and_say_on_tmpfs(
    eventfs: Path, tmpfs: Path, script: str
) -> None:
    ours, theirs = (outcome(root, script, USERS["owner"]) for root in (eventfs, tmpfs))
    assert ours == theirs


@pytest.mark.parametrize("name", USERS)
def test_who_may_change_lists_is_as_on_tmpfs(eventfs: Path, tmpfs: Path, name: str) -> None:
    script = "setfacl -m u:{other}:rwx,g::rx . message; setfacl -b message; setfacl -k ."
    ours, theirs = (outcome(root, script, USERS[name], 0o755) for root in (eventfs, tmpfs))
    assert ours == theirs


# Of a user with a name, who is told to setfacl by name or by number


@pytest.fixture(params=["name", "number"])
def named(request: pytest.FixtureRequest) -> tuple[str, int]:
    """A user as setfacl is told of them, and their number."""
    user = pwd.getpwnam("nobody")
    return (user.pw_name if request.param == "name" else str(user.pw_uid)), user.pw_uid


@pytest.fixture
def place(eventfs: Path) -> Iterator[Place]:
    """A queue of OWNER's with mode 700."""
    with done_by(ROOT, lambda: make_place(eventfs / "place", 0o700, 0o600)) as made:
        yield made


def may_enter(place: Place, user: User) -> bool:
    def create_and_list() -> bool:
        name = f"from-{os.getuid()}"
        use(place.path / name, os.O_CREAT | os.O_WRONLY, b"x")
        listed = name in os.listdir(place.path)
        (place.path / name).unlink()
        return listed

    with done_by(user, lambda: answer(create_and_list)) as entered:
        assert entered in (True, "EACCES")
        return entered is True


def test_a_list_on_a_queue_lets_just_that_user_in(place: Place, named: tuple[str, int]) -> None:
    name, uid = named
    assert not may_enter(place, User(uid))
    subprocess.run(["setfacl", "-m", f"u:{name}:rwx", place.path], check=True)
    assert may_enter(place, User(uid))
    assert may_enter(place, USERS["owner"])
    for other in ("group member", "stranger", "root without capabilities"):
        assert not may_enter(place, USERS[other])


def getfacl(path: Path) -> list[str]:
    done = subprocess.run(["getfacl", "-cp", path], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def test_getfacl_shows_what_setfacl_set(place: Place, named: tuple[str, int]) -> None:
    name, _ = named
    lists = f"u:{name}:rwx,d:u:{name}:rw"
    subprocess.run(["setfacl", "-m", lists, place.path], check=True)
    assert getfacl(place.path) == [
        *("user::rwx", "user:nobody:rwx", "group::---", "mask::rwx", "other::---"),
        *("default:user::rwx", "default:user:nobody:rw-", "default:group::---"),
        *("default:mask::rw-", "default:other::---"),
    ]


def test_a_default_list_reaches_new_messages(place: Place, named: tuple[str, int]) -> None:
    name, uid = named
    lists = f"u:{name}:x,d:u:{name}:rw"
    subprocess.run(["setfacl", "-m", lists, place.path], check=True)
    with done_by(USERS["owner"], lambda: use(place.path / "new", os.O_CREAT | os.O_WRONLY, b"new")):
        assert getfacl(place.path / "new") == [
            *("user::rw-", "user:nobody:rw-", "group::---", "mask::rw-", "other::---"),
        ]
    for path, read in ((place.path / "new", b"new"), (place.message, "EACCES")):
        with done_by(User(uid), partial(answer, use, path, os.O_RDWR)) as said:
            assert said == read


# On the mount's root


def root_outcome(root: Path) -> list[object]:
    def list_and_make() -> tuple[object, object]:
        path = root / f"of-{os.getuid()}"
        return answer(lambda: sorted(os.listdir(root))), answer(make_queue, path)

    def make_queue(path: Path) -> None:
        path.mkdir()
        (path / "new").touch()

    lists = f"u:{STRANGER}:rwx,d:u:{STRANGER}:rx,d:g:{GROUP}:rwx"
    root.chmod(0o700)
    subprocess.run(["setfacl", "-m", lists, root], check=True)
    found: list[object] = [state(root)]
    for uid in (STRANGER, MEMBER):
        with done_by(User(uid), list_and_make) as said:
            path = root / f"of-{uid}"
            found += [said, state(path) if path.exists() else None]
    return found


def test_lists_on_the_mounts_root_do_what_they_do_on_tmpfss(eventfs: Path, tmpfs: Path) -> None:
    ours, theirs = root_outcome(eventfs), root_outcome(tmpfs)
    assert ours == theirs
    assert ours[1:] == [([], None), ours[2], ("EACCES", "EACCES"), None]
