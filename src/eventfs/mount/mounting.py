"""How the mount comes to be, and goes.

Root mounts by itself. For other users, and where auto_unmount needs a watching process, fusermount3
does, and sends the descriptor over a socket (fuse(8), libfuse's util/fusermount.c).
"""

import ctypes
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

from eventfs.mount import lifeline
from eventfs.mount.connection import Connection, KernelTooOld

# linux/mount.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_SYNCHRONOUS = 1, 2, 4, 8, 16
_MS_DIRSYNC, _MS_NOATIME = 128, 1024
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8

#: What a mount has unless asked otherwise, and which flag an option sets or clears.
_DEFAULT_FLAGS = _MS_NOSUID | _MS_NODEV
_SET = {
    "ro": _MS_RDONLY,
    "noexec": _MS_NOEXEC,
    "sync": _MS_SYNCHRONOUS,
    "dirsync": _MS_DIRSYNC,
    "noatime": _MS_NOATIME,
}
_CLEAR = {"suid": _MS_NOSUID, "dev": _MS_NODEV}

#: How fusermount3 learns which descriptor is its end of the socket.
_COMMFD = "_FUSE_COMMFD"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p,) * 3 + (ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


class MountFailed(Exception):
    """The kernel or fusermount3 refused the mount; the message says why."""


class Mount(NamedTuple):
    """A mount that is ready for requests, and what unmounts."""

    connection: Connection
    end: Callable[[], None]


class _Mounted(NamedTuple):
    """What the kernel has mounted: the FUSE descriptor, and what unmounts and closes that."""

    fd: int
    end: Callable[[], None]


def mount(mountpoint: Path, options: AbstractSet[str]) -> Mount:
    """Mount (MountFailed)."""
    # allow_root is ours to check: the kernel knows all or nobody.
    kernels = {*options - {"allow_root"}, "default_permissions"}
    if "allow_root" in options:
        kernels.add("allow_other")
    if os.geteuid() == 0 and "auto_unmount" not in options:
        mounted = _mount_as_root(mountpoint, kernels)
    else:
        mounted = _mount_by_fusermount(mountpoint, kernels)
    connection = Connection(mounted.fd)
    try:
        connection.agree()
    except (KernelTooOld, OSError) as error:
        mounted.end()
        raise MountFailed(str(error)) from error
    let_go = lifeline.hold(_device(mountpoint) or "")

    def end() -> None:
        mounted.end()
        let_go()

    return Mount(connection, end)


def _mount_as_root(mountpoint: Path, options: AbstractSet[str]) -> _Mounted:
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
    data += "".join(f",{option}" for option in options & {"default_permissions", "allow_other"})
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
        os.close(fuse_fd)

    return _Mounted(fuse_fd, end)


def _mount_by_fusermount(mountpoint: Path, options: AbstractSet[str]) -> _Mounted:
    """Have fusermount3 mount; with auto_unmount it stays, and unmounts when our end is closed."""
    fusermount = shutil.which("fusermount3") or "fusermount3"
    ours, theirs = socket.socketpair()
    # A file, which never fills up and keeps nobody waiting for its end.
    said = os.memfd_create("stderr")
    try:
        with theirs:
            helper = subprocess.Popen(  # noqa: S603  # the program of that name, as libfuse runs it
                [fusermount, "-o", ",".join(sorted(options)), "--", mountpoint],
                env={**os.environ, _COMMFD: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        if not fds:
            helper.wait()
            lines = os.pread(said, 65536, 0).decode(errors="replace").split("\n")
            reasons = [line.strip() for line in lines if line.strip()]
            raise MountFailed("; ".join(reasons) or f"fusermount3: status {helper.returncode}")
    except OSError as error:
        raise MountFailed(f"fusermount3: {error.strerror}") from error
    finally:
        os.close(said)
    if "auto_unmount" not in options:
        helper.wait()
    (fuse_fd,) = fds

    def end() -> None:
        # Unless somebody has unmounted it already: then it is quiet.
        command = [fusermount, "-u", "-q", "-z", "--", str(mountpoint)]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603  # as above
        os.close(fuse_fd)
        ours.close()

    return _Mounted(fuse_fd, end)


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
