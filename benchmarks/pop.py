#!/usr/bin/env python3
"""Measure whether taking a message from a long queue costs what it costs in a short one."""

# a command: it starts eventfs, and prints what it measured

import argparse
import os
import signal
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_HELP = """\
Mount eventfs on a temporary directory, fill a short queue and a long one, and take messages from
both: through head, through tail, and by name from the middle. To take a message is to open it, read
it, close it and unlink it, as a consumer does.

Short and long queue take turns, a batch each, and are filled up again in between; so both are
measured on the same machine in the same mood, and keep their lengths. What is shown is the median
of the batches. Daemon and client share one processor, unless --free: that is steadier.

The last lines are about the long queue as a whole: how long it takes to list, and how much memory
of the daemon's a message takes.
"""

_FILLS = """\
ways to fill a queue (-f):
  mknod    empty messages, each an inode of its own; the fastest, and the default
  link     hard links to one message: names without inodes; take the memory per message with care
  create   messages with content, made by open, write and close as programs do; the slowest
What a pop costs differs between them (an empty message needs no read); the ratio is what counts.

examples:
  pop.py                         1,000 against 1,000,000 messages; takes two minutes and 2 GB
  pop.py --long 100000 -f create 1,000 against 100,000, as programs would have made them
  pop.py --max-ratio 1.2         fail if a message costs over 1.2 times as much in the long queue
"""

_CONTENT = b"message text"
_KINDS = ("head", "tail", "middle")

#: The command in the foreground, from the same Python as this.
_EVENTFS = "import sys; from eventfs.commands.eventfs import main; sys.exit(main())"

#: How long the daemon may take to mount, and to free a million messages at its end, in seconds.
_DEADLINE_S = 60


def main() -> int:
    """Measure, print, and leave nothing behind."""
    arguments = _parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if not arguments.free:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        with _mounted() as (mountpoint, daemon):
            worst = _measure(arguments, mountpoint, daemon)
    except KeyboardInterrupt:
        _progress("")
        print("pop.py: interrupted", file=sys.stderr)
        return 130
    if arguments.max_ratio is not None and worst > arguments.max_ratio:
        print(f"pop.py: a ratio is over {arguments.max_ratio}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=_HELP, epilog=_FILLS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--short", type=_positive, default=1_000, metavar="N", help="length (default: 1000)"
    )
    parser.add_argument(
        "--long", type=_positive, default=1_000_000, metavar="N", help="length (default: 1000000)"
    )
    parser.add_argument(
        "--pops",
        type=_positive,
        default=2_500,
        metavar="N",
        help="messages to take in each way from each queue (default: 2500)",
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=50,
        metavar="N",
        help="batches into which they are divided (default: 50)",
    )
    parser.add_argument(
        "-f", "--fill", choices=_MAKE, default="mknod", help="how to fill the queues; see below"
    )
    parser.add_argument(
        "--free", action="store_true", help="let daemon and client use all processors"
    )
    parser.add_argument(
        "--max-ratio",
        type=float,
        metavar="R",
        help="end with status 1 if a pop costs over R times as much in the long queue",
    )
    arguments = parser.parse_args()
    if arguments.pops // arguments.rounds < 1:
        parser.error("--pops must be at least --rounds")
    if arguments.pops // arguments.rounds >= arguments.short:
        parser.error("a batch (--pops by --rounds) must be smaller than --short")
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


@contextmanager
def _mounted() -> Iterator[tuple[Path, int]]:
    """Mount on a temporary directory; yield it and the daemon's process id."""
    with tempfile.TemporaryDirectory(prefix="eventfs-pop-") as folder:
        mountpoint = Path(folder) / "events"
        mountpoint.mkdir()
        # In a session of its own: a Ctrl-C is for us, who end it in order.
        daemon = subprocess.Popen(
            [sys.executable, "-c", _EVENTFS, "-f", mountpoint], start_new_session=True
        )
        try:
            _wait(lambda: mountpoint.is_mount() or daemon.poll() is not None)
            if daemon.poll() is not None:
                sys.exit("pop.py: eventfs failed; it has said why")
            yield mountpoint, daemon.pid
        finally:
            # A second Ctrl-C must not keep the first one's order from being kept.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            daemon.terminate()
            daemon.wait(_DEADLINE_S)


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"pop.py: no mount after {_DEADLINE_S} s")
        time.sleep(0.01)


def _mknod(queue: int, name: str) -> None:
    os.mknod(name, stat.S_IFREG | 0o600, dir_fd=queue)


def _create(queue: int, name: str) -> None:
    message = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=queue)
    os.write(message, _CONTENT)
    os.close(message)


def _link(queue: int, name: str) -> None:
    # The first message of all; it stays in a queue of its own.
    try:
        os.link("../original/message", name, src_dir_fd=queue, dst_dir_fd=queue)
    except FileNotFoundError:
        os.mkdir("../original", dir_fd=queue)
        _create(queue, "../original/message")
        _link(queue, name)


_MAKE = {"mknod": _mknod, "link": _link, "create": _create}


class _Queue:
    """A queue that is kept at one length, and the names in it, in order."""

    def __init__(self, path: Path, length: int, make: Callable[[int, str], None]) -> None:
        path.mkdir()
        self.length = length
        self._make = make
        self._directory = os.open(path, os.O_DIRECTORY)
        self._names: list[str] = []
        self._made = 0

    def fill(self, progress: str = "") -> None:
        """Add messages until the queue has its length."""
        while len(self._names) < self.length:
            name = f"message-{self._made}"
            self._make(self._directory, name)
            self._names.append(name)
            self._made += 1
            if progress and self._made % 10_000 == 0:
                _progress(f"{progress}: {self._made:,} of {self.length:,} messages")

    def take(self, kind: str, count: int) -> float:
        """Take *count* messages; return what each took, in seconds."""
        start = {"head": 0, "tail": self.length - count, "middle": self.length // 2}[kind]
        batch = self._names[start : start + count]
        names = batch if kind == "middle" else [kind] * count
        began = time.perf_counter()
        for name in names:
            message = os.open(name, os.O_RDONLY, dir_fd=self._directory)
            os.read(message, 4096)
            os.close(message)
            os.unlink(name, dir_fd=self._directory)
        took_s = time.perf_counter() - began
        del self._names[start : start + count]
        for end, expected in (("head", self._names[0]), ("tail", self._names[-1])):
            if os.readlink(end, dir_fd=self._directory) != expected:
                sys.exit(f"pop.py: {end} leads to another message than it should")
        return took_s / count

    def list(self) -> tuple[int, float]:
        """List the queue; return how many names were seen, head and tail too, and the seconds."""
        began = time.perf_counter()
        with os.scandir(self._directory) as entries:
            count = sum(1 for _ in entries)
        return count, time.perf_counter() - began

    def close(self) -> None:
        """Let go of the queue, which would keep the mount busy."""
        os.close(self._directory)


def _measure(arguments: argparse.Namespace, mountpoint: Path, daemon: int) -> float:
    """Measure and print; return the worst ratio."""
    make = _MAKE[arguments.fill]
    short = _Queue(mountpoint / "short", arguments.short, make)
    long = _Queue(mountpoint / "long", arguments.long, make)
    try:
        short.fill()
        before_bytes = _rss_bytes(daemon)
        began = time.monotonic()
        long.fill("filling")
        fill_s = time.monotonic() - began
        memory_bytes = (_rss_bytes(daemon) - before_bytes) / long.length
        costs = _compare(short, long, arguments.pops // arguments.rounds, arguments.rounds)
        _progress("listing")
        listed, list_s = long.list()
    finally:
        short.close()
        long.close()
    _progress("")
    print(f"to take one message, in µs (median of {arguments.rounds} batches):")
    print(f"{'':8}{f'of {short.length:,}':>14}{f'of {long.length:,}':>14}{'ratio':>8}")
    worst = 0.0
    for kind in _KINDS:
        of_short, of_long = (statistics.median(costs[queue, kind]) for queue in (short, long))
        worst = max(worst, of_long / of_short)
        print(f"{kind:8}{of_short * 1e6:14.1f}{of_long * 1e6:14.1f}{of_long / of_short:8.2f}")
    print(f"filled {long.length:,} messages with {arguments.fill} in {fill_s:.1f} s")
    print(f"listed {listed:,} names (head and tail too) in {list_s:.2f} s")
    print(f"daemon's memory: {memory_bytes:.0f} bytes a message")
    return worst


def _compare(
    short: _Queue, long: _Queue, batch: int, rounds: int
) -> dict[tuple[_Queue, str], list[float]]:
    """Take batches in turn; return each one's cost a message, in seconds."""
    costs: dict[tuple[_Queue, str], list[float]] = {
        (queue, kind): [] for queue in (short, long) for kind in _KINDS
    }
    for round_ in range(rounds):
        _progress(f"taking: round {round_ + 1} of {rounds}")
        for kind in _KINDS:
            # Who goes first changes too.
            for queue in (short, long) if round_ % 2 else (long, short):
                costs[queue, kind].append(queue.take(kind, batch))
                queue.fill()
    return costs


def _rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _progress(text: str) -> None:
    """Show what goes on, to a person."""
    if sys.stderr.isatty():
        # Back to the line's beginning; what was there before is cleared.
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
