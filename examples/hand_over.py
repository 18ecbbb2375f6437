#!/usr/bin/env python3
"""Hand an open port to a process that may not open it: opening binds the right, as with any file.

usage: hand_over.py DIRECTORY    (on which eventfs is mounted; as root, the other is user 65534)
"""

import os
import socket
import sys
from pathlib import Path

NOBODY = 65534


def report(channel: socket.socket, port_path: Path) -> None:
    """Be the other: receive the port, and write into it."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            os.open(port_path, os.O_WRONLY)
        except PermissionError:
            print("the other may not open the port", flush=True)
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    os.write(descriptors[0], b"written by the other")


def main() -> int:
    """Make a queue that is ours alone, and give away the right to write into it."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    queue = Path(sys.argv[1], "private")
    queue.mkdir(mode=0o700)
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        report(theirs, queue / ".pipe")
        os._exit(0)
    port = os.open(queue / ".pipe", os.O_WRONLY)
    socket.send_fds(ours, [b"!"], [port])
    os.waitpid(child, 0)
    print("we got:", (queue / ".pipe").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
