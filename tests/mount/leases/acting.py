"""Processes that make system calls when they are told to, and the calls that os hasn't got."""

import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from tests.mount.calls import renameat2
from tests.mount.ports.using import opened
from tests.mount.processes import Forked
from tests.mounts import DEADLINE_S


class Process:
    """A process that makes the system calls that it is told to, until it is ended."""

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self._ours, theirs = Pipe()
        self._process = Forked(lambda: _serve(theirs), uid)
        theirs.close()

    def __repr__(self) -> str:
        return f"<of user {self.uid}>"

    def call(self, function: Callable[..., object], *arguments: object) -> Any:  # noqa: ANN401
        """Return what the function returns there, or raise its OSError."""
        self._ours.send((function, arguments))
        assert self._ours.poll(DEADLINE_S), "the process hangs"
        succeeded, answer = self._ours.recv()
        if not succeeded:
            raise answer
        return answer

    def close(self) -> None:
        """Kill it, and wait for its death."""
        self._process.end()
        self._ours.close()


def _serve(connection: Connection) -> None:
    os.umask(0)
    while True:
        function, arguments = connection.recv()
        try:
            answer = (True, function(*arguments))
        except Exception as error:  # noqa: BLE001  # it belongs to whoever asked
            answer = (False, error)
        connection.send(answer)


def create(path: str, mode: int) -> int:
    """Make a message; return its inode number."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def append(path: str, text: bytes) -> None:
    with opened(Path(path).parent, os.O_WRONLY | os.O_APPEND, Path(path).name) as fd:
        assert os.write(fd, text) == len(text)


def write_port(path: str, data: bytes) -> int:
    with opened(Path(path).parent, os.O_WRONLY | os.O_NONBLOCK, Path(path).name) as fd:
        return os.write(fd, data)


def read_port(path: str, size: int) -> bytes:
    with opened(Path(path).parent, os.O_RDONLY | os.O_NONBLOCK, Path(path).name) as fd:
        return os.read(fd, size)


def rename(path: str, new_path: str, flags: int) -> None:
    renameat2(os.fsencode(path), os.fsencode(new_path), flags)


def consume(queue: str) -> bytes:
    """Open head, read it, and unlink head: in a thread, whose number the daemon sees but once."""
    answers: list[bytes | OSError] = []

    def run() -> None:
        try:
            fd = os.open(f"{queue}/head", os.O_RDONLY)
            content = os.read(fd, 100)
            os.close(fd)
            os.unlink(f"{queue}/head")
        except OSError as error:
            answers.append(error)
        else:
            answers.append(content)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    (answer,) = answers
    if isinstance(answer, OSError):
        raise answer
    return answer
