"""SIGHUP: the limits are read again, and nothing is lost by it."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from itertools import count, takewhile
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.config.making import MAIN, configure, paused_at, quota
from tests.mount.calls import refused
from tests.mount.making import fill
from tests.mount.processes import Forked
from tests.mounts import Mount, wait_until

RELOADED = "eventfs: the limits have been read again\n"
KEPT = "eventfs: the old limits stay in force: "


def allow(folder: Path, **limits: int) -> Path:
    """Write a file with these limits, as they are called in the section."""
    return configure(folder, MAIN + "".join(f"{key} = {n}\n" for key, n in limits.items()), {})


def max_files(mount: Mount) -> int:
    return os.statvfs(mount.path).f_files


def reload(mount: Mount) -> str:
    """Send SIGHUP; return what the daemon logs of it."""
    before = len(mount.said())
    mount.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(mount.said()) > before, "a word of the daemon")
    max_files(mount)  # once this is answered, all is said
    return mount.said()[before:]


@pytest.fixture
def mount(mounter: Callable[..., Mount], tmp_path: Path) -> Mount:
    """A mount with a file that allows 100 messages, and has no quota files."""
    mounted = mounter("-c", str(allow(tmp_path, default_max_files=100)))
    mounted.expected += [RELOADED.strip(), KEPT, f"{tmp_path}/eventfs.conf:", f"{tmp_path}/quotas/"]
    assert max_files(mounted) == 100  # it is usable, not only mounted
    return mounted


def test_new_limits_are_in_force_at_once(mount: Mount, tmp_path: Path) -> None:
    for number in (200, 50, 100):
        allow(tmp_path, default_max_files=number)
        assert reload(mount) == RELOADED
        assert max_files(mount) == number


def test_new_quota_files_are_read_and_old_ones_forgotten(mount: Mount, tmp_path: Path) -> None:
    for whose in ("user = root", "group = root"):
        configure(tmp_path, quotas={"root": quota(whose, max_files=7)})
        assert reload(mount) == RELOADED
        assert max_files(mount) == 7
        (tmp_path / "quotas/root").unlink()
        reload(mount)
        assert max_files(mount) > 100


def test_mount_options_go_before_the_file_also_then(
    mounter: Callable[..., Mount], tmp_path: Path
) -> None:
    mount = mounter("-o", "nr_inodes=100", "-c", str(allow(tmp_path, nr_inodes=10)))
    mount.expected.append(RELOADED.strip())
    allow(tmp_path, nr_inodes=20, size=4096)
    reload(mount)
    assert (max_files(mount), os.statvfs(mount.path).f_blocks) == (100, 1)


BAD: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no file": (
        lambda folder: (folder / "eventfs.conf").unlink(),
        ["eventfs.conf:1: can't be read: No such file or directory"],
    ),
    "a fifo": (
        lambda folder: (folder / "fifo").replace(folder / "eventfs.conf"),
        ["eventfs.conf:1: can't be read: not a file"],
    ),
    "no folder": (
        lambda folder: (folder / "quotas").rmdir(),
        ["eventfs.conf:2: quotas: quotas can't be read: No such file or directory"],
    ),
    "mistakes in two files": (
        lambda folder: configure(folder, f"{MAIN}x\n", {"a": quota("user = nobody-of-us")}),
        [
            "eventfs.conf:3: neither [section] nor KEY = VALUE: 'x'",
            "quotas/a:2: there is no user 'nobody-of-us'; expected a user's name or number",
        ],
    ),
}


@pytest.mark.parametrize(("spoil", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_leaves_the_old_limits_until_there_is_a_good_one(
    mount: Mount, tmp_path: Path, spoil: Callable[[Path], object], said: list[str]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    spoil(tmp_path)
    assert reload(mount).replace(f"{tmp_path}/", "") == KEPT + "\n".join(said) + "\n"
    assert max_files(mount) == 100
    (tmp_path / "eventfs.conf").unlink(missing_ok=True)
    (tmp_path / "quotas/a").unlink(missing_ok=True)
    allow(tmp_path, default_max_files=200)
    assert (reload(mount), max_files(mount)) == (RELOADED, 200)


def test_a_file_larger_than_memory_does_no_harm(mount: Mount, tmp_path: Path) -> None:
    resource.prlimit(mount.pid, resource.RLIMIT_AS, (2**40, 2**40))
    os.truncate(tmp_path / "eventfs.conf", 2**43)
    assert reload(mount).startswith(f"{KEPT}{tmp_path}/eventfs.conf:1: can't be read: ")
    allow(tmp_path, default_max_files=200)
    assert (reload(mount), max_files(mount)) == (RELOADED, 200)


def test_without_descriptors_the_old_limits_stay(mount: Mount, tmp_path: Path) -> None:
    allow(tmp_path, default_max_files=200)
    before = resource.prlimit(mount.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(mount.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    said = f"{KEPT}{tmp_path}/eventfs.conf:1: can't be read: Too many open files\n"
    assert (reload(mount), max_files(mount)) == (said, 100)
    resource.prlimit(mount.pid, resource.RLIMIT_NOFILE, before)
    assert (reload(mount), max_files(mount)) == (RELOADED, 200)


@pytest.mark.parametrize(
    "change", [lambda path: path.touch(), lambda path: path.with_name("root").unlink()]
)
def test_a_quota_file_that_appears_or_vanishes_meanwhile_leaves_the_old_limits(
    mount: Mount, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    configure(tmp_path, quotas={"root": quota("user = root", max_files=7)})
    before = mount.said()
    with paused_at(tmp_path / "quotas/root", lambda: mount.process.send_signal(signal.SIGHUP)):
        change(tmp_path / "quotas/z")
    wait_until(lambda: "changed while it was read" in mount.said(), "the refusal")
    assert mount.said().removeprefix(before).startswith(KEPT)
    assert max_files(mount) == 100


def add_message(queue: Path, name: str) -> None:
    """Make a message of ten bytes, or leave no trace of it."""
    try:
        (queue / name).write_bytes(bytes(10))
    except OSError:
        (queue / name).unlink(missing_ok=True)
        raise


def succeeds(add: Callable[[Path, str], object], queue: Path) -> bool:
    with suppress(OSError):
        add(queue, "new")
    return (queue / "new").exists() or (queue.parent / "new").exists()


@pytest.mark.parametrize(
    ("key", "limit", "add"),
    [
        ("default_max_files", 2, add_message),
        ("default_max_files_per_dir", 2, add_message),
        ("default_max_bytes", 20, add_message),
        ("size", 20, add_message),
        ("nr_inodes", 4, add_message),  # with the root and the queue
        ("default_max_dirs", 2, lambda queue, name: (queue.parent / name).mkdir()),
    ],
)
def test_limits_below_use_refuse_more_and_remove_nothing(
    mount: Mount, tmp_path: Path, key: str, limit: int, add: Callable[[Path, str], object]
) -> None:
    queue = mount.path / "queue"
    place = mount.path if key == "default_max_dirs" else queue
    place.mkdir(exist_ok=True)
    left = list("abcd")
    for name in left:
        add(queue, name)
    allow(tmp_path, **{key: limit})
    assert reload(mount) == RELOADED
    while len(left) > 1:
        with refused(ENOSPC if key in ("size", "nr_inodes") else EDQUOT):
            add(queue, "new")
        # Not listed: the kernel would know `head` and `tail` then, which count as inodes.
        assert [name for name in ("a", "b", "c", "d", "new") if (place / name).exists()] == left
        gone = place / left.pop()
        gone.rmdir() if key == "default_max_dirs" else gone.unlink()
    # What was removed takes room until the kernel forgets it, a moment later.
    wait_until(lambda: succeeds(add, queue), "room")


@contextmanager
def meanwhile(act: Callable[[int], object]) -> Iterator[None]:
    """Do something again and again during the body."""
    end = Event()

    def run() -> None:
        for number in takewhile(lambda _: not end.is_set(), count()):
            act(number)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_quota_files_that_are_replaced_meanwhile_are_read_as_a_whole(
    mount: Mount, tmp_path: Path
) -> None:
    new = tmp_path / "quotas/.new"

    def replace(number: int) -> None:
        new.write_text(quota("user = root", max_files=10 + number % 2))
        new.rename(new.with_name("root"))

    replace(0)
    with meanwhile(replace):
        for _ in range(50):
            assert reload(mount) == RELOADED
            assert max_files(mount) in (10, 11)


def test_quota_files_that_come_and_go_meanwhile_leave_the_old_limits_or_the_new(
    mount: Mount, tmp_path: Path
) -> None:
    file = tmp_path / "quotas/root"

    def come_and_go(_: int) -> None:
        new = file.with_name(".new")
        new.write_text(quota("user = root", max_files=10))
        new.rename(file)
        file.unlink()

    before = max_files(mount)
    with meanwhile(come_and_go):
        for _ in range(50):
            said = reload(mount)
            after = max_files(mount)
            assert (said == RELOADED and after in (10, 100)) or (
                said.startswith(KEPT) and after == before
            )
            before = after


def publish(stage: Path, queue: Path, last: Path) -> int:
    """Make numbered messages until *last* is there, and one called `last`; return how many."""
    number = 0
    while not last.exists():
        fill(stage, str(number))
        os.link(stage / str(number), queue / str(number))
        (stage / str(number)).unlink()
        number += 1
    fill(queue, "last")
    return number


def consume(queue: Path) -> list[str]:
    """Take messages until the last; return what was in them."""
    taken = []
    while True:
        try:
            taken.append((queue / "head").read_text())
        except FileNotFoundError:
            continue
        if taken[-1] in ("", "last"):
            return taken[:-1]
        (queue / "head").unlink()


def test_a_hundred_reloads_lose_no_message(mount: Mount, tmp_path: Path) -> None:
    stage, queue, last = mount.path / "stage", mount.path / "queue", tmp_path / "last"
    stage.mkdir()
    queue.mkdir()
    with ExitStack() as stack:
        writer = Forked(lambda: publish(stage, queue, last))
        stack.callback(writer.end)
        reader = Forked(lambda: consume(queue))
        stack.callback(reader.end)
        for number in range(100):
            allow(tmp_path, default_max_files=10**6 + number)
            assert reload(mount) == RELOADED
        last.touch()
        written = writer.result()
        assert reader.result() == [str(number) for number in range(written)]
        assert written > 0


def test_without_a_file_nothing_changes(mounter: Callable[..., Mount]) -> None:
    mount = mounter()
    mount.expected.append(RELOADED.strip())
    before = os.statvfs(mount.path)
    assert reload(mount) == RELOADED
    assert os.statvfs(mount.path) == before
