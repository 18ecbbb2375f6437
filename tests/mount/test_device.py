"""The system calls of each request, in C and in Python."""

import ctypes
import errno
import importlib.util
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest

from eventfs.mount import device, wire
from tests.mounts import Mount

HEADER = (40 + 5, 16, 2**64 - 1, 2**63, 2**32 - 1, 1000, 4_000_000)


def in_python() -> ModuleType:
    """Load what is used where nothing was compiled."""
    spec = importlib.util.spec_from_file_location("device_in_python", device.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with patch.dict(sys.modules, {"eventfs.mount._device": None}):
        spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["C", "Python"])
def calls(request: pytest.FixtureRequest) -> ModuleType:
    module = device if request.param == "C" else in_python()
    in_c = module.receive.__module__ == "eventfs.mount._device"
    assert in_c == (request.param == "C")
    return module


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of something that keeps what is written apart, as /dev/fuse does."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, kernels:
        ours.settimeout(0)
        yield ours, kernels


Ends = tuple[socket.socket, socket.socket]


def of_kernel(mount: Mount) -> int:
    """Return the descriptor through which a daemon speaks with the kernel (pidfd_getfd(2))."""
    links = Path(f"/proc/{mount.pid}/fd").iterdir()
    number = next(int(link.name) for link in links if os.readlink(link) == "/dev/fuse")
    pidfd = os.pidfd_open(mount.pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0)
    os.close(pidfd)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return int(fd)


def test_a_request_is_received_with_what_its_header_says(calls: ModuleType, ends: Ends) -> None:
    buffer = bytearray(4096)
    ends[1].send(wire.IN_HEADER.pack(*HEADER) + b"abcde")
    assert calls.receive(ends[0].fileno(), buffer) == HEADER
    assert buffer[wire.BODY :][:6] == b"abcde\0"


def test_nothing_is_received_where_nothing_is(calls: ModuleType, ends: Ends) -> None:
    assert calls.receive(ends[0].fileno(), bytearray(4096)) is None


def test_what_cannot_be_received_or_sent_is_an_error(calls: ModuleType, ends: Ends) -> None:
    fd = ends[0].detach()
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        calls.receive(fd, bytearray(4096))
    with pytest.raises(OSError, match="Bad file descriptor"):
        calls.answer(fd, 7, 0, b"")


def test_that_nobody_waits_for_an_answer_any_more_is_no_error(
    calls: ModuleType, mount: Mount
) -> None:
    # The kernel's answer to a number that it doesn't know is ENOENT.
    fd = of_kernel(mount)
    try:
        with pytest.raises(FileNotFoundError):
            os.write(fd, wire.OUT_HEADER.pack(16, 0, 2**62))
        calls.answer(fd, 2**62, 0, b"")
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 100_000])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_an_answer_is_a_header_and_a_body_in_one_piece(
    calls: ModuleType, ends: Ends, size: int, kind: type[bytes] | type[memoryview]
) -> None:
    body = os.urandom(size)
    calls.answer(ends[0].fileno(), 2**64 - 1, 0, kind(body))
    header = wire.OUT_HEADER.pack(16 + size, 0, 2**64 - 1)
    assert ends[1].recv(200_000) == header + body


def test_a_refusal_is_a_header_with_the_errno(calls: ModuleType, ends: Ends) -> None:
    calls.answer(ends[0].fileno(), 7, errno.EDQUOT, b"")
    assert ends[1].recv(4096) == wire.OUT_HEADER.pack(16, -errno.EDQUOT, 7)


def test_a_descriptor_is_readable_once_something_is_there(calls: ModuleType, ends: Ends) -> None:
    assert calls.readable(ends[0].fileno()) is False
    ends[1].send(b"x")
    assert calls.readable(ends[0].fileno()) is True


def test_what_is_no_descriptor_no_buffer_or_no_number_is_an_error(
    calls: ModuleType, ends: Ends
) -> None:
    with pytest.raises((TypeError, BufferError)):
        calls.receive(ends[0].fileno(), b"bytes don't change")
    with pytest.raises((OverflowError, struct.error)):
        calls.answer(ends[0].fileno(), -1, 0, b"")
    with pytest.raises((TypeError, ValueError)):
        calls.readable("text")
