"""The FUSE descriptor: how we come to terms with the kernel, and what it is told without asking.

Each notice is one write(2). OSError says what became of it; ENOENT: the kernel doesn't know the
name or the inode, so there was nothing to do.
"""

import os

from eventfs.mount import device, wire
from eventfs.queues.inode import Ino
from eventfs.queues.names import Name


class KernelTooOld(Exception):
    """The kernel's FUSE hasn't got what is needed; the message says so."""


class Connection:
    """The FUSE descriptor of a mount."""

    def __init__(self, fd: int) -> None:
        """Take the descriptor of a mount, /dev/fuse."""
        self.fd = fd

    def agree(self) -> None:
        """Answer the kernel's first request: from now on it sends others (KernelTooOld)."""
        request = wire.Request()
        major = 0
        # A kernel that speaks a newer major version asks again when it has seen ours.
        while major != wire.MAJOR:
            os.readv(self.fd, [request.buffer])
            _, _, unique, *_ = wire.IN_HEADER.unpack_from(request.buffer)
            major, minor, max_readahead, _ = wire.INIT_IN.unpack_from(request.body)
            if (major, minor) < (wire.MAJOR, wire.MINOR):
                raise KernelTooOld(
                    f"this kernel speaks version {major}.{minor} of FUSE, and eventfs needs"
                    f" {wire.MAJOR}.{wire.MINOR}: use Linux 5.3 or newer"
                )
            answer = wire.init_out(max_readahead)
            device.answer(self.fd, unique, 0, answer)
        # From now on to be waited for along with other things.
        os.set_blocking(self.fd, False)

    def invalidate_attributes(self, ino: Ino) -> None:
        """Make the kernel ask for an inode's attributes again; it takes no lock for that."""
        self._notify(wire.NOTIFY_INVAL_INODE, wire.INVAL_INODE_OUT.pack(ino, -1, 0))

    def forget_name(self, directory: Ino, name: Name) -> None:
        """Take a name from the kernel, which takes the directory's lock for it."""
        head = wire.INVAL_ENTRY_OUT.pack(directory, len(name))
        self._notify(wire.NOTIFY_INVAL_ENTRY, head + name + b"\0")

    def delete_name(self, directory: Ino, name: Name, ino: Ino) -> None:
        """Take a name from the kernel, if it knows that inode by it, and call the inode deleted.

        Those who watch it with inotify are told. Raises ENOTEMPTY where the kernel uses names below
        it. It takes the directory's lock and the inode's.
        """
        head = wire.DELETE_OUT.pack(directory, ino, len(name))
        self._notify(wire.NOTIFY_DELETE, head + name + b"\0")

    def store(self, ino: Ino, content: bytes | memoryview) -> None:
        """Put content into the kernel's page cache; it takes the pages' locks."""
        self._notify(wire.NOTIFY_STORE, wire.STORE_OUT.pack(ino, 0, len(content)), content)

    def wake(self, handle: int) -> None:
        """Have those who poll a handle look again; by the number that the kernel gave it."""
        self._notify(wire.NOTIFY_POLL, wire.POLL_WAKEUP_OUT.pack(handle))

    def _notify(self, code: int, head: bytes, content: bytes | memoryview = b"") -> None:
        length = wire.OUT_HEADER.size + len(head) + len(content)
        os.writev(self.fd, (wire.OUT_HEADER.pack(length, code, 0) + head, content))
