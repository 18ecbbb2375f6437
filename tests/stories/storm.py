"""Processes for storms: writers and readers of one queue, in plain Python that starts fast."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

#: argv: the mount, the queue, the writer's name, the number of messages, and the reading end of a
#: pipe that has a byte for each message that there is room for (or -1).
#: A message is written in a queue of the writer's own and linked from there: so it shows in the
#: other with all its content at once.
WRITER = """
import os, sys
mount, queue, name, count, room = sys.argv[1:]
os.mkdir(f"{mount}/{name}")
own = os.open(f"{mount}/{name}", os.O_DIRECTORY)
os.chdir(queue)
for number in range(int(count)):
    message = os.open("message", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=own)
    os.write(message, b"%s %d" % (name.encode(), number))
    os.close(message)
    if room != "-1":
        os.read(int(room), 1)
    os.link("message", f"{name}-{number}", src_dir_fd=own)
    os.unlink("message", dir_fd=own)
"""

#: What all readers have in common. argv: the queue, and the writing end of the writers' pipe (or
#: -1). They end when the queue is empty after their standard input was closed, and print what they
#: took, in order. They wait with inotify: polling would take the processors from those with work.
_READER = """
import ctypes, os, select, sys
IN_CREATE = 0x100
os.chdir(sys.argv[1])
room = int(sys.argv[2])
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(0)
assert libc.inotify_add_watch(watch, b".", IN_CREATE) >= 0
taken = []
def read(name):
    descriptor = os.open(name, os.O_RDONLY)
    message = os.read(descriptor, 100).decode()
    os.close(descriptor)
    return message
while True:
    ending, _, _ = select.select([0], [], [], 0)
    try:
        message = take()
    except FileNotFoundError:
        if os.path.lexists("head"):
            continue
        if ending:
            break
        ready, _, _ = select.select([0, watch], [], [])
        if watch in ready:
            os.read(watch, 65536)
    else:
        taken.append(message)
        if room != -1:
            os.write(room, b".")
print(*taken, sep="\\n")
"""

#: Takes the message whose name head leads to. Another may be faster at each step.
BY_NAME = f"""
def take():
    name = os.readlink("head")
    message = read(name)
    os.unlink(name)
    return message
{_READER}"""

#: Takes the message that head leads to. It unlinks what it has opened through head, or fails.
THROUGH_HEAD = f"""
def take():
    message = read("head")
    os.unlink("head")
    return message
{_READER}"""

#: The same at the other end.
THROUGH_TAIL = THROUGH_HEAD.replace('"head"', '"tail"')

#: Through head, but one at a time: the lock is on the queue itself.
THROUGH_HEAD_LOCKED = f"""
import fcntl
def take():
    lock = os.open(".", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = read("head")
        os.unlink("head")
    finally:
        os.close(lock)
    return message
{_READER}"""


@contextmanager
def started(
    code: str, arguments: Sequence[Sequence[object]], pass_fds: Sequence[int] = ()
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Start a process with *code* for each of the *arguments*; kill them in the end."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-IS", "-c", code, *map(str, each)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )
        for each in arguments
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()


def output(process: "subprocess.Popen[str]", deadline_s: float) -> list[str]:
    """Close a process's input and wait for it to end well; return the lines that it printed."""
    printed, errors = process.communicate(timeout=deadline_s)
    assert errors == "", errors
    assert process.returncode == 0
    return printed.splitlines()


def by_writer(taken: list[str]) -> dict[str, list[int]]:
    """Sort messages, `WRITER NUMBER` each, by their writers; each one's are in the order taken."""
    numbers = defaultdict(list)
    for message in taken:
        writer, number = message.split()
        numbers[writer].append(int(number))
    return numbers
