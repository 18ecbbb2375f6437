"""Operations on a queue and on the message behind `head`, for users who may or may not."""

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.mount.calls import link_following
from tests.rights import places
from tests.rights.places import (
    GIVEN_NS,
    GROUP,
    OTHER,
    Place,
    User,
    answer,
    done_by,
    make_elsewhere,
    make_place,
    state,
)

Operation = Callable[[Place], object]


def use(path: Path, flags: int, data: bytes = b"") -> bytes:
    """Open a file, read it or write to it, and close it."""
    fd = os.open(path, flags, 0o666)
    try:
        if data:
            os.write(fd, data)
            return b""
        return os.read(fd, 100) if flags & os.O_ACCMODE != os.O_WRONLY else b""
    finally:
        os.close(fd)


def described(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return stat.filemode(status.st_mode), status.st_uid, status.st_gid


def accesses(path: Path) -> str:
    """Return which of r, w and x the user has."""
    rights = zip("rwx", (os.R_OK, os.W_OK, os.X_OK), strict=True)
    return "".join(letter for letter, right in rights if os.access(path, right))


#: What an inode of either kind has.
_ATTRIBUTES: dict[str, Callable[[Path], object]] = {
    "stat": described,
    "access": accesses,
    "chmod": lambda path: path.chmod(0o705),
    "chmod S_ISGID": lambda path: path.chmod(0o2755),
    "chown to oneself": lambda path: os.chown(path, os.getuid(), -1),
    "chown to another": lambda path: os.chown(path, OTHER, -1),
    "chown to the group": lambda path: os.chown(path, -1, GROUP),
    "chown to one's own group": lambda path: os.chown(path, -1, os.getgid()),
    "utime now": os.utime,
    "utime given": lambda path: os.utime(path, ns=(GIVEN_NS, GIVEN_NS)),
    "setxattr": lambda path: os.setxattr(path, "user.taste", b"sweet"),
    "getxattr": lambda path: os.getxattr(path, "user.colour"),
    "listxattr": lambda path: sorted(os.listxattr(path)),
    "removexattr": lambda path: os.removexattr(path, "user.colour"),
}


def _on_queue(call: Callable[[Path], object], place: Place) -> object:
    return call(place.path)


def _on_message(call: Callable[[Path], object], place: Place) -> object:
    return call(place.head)


QUEUE: dict[str, Operation] = {
    **{f"queue: {name}": partial(_on_queue, call) for name, call in _ATTRIBUTES.items()},
    "setxattr sticky": lambda place: os.setxattr(place.path, "user.eventfs_sticky", b""),
    "list": lambda place: sorted(os.listdir(place.path)),
    "enter": lambda place: os.chdir(place.path),
    "follow head": lambda place: os.readlink(place.head),
    "create": lambda place: use(place.path / "new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, b"new"),
    "mknod": lambda place: os.mknod(place.path / "new", stat.S_IFREG | 0o640),
    "open or create": lambda place: use(place.message, os.O_CREAT | os.O_RDWR),
    "link in": lambda place: os.link(place.elsewhere / "source", place.path / "new"),
    "link out": lambda place: os.link(place.message, place.elsewhere / place.path.name),
    "pop by name": lambda place: place.message.unlink(),
    "pop by head": lambda place: place.behind("head").unlink(),
    "pop by tail": lambda place: place.behind("tail").unlink(),
    "pop what isn't there": lambda place: (place.path / "nothing").unlink(),
    "rmdir": lambda place: place.path.rmdir(),
}

#: On the message, through `head`.
MESSAGE: dict[str, Operation] = {
    **{f"message: {name}": partial(_on_message, call) for name, call in _ATTRIBUTES.items()},
    "chmod S_ISUID": lambda place: place.head.chmod(0o4755),
    "read": lambda place: use(place.head, os.O_RDONLY),
    "read without a trace": lambda place: use(place.head, os.O_RDONLY | os.O_NOATIME),
    "write": lambda place: use(place.head, os.O_WRONLY, b"new"),
    "append": lambda place: use(place.head, os.O_WRONLY | os.O_APPEND, b"new"),
    "read and write": lambda place: use(place.head, os.O_RDWR, b"new"),
    "empty by opening": lambda place: use(place.head, os.O_WRONLY | os.O_TRUNC),
    "empty by opening to read": lambda place: use(place.head, os.O_RDONLY | os.O_TRUNC),
    "truncate": lambda place: os.truncate(place.head, 2),
    "open or create through head": lambda place: use(place.head, os.O_CREAT | os.O_RDWR),
    "link through head": lambda place: link_following(
        place.head, place.elsewhere / place.path.name
    ),
}

#: In the mount's root, where there are the user's `own` and another's `others`, in this order:
#: what changes the rights comes last.
ROOT: dict[str, Callable[[Path], object]] = {
    "list": lambda root: sorted(os.listdir(root)),
    "mkdir": lambda root: (root / "new").mkdir(0o750),
    "mkdir what is there": lambda root: (root / "others").mkdir(),
    "create in one's own": lambda root: use(root / "own/new", os.O_CREAT | os.O_WRONLY, b"new"),
    "pop in one's own": lambda root: (root / "own/new").unlink(),
    "create in another's": lambda root: use(root / "others/new", os.O_CREAT | os.O_WRONLY),
    "rmdir one's own": lambda root: (root / "own").rmdir(),
    "rmdir another's": lambda root: (root / "others").rmdir(),
    "rmdir what isn't there": lambda root: (root / "nothing").rmdir(),
    **_ATTRIBUTES,
}

#: An operation's name, the message's mode and its owner.
Case = tuple[str, int, int]


def outcomes(
    root: Path,
    user: User,
    mode: int,
    cases: list[Case],
    calls: dict[str, Operation] = QUEUE | MESSAGE,
) -> dict[Any, Any]:
    """Carry out each operation in a queue of its own; return the answers and what they left."""

    def make() -> list[Place]:
        make_elsewhere(root, user.uid)
        return [
            make_place(root / f"place-{number}", mode, message_mode, uid)
            for number, (_, message_mode, uid) in enumerate(cases)
        ]

    with done_by(places.ROOT, make) as made:
        pairs = [(calls[name], place) for (name, _, _), place in zip(cases, made, strict=True)]
        with done_by(user, lambda: [answer(call, place) for call, place in pairs]) as said:
            found = {
                case: (answered, state(place.path))
                for case, answered, place in zip(cases, said, made, strict=True)
            }
            return {**found, "elsewhere": state(root / "elsewhere")}
