"""POSIX access control lists, as extended attributes hold them (acl(5)).

The kernel checks them; here they are kept in step with the mode, and inherited.
"""

import struct
from collections.abc import Container
from typing import Final, NamedTuple

from eventfs.queues.errors import BadValue
from eventfs.queues.inode import Mode

#: The attributes that hold the list of an inode, and the one its new entries inherit.
ACCESS: Final[bytes] = b"system.posix_acl_access"
DEFAULT: Final[bytes] = b"system.posix_acl_default"

# linux/posix_acl_xattr.h and linux/posix_acl.h
_HEADER: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")
_VERSION: Final = 2
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY: Final = 0xFFFFFFFF  # the id of entries that have none
_ORDER: Final = (_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER)

#: Where in the mode the rights of each kind of entry stand; the mask's are in the group's place.
_SHIFTS: Final = {_USER_OBJ: 6, _GROUP_OBJ: 3, _MASK: 3, _OTHER: 0}


def port_mode(mode: int) -> int:
    """Return the permission bits of a port of a queue with *mode*: to write is to use it."""
    return sum(0o6 << shift for shift in (6, 3, 0) if mode >> shift & 0o2)


class _Entry(NamedTuple):
    tag: int
    rights: int
    id: int


class Acl:
    """A list of rights."""

    def __init__(self, entries: list[_Entry]) -> None:
        """Make a list of valid entries."""
        self._entries = entries

    @classmethod
    def decode(cls, value: bytes) -> "Acl":
        """Read an attribute's value (BadValue)."""
        if len(value) < _HEADER.size or (len(value) - _HEADER.size) % _ENTRY.size:
            raise BadValue
        if _HEADER.unpack_from(value)[0] != _VERSION:
            raise BadValue
        entries = [_Entry(*fields) for fields in _ENTRY.iter_unpack(value[_HEADER.size :])]
        tags = [entry.tag for entry in entries]
        named = [(entry.tag, entry.id) for entry in entries if entry.tag in (_USER, _GROUP)]
        if (
            not set(tags) <= set(_ORDER)
            or any(tags.count(tag) != 1 for tag in (_USER_OBJ, _GROUP_OBJ, _OTHER))
            or tags.count(_MASK) > 1
            or (named and _MASK not in tags)
            or len(set(named)) != len(named)
            or any(entry.rights & ~0o7 for entry in entries)
        ):
            raise BadValue
        return cls(sorted(entries, key=lambda entry: (_ORDER.index(entry.tag), entry.id)))

    @classmethod
    def of_mode(cls, mode: int) -> "Acl":
        """Return the list that says what a mode says."""
        return cls(
            [
                _Entry(tag, mode >> _SHIFTS[tag] & 0o7, _NOBODY)
                for tag in (_USER_OBJ, _GROUP_OBJ, _OTHER)
            ]
        )

    def allows(self, want: int, owner: int, group: int, uid: int, groups: Container[int]) -> bool:
        """Tell whether a user in *groups* has the rights *want* to what is *owner*'s and *group*'s.

        As the kernel tells (acl(5), "Access check algorithm").
        """
        mask = next((entry.rights for entry in self._entries if entry.tag == _MASK), 0o7)
        for tag, rights, number in self._entries:
            if tag == _USER_OBJ and uid == owner:
                return rights & want == want
            if tag == _USER and uid == number:
                return rights & mask & want == want
        in_group = [
            rights
            for tag, rights, number in self._entries
            if (tag == _GROUP_OBJ and group in groups) or (tag == _GROUP and number in groups)
        ]
        if in_group:
            return any(rights & mask & want == want for rights in in_group)
        other = next(entry.rights for entry in self._entries if entry.tag == _OTHER)
        return other & want == want

    def encode(self) -> bytes:
        """Return the attribute's value."""
        return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in self._entries)

    @property
    def is_mode(self) -> bool:
        """Whether the list says no more than a mode does."""
        return all(entry.tag in (_USER_OBJ, _GROUP_OBJ, _OTHER) for entry in self._entries)

    def mode(self, mode: Mode) -> Mode:
        """Return *mode* with the rights that this list shows in it."""
        result = mode & ~0o777
        for entry in self._entries:
            if entry.tag in self._shown:
                result |= entry.rights << _SHIFTS[entry.tag]
        return Mode(result)

    def with_mode(self, mode: Mode) -> "Acl":
        """Return the list after chmod(2) to *mode*."""
        return Acl(
            [
                entry._replace(rights=mode >> _SHIFTS[entry.tag] & 0o7)
                if entry.tag in self._shown
                else entry
                for entry in self._entries
            ]
        )

    def inherited(self, mode: Mode) -> "Acl":
        """Return the list of what is made with *mode* in a directory with this default list."""
        return self.with_mode(Mode(self.mode(Mode(0)) & mode))

    def of_port(self) -> "Acl":
        """Return the list of a port of a queue with this list, as `port_mode` does for modes.

        Its mask is never empty: the kernel would take that for a sign that there is no list.
        """
        return Acl(
            [
                entry._replace(rights=port_mode(entry.rights) & 0o7 or int(entry.tag == _MASK))
                for entry in self._entries
            ]
        )

    @property
    def _shown(self) -> tuple[int, ...]:
        """The tags whose rights a mode shows: the mask's hide the group's."""
        has_mask = any(entry.tag == _MASK for entry in self._entries)
        return (_USER_OBJ, _MASK if has_mask else _GROUP_OBJ, _OTHER)
