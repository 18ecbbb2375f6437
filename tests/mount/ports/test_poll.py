"""poll, select and epoll on ports: whoever waits is woken, whichever way it came."""

import os
import random
import resource
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from errno import EAGAIN, EIDRM
from pathlib import Path

import pytest

from tests.config.making import configure
from tests.mount.calls import refused
from tests.mount.making import STICKY, Call, each, fill, link_from_elsewhere
from tests.mount.ports.using import FOLLOW, MIB, opened, put, take, take_all
from tests.mount.processes import Fork, Forked
from tests.mounts import DEADLINE_S, Child, Mount, wait_until

EDGE = select.EPOLLET

triggered = pytest.mark.parametrize("how", [0, EDGE], ids=["level", "edge"])


@contextmanager
def watched(fd: int, events: int) -> Iterator[select.epoll]:
    """Watch a port with epoll, which is idle when this begins."""
    with closing(select.epoll()) as epoll:
        epoll.register(fd, events)
        assert epoll.poll(0) == []
        yield epoll


def events_of(fd: int) -> int:
    """Return what a descriptor is ready for now, by poll(2)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT)
    return dict(poll.poll(0)).get(fd, 0)


def next_events(epoll: select.epoll) -> list[tuple[int, int]]:
    """Wait for the next events; nobody's waking fails."""
    events = epoll.poll(DEADLINE_S)
    assert events, "nobody has woken the waiter"
    return events


def wait_until_polling(pid: int) -> None:
    """Wait until a process sleeps in poll, select or epoll."""
    wchan = Path(f"/proc/{pid}/wchan")
    wait_until(
        lambda: any(word in wchan.read_text() for word in ("poll", "select")),
        f"process {pid} to wait",
    )


def forked_and_polling(function: Callable[[], object]) -> Forked:
    """Call a function in a process of its own; return when that sleeps."""
    child = Forked(function)
    try:
        wait_until_polling(child.pid)
    except BaseException:
        child.end()
        raise
    return child


@contextmanager
def waiting(function: Callable[[], object]) -> Iterator[Forked]:
    """Run a function in a process, up to where it sleeps; it must end well after the body."""
    child = Forked(function)
    try:
        wait_until_polling(child.pid)
        yield child
        child.result()
    finally:
        child.end()


@pytest.mark.parametrize("name", [".pipe", ".lines"])
def test_a_port_is_readable_when_there_is_a_message_and_writable_when_there_is_room(
    queue: Path, name: str
) -> None:
    with (
        opened(queue, os.O_RDWR, name) as both,
        opened(queue, os.O_RDONLY, name) as reader,
        opened(queue, os.O_WRONLY, name) as writer,
    ):
        fds = (both, reader, writer)
        assert [events_of(fd) for fd in fds] == [select.POLLOUT, 0, select.POLLOUT]
        (queue / "empty").touch()
        assert [events_of(fd) for fd in fds] == [
            select.POLLIN | select.POLLOUT,
            select.POLLIN,
            select.POLLOUT,
        ]
        (queue / "empty").unlink()
        assert [events_of(fd) for fd in fds] == [select.POLLOUT, 0, select.POLLOUT]


def rest_at_close(queue: Path) -> None:
    put(queue, b"rest", name=".lines")


def through_a_source(arrive: Call) -> Call:
    def follow(queue: Path) -> None:
        # The source has been made before anybody waits.
        arrive(queue.parent / "source")

    return follow


ARRIVALS: dict[str, Call] = {
    "create": lambda queue: (queue / "message").touch(),
    "mknod": lambda queue: os.mknod(queue / "message"),
    "link": lambda queue: link_from_elsewhere(queue / "message"),
    ".pipe": lambda queue: put(queue, b"message"),
    ".lines": lambda queue: put(queue, b"message\n", name=".lines"),
    "many .lines": lambda queue: put(queue, b"one\ntwo\nthree\n", name=".lines"),
    "the rest of .lines": rest_at_close,
    "a file in a source": through_a_source(lambda source: (source / "message").touch()),
    "a link in a source": through_a_source(lambda source: link_from_elsewhere(source / "message")),
    ".pipe of a source": through_a_source(lambda source: put(source, b"message")),
    ".lines of a source": through_a_source(lambda source: put(source, b"a\nb\n", name=".lines")),
}


@pytest.fixture
def follower(queue: Path, fork: Fork) -> Path:
    """A queue that follows another, which is called `source`."""
    source = queue.parent / "source"
    fork(source.mkdir)
    os.setxattr(queue, FOLLOW, b"source")
    return queue


@triggered
@each(ARRIVALS)
def test_whichever_way_a_message_arrives_it_wakes(follower: Path, call: Call, how: int) -> None:
    with opened(follower, os.O_RDONLY) as fd, watched(fd, select.EPOLLIN | how) as epoll:
        call(follower)
        assert next_events(epoll) == [(fd, select.EPOLLIN)]
        if how == EDGE:
            assert epoll.poll(0) == []
        else:
            assert epoll.poll(0) == [(fd, select.EPOLLIN)]
        assert take_all(follower)
        assert epoll.poll(0) == []
        put(follower, b"another")
        assert next_events(epoll) == [(fd, select.EPOLLIN)]


def by_poll(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(DEADLINE_S * 1000) == [(fd, select.POLLIN)]


def by_select(fd: int) -> None:
    assert select.select([fd], [], [], DEADLINE_S) == ([fd], [], [])


def by_epoll(fd: int) -> None:
    with watched(fd, select.EPOLLIN) as epoll:
        assert epoll.poll(DEADLINE_S) == [(fd, select.EPOLLIN)]


@pytest.mark.parametrize("wait", [by_poll, by_select, by_epoll])
def test_a_sleeping_process_wakes(queue: Path, wait: Callable[[int], None]) -> None:
    def sleep() -> None:
        with opened(queue, os.O_RDONLY) as fd:
            wait(fd)

    with waiting(sleep):
        put(queue, b"message")


def test_all_who_wait_on_a_queue_wake(queue: Path) -> None:
    def sleep(wait: Callable[[int], None], name: str) -> None:
        with opened(queue, os.O_RDWR, name) as fd:
            wait(fd)

    with ExitStack() as stack:
        for wait in (by_poll, by_select, by_epoll):
            for name in (".pipe", ".lines"):
                stack.enter_context(waiting(lambda wait=wait, name=name: sleep(wait, name)))  # type: ignore[misc]
        put(queue, b"message")


def test_all_wake_who_wait_with_one_handle(queue: Path) -> None:
    with opened(queue, os.O_RDONLY) as fd, ExitStack() as stack:
        for wait in (by_poll, by_select, by_epoll):
            stack.enter_context(waiting(lambda wait=wait: wait(fd)))  # type: ignore[misc]
        put(queue, b"message")


def test_one_epoll_in_another_wakes(queue: Path) -> None:
    with (
        opened(queue, os.O_RDONLY) as fd,
        watched(fd, select.EPOLLIN) as inner,
        watched(inner.fileno(), select.EPOLLIN) as outer,
    ):
        put(queue, b"message")
        assert next_events(outer) == [(inner.fileno(), select.EPOLLIN)]
        assert next_events(inner) == [(fd, select.EPOLLIN)]


def test_a_wait_can_time_out_and_be_killed(queue: Path) -> None:
    with opened(queue, os.O_RDONLY) as fd:
        assert select.select([fd], [], [], 0.01) == ([], [], [])
        child = Forked(lambda: by_poll(fd))
        try:
            wait_until_polling(child.pid)
        finally:
            child.end()
        assert events_of(fd) == 0


@pytest.fixture
def short(mounter: Callable[..., Mount], tmp_path: Path) -> Mount:
    """A mount that takes two messages, one in a queue `queue`, one in a queue `other`."""
    mount = mounter("-c", str(limits(tmp_path, max_files=2)))
    for name in ("queue", "other"):
        (mount.path / name).mkdir()
        put(mount.path / name, b"x" * 500)
    return mount


@pytest.fixture
def full(short: Mount) -> Path:
    """A queue that takes no more messages."""
    return short.path / "queue"


def limits(folder: Path, **of_all: int) -> Path:
    """Write a configuration."""
    text = "".join(f"default_{key} = {value}\n" for key, value in of_all.items())
    return configure(folder, f"[eventfs-config]\n{text}")


def remove_another(queue: Path) -> None:
    other = queue.parent / "other"
    os.unlink(other / "head")


def take_one_that_is_open(queue: Path) -> None:
    with (queue / "head").open():
        take(queue)


ROOM: dict[str, Call] = {
    "unlink": lambda queue: os.unlink(queue / os.readlink(queue / "head")),
    "unlink head": lambda queue: os.unlink(queue / "head"),
    "unlink tail": lambda queue: os.unlink(queue / "tail"),
    ".pipe": take,
    ".lines": lambda queue: take(queue, name=".lines"),
    "elsewhere": remove_another,
    "while it is open": take_one_that_is_open,
    "chown": lambda queue: os.chown(queue / "head", 1, 1),
    "truncate": lambda queue: os.truncate(queue / "head", 0),
}
FILES_STAY = ("chown", "truncate")


@pytest.mark.parametrize(("access", "how"), [(os.O_WRONLY, EDGE), (os.O_RDWR, 0)])
@each({name: call for name, call in ROOM.items() if name not in FILES_STAY})
def test_whichever_way_room_appears_it_wakes(full: Path, call: Call, how: int, access: int) -> None:
    with opened(full, access) as fd, watched(fd, select.EPOLLOUT | how) as epoll:
        call(full)
        assert next_events(epoll) == [(fd, select.EPOLLOUT)]
        os.write(fd, b"message")
        assert epoll.poll(0) == []
        assert events_of(fd) & select.POLLOUT == 0
        # ... and again.
        take(full)
        assert next_events(epoll) == [(fd, select.EPOLLOUT)]


@pytest.fixture
def full_of_bytes(mounter: Callable[..., Mount], tmp_path: Path) -> Path:
    """A queue in a mount that takes 1000 bytes of each user: two messages of 500, one elsewhere."""
    mount = mounter("-c", str(limits(tmp_path, max_bytes=1000)))
    queue = mount.path / "queue"
    for path in (queue, mount.path / "other"):
        path.mkdir()
        put(path, b"x" * 500)
    return queue


@each({name: call for name, call in ROOM.items() if name != "while it is open"})
def test_so_does_room_for_bytes(full_of_bytes: Path, call: Call) -> None:
    with (
        opened(full_of_bytes, os.O_WRONLY) as fd,
        watched(fd, select.EPOLLOUT | EDGE) as epoll,
    ):
        call(full_of_bytes)
        assert next_events(epoll) == [(fd, select.EPOLLOUT)]


def test_bytes_of_an_open_message_are_room_when_it_is_closed(full_of_bytes: Path) -> None:
    with (
        opened(full_of_bytes, os.O_WRONLY) as fd,
        watched(fd, select.EPOLLOUT | EDGE) as epoll,
    ):
        with (full_of_bytes / "head").open():
            take(full_of_bytes)
            assert epoll.poll(0) == []
        assert next_events(epoll) == [(fd, select.EPOLLOUT)]


def test_a_raised_limit_wakes_writers(short: Mount, full: Path, tmp_path: Path) -> None:
    short.expected.append("eventfs: the limits have been read again")

    def sleep() -> None:
        with opened(full, os.O_WRONLY) as fd, watched(fd, select.EPOLLOUT) as epoll:
            assert epoll.poll(DEADLINE_S) == [(fd, select.EPOLLOUT)]
            os.write(fd, b"message")

    with waiting(sleep):
        limits(tmp_path, max_files=3)
        short.process.send_signal(signal.SIGHUP)
    assert len(take_all(full)) == 2


def test_an_owners_death_is_room(full: Path, fork: Fork) -> None:
    owner = fork((full.parent / "owned").mkdir)
    os.unlink(full / "head")
    put(full.parent / "owned", b"x")
    with opened(full, os.O_WRONLY) as fd, watched(fd, select.EPOLLOUT) as epoll:
        owner.end()
        assert next_events(epoll) == [(fd, select.EPOLLOUT)]


@triggered
@pytest.mark.parametrize("access", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_a_queue_that_is_removed_hangs_up(full: Path, access: int, how: int) -> None:
    os.unlink(full / "head")
    put(full.parent / "other", b"all is full again")
    with opened(full, access) as fd, watched(fd, select.EPOLLIN | select.EPOLLOUT | how) as epoll:
        full.rmdir()
        ((ready, events),) = next_events(epoll)
        assert (ready, events & select.EPOLLHUP) == (fd, select.EPOLLHUP)


@pytest.mark.parametrize("wait", [select.POLLIN, 0])
def test_so_does_one_whose_owner_dies(path: Path, fork: Fork, wait: int) -> None:
    owner = fork(path.mkdir)

    def sleep() -> None:
        with opened(path, os.O_RDONLY) as fd:
            poll = select.poll()
            poll.register(fd, wait)
            ((_, events),) = poll.poll(DEADLINE_S * 1000)
            assert events & select.POLLHUP
            assert events_of(fd) & select.POLLHUP
            with refused(EIDRM):
                os.read(fd, 100)

    with waiting(sleep):
        owner.end()


def test_so_does_one_that_stuck_only_to_its_attribute(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    os.setxattr(path, STICKY, b"")
    owner.end()
    with opened(path, os.O_RDONLY) as fd, watched(fd, select.EPOLLIN) as epoll:
        os.removexattr(path, STICKY)
        ((_, events),) = next_events(epoll)
        assert events & select.EPOLLHUP


def test_so_do_a_killed_owners_hundred_queues(root: Path, start: Callable[..., Child]) -> None:
    owner = start(
        "import os, sys\nfor n in range(100): os.mkdir(f'{sys.argv[1]}/owned-{n}')\n"
        "print('made', flush=True); sys.stdin.read()",
        root,
    )
    with ExitStack() as stack:
        epoll = stack.enter_context(closing(select.epoll()))
        fds = set()
        for number in range(100):
            fd = stack.enter_context(opened(root / f"owned-{number}", os.O_RDONLY))
            epoll.register(fd, select.EPOLLIN | EDGE)
            fds.add(fd)
        owner.end()
        while fds:
            for fd, events in next_events(epoll):
                assert events & select.EPOLLHUP
                fds.remove(fd)


@pytest.fixture
def thousand(mount: Mount) -> Iterator[dict[int, Path]]:
    """A thousand queues, by the descriptors of their ports."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        queues = [mount.path / str(number) for number in range(1000)]
        for queue in queues:
            queue.mkdir()
        flags = os.O_RDONLY | os.O_NONBLOCK
        yield {stack.enter_context(opened(queue, flags)): queue for queue in queues}


@triggered
def test_one_epoll_on_a_thousand_queues_tells_exactly_where_something_arrives(
    thousand: dict[int, Path], how: int
) -> None:
    order = list(thousand)
    random.Random(1).shuffle(order)  # noqa: S311  # no secret
    with closing(select.epoll()) as epoll:
        for fd in thousand:
            epoll.register(fd, select.EPOLLIN | how)
        assert epoll.poll(0) == []
        for fd in order:
            put(thousand[fd], str(thousand[fd]).encode())
            assert next_events(epoll) == [(fd, select.EPOLLIN)]
            assert os.read(fd, 1000) == str(thousand[fd]).encode()
            assert epoll.poll(0) == []
        for fd in order[:20]:
            put(thousand[fd], b"message")
        assert {ready for ready, _ in epoll.poll(0)} == {*order[:20]}


@triggered
def test_no_wake_up_is_lost_in_a_thousand_rounds(queue: Path, how: int) -> None:
    """The writer waits for an answer, so one lost wake-up stops both."""
    here, there = os.pipe()

    def write() -> None:
        with opened(queue, os.O_WRONLY) as port:
            for number in range(1000):
                os.write(port, b"%d" % number)
                os.read(here, 1)

    flags = os.O_RDONLY | os.O_NONBLOCK
    with opened(queue, flags) as fd, watched(fd, select.EPOLLIN | how) as epoll:
        writer = Forked(write)
        try:
            for number in range(1000):
                assert next_events(epoll) == [(fd, select.EPOLLIN)]
                assert os.read(fd, 100) == b"%d" % number
                with refused(EAGAIN):
                    os.read(fd, 100)
                os.write(there, b".")
            writer.result()
        finally:
            writer.end()
            os.close(here)
            os.close(there)


def test_nor_while_the_writer_writes_as_it_likes(queue: Path) -> None:
    def write() -> None:
        pause = random.Random(1)  # noqa: S311  # no secret
        with opened(queue, os.O_WRONLY) as port:
            for number in range(2000):
                os.write(port, b"%d" % number)
                if pause.random() < 0.3:
                    os.sched_yield()

    taken: list[bytes] = []
    flags = os.O_RDONLY | os.O_NONBLOCK
    with opened(queue, flags) as fd, watched(fd, select.EPOLLIN | EDGE) as epoll:
        writer = Forked(write)
        try:
            while len(taken) < 2000:
                next_events(epoll)
                with refused(EAGAIN):
                    while True:
                        taken.append(os.read(fd, MIB))
        finally:
            writer.end()
    assert taken == [b"%d" % number for number in range(2000)]


def test_nor_while_several_wait_for_the_same_messages(queue: Path) -> None:
    def take_until_told() -> list[bytes]:
        taken: list[bytes] = []
        flags = os.O_RDONLY | os.O_NONBLOCK
        with opened(queue, flags) as fd, closing(select.epoll()) as epoll:
            epoll.register(fd, select.EPOLLIN | EDGE)
            while b"end" not in taken:
                next_events(epoll)
                with suppress(BlockingIOError):
                    while b"end" not in taken:
                        taken.append(os.read(fd, MIB))
        return taken

    readers = [Forked(take_until_told) for _ in range(3)]
    try:
        for number in range(1000):
            put(queue, b"%d" % number)
        # Each reader ends with one of these; nothing wakes the next one but another.
        for _ in readers:
            put(queue, b"end")
        taken = [reader.result() for reader in readers]
    finally:
        for reader in readers:
            reader.end()
    numbers = sorted(int(message) for one in taken for message in one if message != b"end")
    assert numbers == [*range(1000)]


def test_no_writers_wake_up_is_lost_either(full: Path) -> None:
    """Two messages fit, and one stays elsewhere, so each must be taken before the next."""

    def write() -> None:
        flags = os.O_WRONLY | os.O_NONBLOCK
        with opened(full, flags) as fd, watched(fd, select.EPOLLOUT | EDGE) as epoll:
            for number in range(500):
                next_events(epoll)
                os.write(fd, b"%d" % number)

    with opened(full, os.O_RDONLY) as fd, waiting(write):
        take(full)
        for number in range(500):
            by_select(fd)
            assert os.read(fd, 100) == b"%d" % number


def test_an_ordinary_message_is_always_ready(queue: Path) -> None:
    fill(queue, "message")
    for access in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        fd = os.open(queue / "message", access)
        assert events_of(fd) == select.POLLIN | select.POLLOUT
        os.close(fd)
    with (queue / "new").open("w") as file:
        assert events_of(file.fileno()) == select.POLLIN | select.POLLOUT
