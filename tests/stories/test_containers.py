"""Containers that share a mount, or have one each: who sees what, who may what, what dies when."""

import ctypes
import os
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from errno import errorcode
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mounts import DEADLINE_S, Mount, is_mounted, wait_until
from tests.stories.containers_namespaces import Container, Ids, MountInside

#: Two containers with users of their own, and one whose root is the machine's, and alone.
RED = Ids(0, 100_000, 65_536)
BLUE = Ids(0, 200_000, 65_536)
ROOT_ALONE = Ids(0, 0, 1)

#: What an id that isn't mapped shows as: /proc/sys/kernel/overflowuid.
OVERFLOW = 65_534

#: Users of the machine; a container's are offset by its ids.
USER, STRANGER = 7, 1000

#: As many as show that a reader and a writer in different containers keep pace.
MESSAGES = 100

Containers = Callable[..., Container]
MountsInside = Callable[..., MountInside]

_numbers = count()


@pytest.fixture
def container() -> Iterator[Containers]:
    """Start containers; arguments are those of `Container`."""
    started: list[Container] = []

    def start(*ids: Ids, **keywords: object) -> Container:
        started.append(Container(*ids, **keywords))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in reversed(started):
        each.close()


@pytest.fixture
def mount_inside(
    container: Containers,  # noqa: ARG001  # it ends after the mounts in it
    tmp_path: Path,
) -> Iterator[MountsInside]:
    """Mount in containers; arguments are those of `MountInside` but for the log."""
    mounts: list[MountInside] = []

    def mount(inside: Container, path: Path, *arguments: str, uid: int = 0) -> MountInside:
        log = tmp_path / f"log-inside-{len(mounts)}"
        mounts.append(MountInside(inside, path, log, *arguments, uid=uid))
        return mounts[-1]

    yield mount
    for each in reversed(mounts):
        each.close()


@pytest.fixture
def shared_folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder whose mounts reach other mount namespaces, as all do where systemd runs."""
    folder = tmp_path / "shared"
    folder.mkdir()
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "--make-shared", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def name() -> str:
    """The name of a queue that no other test makes."""
    return f"container-{next(_numbers)}"


@pytest.fixture
def make_queue(shared_mount: Mount, name: str) -> Iterator[Callable[..., Path]]:
    """Make queues of a user of the machine; they live as long as the test."""
    queues: list[Path] = []

    def make(uid: int, mode: int = 0o1777) -> Path:
        queue = shared_mount.path / f"{name}-{len(queues)}"
        queue.mkdir()
        queues.append(queue)
        queue.chmod(mode)
        os.chown(queue, uid, uid)
        return queue

    yield make
    for queue in queues:
        shutil.rmtree(queue, ignore_errors=True)


def put(path: Path, uid: int, gid: int | None = None, mode: int = 0o600) -> Path:
    """Write a message that belongs to a user of the machine."""
    path.write_text(f"from {uid}")
    path.chmod(mode)
    os.chown(path, uid, uid if gid is None else gid)
    return path


def answer(function: Callable[[], object]) -> object:
    """Call a function; return its result, or its errno's name."""
    try:
        return function()
    except OSError as error:
        return errorcode[error.errno or 0]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def seen(inside: Container, directory: Path, uid: int = 0) -> object:
    """List a directory as a container's user sees it."""
    return inside.run(lambda: answer(partial(names, directory)), uid=uid)


def owner_of(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


class Watch:
    """inotify(7) on a queue: messages that somebody has finished writing."""

    def __init__(self, queue: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC)
        close_write = 0x8
        assert libc.inotify_add_watch(self._fd, os.fsencode(queue), close_write) > 0

    def wait(self) -> int:
        """Wait for messages; return how many have come since the last call."""
        ready, _, _ = select.select([self._fd], [], [], DEADLINE_S)
        assert ready, "inotify says nothing"
        said = os.read(self._fd, 1 << 16)
        messages = 0
        while said:
            # struct inotify_event and its name
            length = 16 + struct.unpack_from("I", said, 12)[0]
            said = said[length:]
            messages += 1
        return messages


# One mount, several containers


def test_two_containers_talk_through_one_bind_mounted_queue(
    shared_mount: Mount, container: Containers, name: str
) -> None:
    red, blue = container(RED), container(BLUE)
    reds = red.bind(shared_mount.path, "/mnt/reds") / name
    blues = blue.bind(shared_mount.path, "/mnt/blues") / name

    def read() -> list[str]:
        reds.mkdir(0o700)
        watch = Watch(reds)
        reds.chmod(0o777)  # from now on others may write
        messages: list[str] = []
        while len(messages) < MESSAGES:
            for _ in range(watch.wait()):
                messages.append((reds / "head").read_text())
                (reds / "head").unlink()
        return messages

    def write() -> None:
        wait_until(lambda: blues.exists() and os.access(blues, os.W_OK), "the queue")
        for number in range(MESSAGES):
            (blues / str(number)).write_text(f"message {number}")

    reader = red.start(read)
    blue.run(write)
    assert reader.result() == [f"message {number}" for number in range(MESSAGES)]


def take_in_turns(
    consumers: list[tuple[Container, Path]], look: Callable[[Path], Path]
) -> list[object]:
    """Let consumers all *look* at a queue, and then unlink, one after the other, what they got."""

    def take(queue: Path, turn: socket.socket) -> tuple[int, object]:
        found = look(queue)
        turn.send(b"!")
        turn.recv(1)
        return os.getpid(), answer(found.unlink)

    with ExitStack() as stack:
        started = []
        for inside, queue in consumers:
            ours, theirs = map(stack.enter_context, socket.socketpair())
            ours.settimeout(DEADLINE_S)
            started.append((ours, inside.start(partial(take, queue, theirs))))
        for ours, _ in started:
            assert ours.recv(1)
        took = []
        for ours, consumer in started:
            ours.send(b"!")
            took.append(consumer.result())
    pids, answers = zip(*took, strict=True)
    assert len(set(pids)) == 1, "the test is of processes that have the same id inside"
    return list(answers)


def read_head(queue: Path) -> Path:
    (queue / "head").read_bytes()
    return queue / "head"


def read_by_name(queue: Path) -> Path:
    path = queue / (queue / "head").readlink()
    path.read_bytes()
    return path


@pytest.mark.parametrize("look", [read_head, read_by_name])
def test_consumers_in_two_containers_take_a_message_once(
    shared_mount: Mount,
    container: Containers,
    make_queue: Callable[..., Path],
    look: Callable[[Path], Path],
) -> None:
    queue = make_queue(STRANGER, 0o777)
    for message in "first", "second":
        (queue / message).touch()
    consumers = [
        (inside, inside.bind(shared_mount.path) / queue.name)
        for inside in (container(RED), container(BLUE))
    ]
    assert take_in_turns(consumers, look) == [None, "ENOENT"]
    assert names(queue) == ["head", "second", "tail"]


def test_killing_a_containers_init_makes_its_queues_vanish_and_nothing_else(
    mount: Mount, container: Containers
) -> None:
    red, blue = container(RED), container(BLUE)
    for inside, queues in (red, ["red-1", "red-2"]), (blue, ["blue"]):
        path = inside.bind(mount.path)
        for queue in queues:
            inside.start((path / queue).mkdir, uid=USER).result()
    (mount.path / "ours").mkdir()
    assert names(mount.path) == ["blue", "ours", "red-1", "red-2"]

    red.kill()
    with pytest.raises(FileNotFoundError):
        (mount.path / "red-1").stat()
    assert names(mount.path) == ["blue", "ours"]
    assert seen(blue, path) == ["blue", "ours"]


def test_a_sticky_queue_outlives_its_container(
    shared_mount: Mount, container: Containers, name: str
) -> None:
    red = container(RED)
    path = red.bind(shared_mount.path) / name

    def make() -> None:
        path.mkdir()
        os.setxattr(path, "user.eventfs_sticky", b"")
        (path / "message").write_text("last words")

    red.run(make)
    red.kill()
    queue = shared_mount.path / name
    assert (queue / "head").read_text() == "last words"
    assert owner_of(queue) == (RED.outside, RED.outside)
    (queue / "message").unlink()
    os.removexattr(queue, "user.eventfs_sticky")
    assert not queue.exists()


@pytest.mark.parametrize("killed", ["inner", "outer"])
def test_an_owner_lives_two_pid_namespaces_down(
    shared_mount: Mount, container: Containers, name: str, killed: str
) -> None:
    outer = container(RED)
    path = outer.bind(shared_mount.path) / name
    inner = container(outer=outer)

    def make() -> int:
        path.mkdir()
        return os.getpid()

    pid = inner.start(make).result()
    assert pid < inner.init_pid, "it has an id of its namespace's own"
    assert owner_of(shared_mount.path / name) == (RED.outside, RED.outside)
    (inner if killed == "inner" else outer).kill()
    assert not (shared_mount.path / name).exists()


# Who is who


def test_ids_are_translated_both_ways(
    shared_mount: Mount, container: Containers, make_queue: Callable[..., Path]
) -> None:
    queue = make_queue(STRANGER)
    put(queue / "ours", RED.outside + USER)
    red = container(RED)
    inside = red.bind(shared_mount.path) / queue.name
    red.run((inside / "theirs").touch, uid=USER)
    assert red.run(lambda: owner_of(inside / "ours")) == (USER, USER)
    assert owner_of(queue / "theirs") == (RED.outside + USER, RED.outside + USER)


def test_an_id_that_is_not_mapped_shows_as_the_overflow_id(
    shared_mount: Mount, container: Containers, make_queue: Callable[..., Path]
) -> None:
    assert Path("/proc/sys/kernel/overflowuid").read_text() == f"{OVERFLOW}\n"
    queue = make_queue(STRANGER)
    put(queue / "message", RED.outside, gid=STRANGER)
    red, blue = container(RED), container(BLUE)
    reds = red.bind(shared_mount.path) / queue.name
    blues = blue.bind(shared_mount.path) / queue.name
    assert red.run(lambda: owner_of(reds)) == (OVERFLOW, OVERFLOW)
    assert red.run(lambda: owner_of(reds / "message")) == (0, OVERFLOW)
    assert blue.run(lambda: owner_of(blues / "message")) == (OVERFLOW, OVERFLOW)


def test_access_control_lists_name_users_as_each_container_numbers_them(
    shared_mount: Mount, container: Containers, make_queue: Callable[..., Path]
) -> None:
    attribute = "system.posix_acl_access"

    def acl(uid: int) -> bytes:
        """Give rw to the owner and the user *uid*, as linux/posix_acl_xattr.h has it."""
        entries = [(1, 6, -1), (2, 6, uid), (4, 0, -1), (16, 6, -1), (32, 0, -1)]
        return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)

    queue = make_queue(STRANGER)
    message = put(queue / "message", RED.outside)
    red = container(RED)
    inside = red.bind(shared_mount.path) / queue.name / "message"
    assert red.run(lambda: answer(inside.read_text), uid=USER) == "EACCES"
    red.run(lambda: os.setxattr(inside, attribute, acl(USER)))
    assert os.getxattr(message, attribute) == acl(RED.outside + USER)
    assert red.run(lambda: os.getxattr(inside, attribute)) == acl(USER)
    assert red.run(lambda: answer(inside.read_text), uid=USER) == f"from {RED.outside}"
    assert red.run(lambda: answer(inside.read_text), uid=USER + 1) == "EACCES"


def test_quotas_are_charged_to_the_id_outside(
    mounter: Callable[..., Mount], container: Containers, tmp_path: Path
) -> None:
    (tmp_path / "quotas").mkdir()
    (tmp_path / "quotas" / "reds").write_text(
        f"[eventfs-quota]\nuser = {RED.outside + USER}\nmax_dirs = 1\n"
    )
    (tmp_path / "eventfs.conf").write_text("[eventfs-config]\nquotas = quotas\n")
    mounted = mounter("-o", "allow_other", "-c", str(tmp_path / "eventfs.conf"))
    (mounted.path / "ours").mkdir()
    made = []
    for ids in RED, BLUE:
        inside = container(ids)
        path = inside.bind(mounted.path)

        def make(path: Path = path, name: str = str(ids.outside)) -> list[object]:
            return [answer((path / f"{name}-{number}").mkdir) for number in range(2)]

        made.append(inside.run(make, uid=USER))
    assert made == [[None, "EDQUOT"], [None, None]]


class Message(NamedTuple):
    """Whose message it is, and whether a container with RED's ids has these."""

    uid: int
    gid: int
    are_mapped: bool


#: Both ids must be mapped for a container's root to be root there.
KINDS = {
    "the container's root's": Message(RED.outside, RED.outside, are_mapped=True),
    "a container's user's": Message(RED.outside + USER, RED.outside + USER, are_mapped=True),
    "of a group outside": Message(RED.outside + USER, STRANGER, are_mapped=False),
    "the machine's root's": Message(0, 0, are_mapped=False),
    "a stranger's": Message(STRANGER, STRANGER, are_mapped=False),
}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def message(request: pytest.FixtureRequest) -> Message:
    """Each kind of message in turn."""
    found: Message = request.param
    return found


def test_a_containers_root_reads_private_messages_of_its_own_users_only(
    shared_mount: Mount,
    container: Containers,
    make_queue: Callable[..., Path],
    message: Message,
) -> None:
    queue = make_queue(STRANGER)
    put(queue / "message", *message[:2])
    red = container(RED)
    inside = red.bind(shared_mount.path) / queue.name
    answers = red.run(
        lambda: [answer((inside / name).read_text) for name in ("message", "head", "tail")]
    )
    assert answers == [f"from {message.uid}" if message.are_mapped else "EACCES"] * 3


def test_a_containers_root_changes_messages_of_its_own_users_only(
    shared_mount: Mount,
    container: Containers,
    make_queue: Callable[..., Path],
    message: Message,
) -> None:
    queue = make_queue(STRANGER)
    path = put(queue / "message", *message[:2])
    red = container(RED)
    inside = red.bind(shared_mount.path) / queue.name / "message"
    answers = red.run(
        lambda: [
            answer(lambda: inside.chmod(0o640)),
            answer(lambda: os.chown(inside, USER, USER)),
            answer(lambda: os.chown(inside, RED.length, -1)),  # the first id that isn't mapped
        ]
    )
    if message.are_mapped:
        assert answers == [None, None, "EINVAL"]
        assert owner_of(path) == (RED.outside + USER, RED.outside + USER)
    else:
        assert answers[1:] == ["EPERM", "EINVAL"]
        assert owner_of(path) == message[:2]
    # chmod needs no right to the group.
    is_changed = RED.outside <= message.uid < RED.outside + RED.length
    assert answers[0] == (None if is_changed else "EPERM")
    assert stat.S_IMODE(path.stat().st_mode) == (0o640 if is_changed else 0o600)


class Remover(NamedTuple):
    """Who unlinks: in which container, as which user, with all rights that a root there has."""

    ids: tuple[Ids, ...]
    uid: int = 0
    is_capable: bool = True


REMOVERS = {
    "a container's root": Remover((RED,)),
    "a container's user": Remover((RED,), USER),
    "root of a container with the machine's root's id": Remover((ROOT_ALONE,)),
    "root of a container without capabilities": Remover((), is_capable=False),
    "root of a container with all capabilities": Remover(()),
}


@pytest.mark.parametrize("remover", REMOVERS.values(), ids=list(REMOVERS))
def test_with_s_isvtx_head_and_tail_are_unlinked_by_whoever_may_unlink_the_message(
    shared_mount: Mount,
    container: Containers,
    make_queue: Callable[..., Path],
    message: Message,
    remover: Remover,
) -> None:
    """tmpfs, which knows no head, shows who may."""
    queues = [make_queue(STRANGER) for _ in range(3)]
    inside = container(*remover.ids)
    top = inside.bind(shared_mount.path)
    tmpfs = Path("/mnt/tmpfs")
    inside.outside("mkdir -m 1777 $1; chown $2:$2 $1", tmpfs, STRANGER)
    for folder in (*queues, inside.path(tmpfs)):
        put(folder / "message", *message[:2])

    def unlink() -> list[object]:
        if not remover.is_capable:
            drop_capabilities()
        paths = [
            tmpfs / "message",
            top / queues[0].name / "message",
            top / queues[1].name / "head",
            top / queues[2].name / "tail",
        ]
        return [answer(path.unlink) for path in paths]

    on_tmpfs, by_name, through_head, through_tail = inside.run(unlink, uid=remover.uid)
    assert on_tmpfs in {None, "EPERM"}
    assert by_name == on_tmpfs
    assert through_head == through_tail == on_tmpfs
    assert [bool(names(queue)) for queue in queues] == [on_tmpfs == "EPERM"] * 3


def drop_capabilities() -> None:
    """Give up all capabilities, as in a container that was started with --cap-drop=ALL."""
    libc = ctypes.CDLL(None, use_errno=True)
    version_3 = 0x20080522  # linux/capability.h
    header = struct.pack("Ii", version_3, 0)
    assert libc.capset(header, bytes(2 * 3 * 4)) == 0


# Without allow_other


def test_without_allow_other_a_container_with_other_ids_sees_nothing(
    mounter: Callable[..., Mount], container: Containers
) -> None:
    mounted = mounter()
    red = container(RED)
    path = red.bind(mounted.path)
    assert seen(red, path) == "EACCES"
    assert red.run(lambda: answer((path / "queue").mkdir)) == "EACCES"


def test_without_allow_other_the_mounters_own_ids_are_let_in_from_any_container(
    mounter: Callable[..., Mount], container: Containers
) -> None:
    mounted = mounter()
    alone = container(ROOT_ALONE, Ids(STRANGER, STRANGER, 1))
    path = alone.bind(mounted.path)
    alone.start((path / "queue").mkdir).result()
    assert names(mounted.path) == ["queue"]
    assert seen(alone, path, uid=STRANGER) == "EACCES"


# A mount of the container's own


def make_room(inside: Container) -> Path:
    """Give a container an empty directory that belongs to its root, and a /dev/fuse for all."""
    inside.outside("mount -t tmpfs -o mode=755 none /mnt; mkdir -m 777 /mnt/events")
    inside.outside("umask 0; mknod /mnt/fuse c 10 229; mount --bind /mnt/fuse /dev/fuse")
    return Path("/mnt/events")


@pytest.mark.parametrize(
    "ids", [(RED,), (ROOT_ALONE,), ()], ids=["users of its own", "root's id", "the machine's users"]
)
def test_a_container_mounts_for_itself(
    container: Containers, mount_inside: MountsInside, ids: tuple[Ids, ...]
) -> None:
    inside = container(*ids)
    path = make_room(inside)
    mount_inside(inside, path)

    def use() -> tuple[object, ...]:
        (path / "queue").mkdir()
        (path / "queue" / "message").write_text("hello")
        return owner_of(path / "queue" / "message"), (path / "queue" / "head").read_text()

    owner = inside.start(use)
    assert owner.result() == ((0, 0), "hello")
    assert seen(inside, path) == ["queue"]
    owner.end()
    assert seen(inside, path) == []


def test_a_containers_other_users_are_let_in_with_allow_other(
    container: Containers, mount_inside: MountsInside
) -> None:
    red = container(RED)
    path = make_room(red)
    mount_inside(red, path, "-o", "allow_other")
    red.start((path / "queue").mkdir, uid=USER).result()
    assert red.run(lambda: owner_of(path / "queue")) == (USER, USER)


def test_containers_below_are_let_in_with_allow_other(
    container: Containers, mount_inside: MountsInside
) -> None:
    red = container(RED)
    path = make_room(red)
    mount_inside(red, path, "-o", "allow_other")
    below = container(outer=red)
    below.start((path / "queue").mkdir).result()
    assert seen(red, path) == ["queue"]
    below.kill()
    assert seen(red, path) == []


def test_with_s_isvtx_head_goes_by_the_message_in_a_containers_mount_too(
    container: Containers, mount_inside: MountsInside
) -> None:
    red = container(RED)
    path = make_room(red)
    mount_inside(red, path, "-o", "allow_other")
    below = container(outer=red)
    head = path / "queue" / "head"

    def make() -> None:
        head.parent.mkdir()
        head.parent.chmod(0o1777)

    red.start(make, uid=STRANGER).result()
    red.run((head.parent / "message").touch, uid=USER)
    # This root has no right over red's other users.
    assert below.run(lambda: answer(head.unlink)) == "EPERM"
    assert red.run(lambda: answer(head.unlink)) is None


def test_not_even_the_machines_root_sees_into_a_containers_mount(
    container: Containers, mount_inside: MountsInside
) -> None:
    red = container(RED)
    path = make_room(red)
    mount_inside(red, path, "-o", "allow_other")
    assert Path("/sys/module/fuse/parameters/allow_sys_admin_access").read_text() == "N\n"
    assert answer(partial(names, red.path(path))) == "EACCES"


@pytest.mark.parametrize(
    ("options", "answered"), [((), []), (("-o", "allow_other"), "EACCES")], ids=["", "allow_other"]
)
def test_who_has_the_mounters_ids_sees_into_a_containers_mount_without_allow_other(
    container: Containers,
    mount_inside: MountsInside,
    options: tuple[str, ...],
    answered: object,
) -> None:
    """allow_other is for all users of the container's namespace, and for nobody above it."""
    alone = container(ROOT_ALONE)
    path = make_room(alone)
    mount_inside(alone, path, *options)
    assert answer(partial(names, alone.path(path))) == answered


def test_a_containers_mount_ends_with_its_init(
    container: Containers, mount_inside: MountsInside
) -> None:
    red = container(RED)
    mounted = mount_inside(red, make_room(red))
    red.kill()
    assert mounted.process.wait(DEADLINE_S) != 0
    assert mounted.said() == []


# A daemon that can't see its callers


@pytest.fixture
def beside(
    container: Containers, mount_inside: MountsInside, shared_folder: Path
) -> tuple[Container, MountInside]:
    """A container and a mount for others, whose daemon is in it."""
    (shared_folder / "events").mkdir()
    # As a container that serves others is started: its mounts are to reach them.
    server = container(propagation="unchanged")
    return server, mount_inside(server, shared_folder / "events", "-o", "allow_other")


def test_a_daemon_in_a_sibling_pid_namespace_refuses_mkdir_and_says_why_in_one_line(
    beside: tuple[Container, MountInside], container: Containers
) -> None:
    _, mounted = beside
    red = container(RED)
    path = red.bind(mounted.path)
    assert red.run(lambda: answer((path / "queue").mkdir)) == "EPERM"
    assert names(mounted.path) == []
    [line] = mounted.said()
    mounted.expected.append(line)
    assert line.startswith("eventfs: mkdir queue refused: ")
    for why in f"user {RED.outside}", "pid namespace", "can't see", "run eventfs in":
        assert why in line


def test_a_daemon_in_a_sibling_pid_namespace_does_all_else(
    beside: tuple[Container, MountInside], container: Containers
) -> None:
    server, mounted = beside
    queue = mounted.path / "queue"

    def serve() -> None:
        queue.mkdir()
        queue.chmod(0o777)

    owner = server.start(serve)
    owner.result()
    consumers = [
        (inside, inside.bind(mounted.path) / queue.name)
        for inside in (container(RED), container(BLUE))
    ]
    server.run(lambda: [(queue / message).write_text(message) for message in ("first", "second")])
    # It can't tell them apart, so only a name says which message is meant.
    assert take_in_turns(consumers, read_by_name) == [None, "ENOENT"]
    red, reds = consumers[0]
    assert red.run((reds / "head").read_text) == "second"
    red.run((reds / "head").unlink)
    assert names(queue) == []
    owner.end()
    assert names(mounted.path) == []


def test_a_daemon_that_sees_another_pid_namespaces_proc_says_so_and_does_not_mount(
    tmp_path: Path,
) -> None:
    """What /proc tells of a thread would be another's: whose queue it makes, and how old it is."""
    path = tmp_path / "events"
    path.mkdir()
    code = "import sys; from eventfs.commands.eventfs import main; sys.exit(main())"
    apart = ("unshare", "--pid", "--fork", "--kill-child")
    with subprocess.Popen(
        [*apart, sys.executable, "-c", code, "-f", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as daemon:
        try:
            wait_until(lambda: is_mounted(path) or daemon.poll() is not None, "the mount's refusal")
            assert not is_mounted(path)
            said, _ = daemon.communicate(timeout=DEADLINE_S)
        finally:
            daemon.kill()
            if is_mounted(path):
                subprocess.run(["umount", "--lazy", path], check=True)
    assert daemon.returncode == 1
    [line] = said.splitlines()
    assert "/proc" in line
    assert "pid namespace" in line


# The end of a daemon, and of a mount


@pytest.fixture
def mount_on(tmp_path: Path) -> Iterator[Callable[[Path], Mount]]:
    """Mount on a path for all users, as often as a test wants."""
    mounts: list[Mount] = []

    def mount(path: Path) -> Mount:
        path.mkdir(exist_ok=True)
        mounts.append(Mount(path, tmp_path / f"log-on-{len(mounts)}", "-o", "allow_other"))
        return mounts[-1]

    yield mount
    for each in mounts:
        if each.process.poll() is None:
            each.unmount()


def test_a_daemon_serves_on_until_the_last_container_has_unmounted(
    tmp_path: Path, mount_on: Callable[[Path], Mount], container: Containers
) -> None:
    mounted = mount_on(tmp_path / "events")
    red, blue = container(RED), container(BLUE)
    for inside in red, blue:
        path = inside.bind(mounted.path)
    subprocess.run(["umount", mounted.path], check=True)
    assert names(mounted.path) == []
    red.start((path / "reds").mkdir).result()
    assert seen(blue, path) == ["reds"]
    red.kill()
    assert seen(blue, path) == []
    assert mounted.process.poll() is None
    blue.kill()
    assert mounted.process.wait(DEADLINE_S) == 0
    assert mounted.said() == ""


def test_a_daemon_that_ends_leaves_the_mount_of_another_that_came_after_it(
    tmp_path: Path, mount_on: Callable[[Path], Mount], container: Containers
) -> None:
    old = mount_on(tmp_path / "events")
    container(RED).bind(old.path)
    subprocess.run(["umount", old.path], check=True)
    new = mount_on(old.path)
    (new.path / "queue").mkdir()
    old.process.terminate()
    assert old.process.wait(DEADLINE_S) == 0
    assert is_mounted(new.path)
    assert names(new.path) == ["queue"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemons_end_leaves_a_bind_mount_that_says_enotconn_until_unmounted(
    tmp_path: Path,
    mount_on: Callable[[Path], Mount],
    container: Containers,
    number: signal.Signals,
) -> None:
    path = tmp_path / "events"
    old = mount_on(path)
    red = container(RED)
    bound = red.bind(path)
    old.process.send_signal(number)
    old.process.wait(DEADLINE_S)
    if is_mounted(path):
        subprocess.run(["umount", path], check=True)
    new = mount_on(path)
    (new.path / "queue").mkdir()
    assert seen(red, bound) == "ENOTCONN"
    assert red.run(lambda: answer((bound / "reds").mkdir)) == "ENOTCONN"
    red.outside("umount $1", bound)
    assert seen(red, bound) == []
    # A container that is started now gets the new mount.
    red = container(RED)
    assert seen(red, red.bind(path)) == ["queue"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_with_slave_propagation_a_container_follows_mounts_and_unmounts(
    shared_folder: Path,
    mount_on: Callable[[Path], Mount],
    container: Containers,
    number: signal.Signals,
) -> None:
    path = shared_folder / "events"
    path.mkdir()
    red = container(RED, propagation="slave")
    bound = red.bind(shared_folder) / "events"
    assert seen(red, bound) == []

    old = mount_on(path)
    (path / "before").mkdir()
    assert seen(red, bound) == ["before"]
    old.process.send_signal(number)
    old.process.wait(DEADLINE_S)
    if number == signal.SIGKILL:
        assert seen(red, bound) == "ENOTCONN"
        subprocess.run(["umount", path], check=True)
    assert not red.is_mounted(bound)

    mount_on(path)
    (path / "after").mkdir()
    assert seen(red, bound) == ["after"]


# The document

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "containers.md"

#: Runs the file $1 as a reader's shell would, in namespaces in which all that it makes ends with
#: it: what is mounted there, what runs there, and what it makes in /run.
READER = 'mount -t tmpfs -o mode=755 none /run; exec bash -e "$1"'


def code_blocks() -> list[tuple[str, str]]:
    """Return what kind each of the document's code blocks is, and its text."""
    return re.findall(r"^```(.*)\n((?:.*\n)*?)```$", DOCUMENT.read_text(), re.MULTILINE)


def test_all_commands_of_the_document_are_run_but_those_for_docker_and_podman() -> None:
    for kind, text in code_blocks():
        assert kind in {"sh", "text"}
        assert ("docker run" in text) == (kind == "text")


def test_the_commands_of_the_document_print_what_it_says(tmp_path: Path) -> None:
    blocks = [text for kind, text in code_blocks() if kind == "sh"]
    between = "=" * 20
    script = tmp_path / "script"
    script.write_text("exec 2>&1\n" + f"echo {between}\n".join(blocks))
    eventfs = tmp_path / "bin" / "eventfs"
    eventfs.parent.mkdir()
    eventfs.symlink_to(Path(sys.executable).with_name("eventfs"))
    path = f"{eventfs.parent}:{os.environ['PATH']}"
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    done = subprocess.run(
        [*apart, "sh", "-ec", READER, "sh", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * DEADLINE_S,
        check=False,
    )
    printed = [part.strip("\n") for part in done.stdout.split(f"{between}\n")]
    expected = ["\n".join(re.findall("^# prints: (.*)", text, re.MULTILINE)) for text in blocks]
    assert printed == expected
    assert done.returncode == 0
