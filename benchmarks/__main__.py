"""Run the benchmarks: `python -m benchmarks --help`."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
import textwrap
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import costs, peers, report, workloads
from benchmarks.peers import Missing, Peer
from benchmarks.workloads import Row

_ALL = (*workloads.WORKLOADS, *costs.COSTS)

_NAMES = tuple(dict.fromkeys(workload.name.split()[0] for workload in _ALL))

_LIST = "\n".join(
    textwrap.fill(
        "; ".join(
            dict.fromkeys(
                figure.title.format_map(workloads.FULL._asdict())
                for workload in _ALL
                for figure in workload.figures
                if workload.name.split()[0] == name
            )
        ),
        width=95,
        initial_indent=f"  {name:<11}",
        subsequent_indent=" " * 13,
    )
    for name in _NAMES
)

_PEERS = ", ".join(repr(peer.label) for peer in peers.all_peers())

_MEMORY = Path("/dev/shm")  # noqa: S108  # the folder in it is ours alone

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_HELP = """\
Measure eventfs beside other ways to pass messages: the smallest C server that looks the same
(floor.c), a directory on tmpfs, POSIX message queues, dirq, persist-queue, litequeue and Redis. All
do the same work on the same machine in the same run; rounds alternate between them, and what is
shown is the median round. Nothing is left behind, also after Ctrl-C.

A cell shows a peer's figure and, in brackets, eventfs's figure divided by it: 2× is twice as many
messages, or twice the time. Peers that aren't installed are listed with what would help.
"""

_EPILOG = f"""\
workloads:
{_LIST}

peers:
{textwrap.fill(_PEERS, 95, initial_indent="  ", subsequent_indent="  ")}

examples:
  python -m benchmarks                  everything, some twenty minutes
  python -m benchmarks --quick          everything, roughly, within a minute
  python -m benchmarks --write-docs     and write docs/benchmarks.md and its chart
  python -m benchmarks --only turns --peer eventfs --peer floor.c
  PYTHONPATH=/other/src python -m benchmarks --only turns
                                        measure another eventfs than the installed one
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, show, and leave nothing behind."""
    arguments = _parse(argv)
    for number in _ENDING:
        signal.signal(number, signal.default_int_handler)
    console = Console(stderr=True)
    try:
        result = _measure(arguments, console)
    except KeyboardInterrupt:
        console.print("benchmarks: interrupted")
        return 130
    report.show(result, Console())
    if arguments.json:
        report.write_json(result, arguments.json)
    if arguments.write_docs:
        report.write_docs(result, peers.HERE.parent / "docs")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: a first look")
    parser.add_argument(
        "--only", action="append", choices=_NAMES, metavar="NAME", help="only this workload"
    )
    known = [peer.label for peer in peers.all_peers()]
    parser.add_argument(
        "--peer", action="append", choices=known, metavar="LABEL", help="only this peer"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/benchmarks.md and docs/benchmarks.svg"
    )
    arguments = parser.parse_args(argv)
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"there is no directory {arguments.json.parent}")
    return arguments


def _measure(arguments: argparse.Namespace, console: Console) -> report.Result:
    size = workloads.QUICK if arguments.quick else workloads.FULL
    chosen = [one for one in _ALL if not arguments.only or one.name.split()[0] in arguments.only]
    wanted = [peer for peer in peers.all_peers() if peer.label in (arguments.peer or [peer.label])]
    missing: dict[str, str] = {}
    rows: list[Row] = []
    # Memory, not a disk, is what all keep their messages in.
    base = _MEMORY if _MEMORY.is_dir() else None
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix=f"eventfs-bench-{os.getpid()}-", dir=base)
        run = workloads.Run(Path(stack.enter_context(folder)), size)
        stack.callback(_stop, run)
        started = [peer for peer in wanted if _start(peer, run, missing)]
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        # Nothing of ours may run while something is measured: no thread that refreshes.
        with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
            rounds = [min(size.rounds, one.rounds or size.rounds) for one in chosen]
            shown = progress.add_task("", total=sum(rounds) * len(started))

            def tell(what: str) -> None:
                progress.update(shown, description=what, advance=1, refresh=True)

            for workload, count in zip(chosen, rounds, strict=True):
                rows += workloads.alternate(run, workload, started, count, tell)
    return report.Result(_command(arguments), wanted, missing, rows, quick=arguments.quick)


def _stop(run: workloads.Run) -> None:
    """End all that was started."""
    for number in _ENDING:
        # The second Ctrl-C must not keep the first one's order from being kept.
        signal.signal(number, signal.SIG_IGN)
    run.stop()
    for peer in [*Peer.running]:
        peer.stop()


def _command(arguments: argparse.Namespace) -> str:
    words = ["python -m benchmarks", *["--quick"] * arguments.quick]
    words += [f"--only {name}" for name in arguments.only or ()]
    return " ".join([*words, *(f"--peer {shlex.quote(label)}" for label in arguments.peer or ())])


def _start(peer: Peer, run: workloads.Run, missing: dict[str, str]) -> bool:
    """Start a peer, or note why it is missing."""
    try:
        peer.start(run.folder / peer.label.replace(" ", "-"))
    except Missing as why:
        missing[peer.label] = str(why)
    return peer.label not in missing


if __name__ == "__main__":
    sys.exit(main())
