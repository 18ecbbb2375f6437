"""The mount options of `eventfs -o`."""

import re
from typing import NamedTuple

from eventfs import config
from eventfs.mount.reader import SPIN_NS
from eventfs.mount.session import ROOT_MODE
from eventfs.queues.inode import Mode

#: Passed on to the mount: those without a value by pairs of opposites, and those with one.
_OPPOSITES = (
    ("ro", "rw"),
    ("noexec", "exec"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("sync", "async"),
    ("allow_other", "allow_other"),
    ("allow_root", "allow_root"),
    ("auto_unmount", "auto_unmount"),
    ("dirsync", "dirsync"),
    ("noatime", "atime"),
)
_FLAGS = {flag: pair for pair in _OPPOSITES for flag in pair}
_VALUES = frozenset(("fsname", "subtype"))

#: Our own: tmpfs's names and meanings for the root's mode and the mount's limits, how long to poll
#: before sleeping, and when a message joins its queue.
_OWN = frozenset(("commit", "mode", "nr_inodes", "size", "spin"))

#: For mount(8) and fstab(5), or what is so anyway: nothing to do.
_IGNORED = frozenset(
    (
        *("_netdev", "auto", "noauto", "defaults", "nofail", "default_permissions"),
        *("user", "nouser", "users", "owner", "group"),
        *("diratime", "nodiratime", "lazytime", "nolazytime"),
        *("relatime", "norelatime", "strictatime", "nostrictatime"),
    )
)
_IGNORED_PREFIXES = ("x-", "X-", "comment=")

#: An option: a backslash protects whatever follows it, as in libfuse.
_OPTION = re.compile(r"((?:\\.|[^\\,]|\\$)*)(?:,|$)", re.DOTALL)


class OptionError(Exception):
    """An option can't be used; the message names it."""


class MountOptions(NamedTuple):
    """What `-o` asks for: options of the mount, and our own, None where not given."""

    fuse: frozenset[str]
    debug: bool
    root_mode: Mode
    size_bytes: int | None
    nr_inodes: int | None
    spin_ns: int
    commits_at_close: bool


def _mode(value: str) -> int:
    if not re.fullmatch("0*[0-7]{1,4}", value):
        raise ValueError(f"{value!r} isn't an octal number up to 7777")
    return int(value, 8)


def _spin_ns(value: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", value):
        raise ValueError(f"{value!r} isn't a number of microseconds below a million")
    return int(value) * 1000


def _commits_at_close(value: str) -> bool:
    if value not in ("create", "close"):
        raise ValueError(f"{value!r} is neither 'create' nor 'close'")
    return value == "close"


_OF_VALUE = {"commit": _commits_at_close, "mode": _mode, "spin": _spin_ns}


def _number(name: str, value: str) -> int:
    try:
        return _OF_VALUE.get(name, config.number)(value)
    except ValueError as error:
        raise OptionError(f"mount option {name!r}: {error}") from None


def parse(texts: list[str], source: str | None) -> MountOptions:
    """Read the arguments of all `-o`; *source* names the mount unless `fsname` does.

    Raises OptionError.
    """
    flags: dict[tuple[str, str], str] = {}
    values = {"fsname": re.sub(r"([\\,])", r"\\\1", source or "eventfs"), "subtype": "eventfs"}
    own: dict[str, int] = {}
    debug = False
    for option in (found[1] for text in texts for found in _OPTION.finditer(text)):
        name, equals, value = option.partition("=")
        if name in _FLAGS and not equals:
            flags[_FLAGS[name]] = name
        elif name in _VALUES and value:
            values[name] = value
        elif option == "debug":
            debug = True
        elif name in _OWN and value:
            own[name] = _number(name, value)
        elif name in {*_FLAGS, *_VALUES, *_OWN}:
            problem = "takes no value" if value else f"needs a value: {name}=..."
            raise OptionError(f"mount option {name!r} {problem}")
        elif option and option not in _IGNORED and not option.startswith(_IGNORED_PREFIXES):
            raise OptionError(f"unknown mount option {name!r}")
    fuse = {*flags.values(), *(f"{name}={value}" for name, value in values.items())}
    if {"allow_other", "allow_root"} <= fuse:
        raise OptionError("mount options 'allow_other' and 'allow_root' exclude each other")
    return MountOptions(
        frozenset(fuse - {"atime"}),
        debug,
        Mode(own.get("mode", ROOT_MODE)),
        own.get("size"),
        own.get("nr_inodes"),
        own.get("spin", SPIN_NS),
        bool(own.get("commit")),
    )
