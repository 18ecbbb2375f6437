#!/usr/bin/env python3
"""Request and reply between two processes: a request names the queue that waits for the answer.

usage: request_reply.py DIRECTORY    (on which eventfs is mounted; Python must find eventfs)
"""

import json
import os
import sys
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from eventfs import NoSuchQueue, Queue, QueueVanished


def say(line: str) -> None:
    """Print a line in one piece, as others print too."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(root: Path, requests: Queue) -> None:
    """Answer requests until there is no queue of them any more."""
    with suppress(QueueVanished):
        for message in requests.receive_each():
            request = json.loads(message.content)
            answer = {"id": request["id"], "sum": sum(request["numbers"])}
            try:
                with Queue(root / request["reply_to"]) as replies:
                    replies.send(json.dumps(answer).encode())
            except (NoSuchQueue, QueueVanished):
                say(f"server: {request['reply_to']} has gone")


def ask(requests: Queue, reply_to: str, number: int, numbers: list[int]) -> None:
    """Send a request; the answer comes to the queue *reply_to*."""
    request = {"id": number, "reply_to": reply_to, "numbers": numbers}
    requests.send(json.dumps(request).encode())


def main() -> int:
    """Start the server, and be its client."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    # The queue of replies is ours alone: nobody else can take an answer, or send us a false one.
    # It goes with us, so the server doesn't work for the dead.
    mine = f"replies-{os.getpid()}"
    with Queue.create(root / "sums") as requests, Queue.create(root / mine, mode=0o700) as replies:
        server = get_context("fork").Process(target=serve, args=(root, requests), daemon=True)
        server.start()
        ask(requests, mine, 1, [1, 2, 3])
        ask(requests, "replies-of-the-dead", 2, [4])
        ask(requests, mine, 3, [20, 22])
        for _ in range(2):
            answer = json.loads(replies.receive(timeout=60).content)
            say(f"client: the answer to {answer['id']} is {answer['sum']}")
        requests.remove()
        server.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
