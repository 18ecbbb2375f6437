"""What the filesystem was first made for: a device manager tells its clients of events.

Each client makes a queue, and waits with inotify. The manager writes each event once, and links it
into the queue of every client. A client that crashes leaves nothing that anybody must clean up.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mounts import Child, Mount, names, wait_until

#: argv: the queue. Says `listening`, then each event; ends after the event `end`.
CLIENT = """
import ctypes, os, sys
queue = sys.argv[1]
os.mkdir(queue)
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(0)
IN_CREATE = 0x100
assert libc.inotify_add_watch(watch, os.fsencode(queue), IN_CREATE) >= 0
print("listening", flush=True)
text = ""
while text != "end":
    try:
        with open(queue + "/head") as file:
            text = file.read()
    except FileNotFoundError:
        os.read(watch, 65536)
        continue
    os.unlink(queue + "/head")
    print(text, flush=True)
print("bye", flush=True)
sys.stdin.read()
"""


class Manager:
    """A device manager: its events come to all clients that there are."""

    def __init__(self, mount: Mount) -> None:
        self.own = mount.path / "manager"
        self.own.mkdir()

    def tell(self, event: str) -> Path:
        """Write an event and link it into each queue; return the manager's own name of it."""
        written = self.own / "event"
        written.unlink(missing_ok=True)
        written.write_text(event)
        for queue in self.own.parent.iterdir():
            if queue != self.own:
                try:
                    (queue / event).hardlink_to(written)
                except FileNotFoundError:
                    assert not queue.exists(), "the event couldn't be delivered"
        return written


@pytest.fixture
def manager(mount: Mount) -> Iterator[Manager]:
    manager = Manager(mount)
    yield manager
    (manager.own / "event").unlink(missing_ok=True)
    manager.own.rmdir()


@pytest.fixture
def client(mount: Mount, start: Callable[..., Child]) -> Callable[[str], Child]:
    """Start a client with a queue of this name."""
    return lambda name: start(CLIENT, mount.path / name)


EVENTS = [f"event-{number}" for number in range(200)]


def heard(client: Child) -> list[str]:
    """Read what a client has heard before the end."""
    return list(iter(client.read_line, "end"))


def test_each_client_hears_each_event_in_order(
    manager: Manager, client: Callable[[str], Child]
) -> None:
    clients = [client(f"client-{number}") for number in range(3)]
    for event in [*EVENTS, "end"]:
        manager.tell(event)
    assert [heard(each) for each in clients] == [EVENTS] * 3


def test_an_event_is_never_copied(
    manager: Manager, client: Callable[[str], Child], mount: Mount
) -> None:
    for number in range(3):
        client(f"client-{number}").process.send_signal(19)  # SIGSTOP: it leaves its events
    written = manager.tell("event")
    queues = [mount.path / f"client-{number}" for number in range(3)]
    assert all((queue / "head").samefile(written) for queue in queues)
    assert written.stat().st_nlink == 1 + len(queues)


def test_who_comes_later_hears_what_is_told_from_then_on(
    manager: Manager, client: Callable[[str], Child]
) -> None:
    early = client("early")
    manager.tell("first")
    late = client("late")
    manager.tell("second")
    manager.tell("end")
    assert heard(early) == ["first", "second"]
    assert heard(late) == ["second"]


def test_a_client_that_crashes_costs_the_others_nothing(
    manager: Manager, client: Callable[[str], Child]
) -> None:
    others = [client("client-0"), client("client-1")]
    crashing = client("crashing")
    for event in EVENTS[:100]:
        manager.tell(event)
    crashing.process.kill()  # without waiting: it dies amid the deliveries
    for event in [*EVENTS[100:], "end"]:
        manager.tell(event)
    assert [heard(each) for each in others] == [EVENTS] * 2


def test_a_client_that_crashes_leaves_nothing(
    manager: Manager, client: Callable[[str], Child], mount: Mount
) -> None:
    crashing = client("crashing")
    crashing.process.send_signal(19)  # SIGSTOP: all events stay in its queue
    for event in EVENTS:
        manager.tell(event)
    crashing.end()
    assert names(mount.path) == ["manager"]
    # The root, the manager's queue, its head and tail, and the last event.
    wait_until(lambda: mount.inodes() <= 5, "the end of the events that nobody will read")


def test_an_event_that_all_have_removed_is_gone(
    manager: Manager, client: Callable[[str], Child], mount: Mount
) -> None:
    clients = [client(f"client-{number}") for number in range(3)]
    for event in [*EVENTS, "end"]:
        manager.tell(event).unlink()
    for each in clients:
        heard(each)
        assert each.read_line() == "bye"
    # The root and four empty queues.
    wait_until(lambda: mount.inodes() == 5, "the end of all events")


@pytest.mark.parametrize("end", ["head", "tail"])
def test_what_is_taken_through_an_end_takes_no_memory_any_more(mount: Mount, end: str) -> None:
    queue = mount.path / "queue"
    queue.mkdir()
    content = bytes(100_000)

    def fill_and_empty() -> None:
        for number in range(200):
            (queue / f"message-{number}").write_bytes(content)
        for _ in range(200):
            assert (queue / end).read_bytes() == content
            (queue / end).unlink()

    fill_and_empty()
    before = mount.rss_bytes()
    for _ in range(5):
        fill_and_empty()
    # The root and the queue.
    wait_until(lambda: mount.inodes() == 2, "the end of all messages")
    # 5 times 200 messages are 100 MB; what the allocators keep is much less.
    assert mount.rss_bytes() - before < 25_000_000
