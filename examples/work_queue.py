#!/usr/bin/env python3
"""A work queue: each job goes to one of several workers, whichever is free.

usage: work_queue.py DIRECTORY    (on which eventfs is mounted; Python must find eventfs)
"""

import sys
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from eventfs import Queue, QueueVanished

WORKERS = 3
NUMBERS = (1_000_003, 91, 360, 65_537, 97, 1_001, 5_040, 6, 9_409, 27)


def factors(number: int) -> list[int]:
    """Return a number's prime factors."""
    for factor in range(2, number):
        if number % factor == 0:
            return [factor, *factors(number // factor)]
    return [number]


def work(jobs: Queue, results: Queue) -> None:
    """Take jobs until there is no queue of them any more."""
    with suppress(QueueVanished):
        for job in jobs.receive_each():
            number = int(job.content)
            text = " × ".join(map(str, factors(number)))
            results.send(f"{number} = {text}".encode())


def main() -> int:
    """Start the workers, hand out the jobs, and print what comes back."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    # Forked children may go on using their parent's Queue objects.
    process = get_context("fork").Process
    with Queue.create(root / "jobs") as jobs, Queue.create(root / "results") as results:
        workers = [process(target=work, args=(jobs, results), daemon=True) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        count = jobs.send_lines(b"%d" % number for number in NUMBERS)
        for _ in range(count):
            print(results.receive(timeout=60).content.decode())
        # That wakes who waits for jobs, and tells that there won't be any.
        jobs.remove()
        for worker in workers:
            worker.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
