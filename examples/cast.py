#!/usr/bin/env python3
"""Multicast by `Queue.cast`: who sends chooses the receivers, and learns which of them are gone.

Each message is stored once. Where receivers choose what they hear, use a topic: see topic.py.

usage: cast.py DIRECTORY    (on which eventfs is mounted; Python must find eventfs)
"""

import sys
from multiprocessing import get_context
from pathlib import Path

from eventfs import CastIncomplete, Queue

#: Who subscribes, and up to which message.
SUBSCRIBERS = {"ann": "bye", "ben": "bye", "cleo": "it rains"}


def say(line: str) -> None:
    """Print a line in one piece, as others print too."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def subscribe(root: Path, name: str, last: str) -> None:
    """Make a queue, say so, and print what arrives in it, up to the last message of interest."""
    with Queue.create(root / name) as queue:
        Queue(root / "subscribers").send(name.encode())
        for message in queue.receive_each():
            text = message.content.decode()
            say(f"{name} got: {text}")
            if text == last:
                return


def main() -> int:
    """Wait for the subscribers, and tell them the news."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    process = get_context("fork").Process
    with Queue.create(root / "subscribers") as subscribers:
        children = {
            name: process(target=subscribe, args=(root, name, last), daemon=True)
            for name, last in SUBSCRIBERS.items()
        }
        for child in children.values():
            child.start()
        queues = {}
        for _ in children:
            name = subscribers.receive(timeout=60).content.decode()
            queues[name] = Queue(root / name)
        Queue.cast(queues.values(), b"it rains")
        children["cleo"].join()
        try:
            Queue.cast(queues.values(), b"it is dry again")
        except CastIncomplete as incomplete:
            # The others have got it.
            for error in incomplete.errors:
                name = Path(error.queue).name
                say(f"{name} is gone")
                queues.pop(name).close()
        Queue.cast(queues.values(), b"bye")
        for child in children.values():
            child.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
