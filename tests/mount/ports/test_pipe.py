"""`.pipe`: one call, one message."""

import fcntl
import os
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from errno import EAGAIN, EDQUOT, EEXIST, EIDRM, EMSGSIZE, ENOENT, EPERM
from itertools import pairwise
from mmap import mmap
from pathlib import Path

import pytest

from tests.config.making import configure
from tests.mount.calls import refused
from tests.mount.making import (
    MAKE_FILE,
    MAKE_NEW,
    Call,
    each,
    fill,
    link_from_elsewhere,
    listed,
    messages,
    open_with,
)
from tests.mount.ports.using import MAX_BYTES, MIB, opened, put, take, take_all
from tests.mount.processes import ALICE, Fork, in_child
from tests.mounts import Mount

#: What a shell or a careless program adds to the flags.
EXTRA_FLAGS = [0, os.O_TRUNC, os.O_APPEND, os.O_CREAT, os.O_CREAT | os.O_TRUNC, os.O_DSYNC]


def test_a_write_is_a_message_and_a_read_is_the_oldest_one(queue: Path) -> None:
    contents = [b"one", b"two\nwith two lines\n", b"\0" * 5_000, b"x"]
    put(queue, *contents)
    assert take_all(queue) == contents
    assert listed(queue) == []


def test_through_one_handle_too(queue: Path) -> None:
    with opened(queue, os.O_RDWR) as fd:
        for content in (b"one", b"another", b"", b"one more"):
            os.write(fd, content)
            assert os.read(fd, 100) == content


@pytest.mark.parametrize("flags", EXTRA_FLAGS)
@pytest.mark.parametrize("access", [os.O_WRONLY, os.O_RDWR])
def test_flags_that_change_files_change_nothing(queue: Path, access: int, flags: int) -> None:
    put(queue, b"before")
    for content in (b"one", b"two"):
        with opened(queue, access | flags) as fd:
            os.write(fd, content)
    assert take_all(queue) == [b"before", b"one", b"two"]


def test_names_sort_in_the_order_of_arrival_and_are_unique_in_the_mount(
    queue: Path, other_queue: Path
) -> None:
    for number in range(20):
        put(queue if number % 3 else other_queue, b"%d" % number)
    for each_queue in (queue, other_queue):
        names = messages(each_queue)
        assert names == sorted(names)
        numbers = [int((each_queue / name).read_bytes()) for name in names]
        assert all(first < second for first, second in pairwise(numbers))
    assert not {*messages(queue)} & {*messages(other_queue)}


def test_names_that_come_later_sort_after_those_of_a_queue_that_was_emptied(queue: Path) -> None:
    put(queue, b"one")
    (first,) = messages(queue)
    take(queue)
    put(queue, b"two")
    (second,) = messages(queue)
    assert first < second


def test_messages_are_files_when_they_are_looked_at(queue: Path) -> None:
    put(queue, b"one", b"another")
    first, second = messages(queue)
    assert listed(queue) == ["head", first, second, "tail"]
    assert os.readlink(queue / "head") == first
    assert os.readlink(queue / "tail") == second
    assert (queue / "head").read_bytes() == b"one"
    (queue / second).write_bytes(b"changed")
    assert (queue / second).stat().st_size == 7
    (queue / "head").unlink()
    assert take_all(queue) == [b"changed"]


def test_a_message_that_was_looked_at_and_taken_is_gone_by_its_name(queue: Path) -> None:
    put(queue, b"one")
    (name,) = messages(queue)
    with (queue / name).open("rb") as file:
        assert take(queue) == b"one"
        assert file.read() == b"one"
    with refused(ENOENT):
        (queue / name).stat()
    assert os.stat(queue).st_nlink == 2


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o666), (0o22, 0o644), (0o77, 0o600)])
def test_messages_have_the_openers_user_and_group_and_0666_less_their_umask(
    queue: Path, umask: int, mode: int
) -> None:
    queue.chmod(0o777)

    def write() -> None:
        os.umask(umask)
        fd = os.open(queue / ".pipe", os.O_WRONLY)
        os.umask(0o777)
        os.write(fd, b"message")

    in_child(write, ALICE)
    status = (queue / "head").stat()
    assert (status.st_uid, status.st_gid) == (ALICE, ALICE)
    assert status.st_mode == stat.S_IFREG | mode


def test_a_message_is_dated_when_it_was_written(queue: Path) -> None:
    (queue / "before").touch()
    put(queue, b"message")
    (queue / "after").touch()
    times = [(queue / name).stat().st_mtime_ns for name in messages(queue)]
    assert times == sorted(times)


def test_messages_that_came_as_files_are_taken_too_in_order(queue: Path) -> None:
    fill(queue, "first")
    put(queue, b"second")
    fill(queue, "third")
    assert take_all(queue) == [b"first", b"second", b"third"]


def test_a_message_larger_than_the_buffer_stays(queue: Path) -> None:
    put(queue, b"x" * 100)
    with opened(queue, os.O_RDONLY) as fd:
        for size in (1, 50, 99):
            with refused(EMSGSIZE):
                os.read(fd, size)
        assert os.read(fd, 100) == b"x" * 100


@pytest.mark.parametrize("access", [os.O_WRONLY, os.O_RDWR])
@pytest.mark.parametrize("size", [MAX_BYTES + 1, MIB - 1, MIB, MIB + 1, 10 * MIB])
@pytest.mark.parametrize("offset", [0, 1, 100, 4095])
def test_what_is_too_large_for_one_request_is_refused_whole(
    queue: Path, access: int, size: int, offset: int
) -> None:
    with closing(mmap(-1, size + 4096)) as memory:
        memory.write(b"x" * (size + 4096))
        with opened(queue, access) as fd, memoryview(memory) as view, refused(EMSGSIZE):
            os.write(fd, view[offset : offset + size])
    assert listed(queue) == []


@pytest.mark.parametrize("access", [os.O_WRONLY, os.O_RDWR])
@pytest.mark.parametrize("offset", [0, 1, 100, 4095])
def test_the_largest_message_is_one_wherever_its_buffer_begins(
    queue: Path, access: int, offset: int
) -> None:
    content = os.urandom(MAX_BYTES)
    with closing(mmap(-1, MAX_BYTES + 4096)) as memory:
        memory[offset : offset + MAX_BYTES] = content
        with opened(queue, access) as fd, memoryview(memory) as view:
            assert os.write(fd, view[offset : offset + MAX_BYTES]) == MAX_BYTES
    with closing(mmap(-1, MAX_BYTES + 4096)) as memory:
        with opened(queue, os.O_RDONLY) as fd, memoryview(memory) as view:
            assert os.readv(fd, [view[offset : offset + MAX_BYTES]]) == MAX_BYTES
        assert memory[offset : offset + MAX_BYTES] == content


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR], ids=["write only", "read too"])
def test_writev_with_a_thousand_parts_is_one_message_and_its_count_says_how_much_of_them(
    queue: Path, flags: int
) -> None:
    parts = [b"%d " % number for number in range(1000)]
    with opened(queue, flags) as fd:
        count = os.writev(fd, parts)
    assert take_all(queue) == [b"".join(parts)[:count]]


def test_writev_with_as_many_parts_as_the_kernel_takes_at_once_is_whole(queue: Path) -> None:
    parts = [b"%d " % number for number in range(256)]
    with opened(queue, os.O_WRONLY) as fd:
        assert os.writev(fd, parts) == len(b"".join(parts))
    assert take_all(queue) == [b"".join(parts)]


def test_readv_fills_the_parts_with_one_message(queue: Path) -> None:
    put(queue, b"abcdefgh", b"second")
    parts = [bytearray(3), bytearray(3), bytearray(3)]
    with opened(queue, os.O_RDONLY) as fd:
        assert os.readv(fd, parts) == 8
    assert parts == [b"abc", b"def", b"gh\0"]
    assert take_all(queue) == [b"second"]


@pytest.mark.parametrize("access", [os.O_RDONLY, os.O_RDWR])
def test_where_nothing_is_there_a_read_is_at_the_end_or_to_be_tried_again(
    queue: Path, access: int
) -> None:
    with opened(queue, access) as fd:
        assert os.read(fd, 100) == b""
        assert os.read(fd, 100) == b""
        put(queue, b"message")
        assert os.read(fd, 100) == b"message"
        assert os.read(fd, 100) == b""
    with opened(queue, access | os.O_NONBLOCK) as fd:
        with refused(EAGAIN):
            os.read(fd, 100)
        put(queue, b"message")
        assert os.read(fd, 100) == b"message"
        with refused(EAGAIN):
            os.read(fd, 100)


def test_a_handle_can_become_nonblocking_and_change_back(queue: Path) -> None:
    with opened(queue, os.O_RDONLY) as fd:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        for _ in range(2):
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
            with refused(EAGAIN):
                os.read(fd, 100)
            fcntl.fcntl(fd, fcntl.F_SETFL, flags)
            assert os.read(fd, 100) == b""


def test_an_empty_message_is_told_from_none_by_eagain(queue: Path) -> None:
    (queue / "empty").touch()
    put(queue, b"full")
    put(queue, b"\n", name=".lines")
    assert take_all(queue) == [b"", b"full", b""]


@pytest.mark.parametrize("access", [os.O_WRONLY, os.O_RDWR])
def test_a_write_of_nothing_is_no_message(queue: Path, access: int) -> None:
    with opened(queue, access) as fd:
        assert os.write(fd, b"") == 0
        assert os.writev(fd, [b"", b""]) == 0
    assert listed(queue) == []


def test_a_read_of_nothing_takes_nothing(queue: Path) -> None:
    put(queue, b"message")
    with opened(queue, os.O_RDONLY) as fd:
        assert os.read(fd, 0) == b""
        assert os.readv(fd, [bytearray(0)]) == 0
    assert take_all(queue) == [b"message"]


def shell(queue: Path, script: str) -> bytes:
    """Run a script in the queue; return what it prints."""
    return subprocess.run(["sh", "-ec", script], cwd=queue, check=True, capture_output=True).stdout


def test_a_shell_appends_with_both_arrows(queue: Path) -> None:
    shell(queue, "echo one > .pipe; echo two >> .pipe; { echo three; echo four; } > .pipe")
    shell(queue, "{ echo five; echo six; } >> .pipe; printf 'a\nb\n' | tee .pipe > /dev/null")
    expected = ["one", "two", "three", "four", "five", "six", "a\nb"]
    assert take_all(queue) == [f"{text}\n".encode() for text in expected]


def test_cat_drains_a_queue(queue: Path) -> None:
    assert shell(queue, "for n in 1 2 3; do echo $n > .pipe; done; cat .pipe") == b"1\n2\n3\n"
    assert listed(queue) == []
    assert shell(queue, "cat .pipe; cat < .pipe") == b""


def test_cat_drains_it_into_a_file_and_another_queue(
    queue: Path, other_queue: Path, tmp_path: Path
) -> None:
    put(queue, b"one\n", b"two\n")
    shell(queue, f"cat .pipe > {tmp_path}/file")
    assert (tmp_path / "file").read_bytes() == b"one\ntwo\n"
    put(queue, b"three", b"four")
    shell(queue, f"cat .pipe > {other_queue}/.pipe")
    assert take_all(other_queue) == [b"three", b"four"]


def test_dd_takes_one_and_a_shell_reads_one(queue: Path) -> None:
    put(queue, b"one\n", b"two\n", b"three\n")
    assert shell(queue, "dd bs=1M count=1 if=.pipe 2> /dev/null") == b"one\n"
    assert shell(queue, "dd bs=1M count=1 2> /dev/null < .pipe") == b"two\n"
    shell(queue, "dd bs=1M count=1 of=.pipe conv=notrunc 2> /dev/null < /etc/hostname")
    assert take_all(queue) == [b"three\n", Path("/etc/hostname").read_bytes()]


@pytest.mark.parametrize("name", [".pipe", ".lines"])
@pytest.mark.parametrize(
    ("queues", "ports"),
    [(0o777, 0o666), (0o755, 0o600), (0o1777, 0o666), (0o770, 0o660), (0o500, 0), (0o2732, 0o666)],
)
def test_a_port_is_an_empty_file_of_those_who_may_write_to_the_queue(
    queue: Path, name: str, queues: int, ports: int
) -> None:
    put(queue, b"message")
    os.chown(queue, ALICE, ALICE + 1)
    queue.chmod(queues)
    status = (queue / name).stat()
    assert status.st_mode == stat.S_IFREG | ports
    assert (status.st_uid, status.st_gid) == (ALICE, ALICE + 1)
    assert (status.st_size, status.st_nlink, status.st_blocks) == (0, 1, 0)
    with opened(queue, os.O_RDWR, name) as fd:
        os.write(fd, b"more\n")
        assert os.fstat(fd).st_size == 0
    assert (queue / name).stat().st_size == 0


def test_no_listing_shows_ports(queue: Path) -> None:
    for name in (".pipe", ".lines"):
        (queue / name).stat()
    assert listed(queue) == []
    with opened(queue, os.O_RDWR):
        assert listed(queue) == []
    fill(queue, "message")
    assert listed(queue) == ["head", "message", "tail"]


def test_a_queue_with_open_ports_can_be_removed(queue: Path) -> None:
    with opened(queue, os.O_RDWR), opened(queue, os.O_WRONLY, ".lines"):
        queue.rmdir()
    assert not queue.exists()


@pytest.mark.parametrize("name", [".pipe", ".lines"])
@each(MAKE_NEW)
def test_a_port_is_there_already(queue: Path, call: Call, name: str) -> None:
    with refused(EEXIST):
        call(queue / name)
    assert listed(queue) == []


@pytest.mark.parametrize("name", [".pipe", ".lines"])
@each(
    {
        "unlink": os.unlink,
        "rename it": lambda path: path.rename(path.with_name("other")),
        "rename to it": lambda path: (path.parent / "message").rename(path),
        "replace it": lambda path: (path.parent / "message").replace(path),
        "link it": lambda path: os.link(path, path.with_name("other")),
    }
)
def test_a_port_can_not_be_removed_renamed_or_linked(queue: Path, call: Call, name: str) -> None:
    fill(queue, "message")
    with refused(EPERM):
        call(queue / name)
    assert messages(queue) == ["message"]
    assert take_all(queue) == [b"message"]


@each({name: MAKE_FILE[name] for name in ("O_CREAT", "O_CREAT, read only")})
def test_o_creat_opens_it(queue: Path, call: Call) -> None:
    call(queue / ".pipe")
    assert listed(queue) == []


def test_a_port_of_a_queue_that_is_gone_says_so(queue: Path) -> None:
    with opened(queue, os.O_RDWR) as fd:
        queue.rmdir()
        with refused(EIDRM):
            os.read(fd, 100)
        with refused(EIDRM):
            os.write(fd, b"message")
        assert os.fstat(fd).st_size == 0


def test_also_when_its_owner_died_and_another_queue_has_the_name(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    put(path, b"message")
    with opened(path, os.O_RDWR) as fd:
        owner.end()
        fork(path.mkdir)
        put(path, b"of the new queue")
        with refused(EIDRM):
            os.read(fd, 100)
        with refused(EIDRM):
            os.write(fd, b"message")
    assert take_all(path) == [b"of the new queue"]


def test_a_vanished_queue_has_no_ports(queue: Path) -> None:
    directory = os.open(queue, os.O_DIRECTORY)
    queue.rmdir()
    for name in (".pipe", ".lines"):
        with refused(ENOENT):
            os.open(name, os.O_RDWR | os.O_CREAT, dir_fd=directory)
    os.close(directory)


LIMITS: dict[str, int] = {"default_max_files": 2, "default_max_files_per_dir": 2}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", [".pipe", ".lines"])
def test_at_a_limit_of_messages_nothing_is_in(
    mounter: Callable[..., Mount], tmp_path: Path, limit: str, name: str
) -> None:
    text = f"[eventfs-config]\n{limit} = {LIMITS[limit]}\n"
    queue = mounter("-c", str(configure(tmp_path, text))).path / "queue"
    queue.mkdir()
    fill(queue, "file")
    with opened(queue, os.O_WRONLY, name) as fd:
        assert os.write(fd, b"one\n") == 4
        with refused(EDQUOT):
            os.write(fd, b"two\n")
        with refused(EDQUOT):
            open_with(queue / "another", os.O_CREAT | os.O_WRONLY)
        (queue / "head").unlink()
        assert os.write(fd, b"three\n") == 6
    assert [content.strip() for content in take_all(queue)] == [b"one", b"three"]


def test_at_a_limit_of_bytes_nothing_is_in(mounter: Callable[..., Mount], tmp_path: Path) -> None:
    text = "[eventfs-config]\ndefault_max_bytes = 10000\n"
    queue = mounter("-c", str(configure(tmp_path, text))).path / "queue"
    queue.mkdir()
    with opened(queue, os.O_WRONLY) as fd:
        os.write(fd, b"x" * 6_000)
        with refused(EDQUOT):
            os.write(fd, b"x" * 4_001)
        os.write(fd, b"x" * 4_000)
        with refused(EDQUOT):
            os.write(fd, b"x")
        assert take(queue) == b"x" * 6_000
        os.write(fd, b"y" * 6_000)
    assert take_all(queue) == [b"x" * 4_000, b"y" * 6_000]


def test_linking_a_ports_message_elsewhere_keeps_it_when_it_is_taken(
    queue: Path, other_queue: Path
) -> None:
    put(queue, b"message")
    (name,) = messages(queue)
    os.link(queue / name, other_queue / "link")
    assert (other_queue / "link").stat().st_nlink == 2
    assert take(queue) == b"message"
    assert (other_queue / "link").stat().st_nlink == 1
    assert take_all(other_queue) == [b"message"]


def test_a_link_from_elsewhere_is_taken_in_its_turn(queue: Path) -> None:
    put(queue, b"one")
    link_from_elsewhere(queue / "two")
    put(queue, b"three")
    assert take_all(queue) == [b"one", b"message", b"three"]
