"""A queue that flickers: it is filled and emptied so fast that head comes and goes all the time."""

from pathlib import Path

import pytest

from tests.mounts import DEADLINE_S, names
from tests.stories.storm import output, started

CYCLES = 3_000

#: argv: the queue. Fills and empties it, by name and through head in turn.
FLICKER = f"""
import os, sys
os.chdir(sys.argv[1])
for number in range({CYCLES}):
    os.mknod(f"message-{{number}}")
    os.unlink(f"message-{{number}}" if number % 2 else "head")
"""

#: argv: the queue, and Python that uses head. Counts what comes of it until its input is closed.
USER = """
import collections, errno, os, select, sys
os.chdir(sys.argv[1])
use = compile(sys.argv[2], "use", "exec")
came = collections.Counter()
while not select.select([0], [], [], 0)[0]:
    try:
        exec(use)
        came["done"] += 1
    except OSError as error:
        came[errno.errorcode[error.errno]] += 1
print(*came)
"""


@pytest.mark.parametrize(
    "use",
    [
        "os.readlink('head')",
        "os.close(os.open('head', os.O_RDONLY))",
        "os.stat('head')",
        "os.lstat('head')",
        "os.listdir('.')",
    ],
)
def test_head_is_there_or_it_is_not(queue: Path, use: str) -> None:
    # Three of each: the kernel may not be sure what it remembers of head.
    with started(USER, [(queue, use)] * 3) as users:
        with started(FLICKER, [(queue,)]) as (flicker,):
            output(flicker, DEADLINE_S)
        came = {
            what for user in users for line in output(user, DEADLINE_S) for what in line.split()
        }
    assert came <= {"done", "ENOENT"}
    assert names(queue) == []
