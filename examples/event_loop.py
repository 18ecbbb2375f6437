#!/usr/bin/env python3
"""A queue in an event loop, beside a socket: its port can be polled as one.

usage: event_loop.py DIRECTORY    (on which eventfs is mounted)
"""

import os
import selectors
import socket
import sys
from pathlib import Path


def ask(queue: Path, address: tuple[str, int]) -> None:
    """Be the others: put work into the queue, then say over the network that this was all."""
    port = os.open(queue / ".pipe", os.O_WRONLY)
    for number in range(1, 4):
        os.write(port, b"task %d" % number)
    with socket.create_connection(address) as connection:
        connection.sendall(b"that's all")


def work(queue: Path, listener: socket.socket) -> None:
    """Do what comes through the queue, until somebody says over the network that it was all."""
    port = os.open(queue / ".pipe", os.O_RDONLY | os.O_NONBLOCK)
    with selectors.EpollSelector() as selector:
        selector.register(port, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        said = ""
        # After the last word, only what has come before it.
        while events := selector.select(0 if said else None):
            for key, _ in events:
                if key.fileobj == port:
                    print("done:", os.read(port, 4096).decode())
                else:
                    connection, _ = listener.accept()
                    with connection:
                        said = connection.recv(100).decode()
    print("heard:", said)


def main() -> int:
    """Make the queue, and work."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    queue = Path(sys.argv[1], "tasks")
    queue.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if child == 0:
            ask(queue, listener.getsockname())
            os._exit(0)
        work(queue, listener)
        os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
