"""What is told of queues: as tables for people, with units."""

import grp
import math
import os
import pwd
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eventfs import QueueStat
from eventfs.commands.eventq import values
from eventfs.commands.eventq.output import shown

#: More columns than a table can have: a path has 4,096 bytes.
_ENDLESS = 10_000

#: Seconds in a unit, the largest first.
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def show_queues(rows: Sequence[tuple[str, QueueStat | None]]) -> None:
    """Print a list of queues."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("QUEUE", no_wrap=True, style="cyan")
    table.add_column("OWNER", justify="right", no_wrap=True)
    table.add_column("COMMAND", no_wrap=True)
    for name in ("MESSAGES", "BYTES", "OLDEST"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("FLAGS", no_wrap=True, style="yellow")
    # What most queues never have takes no room unless one has it.
    seen = [stat for _, stat in rows if stat is not None]
    lent, lost = any(stat.lent for stat in seen), any(map(values.lost, seen))
    for name, is_told in (("LENT", lent), ("LOST", lost)):
        if is_told:
            table.add_column(name, justify="right", no_wrap=True)
    for path, stat in rows:
        owner, command, messages, count_bytes, oldest, flags, *rest = values.columns(stat)
        if stat is not None:
            count_bytes = _bytes(stat.bytes)
            oldest = values.NOTHING if stat.oldest is None else _age(values.age_s(stat.oldest))
        told = [text for text, is_told in zip(rest, (lent, lost), strict=True) if is_told]
        cells = [path, owner, command, messages, count_bytes, oldest, flags, *told]
        table.add_row(*map(_text, cells))
    _print(table)


def show_queue(path: str, stat: QueueStat) -> None:
    """Print all about a queue."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(no_wrap=True)
    about = {name: values.plain(value) for name, value in values.all_of(stat).items()}
    command = about.pop("command")
    if stat.owner:
        about["owner"] += f" ({command})"
    elif stat.owner == 0:
        about["owner"] = "lives where it can't be seen from here"
    about["bytes"] = _bytes(stat.bytes)
    if stat.oldest is not None:
        about["oldest"] = f"{_age(values.age_s(stat.oldest))} ago"
    about["sources"] = ", ".join(stat.sources) or values.NOTHING
    about["followers"] = ", ".join(stat.followers) or values.NOTHING
    if stat.max_bytes is not None:
        about["max_bytes"] = _bytes(stat.max_bytes)
    for name, time_s in (("ttl", stat.ttl), ("lease", stat.lease)):
        if time_s is not None:
            about[name] = "without end" if time_s == math.inf else f"{time_s:g} s"
    about["user"] = _user(about.pop("uid"), stat.uid)
    about["group"] = _group(about.pop("gid"), stat.gid)
    for name, value in {"queue": path, **about}.items():
        table.add_row(name, _text(value))
    _print(table)


def _print(table: Table) -> None:
    # Where colours aren't wanted rich still prints bold, and so it does in a dumb terminal.
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    console = Console(highlight=False, color_system=None if plain else "auto")
    # What is too long is for the terminal to break: so a path can still be copied from there.
    endless = console.options.update_width(_ENDLESS)
    console.width = console.measure(table, options=endless).maximum
    console.print(table)


def _text(value: str) -> Text:
    # Not a str, in which rich would look for markup.
    return Text(shown(value))


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004  # it is what the units mean
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"


def _age(seconds: float) -> str:
    for unit_s, unit in _AGES:
        if seconds >= unit_s:
            return f"{seconds // unit_s:.0f} {unit}"
    return "0 s"


def _user(number: str, uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({number})"
    except KeyError:
        return number


def _group(number: str, gid: int) -> str:
    try:
        return f"{grp.getgrgid(gid).gr_name} ({number})"
    except KeyError:
        return number
