"""Processes for tests: forked, perhaps as another user, and gone at the end."""

import ctypes
import os
import pickle
import select
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tests.mounts import DEADLINE_S, wait_until

#: Users without a right that the kernel gives to all but strangers. They needn't have names.
ALICE, BOB, CAROL = 10_001, 10_002, 10_003

#: linux/prctl.h
_PR_SET_PDEATHSIG = 1


class Forked:
    """A process that calls a function, and then lives until it is ended."""

    def __init__(self, function: Callable[[], object], uid: int = 0) -> None:
        """Fork; *uid* is the user and the group that the process becomes, without other groups."""
        self._reader, writer = os.pipe()
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python 3.12 warns of other threads. The only one is faulthandler's, which holds no
            # lock that the child could need.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        self._ended = False
        if self.pid == 0:
            _run(function, uid, parent, writer)
        os.close(writer)

    def result(self, deadline_s: float = DEADLINE_S) -> Any:  # noqa: ANN401  # whatever it returns
        """Return what the function returned, or raise what it raised."""
        said = b""
        while True:
            ready, _, _ = select.select([self._reader], [], [], deadline_s)
            assert ready, "the forked process hangs"
            piece = os.read(self._reader, 1 << 16)
            if not piece:
                break
            said += piece
        assert said, "the forked process died"
        succeeded, answer = pickle.loads(said)  # noqa: S301  # our own process said it
        if not succeeded:
            raise answer
        return answer

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, once, and wait for the process's death."""
        if not self._ended:
            os.kill(self.pid, number)
            self.wait()

    def wait(self) -> None:
        """Wait for the process's death."""
        os.waitpid(self.pid, 0)
        self._ended = True
        os.close(self._reader)


def in_child(function: Callable[[], object], uid: int = 0) -> Any:  # noqa: ANN401
    """Call *function* in a process of its own, perhaps as another user; return what it returns."""
    child = Forked(function, uid)
    try:
        return child.result()
    finally:
        child.end()


def wait_until_blocked(pid: int) -> None:
    """Wait until a process waits for the answer to a FUSE request."""
    wchan = Path(f"/proc/{pid}/wchan")
    wait_until(
        lambda: any(word in wchan.read_text() for word in ("fuse", "request_wait_answer")),
        f"process {pid} to be waiting for an answer",
    )


def _run(function: Callable[[], object], uid: int, parent: int, writer: int) -> NoReturn:
    try:
        try:
            if uid:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            # If the parent is killed, this process goes too.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            answer = (True, function())
        except BaseException as error:  # noqa: BLE001  # it belongs to whoever asks for the result
            answer = (False, error)
        with os.fdopen(writer, "wb") as said:
            said.write(pickle.dumps(answer))
        while True:
            signal.pause()
    finally:
        # Nothing of pytest's may run twice.
        os._exit(1)


#: The fixture `fork`: arguments are those of `Forked`.
Fork = Callable[..., Forked]
