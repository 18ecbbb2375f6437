"""Process ids between pid namespaces: what one process calls another (pid_namespaces(7)).

Callers in containers have their own numbers for processes. A namespace is told by its inode, and a
process's numbers in its own and all outer namespaces down from ours by NSpid in its status.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

#: linux/nsfs.h: opens the namespace that one is in.
_NS_GET_PARENT = 0xB702


def field(tid: int | str, name: str) -> list[str]:
    """Return the words of a field of a thread's proc_pid_status(5) (OSError)."""
    # A thread's name, which comes before all else, may be any bytes.
    status = Path(f"/proc/{tid}/status").read_text(errors="replace")
    return status.partition(f"\n{name}:")[2].partition("\n")[0].split()


def seen_by(viewer: int, pid: int) -> int:
    """Return the number that *pid*, a number of ours, has for the thread *viewer*.

    0 where the process isn't in the thread's namespace, or /proc hides one of them.
    """
    try:
        depth = _depth(viewer)
        return _number_at(depth, depth and _namespace(viewer), pid)
    except OSError:
        return 0


def meant_by(speaker: int, number: int) -> int:
    """Return our number of the process that the thread *speaker* calls *number*; 0 where none is.

    From a container it takes a look at all processes.
    """
    try:
        depth = _depth(speaker)
        if not depth:
            return number
        namespace = _namespace(speaker)
    except OSError:
        return 0
    for pid in _all_pids():
        try:
            # Only of these more is looked at: one that is in exec, and waits for us, holds a lock
            # that it takes to open its namespace.
            if _numbers(pid)[depth : depth + 1] != [number]:
                continue
            if _number_at(depth, namespace, pid) == number:
                return pid
        except OSError:
            continue
    return 0


def _number_at(depth: int, namespace: int, pid: int) -> int:
    """Return a process's number in a namespace *depth* levels below ours; 0 where it has none."""
    if not depth:
        return pid
    numbers = _numbers(pid)
    up = len(numbers) - 1 - depth
    return numbers[depth] if up >= 0 and _namespace(pid, up) == namespace else 0


def _numbers(tid: int) -> list[int]:
    """Return a thread's numbers, in our namespace first."""
    return [int(word) for word in field(tid, "NSpid")]


def _depth(tid: int) -> int:
    """Tell how many levels below ours the namespace of a thread is."""
    return len(_numbers(tid)) - 1


def _namespace(tid: int, up: int = 0) -> int:
    """Return the inode of the pid namespace *up* levels above that of a thread."""
    fd = os.open(f"/proc/{tid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(up):
            parent = fcntl.ioctl(fd, _NS_GET_PARENT)
            os.close(fd)
            fd = parent
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def _all_pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
