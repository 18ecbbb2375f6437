"""`.lines`: one call, many messages."""

import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from errno import EAGAIN, EDQUOT, EIDRM, EMSGSIZE
from pathlib import Path

import pytest

from tests.config.making import configure
from tests.mount.calls import refused
from tests.mount.making import fill, listed
from tests.mount.ports.using import DROPPED, MAX_BYTES, MIB, opened, put, take, take_all
from tests.mount.processes import Fork, Forked
from tests.mounts import Mount, wait_until

accesses = pytest.mark.parametrize("access", [os.O_WRONLY, os.O_RDWR])


def shell(queue: Path, script: str) -> bytes:
    """Run a script in the queue; return what it prints."""
    return subprocess.run(["sh", "-ec", script], cwd=queue, check=True, capture_output=True).stdout


def test_a_shell_writes_and_reads_lines(queue: Path) -> None:
    expected = b"".join(b"%d\n" % number for number in range(1, 1001))
    assert shell(queue, "seq 1000 > .lines; sort -n < .lines") == expected
    assert listed(queue) == []
    assert shell(queue, "seq 10 >> .lines; cat .pipe; cat .lines") == b"12345678910"
    assert shell(queue, "seq 3 -1 1 | tee .lines > /dev/null; sort < .lines") == b"1\n2\n3\n"


@accesses
def test_a_write_is_a_message_for_each_line_and_a_read_takes_all(queue: Path, access: int) -> None:
    with opened(queue, access, ".lines") as fd:
        assert os.write(fd, b"one\ntwo\nthree\n") == 14
    fill(queue, "file")
    assert [(queue / name).read_bytes() for name in listed(queue)[1:-1]] == [
        b"one",
        b"two",
        b"three",
        b"file",
    ]
    assert take(queue, name=".lines") == b"one\ntwo\nthree\nfile\n"
    assert listed(queue) == []


def test_empty_lines_are_empty_messages(queue: Path) -> None:
    put(queue, b"\n\none\n\n", name=".lines")
    assert take(queue, name=".lines") == b"\n\none\n\n"
    put(queue, b"\n", b"\n\n", name=".lines")
    assert take_all(queue) == [b"", b"", b""]


def test_a_read_takes_as_many_whole_messages_as_fit(queue: Path) -> None:
    put(queue, b"1234\n56\n789\nabcdefgh\n", name=".lines")
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK, ".lines") as fd:
        with refused(EMSGSIZE):
            os.read(fd, 4)
        assert os.read(fd, 5) == b"1234\n"
        assert os.read(fd, 10) == b"56\n789\n"
        with refused(EMSGSIZE):
            os.read(fd, 8)
        assert os.read(fd, 9) == b"abcdefgh\n"
        with refused(EAGAIN):
            os.read(fd, 9)
    with opened(queue, os.O_RDONLY, ".lines") as fd:
        assert os.read(fd, 9) == b""


@pytest.mark.parametrize("size", [2, 3, 7, 100, 4096, 5000, 1 << 16])
def test_nothing_is_lost_or_cut_with_any_buffer(queue: Path, size: int) -> None:
    lines = [b"%d" % (number % 10) for number in range(500)]
    put(queue, b"\n".join([*lines, b""]), name=".lines")
    for number in range(0, 500, 50):
        (queue / f"looked-{number}").touch()
    read: list[bytes] = []
    with opened(queue, os.O_RDONLY | os.O_NONBLOCK, ".lines") as fd, refused(EAGAIN):
        while True:
            piece = os.read(fd, size)
            assert piece.endswith(b"\n")
            read += piece.split(b"\n")[:-1]
    assert read == [*lines, *[b""] * 10]


def test_messages_that_were_looked_at_are_read_in_their_turn(queue: Path) -> None:
    put(queue, b"one\ntwo\nthree\n", name=".lines")
    names = listed(queue)[1:-1]
    assert (queue / names[1]).read_bytes() == b"two"
    put(queue, b"four\nfive\n", name=".lines")
    (queue / names[0]).unlink()
    assert take(queue, name=".lines") == b"two\nthree\nfour\nfive\n"


@accesses
def test_the_rest_of_a_line_waits_for_the_next_write(queue: Path, access: int) -> None:
    with opened(queue, access, ".lines") as fd:
        for piece, there in ((b"on", []), (b"e", []), (b"\ntw", [b"one"]), (b"o\n", [b"two"])):
            assert os.write(fd, piece) == len(piece)
            assert take_all(queue) == there
    assert take_all(queue) == []


def test_or_for_the_handles_close(queue: Path) -> None:
    put(queue, b"one\ntwo", name=".lines")
    wait_until(lambda: len(listed(queue)) == 4, "the rest to be there")
    assert take_all(queue) == [b"one", b"two"]


def test_which_is_that_of_its_last_copy(queue: Path) -> None:
    with opened(queue, os.O_WRONLY, ".lines") as fd:
        copy = os.dup(fd)
        os.write(fd, b"on")
        os.write(copy, b"e")
    assert take_all(queue) == []
    os.write(copy, b" line")
    os.close(copy)
    wait_until(lambda: listed(queue), "the rest to be there")
    assert take_all(queue) == [b"one line"]


@pytest.mark.parametrize("alive", [True, False])
def test_also_in_a_forked_process(queue: Path, fork: Fork, *, alive: bool) -> None:
    with opened(queue, os.O_WRONLY, ".lines") as fd:
        os.write(fd, b"of both ")
        child = fork(lambda: os.write(fd, b"processes"))
        if not alive:
            child.end()
    if alive:
        assert listed(queue) == []
        child.end()
    wait_until(lambda: listed(queue), "the rest to be there")
    assert take_all(queue) == [b"of both processes"]


def test_a_killed_writers_rest_is_a_message(queue: Path, fork: Fork) -> None:
    def write() -> None:
        os.write(os.open(queue / ".lines", os.O_WRONLY), b"one\nrest")

    fork(write).end()
    wait_until(lambda: len(listed(queue)) == 4, "the rest to be there")
    assert take_all(queue) == [b"one", b"rest"]


def test_rests_of_two_handles_do_not_mix(queue: Path) -> None:
    with ExitStack() as stack:
        one, other = (stack.enter_context(opened(queue, os.O_WRONLY, ".lines")) for _ in range(2))
        os.write(one, b"a")
        os.write(other, b"b")
        os.write(one, b"A\na")
        os.write(other, b"B\n")
        put(queue, b"pipe")
        os.write(one, b"AA\n")
    assert take_all(queue) == [b"aA", b"bB", b"pipe", b"aAA"]


@accesses
@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 10 * MIB])
def test_large_batches_arrive_complete_and_in_order(queue: Path, access: int, size: int) -> None:
    lines = [b"%d:" % number + b"x" * (number % 300) for number in range(size // 160)]
    batch = b"\n".join(lines)
    batch += b"y" * (size - 1 - len(batch)) + b"\n"
    assert len(batch) == size
    with opened(queue, access, ".lines") as fd:
        assert os.write(fd, batch) == size
    read = b""
    with opened(queue, os.O_RDONLY, ".lines") as fd:
        while piece := os.read(fd, 16 * MIB):
            read += piece
    assert read == batch


@accesses
def test_writev_with_a_thousand_lines_in_parts_is_complete(queue: Path, access: int) -> None:
    parts = [b"%d\n%d" % (number, number) for number in range(1000)]
    with opened(queue, access, ".lines") as fd:
        assert os.writev(fd, parts) == len(b"".join(parts))
    wait_until(lambda: listed(queue)[-2:], "the rest to be there")
    assert b"".join(content + b"\n" for content in take_all(queue)) == b"".join(parts) + b"\n"


def test_readv_gets_whole_messages_over_its_parts(queue: Path) -> None:
    put(queue, b"abc\ndef\nghi\n", name=".lines")
    parts = [bytearray(5), bytearray(4)]
    with opened(queue, os.O_RDONLY, ".lines") as fd:
        assert os.readv(fd, parts) == 8
    assert b"".join(parts) == b"abc\ndef\n\0"
    assert take_all(queue) == [b"ghi"]


@accesses
def test_the_longest_line_is_a_message(queue: Path, access: int) -> None:
    with opened(queue, access, ".lines") as fd:
        assert os.write(fd, b"x" * MAX_BYTES + b"\n") == MAX_BYTES + 1
        # ... also where it comes in pieces.
        for _ in range(255):
            os.write(fd, b"y" * 4096)
        os.write(fd, b"\n")
    assert take_all(queue) == [b"x" * MAX_BYTES, b"y" * MAX_BYTES]


@accesses
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_longer_line_is_refused(queue: Path, access: int, end: bytes) -> None:
    with opened(queue, access, ".lines") as fd:
        with refused(EMSGSIZE):
            os.write(fd, b"x" * (MAX_BYTES + 1) + end)
        assert os.write(fd, b"next\n") == 5
    assert take_all(queue) == [b"next"]


@accesses
def test_also_where_it_grows_too_long_in_pieces(queue: Path, access: int) -> None:
    with opened(queue, access, ".lines") as fd:
        os.write(fd, b"x" * MAX_BYTES)
        for piece in (b"x", b"x\n", b"xx\nnext\n"):
            with refused(EMSGSIZE):
                os.write(fd, piece)
        # The rest is as it was.
        assert os.write(fd, b"\nnext\n") == 6
    assert take_all(queue) == [b"x" * MAX_BYTES, b"next"]


@accesses
def test_lines_before_one_that_is_too_long_are_counted(queue: Path, access: int) -> None:
    with opened(queue, access, ".lines") as fd:
        assert os.write(fd, b"one\ntwo\n" + b"x" * (MAX_BYTES + 1)) == 8
        assert os.write(fd, b"one\ntwo\n" + b"x" * (MAX_BYTES + 1) + b"\n") == 8
        assert os.write(fd, b"three\n") == 6
    assert take_all(queue) == [b"one", b"two", b"one", b"two", b"three"]


@pytest.fixture
def limited(mounter: Callable[..., Mount], tmp_path: Path) -> Path:
    """A queue that takes five messages and 1000 bytes."""
    text = "[eventfs-config]\ndefault_max_files = 5\ndefault_max_bytes = 1000\n"
    queue = mounter("-c", str(configure(tmp_path, text))).path / "queue"
    queue.mkdir()
    return queue


@accesses
def test_at_a_limit_what_is_counted_is_in_and_the_rest_is_not(limited: Path, access: int) -> None:
    batch = b"".join(b"%d\n" % number for number in range(10))
    with opened(limited, access, ".lines") as fd:
        assert os.write(fd, batch) == 10
        with refused(EDQUOT):
            os.write(fd, batch[10:])
        assert take(limited, 4, ".lines") == b"0\n1\n"
        assert os.write(fd, batch[10:]) == 4
        assert take(limited, name=".lines") == b"2\n3\n4\n5\n6\n"
        assert os.write(fd, batch[14:]) == 6
    assert take_all(limited) == [b"7", b"8", b"9"]


@accesses
def test_with_the_beginning_of_a_line_before_it_too(limited: Path, access: int) -> None:
    with opened(limited, access, ".lines") as fd:
        os.write(fd, b"beginning ")
        assert os.write(fd, b"0\n1\n2\n3\n4\n5\n6") == 10
        with refused(EDQUOT):
            os.write(fd, b"5\n6")
        assert take_all(limited) == [b"beginning 0", b"1", b"2", b"3", b"4"]
        assert os.write(fd, b"5\n6") == 3
    wait_until(lambda: len(listed(limited)) == 4, "the rest to be there")
    assert take_all(limited) == [b"5", b"6"]


@accesses
def test_a_rest_that_does_not_fit_is_not_counted(limited: Path, access: int) -> None:
    with opened(limited, access, ".lines") as fd:
        assert os.write(fd, b"x" * 900 + b"\n" + b"y" * 200) == 901
        with refused(EDQUOT):
            os.write(fd, b"y" * 200)
        os.write(fd, b"y" * 100)
        with refused(EDQUOT):
            (limited / "file").write_bytes(b"z")
        assert take(limited, 901, ".lines") == b"x" * 900 + b"\n"
        os.write(fd, b"y\n")
    (limited / "file").unlink()
    assert take_all(limited) == [b"y" * 101]


def test_what_a_limit_keeps_out_at_the_last_close_is_counted(limited: Path) -> None:
    assert os.getxattr(limited, DROPPED) == b"0"
    put(limited, b"\n" * 5 + b"rest", name=".lines")
    wait_until(lambda: os.getxattr(limited, DROPPED) == b"1", "the drop to be counted")
    assert take_all(limited) == [b""] * 5
    put(limited, b"x" * 1000)


def test_a_vanished_queue_takes_no_lines_and_no_rests(queue: Path) -> None:
    with opened(queue, os.O_RDWR, ".lines") as fd:
        os.write(fd, b"rest")
        queue.rmdir()
        for piece in (b"piece", b"line\n", b"lines\n\n"):
            with refused(EIDRM):
                os.write(fd, piece)
        with refused(EIDRM):
            os.read(fd, 100)


def test_writers_batches_do_not_mix(queue: Path) -> None:
    def write(writer: int) -> None:
        with opened(queue, os.O_WRONLY, ".lines") as fd:
            for number in range(50):
                os.write(fd, b"".join(b"%d %d\n" % (writer, number) for _ in range(20)))

    writers = [Forked(lambda n=n: write(n)) for n in range(3)]  # type: ignore[misc]
    try:
        for writer in writers:
            writer.result()
    finally:
        for writer in writers:
            writer.end()
    taken = take_all(queue)
    assert len(taken) == 3 * 50 * 20
    for start in range(0, len(taken), 20):
        assert len({*taken[start : start + 20]}) == 1
