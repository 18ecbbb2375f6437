"""How the mount comes to be, and goes.

Root mounts by itself, so that the mount can have a flag which libfuse has no option for: with
MS_POSIXACL the kernel leaves the umask to us. An inherited access control list replaces the umask
(acl(5)), so who masks first takes away rights that the list gives. For other users, and where
auto_unmount needs a watching process, libfuse mounts through fusermount3; there the umask applies
to what inherits a list too.
"""

import ctypes
import os
import select
import tempfile
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

import pyfuse3

# linux/mount.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_SYNCHRONOUS = 1, 2, 4, 8, 16
_MS_DIRSYNC, _MS_NOATIME, _MS_NODIRATIME, _MS_POSIXACL = 128, 1024, 2048, 1 << 16
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8

#: Which flag a mount option sets, or clears.
_SET = {
    "ro": _MS_RDONLY,
    "nosuid": _MS_NOSUID,
    "nodev": _MS_NODEV,
    "noexec": _MS_NOEXEC,
    "sync": _MS_SYNCHRONOUS,
    "dirsync": _MS_DIRSYNC,
    "noatime": _MS_NOATIME,
    "nodiratime": _MS_NODIRATIME,
}
_CLEAR = {
    "rw": _MS_RDONLY,
    "suid": _MS_NOSUID,
    "dev": _MS_NODEV,
    "exec": _MS_NOEXEC,
    "async": _MS_SYNCHRONOUS,
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p,) * 3 + (ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


class MountFailed(Exception):
    """The kernel or fusermount3 refused the mount; the message says why."""


def mount(
    operations: pyfuse3.Operations, mountpoint: Path, options: AbstractSet[str]
) -> Callable[[], None]:
    """Mount; return what unmounts and ends pyfuse3's session (MountFailed)."""
    if os.geteuid() == 0 and "auto_unmount" not in options:
        return _mount_as_root(operations, mountpoint, options)
    _init(operations, str(mountpoint), {*options, "default_permissions"})
    return pyfuse3.close


def _mount_as_root(
    operations: pyfuse3.Operations, mountpoint: Path, options: AbstractSet[str]
) -> Callable[[], None]:
    values = {"max_read": "", "fsname": "eventfs", "subtype": "eventfs"}
    flags = _MS_NOSUID | _MS_NODEV | _MS_POSIXACL
    # Sorted: clearing comes before setting where somebody asks for both.
    for option in sorted(options, key=lambda option: option in _SET):
        name, equals, value = option.partition("=")
        if equals:
            values[name] = value.replace("\\,", ",").replace("\\\\", "\\")
        flags = flags & ~_CLEAR.get(option, 0) | _SET.get(option, 0)
    try:
        fuse_fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise MountFailed(f"/dev/fuse: {error.strerror}") from error
    data = f"fd={fuse_fd},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    data += ",default_permissions"
    if options & {"allow_other", "allow_root"}:
        data += ",allow_other"
    if values["max_read"]:
        data += f",max_read={values['max_read']}"
    target = os.fsencode(mountpoint)
    source, kind = os.fsencode(values["fsname"]), os.fsencode(f"fuse.{values['subtype']}")
    if _libc.mount(source, target, kind, flags, data.encode()) != 0:
        reason = os.strerror(ctypes.get_errno())
        os.close(fuse_fd)
        raise MountFailed(f"mount on {mountpoint}: {reason}")

    def end() -> None:
        poll = select.poll()
        poll.register(fuse_fd, 0)
        # An error is how a mount that somebody has unmounted already shows.
        if not poll.poll(0):
            _libc.umount2(target, _MNT_DETACH | _UMOUNT_NOFOLLOW)
        pyfuse3.close()

    try:
        # libfuse takes a descriptor that is mounted already for a mountpoint.
        _init(operations, f"/dev/fd/{fuse_fd}", options)
    except MountFailed:
        _libc.umount2(target, _MNT_DETACH | _UMOUNT_NOFOLLOW)
        raise
    return end


def _init(operations: pyfuse3.Operations, mountpoint: str, options: AbstractSet[str]) -> None:
    """Start pyfuse3. What libfuse and fusermount3 say of a failure goes to descriptor 2."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            pyfuse3.init(operations, mountpoint, set(options))
        except RuntimeError as error:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            reasons = [line.strip() for line in lines if line.strip()]
            raise MountFailed("; ".join(reasons) or str(error)) from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
