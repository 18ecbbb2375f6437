"""The kernel's requests and our answers as bytes: FUSE's protocol, version 7.31 (linux/fuse.h).

No more of it than eventfs needs: what is of no use here is padding (`x`). A request is a header,
which `Request` shows, and a body, which the handlers in `eventfs.mount.operations` unpack with the
structures below; an answer is a header and a body, which they pack. All numbers are in the
machine's order.
"""

import struct
from collections.abc import Callable, Iterable
from stat import S_IFMT
from typing import Final, NewType

from eventfs.queues.inode import Ino
from eventfs.queues.ledger import Gid, Uid
from eventfs.queues.names import Name
from eventfs.queues.queue import Tid

#: A handle's number, which is ours to choose.
Handle = NewType("Handle", int)

#: The protocol's version: the first one whose INIT has all that is used here. A newer kernel speaks
#: an older protocol; an older kernel (before 5.2) is refused.
MAJOR: Final = 7
MINOR: Final = 31

#: What each kind of request is called: as in linux/fuse.h, but for variants of others.
KINDS: Final = {
    1: "lookup",
    2: "forget",
    3: "getattr",
    4: "setattr",
    5: "readlink",
    6: "symlink",
    8: "mknod",
    9: "mkdir",
    10: "unlink",
    11: "rmdir",
    12: "rename",
    13: "link",
    14: "open",
    15: "read",
    16: "write",
    17: "statfs",
    18: "release",
    20: "fsync",
    21: "setxattr",
    22: "getxattr",
    23: "listxattr",
    24: "removexattr",
    25: "flush",
    27: "opendir",
    28: "readdir",
    29: "releasedir",
    30: "fsyncdir",
    34: "access",
    35: "create",
    36: "interrupt",
    38: "destroy",
    39: "ioctl",
    40: "poll",
    42: "forget",  # BATCH_FORGET
    43: "fallocate",
    44: "readdir",  # READDIRPLUS
    45: "rename2",
    46: "lseek",
    47: "copy_file_range",
    50: "syncfs",
    51: "tmpfile",
    52: "statx",
}

#: Where the name begins in the body of a request that has one.
NAME_OFFSETS: Final = {
    **dict.fromkeys(("lookup", "unlink", "rmdir", "removexattr"), 0),
    **dict.fromkeys(("mkdir", "link", "setxattr", "getxattr"), 8),
    **dict.fromkeys(("mknod", "create"), 16),
}

#: More than any opcode that the kernel sends, given the version.
OPCODES: Final = 64


def kind(opcode: int) -> str:
    """Name the kind of request."""
    return KINDS.get(opcode, f"opcode {opcode}")


#: The header of a request: length, opcode, number, inode, user, group, thread.
IN_HEADER: Final = struct.Struct("=IIQQIII4x")
#: What it is unpacked to; mypyc takes a tuple of a known type apart without a detour.
Header = tuple[int, int, int, int, int, int, int]

#: The header of an answer: length, error (0, or an errno below 0), the request's number. The
#: notices' is the same, with a code in the place of the error and 0 in that of the number.
OUT_HEADER: Final = struct.Struct("=IiQ")

#: Attributes: ino, size, blocks, seconds of atime, mtime, ctime, nanoseconds of them, mode, nlink,
#: uid, gid, blksize.
_ATTR: Final = "QQQqqqIIIIIII4xI4x"

#: What an answer about a name begins with: inode, seconds for which the name and the attributes may
#: be remembered. Attributes follow.
ENTRY_OUT: Final = struct.Struct(f"=Q8xQQ8x{_ATTR}")

#: Seconds for which attributes may be remembered. Attributes follow.
ATTR_OUT: Final = struct.Struct(f"=Q8x{_ATTR}")

INIT_IN: Final = struct.Struct("=IIII")
#: major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran,
#: max_pages, map_alignment, flags2, unused.
INIT_OUT: Final = struct.Struct("=IIIIHHIIHHI28x")
FORGET_IN: Final = struct.Struct("=Q")
BATCH_FORGET_IN: Final = struct.Struct("=II")
FORGET_ONE: Final = struct.Struct("=QQ")
MKNOD_IN: Final = struct.Struct("=I4xI4x")  # mode, umask
MKDIR_IN: Final = struct.Struct("=II")  # mode, umask
LINK_IN: Final = struct.Struct("=Q")
RENAME_IN: Final = struct.Struct("=Q")  # the new directory; two names follow
RENAME2_IN: Final = struct.Struct("=QI4x")  # the same, and flags
OPEN_IN: Final = struct.Struct("=I4x")  # flags
OPEN_OUT: Final = struct.Struct("=QI4x")  # handle, flags
CREATE_IN: Final = struct.Struct("=III4x")  # flags, mode, umask
READ_IN: Final = struct.Struct("=QQII8xI4x")  # handle, offset, size, how, O_* flags
ReadIn = tuple[int, int, int, int, int]
WRITE_IN: Final = struct.Struct("=QQ24x")  # handle, offset
WriteIn = tuple[int, int]
WRITE_OUT: Final = struct.Struct("=I4x")  # size
POLL_IN: Final = struct.Struct("=QQI4x")  # handle, the kernel's number for it, flags
POLL_OUT: Final = struct.Struct("=I4x")  # events
RELEASE_IN: Final = struct.Struct("=Q")  # handle
FLUSH_IN: Final = RELEASE_IN
#: Which are given, size, seconds of atime and mtime, nanoseconds of them, mode, user, group.
SETATTR_IN: Final = struct.Struct("=I12xQ8xqq8xII4xI4xII4x")
SETXATTR_IN: Final = struct.Struct("=II")  # size, flags
GETXATTR_IN: Final = struct.Struct("=I4x")  # size
GETXATTR_OUT: Final = struct.Struct("=I4x")  # size
#: blocks, bfree, bavail, files, ffree, bsize, namelen, frsize.
STATFS_OUT: Final = struct.Struct("=QQQQQIII28x")
DIRENT: Final = struct.Struct("=QQII")  # inode, place, length of the name, type

# Which fields SETATTR_IN gives.
FATTR_MODE: Final = 1
FATTR_UID: Final = 2
FATTR_GID: Final = 4
FATTR_SIZE: Final = 8
FATTR_ATIME: Final = 16
FATTR_MTIME: Final = 32
FATTR_ATIME_NOW: Final = 128
FATTR_MTIME_NOW: Final = 256

# The flags of OPEN_OUT.
FOPEN_DIRECT_IO: Final = 1
FOPEN_KEEP_CACHE: Final = 2
FOPEN_NONSEEKABLE: Final = 4
FOPEN_STREAM: Final = 16
#: Kernels before 5.16 don't know it.
FOPEN_NOFLUSH: Final = 32

#: A read that is a system call has a lock owner; that of a page hasn't.
READ_LOCKOWNER: Final = 2

#: A poll that is to be told of changes.
POLL_SCHEDULE_NOTIFY: Final = 1

# The flags of renameat2(2).
RENAME_NOREPLACE: Final = 1

# The flags of setxattr(2).
XATTR_CREATE: Final = 1
XATTR_REPLACE: Final = 2

# The codes of notices.
NOTIFY_POLL: Final = 1
NOTIFY_INVAL_INODE: Final = 2
NOTIFY_INVAL_ENTRY: Final = 3
NOTIFY_STORE: Final = 4
NOTIFY_DELETE: Final = 6
POLL_WAKEUP_OUT: Final = struct.Struct("=Q")  # the kernel's number for a handle
INVAL_INODE_OUT: Final = struct.Struct("=Qqq")  # inode, offset, length
INVAL_ENTRY_OUT: Final = struct.Struct("=QI4x")  # directory, length of the name
DELETE_OUT: Final = struct.Struct("=QQI4x")  # directory, inode, length of the name
STORE_OUT: Final = struct.Struct("=QQI4x")  # inode, offset, size

# What INIT agrees upon.
_ASYNC_READ: Final = 1 << 0
_ATOMIC_O_TRUNC: Final = 1 << 3
_BIG_WRITES: Final = 1 << 5
_DONT_MASK: Final = 1 << 6
_AUTO_INVAL_DATA: Final = 1 << 12
_DO_READDIRPLUS: Final = 1 << 13
_ASYNC_DIO: Final = 1 << 15
_POSIX_ACL: Final = 1 << 20
_MAX_PAGES: Final = 1 << 22
_HANDLE_KILLPRIV_V2: Final = 1 << 28

#: What is asked of the kernel: O_TRUNC with open instead of a request of its own; the umask, which
#: is ours to apply, since an inherited access control list replaces it (acl(5)); listings with
#: attributes; and set-id bits, which are ours to drop (else it asks for `security.capability`
#: before each write of a message through the page cache).
FLAGS: Final = (
    _ASYNC_READ
    | _ATOMIC_O_TRUNC
    | _BIG_WRITES
    | _DONT_MASK
    | _AUTO_INVAL_DATA
    | _DO_READDIRPLUS
    | _ASYNC_DIO
    | _POSIX_ACL
    | _MAX_PAGES
    | _HANDLE_KILLPRIV_V2
)

#: The most that a request may write, in bytes: 256 pages, the kernel's own limit.
MAX_WRITE_BYTES: Final = 1 << 20
_MAX_PAGES_COUNT: Final = 256

#: How many requests that nobody waits for may be under way, among them releases: as many as can be
#: said. By default it is 12, and what is over that comes after the program's next request.
MAX_BACKGROUND: Final = 0xFFFF

#: Room for any request: one that writes the most, and its headers.
REQUEST_BYTES: Final = MAX_WRITE_BYTES + 4096

#: From how many bytes on content is taken as a bytearray, which grows in place: where a client's
#: buffer doesn't begin with a page, the kernel sends 1 MiB in two requests.
LARGE_BYTES: Final = 1 << 16

#: Where the body of a request begins.
BODY: Final = IN_HEADER.size


#: An answer's body, or None where there is none to be sent.
Answer = bytes | memoryview | None


class Request:
    """The request that is being answered; there is one at a time, so one object serves all.

    `tid` is the calling thread's id, 0 where our pid namespace doesn't have it.
    """

    __slots__ = ("body", "buffer", "gid", "ino", "length", "tid", "uid")

    ino: Ino
    uid: Uid
    gid: Gid
    tid: Tid
    #: The bytes of the whole request.
    length: int

    def __init__(self) -> None:
        """Make room for any request."""
        #: Where the request is read into.
        self.buffer = bytearray(REQUEST_BYTES)
        #: What follows the header, and room behind it.
        self.body = memoryview(self.buffer)[BODY:]

    def rest(self, offset: int) -> bytes | bytearray:
        """Return what follows the first *offset* bytes of the body."""
        end = self.length - BODY
        rest = self.body[offset:end]
        return rest.tobytes() if end - offset < LARGE_BYTES else bytearray(rest)

    def name(self, offset: int = 0) -> Name:
        """Return the name that follows the first *offset* bytes of the body, to its end."""
        return Name(self.body[offset : self.length - BODY - 1].tobytes())

    def forgotten(self) -> Iterable[tuple[Ino, int]]:
        """Return the inodes of FORGET or BATCH_FORGET, and how many lookups are taken back."""
        if self.ino:
            return ((self.ino, *FORGET_IN.unpack_from(self.body)),)
        return FORGET_ONE.iter_unpack(self.body[BATCH_FORGET_IN.size : self.length - BODY])


#: What answers a request.
Handler = Callable[[Request], Answer]


def init_out(max_readahead: int) -> bytes:
    """Answer INIT."""
    return INIT_OUT.pack(
        MAJOR, MINOR, max_readahead, FLAGS, MAX_BACKGROUND, 0, MAX_WRITE_BYTES, 1,
        _MAX_PAGES_COUNT, 0, 0,
    )  # fmt: skip


def direntplus_bytes(name: Name) -> int:
    """Return how long a line of a listing is."""
    return ENTRY_OUT.size + DIRENT.size + -(-len(name) // 8) * 8


def direntplus(entry: bytes, ino: Ino, mode: int, name: Name, place: int) -> bytes:
    """Return a line of a listing: what a lookup of the name would answer, and the name."""
    padding = bytes(-len(name) % 8)
    return entry + DIRENT.pack(ino, place, len(name), S_IFMT(mode) >> 12) + name + padding
