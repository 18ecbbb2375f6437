"""How the mount comes to be, and goes.

Root mounts by itself, so that the mount can have a flag which libfuse has no option for: with
MS_POSIXACL the kernel leaves the umask to us. An inherited access control list replaces the umask
(acl(5)), so who masks first takes away rights that the list gives. For other users, and where
auto_unmount needs a watching process, libfuse mounts through fusermount3; there the umask applies
to what inherits a list too.
"""

import ctypes
import os
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

import pyfuse3

from eventfs.mount import lifeline

# linux/mount.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_SYNCHRONOUS = 1, 2, 4, 8, 16
_MS_DIRSYNC, _MS_NOATIME, _MS_POSIXACL = 128, 1024, 1 << 16
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8

#: What a mount has unless asked otherwise, and which flag an option sets or clears.
_DEFAULT_FLAGS = _MS_NOSUID | _MS_NODEV | _MS_POSIXACL
_SET = {
    "ro": _MS_RDONLY,
    "noexec": _MS_NOEXEC,
    "sync": _MS_SYNCHRONOUS,
    "dirsync": _MS_DIRSYNC,
    "noatime": _MS_NOATIME,
}
_CLEAR = {"suid": _MS_NOSUID, "dev": _MS_NODEV}

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
        unmount = _mount_as_root(operations, mountpoint, options)
    else:
        _init(operations, str(mountpoint), {*options, "default_permissions"})
        unmount = pyfuse3.close
    let_go = lifeline.hold(_device(mountpoint) or "")

    def end() -> None:
        unmount()
        let_go()

    return end


def _mount_as_root(
    operations: pyfuse3.Operations, mountpoint: Path, options: AbstractSet[str]
) -> Callable[[], None]:
    values = dict(option.split("=", 1) for option in options if "=" in option)
    source, subtype = (_unprotected(values.get(name, "eventfs")) for name in ("fsname", "subtype"))
    flags = _DEFAULT_FLAGS
    for option in options:
        flags = flags & ~_CLEAR.get(option, 0) | _SET.get(option, 0)
    try:
        fuse_fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise MountFailed(f"/dev/fuse: {error.strerror}") from error
    data = f"fd={fuse_fd},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    data += ",default_permissions"
    if options & {"allow_other", "allow_root"}:
        data += ",allow_other"
    target = os.fsencode(mountpoint)
    kind = os.fsencode(f"fuse.{subtype}")
    if _libc.mount(os.fsencode(source), target, kind, flags, data.encode()) != 0:
        reason = os.strerror(ctypes.get_errno())
        os.close(fuse_fd)
        raise MountFailed(f"mount on {mountpoint}: {reason} (options {', '.join(sorted(options))})")

    device = _device(mountpoint)

    def end() -> None:
        # Somebody may have unmounted it already. If a container still has it mounted, there may be
        # another by now in its place.
        if _device(mountpoint) == device:
            _libc.umount2(target, _MNT_DETACH | _UMOUNT_NOFOLLOW)
        pyfuse3.close()

    try:
        # libfuse takes a descriptor that is mounted already for a mountpoint.
        _init(operations, f"/dev/fd/{fuse_fd}", options & {"allow_root"})
    except MountFailed:
        _libc.umount2(target, _MNT_DETACH | _UMOUNT_NOFOLLOW)
        raise
    return end


def _device(path: Path) -> str | None:
    """Return the device number of what is mounted on *path*, without asking it; None if unknown."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            about = Path(f"/proc/self/fdinfo/{fd}").read_text()
        finally:
            os.close(fd)
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return None
    mount_id = about.partition("mnt_id:")[2].split(maxsplit=1)[0]
    fields = (line.split(maxsplit=3) for line in mounts)
    return next((device for number, _, device, _ in fields if number == mount_id), None)


def _unprotected(value: str) -> str:
    """Take the backslashes off with which an option's value protects commas and backslashes."""
    return re.sub(r"\\(.)", r"\1", value)


def _init(operations: pyfuse3.Operations, mountpoint: str, options: AbstractSet[str]) -> None:
    """Start pyfuse3. What libfuse and fusermount3 say of a failure goes to descriptor 2."""
    stderr = os.dup(2)
    said = os.memfd_create("stderr")
    os.dup2(said, 2)
    try:
        pyfuse3.init(operations, mountpoint, set(options))
    except UnicodeEncodeError as error:
        raise MountFailed(f"mount options: {error.object!r} isn't ASCII") from error
    except RuntimeError as error:
        lines = os.pread(said, 65536, 0).decode(errors="replace").split("\n")
        reasons = [line.strip() for line in lines if line.strip()]
        raise MountFailed("; ".join(reasons) or str(error)) from error
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(said)
