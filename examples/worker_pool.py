#!/usr/bin/env python3
"""A crash-proof pool of workers: a worker claims a job, and who dies over it gives it back.

One job here kills the first worker that has it, another kills each: that one is put aside.

usage: worker_pool.py DIRECTORY    (on which eventfs is mounted; Python must find eventfs)
"""

import os
import signal
import sys
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from eventfs import ClaimedMessage, Queue, QueueNotEmpty, QueueVanished

WORKERS = 3
JOBS = (b"1", b"2", b"unlucky", b"3", b"deadly", b"4")


def do(job: ClaimedMessage) -> None:
    """Do a job, perhaps."""
    if job.content == b"deadly" or (job.content == b"unlucky" and job.attempts == 0):
        os.kill(os.getpid(), signal.SIGKILL)
    # In one piece, since others write too.
    os.write(1, b"%s is done, at attempt %d\n" % (job.content, job.attempts + 1))


def work(jobs: Queue) -> None:
    """Do jobs until there is no queue of them any more."""
    with suppress(QueueVanished):
        while True:
            with jobs.claim() as job:
                do(job)


def main() -> int:
    """Hand out the jobs, and have as many workers as there should be."""
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and its argument
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    # Forked children may go on using their parent's Queue objects.
    process = get_context("fork").Process
    with (
        Queue.create(root / "given-up") as given_up,
        Queue.create(root / "jobs", max_attempts=3, dead_letter=given_up) as jobs,
    ):
        jobs.send_lines(JOBS)
        workers = [process(target=work, args=[jobs]) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        done = False
        while not done:
            try:
                jobs.wait_empty(timeout=0.05)  # and nothing is being worked on either
                done = True
            except QueueNotEmpty:
                for number, worker in enumerate(workers):
                    if not worker.is_alive():
                        workers[number] = process(target=work, args=[jobs])
                        workers[number].start()
        jobs.remove()
        for worker in workers:
            worker.join()
        for job in given_up.receive_each(timeout=0):
            print(f"{job.content.decode()} was given up")
    return 0


if __name__ == "__main__":
    sys.exit(main())
