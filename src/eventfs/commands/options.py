"""The mount options of `eventfs -o`."""

import re
from typing import NamedTuple

from eventfs import config
from eventfs.mount.session import ROOT_MODE
from eventfs.queues.inode import Mode

#: Passed on to libfuse, without and with a value.
_FLAGS = frozenset(
    (
        *("allow_other", "allow_root", "auto_unmount", "async", "sync", "dirsync"),
        *("ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "nodiratime"),
    )
)
_VALUES = frozenset(("fsname", "max_read", "subtype"))

#: Our own, with tmpfs's names and meanings: the root's mode, and the mount's limits.
_OWN = frozenset(("mode", "nr_inodes", "size"))

#: For mount(8) and fstab(5), or what is so anyway: nothing to do.
_IGNORED = frozenset(
    (
        *("_netdev", "auto", "noauto", "defaults", "nofail", "default_permissions"),
        *("user", "nouser", "users", "owner", "group"),
        *("atime", "diratime", "lazytime", "nolazytime"),
        *("relatime", "norelatime", "strictatime", "nostrictatime"),
    )
)
_IGNORED_PREFIXES = ("x-", "X-", "comment=")


class OptionError(Exception):
    """An option can't be used; the message names it."""


class MountOptions(NamedTuple):
    """What `-o` asks for: options for libfuse, and our own, None where not given."""

    fuse: frozenset[str]
    debug: bool
    root_mode: Mode
    size_bytes: int | None
    nr_inodes: int | None


def _number(name: str, value: str) -> int:
    try:
        return int(value, 8) if name == "mode" else config.number(value)
    except ValueError as error:
        raise OptionError(f"mount option {name!r}: {error}") from None


def parse(texts: list[str], source: str | None) -> MountOptions:
    """Read the arguments of all `-o`; *source* names the mount unless `fsname` does.

    Raises OptionError.
    """
    fuse = set()
    own: dict[str, int] = {}
    debug = False
    # A backslash protects a comma in a value, as in libfuse.
    for option in re.split(r"(?<!\\),", ",".join(texts)):
        name, equals, value = option.partition("=")
        if (name in _FLAGS and not equals) or (name in _VALUES and equals):
            fuse.add(option)
        elif option == "debug":
            debug = True
        elif name in _OWN and equals:
            own[name] = _number(name, value)
        elif name in _FLAGS | _VALUES | _OWN:
            problem = "takes no value" if equals else f"needs a value: {name}=..."
            raise OptionError(f"mount option {name!r} {problem}")
        elif option and option not in _IGNORED and not option.startswith(_IGNORED_PREFIXES):
            raise OptionError(f"unknown mount option {name!r}")
    if {"allow_other", "allow_root"} <= fuse:
        raise OptionError("mount options 'allow_other' and 'allow_root' exclude each other")
    names = {option.partition("=")[0] for option in fuse}
    if "fsname" not in names:
        fuse.add("fsname=" + re.sub(r"([\\,])", r"\\\1", source or "eventfs"))
    if "subtype" not in names:
        fuse.add("subtype=eventfs")
    return MountOptions(
        frozenset(fuse),
        debug,
        Mode(own.get("mode", ROOT_MODE)),
        own.get("size"),
        own.get("nr_inodes"),
    )
