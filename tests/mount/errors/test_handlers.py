"""A handler that raises is answered EIO, and the mount lives on."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EIO, ENOMEM
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mount.calls import refused
from tests.mount.daemon import Mounter
from tests.mount.processes import Forked
from tests.mounts import Mount, wait_until

TREE = "eventfs.queues.tree.Tree"
MESSAGE = "eventfs.queues.message.Message"


def read_large(message: Path) -> None:
    """Read more than the kernel is given when it opens a message."""
    os.truncate(message, 2**21)
    message.read_bytes()


class Broken(NamedTuple):
    """A function of the daemon that can be made to raise.

    `function` is its name, `handler` the one that fails then, and `call` what asks for it, of a
    queue that has the message `message`, the attribute `user.x` and an empty queue beside it.
    """

    function: str
    handler: str
    call: Callable[[Path], object]


def beside(queue: Path, name: str) -> Path:
    """Name a queue beside *queue*."""
    return queue.with_name(f"{queue.name}-{name}")


BROKEN = [
    Broken(f"{TREE}.lookup", "lookup", lambda queue: os.stat(queue / "message")),
    Broken(f"{TREE}.mkdir", "mkdir", lambda queue: beside(queue, "new").mkdir()),
    Broken(f"{TREE}.rmdir", "rmdir", lambda queue: beside(queue, "empty").rmdir()),
    Broken(f"{TREE}.create", "create", lambda queue: (queue / "new").open("x").close()),
    Broken(f"{TREE}.create", "mknod", lambda queue: os.mknod(queue / "new")),
    Broken(f"{TREE}.link", "link", lambda queue: os.link(queue / "message", queue / "new")),
    Broken(f"{TREE}.unlink", "unlink", lambda queue: (queue / "head").unlink()),
    Broken(f"{TREE}.entries", "readdir", os.listdir),
    Broken(f"{MESSAGE}.write", "write", lambda queue: (queue / "message").write_text("text")),
    Broken(f"{MESSAGE}.read", "open", lambda queue: (queue / "message").read_text()),
    Broken(f"{MESSAGE}.read", "read", lambda queue: read_large(queue / "message")),
    Broken(f"{MESSAGE}.truncate", "setattr", lambda queue: os.truncate(queue / "message", 1)),
    Broken(f"{MESSAGE}.truncate", "open", lambda queue: (queue / "message").open("w").close()),
    Broken("eventfs.queues.inode.Inode.chmod", "setattr", lambda queue: queue.chmod(0o700)),
    Broken("eventfs.queues.xattrs.put", "setxattr", lambda q: os.setxattr(q, "user.y", b"")),
    Broken("eventfs.queues.xattrs.get", "getxattr", lambda q: os.getxattr(q, "user.x")),
    Broken("eventfs.queues.xattrs.names", "listxattr", os.listxattr),
]

each_broken = pytest.mark.parametrize(
    "broken", BROKEN, ids=[f"{broken.handler} ({broken.function})" for broken in BROKEN]
)

#: Functions that are called by no single handler.
OTHERS = (f"{TREE}.unhold", f"{TREE}.owner_died")

#: Lets functions of the daemon raise what the file beside the mountpoint says that is called like
#: it, with the function's name behind.
BREAK = f"""
import importlib, pathlib, sys
def breakable(function):
    owner, _, attribute = function.rpartition(".")
    try:
        owner = importlib.import_module(owner)
    except ModuleNotFoundError:
        module, _, name = owner.rpartition(".")
        owner = getattr(importlib.import_module(module), name)
    real = getattr(owner, attribute)
    switch = pathlib.Path(sys.argv[-1] + "-" + function)
    def perhaps_broken(*arguments, **keywords):
        if switch.exists():
            raise eval(switch.read_text())
        return real(*arguments, **keywords)
    setattr(owner, attribute, perhaps_broken)
for function in {sorted({broken.function for broken in BROKEN}.union(OTHERS))}:
    breakable(function)
"""

_numbers = itertools.count()


@pytest.fixture(scope="module")
def one_breakable_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A mount whose functions can be broken, for all tests here that leave it in order."""
    path = tmp_path_factory.mktemp("breakable")
    mount = Mount(path, path.with_suffix(".log"), program=BREAK)
    yield mount
    mount.unmount()


@pytest.fixture
def queue(one_breakable_mount: Mount) -> Path:
    """What the calls of BROKEN need."""
    queue = one_breakable_mount.path / f"queue-{next(_numbers)}"
    make(queue)
    return queue


def make(queue: Path) -> None:
    beside(queue, "empty").mkdir()
    queue.mkdir()
    os.setxattr(queue, "user.x", b"")
    os.mknod(queue / "message")
    os.truncate(queue / "message", 4)


@contextmanager
def broken_now(
    mount: Mount, function: str, error: str = "RuntimeError('broken for a test')"
) -> Iterator[None]:
    """Break a function; *error* is Python."""
    switch = Path(f"{mount.path}-{function}")
    switch.write_text(error)
    yield
    switch.unlink()


@pytest.fixture
def new_lines(one_breakable_mount: Mount) -> Iterator[Callable[[], list[str]]]:
    """Return what the log says that it didn't say when the test began; that was expected."""
    before = len(one_breakable_mount.said())

    def new_lines() -> list[str]:
        return one_breakable_mount.said()[before:].splitlines()

    yield new_lines
    one_breakable_mount.expected.extend(new_lines())


@each_broken
@pytest.mark.usefixtures("new_lines")
def test_a_handler_that_raises_is_answered_eio_and_the_mount_lives_on(
    one_breakable_mount: Mount, queue: Path, broken: Broken
) -> None:
    with broken_now(one_breakable_mount, broken.function), refused(EIO):
        broken.call(queue)
    broken.call(queue)


@each_broken
def test_a_handler_that_raises_is_in_the_log_with_its_traceback(
    one_breakable_mount: Mount, queue: Path, broken: Broken, new_lines: Callable[[], list[str]]
) -> None:
    with broken_now(one_breakable_mount, broken.function), refused(EIO):
        broken.call(queue)
    lines = new_lines()
    assert lines[:2] == [
        f"eventfs: {broken.handler} failed: answered EIO",
        "Traceback (most recent call last):",
    ]
    assert lines[-1] == "RuntimeError: broken for a test"
    assert any("operations.py" in line and f"in {broken.handler}" in line for line in lines)


@each_broken
def test_a_handler_that_finds_no_memory_is_answered_enomem(
    one_breakable_mount: Mount, queue: Path, broken: Broken
) -> None:
    with broken_now(one_breakable_mount, broken.function, "MemoryError()"), refused(ENOMEM):
        broken.call(queue)
    broken.call(queue)


@pytest.mark.usefixtures("new_lines")
def test_what_failed_was_not_done(one_breakable_mount: Mount, queue: Path) -> None:
    calls: dict[str, Callable[[], object]] = {
        f"{TREE}.create": lambda: os.mknod(queue / "new"),
        f"{TREE}.unlink": (queue / "head").unlink,
        f"{TREE}.rmdir": beside(queue, "empty").rmdir,
    }
    for function, call in calls.items():
        with broken_now(one_breakable_mount, function), refused(EIO):
            call()
    assert os.listdir(queue) == ["head", "message", "tail"]
    assert beside(queue, "empty").is_dir()


def test_a_forget_that_raises_is_logged_and_the_mount_lives_on(
    one_breakable_mount: Mount, queue: Path, new_lines: Callable[[], list[str]]
) -> None:
    with broken_now(one_breakable_mount, f"{TREE}.unhold"):
        beside(queue, "empty").rmdir()
        wait_until(lambda: "RuntimeError: broken for a test" in new_lines(), "the forget to fail")
    assert new_lines()[0] == "eventfs: forget failed"
    assert os.listdir(queue) == ["head", "message", "tail"]


def test_a_release_that_raises_is_logged_and_the_mount_lives_on(
    one_breakable_mount: Mount, queue: Path, new_lines: Callable[[], list[str]]
) -> None:
    fd = os.open(queue / "message", os.O_RDONLY)
    with broken_now(one_breakable_mount, f"{TREE}.unhold"):
        os.close(fd)
        wait_until(lambda: "RuntimeError: broken for a test" in new_lines(), "the release to fail")
    assert new_lines()[0] == "eventfs: release failed: answered EIO"
    assert (queue / "message").read_bytes() == bytes(4)


def test_an_owners_death_that_fails_is_logged_and_the_mount_lives_on(mounter: Mounter) -> None:
    mount = mounter(program=BREAK)
    make(mount.path / "queue")
    owner = Forked((mount.path / "fated").mkdir)
    try:
        owner.result()
    finally:
        with broken_now(mount, f"{TREE}.owner_died"):
            owner.end()
            wait_until(lambda: "broken for a test" in mount.said(), "the death to fail")
            mount.expected.extend(mount.said().splitlines())
    assert os.listdir(mount.path / "queue") == ["head", "message", "tail"]
