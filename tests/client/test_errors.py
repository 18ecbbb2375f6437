"""Each error of the API, on a real mount: its kind, its one line, its remedy."""

import errno
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventfs
from eventfs import (
    AccessDenied,
    CastIncomplete,
    DaemonDied,
    MessageTooLarge,
    NoSuchQueue,
    NotEventfs,
    Queue,
    QueueEmpty,
    QueueError,
    QueueExists,
    QueueFull,
    QueueNotEmpty,
    QueueVanished,
)
from eventfs.client.errors import meaning_of
from tests.config.making import configure
from tests.mount.ports.test_poll import wait_until_polling
from tests.mount.processes import ALICE, BOB, Forked, in_child
from tests.mounts import Mount, mounted, wait_until

MIB = 1 << 20

Use = Callable[[Queue], object]


def claim(queue: Queue) -> bytes:
    """Claim a message, and be done."""
    with queue.claim() as message:
        return message.content


#: All that asks the filesystem.
USES: dict[str, Use] = {
    "send": lambda queue: queue.send(b"message"),
    "send nothing": lambda queue: queue.send(b""),
    "send much": lambda queue: queue.send(b"x" * 2 * MIB),
    "send_lines": lambda queue: queue.send_lines([b"line"]),
    "receive": lambda queue: queue.receive(),
    "receive at once": lambda queue: queue.receive(0),
    "receive details": lambda queue: queue.receive(details=True),
    "receive_lines": lambda queue: queue.receive_lines(),
    "receive_each": lambda queue: [*queue.receive_each()],
    "claim": claim,
    "peek": lambda queue: queue.peek(),
    "iterate": list,
    "len": len,
    "stat": lambda queue: queue.stat(),
    "follow": lambda queue: queue.follow(),
    "wait_empty": lambda queue: queue.wait_empty(),
    "remove": lambda queue: queue.remove(),
}

each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


def check(error: QueueError, path: Path | str) -> None:
    """What is true of all of them."""
    assert error.queue == str(path)
    assert error.errno
    line = str(error)
    assert line.startswith(f"{path}: {error.strerror}")
    assert line.endswith(error.remedy)
    assert "\n" not in line
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert type(copied) is type(error)
    assert (str(copied), copied.__dict__.keys()) == (line, error.__dict__.keys())


# Paths


def test_nothing_there(root: Path) -> None:
    for path in (root / "missing", root / "missing" / "deeper", root.parent / "missing"):
        with pytest.raises(NoSuchQueue, match="there is no such queue; make it") as caught:
            Queue.open(path)
        assert isinstance(caught.value, FileNotFoundError)
        check(caught.value, path)


def test_no_eventfs(root: Path, tmp_path: Path) -> None:
    with_file = tmp_path / "with-file"
    with_file.mkdir()
    (with_file / ".pipe").write_bytes(b"somebody's")
    with_fifo = tmp_path / "with-fifo"
    with_fifo.mkdir()
    os.mkfifo(with_fifo / ".pipe")
    (tmp_path / "file").touch()
    for path in (root, tmp_path, with_file, with_fifo, tmp_path / "file", Path("/")):
        with pytest.raises(NotEventfs, match="it is no queue") as caught:
            Queue(path)
        check(caught.value, path)


@pytest.mark.parametrize("name", [".pipe", ".lines"])
def test_a_file_that_is_called_as_a_port_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / ".pipe").touch()
    (tmp_path / name).touch()
    queue = Queue(tmp_path)
    for use in (USES["send"], USES["receive"]) if name == ".pipe" else (USES["send_lines"],):
        with pytest.raises(NotEventfs):
            use(queue)
    assert (tmp_path / name).read_bytes() == b""


def test_a_message_is_no_queue(path: Path, queue: Queue) -> None:
    queue.send(b"message")
    for name in ("head", ".pipe"):
        with pytest.raises(NotEventfs):
            Queue(path / name)


@pytest.mark.parametrize("exist_ok", [False, True])
def test_create_elsewhere(root: Path, path: Path, tmp_path: Path, exist_ok: bool) -> None:  # noqa: FBT001
    with pytest.raises(NotEventfs) as caught:
        Queue.create(tmp_path / "new", exist_ok=exist_ok)
    check(caught.value, tmp_path / "new")
    assert os.listdir(tmp_path) == []
    with pytest.raises(NoSuchQueue):
        Queue.create(root / "missing" / "new", exist_ok=exist_ok)
    with Queue.create(path), pytest.raises(AccessDenied, match="queues don't nest") as denied:
        Queue.create(path / "new", exist_ok=exist_ok)
    check(denied.value, path / "new")


def test_create_what_exists(path: Path, queue: Queue, root: Path) -> None:
    with pytest.raises(QueueExists) as caught:
        Queue.create(path)
    assert isinstance(caught.value, FileExistsError)
    check(caught.value, path)
    del queue
    with Queue.create(path, exist_ok=True) as again:
        again.send(b"message")
    with pytest.raises(NotEventfs):
        Queue.create(root, exist_ok=True)


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NoSuchQueue):
        Queue.create(tmp_path / "link", exist_ok=True)


# Rights


@each_use
def test_no_permission_at_all(path: Path, queue: Queue, use: Use) -> None:
    queue.send(b"message")
    path.chmod(0o700)
    with pytest.raises(AccessDenied, match="no permission; the queue's user") as caught:
        in_child(lambda: use(Queue(path)), uid=ALICE)
    assert isinstance(caught.value, PermissionError)
    check(caught.value, path)


READING = ("peek", "iterate", "len", "stat", "wait_empty")


@each_use
def test_who_may_look_may_not_change(path: Path, queue: Queue, use: Use) -> None:
    queue.send(b"message")
    path.chmod(0o755)
    denied = [one for name, one in USES.items() if name not in READING]
    if use in denied:
        with pytest.raises(AccessDenied):
            in_child(lambda: use(Queue(path)), uid=ALICE)
    elif use is not USES["wait_empty"]:
        in_child(lambda: repr(use(Queue(path))), uid=ALICE)
    assert len(queue) == 1


def test_who_may_write_may_send_and_receive_without_looking(path: Path, queue: Queue) -> None:
    path.chmod(0o733)

    def use() -> bytes:
        with Queue(path) as mine:
            for content in (b"small", b"", b"x" * 2 * MIB):
                mine.send(content)
            return mine.receive(0).content

    assert in_child(use, uid=ALICE) == b"small"
    for name in ("iterate", "len", "stat", "wait_empty"):
        with pytest.raises(AccessDenied):
            in_child(lambda name=name: USES[name](Queue(path)), uid=ALICE)  # type: ignore[misc]
    assert len(queue) == 2


def test_others_messages_in_a_queue_with_s_isvtx(path: Path, queue: Queue) -> None:
    path.chmod(0o1777)
    in_child(lambda: Queue(path).send(b"alice's"), uid=ALICE)
    for name in ("receive", "receive details", "receive_lines", "claim"):
        with pytest.raises(AccessDenied):
            in_child(lambda name=name: USES[name](Queue(path)), uid=BOB)  # type: ignore[misc]
    with pytest.raises(AccessDenied):
        in_child(lambda: Queue(path).remove(), uid=BOB)
    assert queue.receive(0).content == b"alice's"


def test_no_room_for_a_queue_of_ones_own(public_path: Path) -> None:
    with (
        mounted(public_path / "closed", "-o", "allow_other") as mount,
        Queue.create(mount.path / "queue") as queue,
    ):
        Path(queue.path).chmod(0o777)
        mount.path.chmod(0o755)
        with pytest.raises(AccessDenied, match="no queue of the sender's own") as caught:
            in_child(lambda: Queue(queue.path).send(b"x" * 2 * MIB), uid=ALICE)
        check(caught.value, queue.path)
        in_child(lambda: Queue(queue.path).send(b"small"), uid=ALICE)
        with pytest.raises(AccessDenied, match="no queue of the claimer's own may be") as caught:
            in_child(lambda: claim(Queue(queue.path)), uid=ALICE)
        check(caught.value, queue.path)
        assert len(queue) == 1


# Limits


@pytest.fixture
def short(mounter: Callable[..., Mount], tmp_path: Path) -> Iterator[Queue]:
    """A queue in a mount where each user may have three files, and ten blocks."""
    text = "[eventfs-config]\ndefault_max_files = 3\ndefault_max_bytes = 40960\n"
    mount = mounter("-c", str(configure(tmp_path, text)))
    with Queue.create(mount.path / "queue") as queue:
        yield queue


def test_full_of_messages(short: Queue) -> None:
    for _ in range(3):
        short.send(b"message")
    for use in (USES["send"], USES["send nothing"], USES["send_lines"]):
        with pytest.raises(QueueFull, match="a limit is reached; take messages out") as caught:
            use(short)
        check(caught.value, short.path)
    short.receive()
    short.send(b"there is room again")


def test_full_of_bytes(short: Queue) -> None:
    short.send(b"x" * 40_000)
    with pytest.raises(QueueFull):
        short.send(b"x" * 2_000)
    assert len(short) == 1


@pytest.mark.parametrize("size", [45_057, MIB, 2 * MIB])
def test_more_than_would_ever_fit(short: Queue, size: int) -> None:
    with pytest.raises(MessageTooLarge, match="the limit is") as caught:
        short.send(b"x" * size)
    check(caught.value, short.path)
    assert not isinstance(caught.value, QueueFull)
    assert [*short] == []


def test_more_than_would_ever_fit_this_queue(path: Path) -> None:
    with Queue.create(path, max_bytes=10) as queue:
        path.chmod(0o733)
        queue.send(b"12345")
        with pytest.raises(QueueFull, match="a limit is reached"):
            queue.send(b"123456")
        for send in (lambda: queue.send(b"x" * 11), lambda: queue.send_lines([b"x" * 11])):
            with pytest.raises(MessageTooLarge, match="and the limit is 10;") as caught:
                send()
            check(caught.value, path)
        with pytest.raises(QueueFull):  # who may not look isn't told
            in_child(lambda: Queue(path).send(b"x" * 11), uid=ALICE)
        assert len(queue) == 1


def test_a_limit_stops_lines_and_tells_how_many_are_in(short: Queue) -> None:
    with pytest.raises(QueueFull) as caught:
        short.send_lines([b"1", b"2", b"3", b"4", b"5"])
    check(caught.value, short.path)
    assert caught.value.sent == 3
    assert [message.content for message in short] == [b"1", b"2", b"3"]
    short.receive()
    with pytest.raises(MessageTooLarge) as too_large:
        short.send_lines([b"6", b"x" * 50_000, b"7"])
    assert too_large.value.sent == 1
    assert short.receive_lines() == [b"2", b"3", b"6"]


def is_sent(queue: Queue, content: bytes) -> bool:
    """Send a message if there is room."""
    try:
        queue.send(content)
    except QueueFull:
        return False
    return True


def test_a_mount_that_is_full(mounter: Callable[..., Mount], tmp_path: Path) -> None:
    mount = mounter("-c", str(configure(tmp_path, "[eventfs-config]\nsize = 3000000\n")))
    with Queue.create(mount.path / "queue") as queue:
        queue.send(b"x" * 2_000_000)
        for size in (1_040_000, 1_500_000):
            with pytest.raises(QueueFull, match="the mount is full"):
                queue.send(b"x" * size)
        with pytest.raises(MessageTooLarge):
            queue.send(b"x" * 4_000_000)
        assert queue.receive(0).size == 2_000_000
        # The kernel lets go of what was taken by its name a moment later.
        wait_until(lambda: is_sent(queue, b"x" * 2_000_000), "room for a message")


def test_too_many_queues(mounter: Callable[..., Mount], tmp_path: Path) -> None:
    mount = mounter("-c", str(configure(tmp_path, "[eventfs-config]\ndefault_max_dirs = 1\n")))
    with Queue.create(mount.path / "queue") as queue:
        with pytest.raises(QueueFull):
            Queue.create(mount.path / "another")
        with pytest.raises(QueueFull):  # it would take a queue too
            queue.send(b"x" * 2 * MIB)
        queue.send(b"small")
        with pytest.raises(QueueFull):  # and so would this
            claim(queue)
        assert len(queue) == 1


def test_a_line_that_is_too_long_is_refused_before_anything_is_sent(queue: Queue) -> None:
    longest = b"x" * (255 * 4096 - 1)
    assert queue.send_lines([longest, b"2"]) == 2
    assert queue.receive_lines() == [longest, b"2"]
    with pytest.raises(MessageTooLarge, match="too many for a line") as caught:
        queue.send_lines([b"1", longest + b"x"])
    check(caught.value, queue.path)
    assert len(queue) == 0


# Ends


@each_use
@pytest.mark.parametrize("used", [False, True])
def test_a_queue_that_has_vanished(fated: tuple[Queue, Forked], use: Use, used: bool) -> None:  # noqa: FBT001
    queue, owner = fated
    if used:
        queue.send(b"message")
        queue.send_lines([b"message"])
        queue.peek()
        len(queue)
    owner.end()
    with pytest.raises(QueueVanished, match="it has vanished, with its messages; its owner") as got:
        use(queue)
    check(got.value, queue.path)
    with pytest.raises(NoSuchQueue):
        Queue(queue.path)


def test_another_queue_of_that_name_is_another(fated: tuple[Queue, Forked]) -> None:
    queue, owner = fated
    owner.end()
    with Queue.create(queue.path) as new:
        new.send(b"message")
        for use in USES.values():
            with pytest.raises(QueueVanished):
                use(queue)
        assert len(new) == 1
        new.remove()


class Doomed:
    """A mount with a queue, whose daemon will be killed."""

    def __init__(self, folder: Path) -> None:
        self.mount = Mount(folder, folder.with_name("log"))
        self.queue = Queue.create(folder / "queue")

    def kill(self) -> None:
        """Kill the daemon, and wait until the kernel has noticed."""
        self.mount.process.kill()
        self.mount.process.wait()
        wait_until(self._is_cut_off, "the kernel to notice")

    def _is_cut_off(self) -> bool:
        try:
            os.listdir(self.mount.path)
        except OSError as error:
            return error.errno == errno.ENOTCONN
        return False


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Doomed]:
    """A mount that doesn't end well."""
    folder = tmp_path / "doomed"
    folder.mkdir()
    doomed = Doomed(folder)
    yield doomed
    doomed.kill()
    with pytest.raises(AssertionError):
        doomed.mount.unmount()


@pytest.mark.parametrize("used", [False, True])
def test_a_daemon_that_has_died(doomed: Doomed, used: bool) -> None:  # noqa: FBT001
    queue = doomed.queue
    if used:
        queue.send(b"message")
        queue.send_lines([b"message"])
        queue.send(b"x" * 2 * MIB)
    doomed.kill()
    for use in USES.values():
        with pytest.raises(DaemonDied, match="the eventfs that served it has ended; mou") as got:
            use(queue)
        check(got.value, queue.path)
    for path in (queue.path, doomed.mount.path):
        with pytest.raises(DaemonDied):
            Queue(path)
    with pytest.raises(DaemonDied):
        Queue.create(queue.path)
    queue.close()
    queue.close()


@pytest.mark.parametrize("name", ["receive", "receive details", "receive_lines", "receive_each"])
def test_who_waits_is_told_that_the_daemon_dies(doomed: Doomed, name: str) -> None:
    child = Forked(lambda: USES[name](doomed.queue))
    try:
        wait_until_polling(child.pid)
        doomed.kill()
        with pytest.raises(DaemonDied):
            child.result()
    finally:
        child.end()


# All of them


def test_an_errno_that_says_it_best_itself() -> None:
    error = meaning_of(OSError(errno.EIO, os.strerror(errno.EIO)), "a queue")
    assert type(error) is QueueError
    assert str(error) == "a queue: Input/output error"
    assert meaning_of(error, "another") is error
    assert str(meaning_of(OSError("no number"), "a queue")) == "a queue: no number"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, QueueVanished),
        (errno.EIDRM, QueueVanished),
        (errno.ENOTCONN, DaemonDied),
        (errno.ECONNABORTED, DaemonDied),
        (errno.EDQUOT, QueueFull),
        (errno.ENOSPC, QueueFull),
        (errno.EACCES, AccessDenied),
        (errno.EPERM, AccessDenied),
        (errno.EMSGSIZE, MessageTooLarge),
        (errno.ENOTDIR, NotEventfs),
        (errno.EEXIST, QueueExists),
    ],
)
def test_what_an_errno_means(number: int, kind: type[QueueError]) -> None:
    error = meaning_of(OSError(number, os.strerror(number)), "a queue")
    assert (type(error), error.errno) == (kind, number)


def test_all_are_queue_errors_and_what_python_calls_them() -> None:
    kinds = [getattr(eventfs, name) for name in eventfs.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, OSError)]
    assert len(errors) == 13
    assert all(issubclass(kind, QueueError) for kind in errors)
    assert issubclass(QueueEmpty, TimeoutError)
    assert issubclass(QueueNotEmpty, TimeoutError)


def test_what_a_cast_missed_is_told_for_each(queue: Queue, fated: tuple[Queue, Forked]) -> None:
    gone, owner = fated
    owner.end()
    with pytest.raises(CastIncomplete) as caught:
        Queue.cast([queue, gone], b"message")
    assert [(type(error), error.queue) for error in caught.value.errors] == [
        (QueueVanished, gone.path)
    ]
    expected = "it has vanished, with its messages (1 of 2 queues didn't get the message)"
    assert caught.value.strerror == expected
    check(caught.value, gone.path)
    copied = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
    assert [str(error) for error in copied.errors] == [str(error) for error in caught.value.errors]
    assert queue.receive(0).content == b"message"
