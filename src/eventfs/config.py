"""The configuration: limits of users, groups and the mount, in the file format of 2015.

    [eventfs-config]
    default_max_files = 1000      ; for users and groups without a file of their own
    quotas = quotas               ; a directory, relative to this file

and in each file of that directory

    [eventfs-quota]
    user = ann                    ; or group = ...; a name or a number
    max_bytes = 10M
"""

import grp
import os
import pwd
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from eventfs import ini
from eventfs.queues.ledger import UNLIMITED, Gid, Limits, Settings, Uid

#: Read where no other file is named; it need not exist.
DEFAULT_PATH = Path("/etc/eventfs/eventfs.conf")

SECTION = "eventfs-config"
QUOTA_SECTION = "eventfs-quota"

_KEYS = ("default_max_dirs", "default_max_files", "default_max_files_per_dir", "default_max_bytes")
_MOUNT_KEYS = ("size", "nr_inodes")
_QUOTA_KEYS = tuple(field.name for field in fields(Limits))

_NUMBER = re.compile(r"(\d+)([KMG]?)", re.ASCII | re.IGNORECASE)
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}

#: Python reads no number of thousands of digits, and nobody means one of a hundred.
_MAX_DIGITS = 100

#: (uid_t) -1, which chown(2) takes for "leave it".
_NO_ID = 2**32 - 1

_Id = TypeVar("_Id", Uid, Gid)


class ConfigError(ValueError):
    """The configuration can't be used; a line of the message is `FILE:LINE: what is wrong`."""


def read(path: Path | None) -> Settings:
    """Read the file at *path*, or the default one if it exists (ConfigError, with all mistakes)."""
    if path is None:
        if not _exists(DEFAULT_PATH):
            return Settings(size_bytes=default_size_bytes(), nr_inodes=default_nr_inodes())
        path = DEFAULT_PATH
    reader = _Reader()
    settings = reader.read(path)
    if reader.mistakes:
        raise ConfigError("\n".join(reader.mistakes))
    return settings


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # to read it tells why it can't be seen


def default_size_bytes() -> int:
    """Return half of the machine's memory, as tmpfs takes it."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def default_nr_inodes() -> int:
    """Return half of the number of the machine's pages, as tmpfs takes it."""
    return os.sysconf("SC_PHYS_PAGES") // 2


def number(text: str) -> int:
    """Read a number, with K, M or G for powers of 1024, or `unlimited` (ValueError)."""
    if text == "unlimited":
        return UNLIMITED
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > _MAX_DIGITS:
        raise ValueError(f"{text!r} is no number; expected one like 100, 64K, 10M, 2G or unlimited")
    return int(found[1]) * _FACTORS[found[2].upper()]


class _Reader:
    """Reads files and collects what is wrong in them."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self._users: dict[Uid, Limits] = {}
        self._groups: dict[Gid, Limits] = {}
        # Where each user's and group's limits stand.
        self._places: dict[tuple[str, int], str] = {}

    def read(self, path: Path) -> Settings:
        values = self._section(path, SECTION, {*_KEYS, *_MOUNT_KEYS, "quotas"})
        default = Limits(*(self._number(path, values.get(key), UNLIMITED) for key in _KEYS))
        size = self._number(path, values.get("size"), default_size_bytes())
        nr_inodes = self._number(path, values.get("nr_inodes"), default_nr_inodes())
        quotas = values.get("quotas")
        if quotas is not None:
            self._read_quotas(path, quotas, default)
        return Settings(default, self._users, self._groups, size, nr_inodes)

    def _read_quotas(self, path: Path, quotas: ini.Value, default: Limits) -> None:
        place = f"{path}:{quotas.line}: quotas:"
        directory = path.parent / quotas.text
        if not quotas.text or "\0" in quotas.text:
            self.mistakes.append(f"{place} {quotas.text!r} is no path; expected a directory")
            return
        try:
            files = _listed(directory)
            for file in files:
                # A file that is gone by now is read too, and so reported.
                if file.is_file() or not file.exists():
                    self._read_quota(file, default)
            changed = _listed(directory) != files
        except OSError as error:
            self.mistakes.append(f"{place} {directory} can't be read: {error.strerror}")
            return
        if changed:
            self.mistakes.append(f"{place} {directory} changed while it was read; read it again")

    def _read_quota(self, file: Path, default: Limits) -> None:
        found = len(self.mistakes)
        values = self._section(file, QUOTA_SECTION, {*_QUOTA_KEYS, "user", "group"})
        limits = Limits(
            *(self._number(file, values.get(key), getattr(default, key)) for key in _QUOTA_KEYS)
        )
        user, group = values.get("user"), values.get("group")
        if user is not None and group is not None:
            line = max(user.line, group.line)
            self.mistakes.append(f"{file}:{line}: both user and group; expected one of them")
        elif user is not None:
            self._put(file, "user", user, _uid, self._users, limits)
        elif group is not None:
            self._put(file, "group", group, _gid, self._groups, limits)
        elif len(self.mistakes) == found:
            self.mistakes.append(f"{file}:1: whose quota? Expected user = NAME or group = NAME")

    def _put(  # noqa: PLR0913  # the same for users and groups
        self,
        file: Path,
        kind: str,
        value: ini.Value,
        find: Callable[[str], _Id],
        all_limits: dict[_Id, Limits],
        limits: Limits,
    ) -> None:
        place = f"{file}:{value.line}"
        try:
            number = find(value.text)
        except (KeyError, ValueError):
            self.mistakes.append(
                f"{place}: there is no {kind} {value.text!r}; expected a {kind}'s name or number"
            )
            return
        if number in all_limits:
            first = self._places[kind, number]
            self.mistakes.append(
                f"{place}: {kind} {value.text!r} has limits in {first} already; expected one file"
            )
            return
        self._places[kind, number] = place
        all_limits[number] = limits

    def _section(self, path: Path, name: str, keys: set[str]) -> dict[str, ini.Value]:
        """Return the values of the one section that a file may have."""
        content = ini.read(path)
        self.mistakes += content.mistakes
        for section, line in content.section_lines.items():
            if section != name:
                self.mistakes.append(
                    f"{path}:{line}: unknown section [{section}]; expected [{name}]"
                )
        if not content.section_lines and not content.mistakes:
            self.mistakes.append(f"{path}:1: no section; expected [{name}]")
        values = content.sections.get(name, {})
        for key, value in values.items():
            if key not in keys:
                self.mistakes.append(
                    f"{path}:{value.line}: unknown key {key!r}; expected one of: "
                    + ", ".join(sorted(keys))
                )
        return values

    def _number(self, path: Path, value: ini.Value | None, default: int) -> int:
        if value is None:
            return default
        try:
            return number(value.text)
        except ValueError as error:
            self.mistakes.append(f"{path}:{value.line}: {error}")
            return default


def _listed(directory: Path) -> list[Path]:
    return sorted(file for file in directory.iterdir() if file.name[0] != ".")


def _uid(text: str) -> Uid:
    return Uid(_id(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid)


def _gid(text: str) -> Gid:
    return Gid(_id(text) if text.isdecimal() else grp.getgrnam(text).gr_gid)


def _id(text: str) -> int:
    if not text.isascii() or int(text) >= _NO_ID:
        raise KeyError(text)
    return int(text)
