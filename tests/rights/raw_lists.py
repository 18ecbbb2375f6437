"""Access control lists as the kernel takes them (linux/posix_acl_xattr.h)."""

import struct

from tests.rights.places import STRANGER

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"

USER_OBJ, USER, GROUP_OBJ, MASK, OTHER_TAG = 0x01, 0x02, 0x04, 0x10, 0x20

#: The id of an entry that needs none.
NO_ID = 0xFFFFFFFF

#: A tag, rights and an id.
Entry = tuple[int, int, int]

MINIMAL: list[Entry] = [(USER_OBJ, 7, NO_ID), (GROUP_OBJ, 5, NO_ID), (OTHER_TAG, 1, NO_ID)]
EXTENDED: list[Entry] = [
    (USER_OBJ, 7, NO_ID),
    (USER, 6, STRANGER),
    (GROUP_OBJ, 5, NO_ID),
    (MASK, 7, NO_ID),
    (OTHER_TAG, 1, NO_ID),
]


def encode(*entries: Entry, version: int = 2) -> bytes:
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
