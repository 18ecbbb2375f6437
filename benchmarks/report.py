"""What has been measured: for people, for machines, and for docs/benchmarks.md."""

import json
import os
import platform
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.peers import Peer
from benchmarks.targets import TARGETS
from benchmarks.workloads import CPUS, Row

#: The table's width where its reader isn't a terminal.
_WIDTH = 190

#: The rows that the chart shows.
_CHARTED = (
    *("turns one CPU rate", "turns free rate", "publish one CPU publish"),
    *("publish one CPU consume", "producers free rate", "pingpong free p50"),
    *("multicast 100 one CPU s", "size 1 MiB one CPU rate"),
    *("pipe one CPU rate", "lines one CPU rate"),
)


class Result(NamedTuple):
    """What a run has found out; *missing* tells of peers that couldn't be had."""

    command: str
    peers: list[Peer]
    missing: dict[str, str]
    rows: list[Row]
    quick: bool


class Verdict(NamedTuple):
    """A target, and what has become of it."""

    what: str
    target: str
    reached: str
    verdict: str


def verdicts(result: Result) -> Iterator[Verdict]:
    """Compare with the targets of what was measured."""
    rows = {row.key: row for row in result.rows}
    for target in TARGETS:
        if (row := rows.get(target.row)) is None:
            continue
        reached = target.reached(row)
        best = "the best of " if len(target.to) > 1 else ""
        unit, of = ("×", f" of {best}{', '.join(target.to)}") if target.to else (row.unit, "")
        yield Verdict(
            f"{row.title} ({row.place})",
            f"{target.sign} {_shown(target.limit, unit)}{of}",
            "–" if reached is None else _shown(reached, unit),
            "not measured" if reached is None else "met" if target.met(reached) else "missed",
        )


def show(result: Result, console: Console) -> None:
    """Print the tables."""
    if not console.is_terminal:
        console.width = _WIDTH
    present = [peer for peer in result.peers if peer.label not in result.missing]
    table = Table("", *(peer.label for peer in present), title="Figures", show_lines=True)
    for row in result.rows:
        cells = (_cell(row, peer.label, "\n") for peer in present)
        table.add_row(f"{row.title}\n[dim]{row.place}", *cells)
    console.print(table)
    console.print("In brackets: eventfs's figure divided by this one. –: see below.")
    for note in _notes(result):
        console.print(note, markup=False, highlight=False)
    judged = Table("what", "target", "reached", "", title="Targets")
    for verdict in verdicts(result):
        colour = "green" if verdict.verdict == "met" else "red"
        judged.add_row(*verdict[:3], f"[{colour}]{verdict.verdict}")
    if judged.rows:
        console.print(judged)
    if result.quick:
        console.print(
            "A quick run: short, and with smaller numbers than the targets are meant for."
        )


def write_json(result: Result, path: Path) -> None:
    """Write all that was measured, in seconds, bytes and messages a second."""
    labels = [peer.label for peer in result.peers if peer.label not in result.missing]
    rows = [
        {
            "key": row.key,
            "title": row.title,
            "place": row.place,
            "unit": row.unit,
            "values": {label: row.value(label) for label in labels},
            "ratios": {label: row.ratio("eventfs", label) for label in labels},
            "samples": row.samples,
            "notes": row.notes,
        }
        for row in result.rows
    ]
    content = {
        "command": result.command,
        "quick": result.quick,
        "machine": _machine(),
        "missing": result.missing,
        "rows": rows,
        "targets": [verdict._asdict() for verdict in verdicts(result)],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_docs(result: Result, folder: Path) -> None:
    """Write benchmarks.md and its chart."""
    folder.mkdir(exist_ok=True)
    (folder / "benchmarks.md").write_text(_markdown(result))
    _draw(result, folder / "benchmarks.svg")


_PAGE = """\
# Benchmarks

Made by `{command}` on {day}; don't edit. The machine:

{machine}

All peers do the same work in the same run. Rounds alternate between them, so that noise hits all
alike; a figure is the median of its rounds, a ratio the median of the rounds' ratios. All keep
their messages in memory. `one CPU`: clients and daemon share one; `free`: they go where the kernel
puts them. Messages have 100 bytes unless it says otherwise.

![How eventfs compares](benchmarks.svg)

## Targets

{targets}

## Figures

In brackets: eventfs's figure divided by this one, so 2× is twice as many messages, or twice the
time. –: not measured; the reasons follow the table.

{figures}

{notes}

## The peers

{peers}
"""


def _markdown(result: Result) -> str:
    present = [peer.label for peer in result.peers if peer.label not in result.missing]
    rows = (
        [row.title, row.place, *(_cell(row, label, " ") for label in present)]
        for row in result.rows
    )
    return _PAGE.format(
        command=result.command,
        day=time.strftime("%Y-%m-%d"),
        machine=_list(f"{what}: {value}" for what, value in _machine().items()),
        targets=_table(["what", "target", "reached", ""], verdicts(result)),
        figures=_table(["", "", *present], rows),
        notes=_list(_notes(result)),
        peers=_list(f"**{peer.label}**: {peer.sentence}" for peer in result.peers),
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: list[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def _notes(result: Result) -> Iterator[str]:
    """Tell why something is missing, each reason once."""
    for label, why in result.missing.items():
        yield f"{label} is missing: {why}"
    wheres: dict[tuple[str, str], list[str]] = {}
    for row in result.rows:
        for label, why in row.notes.items():
            wheres.setdefault((label, why), []).append(row.key.split()[0])
    labels: dict[tuple[str, str], list[str]] = {}
    for (label, why), names in wheres.items():
        labels.setdefault((", ".join(dict.fromkeys(names)), why), []).append(label)
    for (where, why), those in labels.items():
        yield f"{', '.join(those)} in {where}: {why}"


def _cell(row: Row, label: str, between: str) -> str:
    value, ratio = row.value(label), row.ratio("eventfs", label)
    if value is None:
        return "–"
    shown = _shown(value, row.unit)
    return shown if ratio is None or label == "eventfs" else f"{shown}{between}({_digits(ratio)}×)"


def _shown(value: float, unit: str) -> str:
    """Return a number as people read it."""
    if unit == "s":
        scale, name = next(
            (scaled for scaled in ((1, "s"), (1e3, "ms")) if value * scaled[0] >= 1), (1e6, "µs")
        )
        return f"{_digits(value * scale)} {name}"
    if unit == "B" and value >= 1 << 20:
        return f"{value / (1 << 20):.3f} MiB"
    return f"{_digits(value)}{unit if unit in {'×', '/s'} else ' ' + unit}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  # three digits


def _machine() -> dict[str, str]:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processors": f"{len(CPUS)} × {found[1] if found else platform.machine()}",
        "memory": f"{memory_bytes / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def _draw(result: Result, path: Path) -> None:
    """Draw a panel for each of the most telling rows."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to load, and needed here only

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  # as above

    mpl.rcParams["svg.hashsalt"] = "eventfs"  # the same figures make the same file
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    rows = [row for row in result.rows if row.key in _CHARTED]
    height = -(-len(rows) // 2)
    figure, panels = plt.subplots(
        max(1, height), 2, figsize=(11, 2.8 * max(1, height)), squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(rows) :]:
        panel.remove()
    for row, panel in zip(rows, panels.flat, strict=False):
        values = {
            peer.label: value
            for peer in reversed(result.peers)
            if (value := row.value(peer.label)) is not None
        }
        colours = ["C0" if label.startswith("eventfs") else "0.7" for label in values]
        bars = panel.barh(list(values), list(values.values()), color=colours)
        panel.bar_label(bars, [_shown(value, row.unit) for value in values.values()], padding=2)
        panel.set_xscale("log")
        panel.xaxis.set_visible(False)
        panel.margins(x=0.2)
        panel.spines[["top", "right", "bottom"]].set_visible(False)
        better = "more" if row.unit == "/s" else "less"
        panel.set_title(f"{row.title}, {row.place} ({better} is better)", fontsize=10)
    figure.supxlabel("logarithmic scales", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
