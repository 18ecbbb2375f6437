#!/usr/bin/env python3
"""Device events for many clients, as udev's get them: each has a queue, and waits with inotify.

The daemon writes each event once, where nobody else looks, and links it into all the queues that it
finds. Names wake who waits with inotify; what comes through a port has none: poll that.

usage: device_events.py DIRECTORY    (on which eventfs is mounted; needs inotify_simple)
"""

import os
import sys
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

EVENTS = ("add usb1", "add sda", "remove sda")


def say(line: str) -> None:
    """Print a line in one piece, as others print too."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def listen(queue: Path, last: str) -> None:
    """Be a client: print and remove each event, up to the last one of interest."""
    with INotify() as inotify:
        inotify.add_watch(queue, flags.CREATE)
        while True:
            # What came before the watch is found here; what comes from now on ends the wait.
            events = [path for path in queue.iterdir() if path.name not in ("head", "tail")]
            if not events:
                inotify.read()
            for event in events:
                text = event.read_text()
                event.unlink()
                say(f"{queue.name} heard: {text}")
                if text == last:
                    return


def be_client(queue: Path) -> None:
    """Make a queue, and listen to the end."""
    queue.mkdir()
    listen(queue, EVENTS[-1])


def be_client_with_child(queue: Path, childs: Path) -> None:
    """Fork a child that makes a queue of its own: it owns nothing of its parent's."""
    queue.mkdir()
    child = os.fork()
    if child == 0:
        childs.mkdir()
        listen(childs, EVENTS[0])
        os._exit(0)
    listen(queue, EVENTS[0])
    os.waitpid(child, 0)
    left = [path.name for path in (queue, childs) if path.exists()]
    say(f"the child has ended, and left: {' '.join(left)}")
    listen(queue, EVENTS[-1])


def tell(root: Path, clients: int) -> None:
    """Be the daemon: wait for the clients, and give all events to all who are there."""
    with INotify() as inotify:
        inotify.add_watch(root, flags.CREATE)
        while len(list(root.glob("client-*"))) < clients:
            inotify.read()
    own = root / "daemon"
    own.mkdir()
    for number, text in enumerate(EVENTS):
        event = own / f"{number:06}"
        event.write_text(text)
        for client in root.glob("client-*"):
            with suppress(FileNotFoundError):  # it has ended meanwhile
                (client / event.name).hardlink_to(event)
        event.unlink()


def main() -> int:
    """Start the clients, and tell them of devices."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    ann, child, ben = (root / f"client-{name}" for name in ("ann", "child", "ben"))
    process = get_context("fork").Process
    clients = [
        process(target=be_client_with_child, args=(ann, child), daemon=True),
        process(target=be_client, args=(ben,), daemon=True),
    ]
    for client in clients:
        client.start()
    tell(root, 3)
    for client in clients:
        client.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
