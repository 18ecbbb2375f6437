"""Ports where it is easy to go wrong: appending, absent memory, rights, deaths, chains."""

import ctypes
import mmap
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from errno import EACCES, EIDRM, ELOOP, EPERM
from pathlib import Path

import pytest

from tests.mount.calls import libc, refused
from tests.mount.ports.using import FOLLOW, KEEP, MIB, opened, put, take, take_all
from tests.mount.processes import ALICE, BOB, Fork, Forked, in_child
from tests.mounts import Child, Mount


def test_appending_through_one_handle_is_a_message_a_call(queue: Path) -> None:
    with opened(queue, os.O_WRONLY | os.O_APPEND) as fd:
        for size in (10, 8_000):
            assert os.write(fd, b"x" * size) == size
    assert [len(message) for message in take_all(queue)] == [10, 8_000]


def test_appending_what_is_too_large_leaves_nothing(queue: Path) -> None:
    with opened(queue, os.O_WRONLY | os.O_APPEND) as fd:
        os.write(fd, b"x" * 10)
        with suppress(OSError):
            os.write(fd, b"x" * (MIB + 1))
    assert [len(message) for message in take_all(queue)] == [10]


def test_an_errno_of_writev_leaves_nothing(queue: Path) -> None:
    with opened(queue, os.O_WRONLY | os.O_DIRECT) as fd:
        try:
            count = os.writev(fd, [b"abc"] * 1000)
        except OSError:
            count = 0
    assert sum(map(len, take_all(queue))) == count


def test_an_unaligned_buffer_whose_pages_were_never_touched_is_one_message(queue: Path) -> None:
    memory = mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[0] = 1
    with opened(queue, os.O_WRONLY) as fd, memoryview(memory) as view:
        os.write(fd, view[100:9_000])
    memory.close()
    assert [len(message) for message in take_all(queue)] == [8_900]


def map_privately(fd: int) -> int:
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, ctypes.c_size_t(4096), 1, 2, fd, ctypes.c_long(0))
    assert isinstance(address, int)
    return address


@pytest.mark.parametrize("how", ["splice", "mmap"])
def test_nobody_sees_what_they_may_neither_read_nor_take(queue: Path, how: str) -> None:
    queue.chmod(0o1777)
    here, there = socket.socketpair()

    def spy() -> bytes:
        fd = os.open(queue / ".pipe", os.O_RDONLY)
        address = map_privately(fd) if how == "mmap" else 0
        there.send(b".")
        there.recv(1)
        if address:
            return ctypes.string_at(address, 6)
        reader, writer = os.pipe()
        os.splice(fd, writer, 6)
        os.close(writer)
        return os.read(reader, 6)

    with here, there:
        child = Forked(spy, BOB)
        try:
            here.recv(1)
            before = os.umask(0o77)
            put(queue, b"secret" * 2_000)
            os.umask(before)
            here.send(b".")
            seen = b""
            with suppress(AssertionError, OSError):  # it may be killed, or refused
                seen = child.result()
            assert seen == b""
        finally:
            child.end()
    with refused(EPERM):
        in_child(lambda: take(queue), BOB)
    with refused(EACCES):
        in_child((queue / "head").read_bytes, BOB)


def test_a_mask_of_the_queues_list_counts_for_its_ports(queue: Path) -> None:
    os.chown(queue, ALICE, ALICE)
    queue.chmod(0o777)
    subprocess.run(["setfacl", "-m", f"u:{BOB}:rwx,m::r-x", queue], check=True)
    with refused(EACCES):
        in_child((queue / "file").touch, BOB)
    with refused(EACCES):
        in_child(lambda: put(queue, b"message"), BOB)


def test_root_keeps_its_right_when_s_isvtx_is_set_after_the_port_was_opened(queue: Path) -> None:
    queue.chmod(0o777)
    with opened(queue, os.O_RDONLY) as fd:
        in_child(lambda: put(queue, b"Alice's"), ALICE)
        os.chown(queue, BOB, BOB)
        queue.chmod(0o1777)
        assert os.read(fd, MIB) == b"Alice's"


@pytest.fixture
def busy(queue: Path, start: Callable[..., Child]) -> None:
    """The daemon reads for others, and so doesn't sleep."""
    code = """if True:
        import os, sys
        fd = os.open(sys.argv[1], os.O_RDONLY)
        print("ready", flush=True)
        while True:
            os.read(fd, 9)
    """
    for _ in range(2):
        start(code, queue / ".pipe")


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("call", [lambda fd: os.read(fd, 9), lambda fd: os.write(fd, b"lost")])
def test_no_port_is_used_after_its_owners_death(
    path: Path, fork: Fork, call: Callable[[int], object]
) -> None:
    for _ in range(50):
        owner = fork(path.mkdir)
        put(path, b"message")
        with opened(path, os.O_RDWR) as fd:
            owner.end()
            with refused(EIDRM):
                call(fd)


def test_also_when_many_owners_die_at_once(root: Path) -> None:
    queues = [root / f"of-many-{number}" for number in range(40)]
    owners = [Forked(queue.mkdir) for queue in queues]
    with ExitStack() as stack:
        for owner in owners:
            stack.callback(owner.end)
            owner.result()
        ports = []
        for queue in queues:
            put(queue, b"message")
            ports.append(stack.enter_context(opened(queue, os.O_RDONLY)))
        for owner in owners:
            os.kill(owner.pid, signal.SIGKILL)
        for owner in owners:
            owner.wait()
        for fd in ports:
            with refused(EIDRM):
                os.read(fd, 9)


def test_a_long_chain_of_topics_is_refused_or_passes_on(mount: Mount) -> None:
    mount.expected.append("")
    queues = [mount.path / f"topic-{number}" for number in range(1100)]
    for number, queue in enumerate(queues):
        queue.mkdir()
        if number:
            try:
                os.setxattr(queue, FOLLOW, queues[number - 1].name.encode())
            except OSError as error:
                assert error.errno == ELOOP  # noqa: PT017  # it may be refused
                break
        os.setxattr(queue, KEEP, b"no")
    put(queues[0], b"message")
    assert "Traceback" not in mount.said()
