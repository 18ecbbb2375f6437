"""Names that contain anything."""

import os
import stat
from pathlib import Path

import pytest


def test_a_name_may_contain_every_byte_but_nul_and_slash(queue: Path) -> None:
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    for name in names:
        os.mknod(os.path.join(os.fsencode(queue), name))
    assert os.listdir(os.fsencode(queue)) == [b"head", *names, b"tail"]
    for name in names:
        assert os.readlink(os.fsencode(queue / "head")) == name
        (queue / "head").unlink()


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe", b"caf\xe9", b"line\nfeed", b" ", b"-rf", b"...", b"Head", b"\x1b[31m", b"*"],
    ids=repr,
)
def test_an_odd_name_is_a_name(root: Path, name: bytes) -> None:
    queue = os.path.join(os.fsencode(root), name)
    message = os.path.join(queue, name)
    os.mkdir(queue)
    os.mknod(message)
    assert os.listdir(queue) == [b"head", name, b"tail"]
    assert os.readlink(os.path.join(queue, b"tail")) == name
    assert stat.S_ISREG(os.stat(os.path.join(queue, b"tail")).st_mode)
    os.unlink(message)
    os.rmdir(queue)
