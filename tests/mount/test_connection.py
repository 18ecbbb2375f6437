"""How eventfs comes to terms with a kernel; a socket is in the kernel's place."""

import os
import socket
from collections.abc import Iterator
from errno import EAGAIN
from typing import NamedTuple

import pytest

from eventfs.mount import wire
from eventfs.mount.connection import Connection, KernelTooOld
from tests.mount.calls import refused

UNIQUE = 7


class Kernel(NamedTuple):
    """The kernel's end, and ours."""

    end: socket.socket
    connection: Connection

    def ask(self, major: int, minor: int) -> None:
        """Send INIT."""
        body = wire.INIT_IN.pack(major, minor, 131072, 0xFFFFFFFF) + bytes(48)
        length = wire.BODY + len(body)
        self.end.send(wire.IN_HEADER.pack(length, 26, UNIQUE, 0, 0, 0, 0) + body)

    def answer(self) -> tuple[int, ...]:
        """Return the version, the readahead and the flags that were agreed upon."""
        answer = self.end.recv(4096)
        assert wire.OUT_HEADER.unpack_from(answer) == (len(answer), 0, UNIQUE)
        return wire.INIT_OUT.unpack_from(answer, wire.OUT_HEADER.size)[:4]


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, ours:
        yield Kernel(theirs, Connection(ours.fileno()))


@pytest.mark.parametrize("minor", [31, 45, 999])
def test_the_kernel_is_told_the_version_of_which_it_can_do_all(kernel: Kernel, minor: int) -> None:
    kernel.ask(7, minor)
    kernel.connection.agree()
    assert kernel.answer() == (7, 31, 131072, wire.FLAGS)


def test_a_kernel_with_a_newer_protocol_is_told_ours_and_asks_again(kernel: Kernel) -> None:
    kernel.ask(8, 0)
    kernel.ask(7, 45)
    kernel.connection.agree()
    assert kernel.answer()[0] == 7
    assert kernel.answer()[:2] == (7, 31)


@pytest.mark.parametrize(("major", "minor"), [(7, 30), (7, 0), (6, 50)])
def test_a_kernel_that_is_too_old_is_refused(kernel: Kernel, major: int, minor: int) -> None:
    kernel.ask(major, minor)
    with pytest.raises(KernelTooOld, match=rf"version {major}\.{minor} .* use Linux 5\.3"):
        kernel.connection.agree()


def test_nobody_waits_for_requests_after_that(kernel: Kernel) -> None:
    kernel.ask(7, 31)
    kernel.connection.agree()
    with refused(EAGAIN):
        os.read(kernel.connection.fd, wire.REQUEST_BYTES)
