"""What is told of queues: as values for programs."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from time import time

from eventfs import QueueStat

#: What isn't there, or isn't ours to see; and what is where we can't see it.
NOTHING = "-"
_ELSEWHERE = "?"

#: What `ls` tells of a queue, by its names in JSON.
_LISTED = (
    *("owner", "command", "messages", "bytes", "oldest"),
    *("sticky", "topic", "lent", "dropped", "expired"),
)


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
        "max_messages": stat.max_messages,
        "max_bytes": stat.max_bytes,
        "overflow": stat.overflow,
        "ttl": stat.ttl,
        "max_attempts": stat.max_attempts,
        "dead_letter": stat.dead_letter,
        # JSON has no number for it; so it is what `create --lease` takes.
        "lease": "inf" if stat.lease == math.inf else stat.lease,
        "uid": stat.uid,
        "gid": stat.gid,
        "mode": f"{stat.mode & 0o7777:04o}",
    }


def listed(stat: QueueStat | None) -> Mapping[str, object]:
    """Return what `ls` tells of a queue; `stat` is None where it isn't ours to read."""
    if stat is None:
        return dict.fromkeys(_LISTED)
    about = stat._asdict()
    about["command"] = command(stat.owner) if stat.owner else None
    return {name: about[name] for name in _LISTED}


def columns(stat: QueueStat | None) -> list[str]:
    """Return what `ls` prints of a queue after its path, for programs."""
    if stat is None:
        return [NOTHING] * 8
    return [
        owner(stat),
        (stat.owner and command(stat.owner)) or NOTHING,
        str(stat.messages),
        str(stat.bytes),
        NOTHING if stat.oldest is None else f"{age_s(stat.oldest):.3f}",
        flags(stat),
        str(stat.lent),
        str(lost(stat)),
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
    return ",".join(name for name in ("sticky", "topic", "lease") if getattr(stat, name)) or NOTHING


def lost(stat: QueueStat) -> int:
    """Return how many messages a queue has lost."""
    return stat.dropped + stat.expired


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
