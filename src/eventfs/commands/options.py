"""The mount options of `eventfs -o`."""

import re
from typing import NamedTuple

#: Passed on to libfuse, without and with a value.
_FLAGS = frozenset(
    (
        *("allow_other", "allow_root", "auto_unmount", "async", "sync", "dirsync"),
        *("ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "nodiratime"),
    )
)
_VALUES = frozenset(("fsname", "max_read", "subtype"))

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
    """What `-o` asks for: options for libfuse, and whether each request is to be logged."""

    fuse: frozenset[str]
    debug: bool


def parse(texts: list[str], source: str | None) -> MountOptions:
    """Read the arguments of all `-o`; *source* names the mount unless `fsname` does.

    Raises OptionError.
    """
    fuse = set()
    debug = False
    # A backslash protects a comma in a value, as in libfuse.
    for option in re.split(r"(?<!\\),", ",".join(texts)):
        name, equals, _ = option.partition("=")
        if (name in _FLAGS and not equals) or (name in _VALUES and equals):
            fuse.add(option)
        elif option == "debug":
            debug = True
        elif name in _VALUES:
            raise OptionError(f"mount option {name!r} needs a value: {name}=...")
        elif name in _FLAGS:
            raise OptionError(f"mount option {name!r} takes no value")
        elif option and option not in _IGNORED and not option.startswith(_IGNORED_PREFIXES):
            raise OptionError(f"unknown mount option {name!r}")
    if {"allow_other", "allow_root"} <= fuse:
        raise OptionError("mount options 'allow_other' and 'allow_root' exclude each other")
    names = {option.partition("=")[0] for option in fuse}
    if "fsname" not in names:
        fuse.add("fsname=" + re.sub(r"([\\,])", r"\\\1", source or "eventfs"))
    if "subtype" not in names:
        fuse.add("subtype=eventfs")
    return MountOptions(frozenset(fuse), debug)
