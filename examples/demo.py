#!/usr/bin/env python3
"""Make a queue and keep it: it exists for as long as this program does."""

import signal
import sys
from pathlib import Path

USAGE = """\
usage: demo.py QUEUE

Makes QUEUE, a new directory on a mounted eventfs, and sleeps until it is interrupted
(Ctrl-C). For example, with eventfs mounted on events:  demo.py events/demo
"""


def main() -> int:
    """Make the queue named on the command line; sleep; leave the rest to eventfs."""
    match sys.argv[1:]:
        case [queue] if not queue.startswith("-"):
            pass
        case _:
            print(USAGE, end="", file=sys.stderr)
            return 2
    # A script's shell starts its background jobs deaf to SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        Path(queue).mkdir()
    except OSError as error:
        print(f"demo.py: can't make {queue}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        print(f"demo.py: {queue} is mine, until you interrupt me", flush=True)
        while True:
            signal.pause()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
