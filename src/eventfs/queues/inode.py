"""What all inodes have in common: a number, a mode, owners and times."""

from stat import S_IFMT, S_IMODE, S_ISGID, S_ISREG, S_ISUID, S_IXGRP
from typing import NewType

from eventfs.queues.ledger import Gid, Payer, Uid

Ino = NewType("Ino", int)
Mode = NewType("Mode", int)

#: A day, after which reading a file moves its atime even if nothing was written since (relatime).
RELATIME_NS = 24 * 3600 * 10**9

#: What an extended attribute takes besides its name and value: some 130 bytes in CPython. If it
#: weren't counted, tiny attributes would take ten times the memory that they are charged for.
ATTRIBUTE_BYTES = 128


def attribute_bytes(xattrs: dict[bytes, bytes]) -> int:
    """Return what attributes take: names, values and ATTRIBUTE_BYTES for each."""
    return sum(len(name) + len(value) + ATTRIBUTE_BYTES for name, value in xattrs.items())


class Inode:
    """A message, a queue, one of a queue's links, or the root.

    `links` counts names, `holds` what else keeps the inode in memory: the kernel's lookups and
    open handles. Times are nanoseconds since the epoch.
    """

    __slots__ = (
        "atime_ns",
        "ctime_ns",
        "holds",
        "ino",
        "links",
        "mode",
        "mtime_ns",
        "payer",
        "xattrs",
    )

    def __init__(self, ino: Ino, mode: Mode, payer: Payer, now_ns: int) -> None:
        """Make an inode without names; *mode* has the type bits too."""
        self.ino = ino
        self.mode = mode
        # Its user and group.
        self.payer = payer
        self.links = 0
        self.holds = 0
        self.atime_ns = self.mtime_ns = self.ctime_ns = now_ns
        # A dictionary would double the size of a small message's inode, and few ever need one.
        self.xattrs: dict[bytes, bytes] | None = None

    def chmod(self, mode: Mode, now_ns: int) -> None:
        """Change the permission bits; the type stays."""
        self.mode = Mode(S_IFMT(self.mode) | S_IMODE(mode))
        self.ctime_ns = now_ns

    @property
    def uid(self) -> Uid:
        """The user that the inode belongs to."""
        return self.payer.uid

    @property
    def gid(self) -> Gid:
        """The group that the inode belongs to."""
        return self.payer.gid

    @property
    def size(self) -> int:
        """Bytes as stat(2) shows them; a directory takes none."""
        return 0

    @property
    def blocks(self) -> int:
        """What is stored, in blocks of 512 bytes, as stat(2) shows it."""
        return 0

    @property
    def stored_bytes(self) -> int:
        """What is really stored: content and extended attributes."""
        return self.xattr_bytes

    @property
    def xattr_bytes(self) -> int:
        """What all extended attributes take."""
        return attribute_bytes(self.xattrs) if self.xattrs else 0

    def chown(self, payer: Payer, now_ns: int) -> None:
        """Change user and group; a file then loses its set-id bits (chown(2))."""
        self.payer = payer
        self.drop_set_id()
        self.ctime_ns = now_ns

    def set_times(self, atime_ns: int | None, mtime_ns: int | None, now_ns: int) -> None:
        """Set the times that are given, as utimensat(2)."""
        if atime_ns is not None:
            self.atime_ns = atime_ns
        if mtime_ns is not None:
            self.mtime_ns = mtime_ns
        self.ctime_ns = now_ns

    def drop_set_id(self) -> None:
        """Take the set-user-id bit from a file, and the set-group-id bit where it means that.

        Without the group's right to execute, S_ISGID marks mandatory locking and stays.
        """
        if self.mode & (S_ISUID | S_ISGID) and S_ISREG(self.mode):
            self.mode = Mode(self.mode & ~S_ISUID)
            if self.mode & S_IXGRP:
                self.mode = Mode(self.mode & ~S_ISGID)

    def touch_read(self, now_ns: int) -> None:
        """Move atime as a read does on Linux's default mounts (relatime, see mount(8))."""
        atime_ns = self.atime_ns
        if (
            atime_ns <= self.mtime_ns
            or atime_ns <= self.ctime_ns
            or now_ns - atime_ns >= RELATIME_NS
        ):
            self.atime_ns = now_ns
