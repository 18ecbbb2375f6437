#!/usr/bin/env python3
"""A topic with followers: one write reaches all of them, and the message is stored once.

usage: topic.py DIRECTORY    (on which eventfs is mounted)
"""

import os
import select
import sys
from pathlib import Path

FOLLOWERS = ("ann", "ben", "cleo")


def follow(topic: Path, name: str, ready: int) -> None:
    """Make a queue that follows the topic, and say what arrives in it, until it says bye."""
    queue = topic.with_name(name)
    queue.mkdir()  # ours: it goes when this process ends
    os.setxattr(queue, "user.eventfs_follow", topic.name.encode())
    port = os.open(queue / ".pipe", os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(port, select.POLLIN)
    os.write(ready, b".")
    message = b""
    while message != b"bye":
        poll.poll()
        message = os.read(port, 4096)
        sys.stdout.write(f"{name} got: {message.decode()}\n")  # in one piece, as others write too
        sys.stdout.flush()


def main() -> int:
    """Start the followers, and tell them all the news."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    topic = Path(sys.argv[1], "news")
    topic.mkdir()
    os.setxattr(topic, "user.eventfs_keep", b"no")  # it passes everything on and keeps nothing
    reader, writer = os.pipe()
    children = []
    for name in FOLLOWERS:
        child = os.fork()
        if child == 0:
            follow(topic, name, writer)
            os._exit(0)
        children.append(child)
    for _ in children:
        os.read(reader, 1)
    port = os.open(topic / ".pipe", os.O_WRONLY)
    for message in (b"it rains", b"it is dry again", b"bye"):
        os.write(port, message)
    for child in children:
        os.waitpid(child, 0)
    topic.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())
