"""What is told of queues: as values for programs."""

import os
from collections.abc import Mapping
from pathlib import Path
from time import time

from eventfs import QueueStat

#: What isn't there, or isn't ours to see; and what is where we can't see it.
NOTHING = "-"
_ELSEWHERE = "?"


def command(pid: int) -> str | None:
    """Return the name of a process's command; None if it can't be seen."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/comm").read_bytes()).rstrip("\n")
    except OSError:
        return None


def all_of(stat: QueueStat) -> dict[str, object]:
    """Return all that is known of a queue."""
    return {
        **listed(stat),
        "sources": list(stat.sources),
        "followers": list(stat.followers),
        "dropped": stat.dropped,
        "uid": stat.uid,
        "gid": stat.gid,
        "mode": f"{stat.mode & 0o7777:04o}",
    }


def listed(stat: QueueStat | None) -> Mapping[str, object]:
    """Return what `ls` tells of a queue; `stat` is None where it isn't ours to read."""
    if stat is None:
        names = ("owner", "command", "messages", "bytes", "oldest", "sticky", "topic")
        return dict.fromkeys(names)
    return {
        "owner": stat.owner,
        "command": command(stat.owner) if stat.owner else None,
        "messages": stat.messages,
        "bytes": stat.bytes,
        "oldest": stat.oldest,
        "sticky": stat.sticky,
        "topic": stat.topic,
    }


def columns(stat: QueueStat | None) -> list[str]:
    """Return what `ls` prints of a queue after its path, for programs."""
    if stat is None:
        return [NOTHING] * 6
    return [
        owner(stat),
        (stat.owner and command(stat.owner)) or NOTHING,
        str(stat.messages),
        str(stat.bytes),
        NOTHING if stat.oldest is None else f"{age_s(stat.oldest):.3f}",
        flags(stat),
    ]


def owner(stat: QueueStat) -> str:
    """Return the owner's process id."""
    if stat.owner is None:
        return NOTHING
    return str(stat.owner or _ELSEWHERE)


def age_s(oldest: float) -> float:
    """Return how long ago something was written, in seconds."""
    return max(0, time() - oldest)


def flags(stat: QueueStat) -> str:
    """Return what is special about a queue."""
    return ",".join(name for name in ("sticky", "topic") if getattr(stat, name)) or NOTHING


def plain(value: object) -> str:
    """Return a value as a word."""
    match value:
        case None | []:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case list():
            return "/".join(value)  # as the attributes have them: names have no slashes
        case float():
            return f"{value:.9f}"
    return str(value)
