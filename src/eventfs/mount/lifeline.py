"""What becomes of those who wait for an answer when the daemon is killed.

The kernel lets them go when the last holder of the FUSE descriptor is gone. But the notifier's
thread may be waiting in the kernel for a directory's lock, which is held by one who waits for us:
it can't be killed then, keeps the descriptor, and all would wait for ever. So a small process waits
for the death of the thread that answers, and then has the connection aborted.
"""

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

# linux/prctl.h, linux/sched.h, linux/mount.h
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNS = 0x20000
_MS_REC_PRIVATE = 1 << 14 | 1 << 18

#: Where the kernel's control of FUSE's connections is, if anybody has mounted it.
_CONNECTIONS = b"/sys/fs/fuse/connections"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (*(ctypes.c_char_p,) * 3, ctypes.c_ulong, ctypes.c_char_p)


def hold(device: str) -> Callable[[], None]:
    """Start the process, for the mount with this device number; return what ends it.

    To be called by the thread that answers: it is that thread's end which counts.
    """
    _, _, minor = device.partition(":")
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _wait_for_death(parent)
            _abort(minor)
        finally:
            os._exit(0)

    def end() -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    return end


def _wait_for_death(parent: int) -> None:
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    # Whatever else is sent to the daemon's group is not for this process.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() == parent:
        signal.sigwait((signal.SIGUSR1,))


def _abort(minor: str) -> None:
    abort = Path(os.fsdecode(_CONNECTIONS), minor, "abort")
    if not abort.exists():
        # Root may mount it; in a namespace of this process, so that nobody else sees it.
        _libc.unshare(_CLONE_NEWNS)
        _libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)
        _libc.mount(b"fusectl", _CONNECTIONS, b"fusectl", 0, None)
    abort.write_text("1")
