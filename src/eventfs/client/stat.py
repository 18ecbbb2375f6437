"""All that a queue tells about itself."""

import math
import os
import stat
from typing import NamedTuple

from eventfs.client.directory import attribute, readable
from eventfs.client.rules import attribute_of

OWNER = "user.eventfs_owner"
MESSAGES = "user.eventfs_messages"
BYTES = "user.eventfs_bytes"
OLDEST = "user.eventfs_oldest"
STICKY = "user.eventfs_sticky"
KEEP = "user.eventfs_keep"
FOLLOW = "user.eventfs_follow"
FOLLOWERS = "user.eventfs_followers"
DROPPED = "user.eventfs_dropped"
EXPIRED = "user.eventfs_expired"
LENT = "user.eventfs_lent"


class QueueStat(NamedTuple):
    """What a queue is like at one moment."""

    owner: int | None
    """The owner's process id: None when it is dead, 0 where it can't be seen from here."""
    messages: int
    """How many messages are there."""
    lent: int
    """How many more are claimed, and may come back."""
    bytes: int
    """How many bytes these have."""
    oldest: float | None
    """When the oldest one was last written, in seconds since the epoch; None without one."""
    sticky: bool
    """Whether the queue outlives its owner."""
    topic: bool
    """Whether it keeps nothing, and only passes on to its followers."""
    sources: tuple[str, ...]
    """The names of the queues whose messages arrive here too."""
    followers: tuple[str, ...]
    """The names of the queues where this one's messages arrive too."""
    dropped: int
    """How many messages it lost for want of room, or since they were claimed in vain too often."""
    expired: int
    """How many messages it lost because they were too old."""
    max_messages: int | None
    """For how many messages it has room at most; here and below None is without that rule."""
    max_bytes: int | None
    """For how many bytes it has room at most, those of all messages together."""
    overflow: str | None
    """What is done where it is full: "drop-oldest"; or "reject", as without the rule."""
    ttl: float | None
    """After how many seconds a message is removed."""
    max_attempts: int | None
    """How often a message may be claimed in vain."""
    dead_letter: str | None
    """The name of the queue that gets those that were; else they are dropped."""
    lease: float | None
    """For how long it holds on loan what is moved into it, in seconds, perhaps inf."""
    uid: int
    """Its user."""
    gid: int
    """Its group."""
    mode: int
    """Its permission bits."""


def count(handle: int, name: str) -> int:
    """Return a computed number of an open queue (OSError)."""
    return int(attribute(handle, name) or 0)


def stat_of(directory: int) -> QueueStat:
    """Ask a queue for all that it tells (OSError)."""
    with readable(directory) as handle:
        about = os.fstat(handle)
        # What was set is listed: so nothing is asked for that isn't there.
        were_set = {name: attribute(handle, name) for name in os.listxattr(handle)}
        rules = {name: were_set.get(attribute_of(name)) for name in QueueStat._fields}
        owner = attribute(handle, OWNER)
        oldest = attribute(handle, OLDEST)
        return QueueStat(
            owner=_whole(owner),
            messages=count(handle, MESSAGES),
            lent=count(handle, LENT),
            bytes=count(handle, BYTES),
            oldest=_decimal(oldest),
            sticky=STICKY in were_set,
            topic=were_set.get(KEEP) == "no",
            sources=_names(were_set.get(FOLLOW)),
            followers=_names(attribute(handle, FOLLOWERS)),
            dropped=count(handle, DROPPED),
            expired=count(handle, EXPIRED),
            max_messages=_whole(rules["max_messages"]),
            max_bytes=_whole(rules["max_bytes"]),
            overflow=rules["overflow"],
            ttl=_decimal(rules["ttl"]),
            max_attempts=_whole(rules["max_attempts"]),
            dead_letter=rules["dead_letter"],
            lease=math.inf if rules["lease"] == "" else _decimal(rules["lease"]),
            uid=about.st_uid,
            gid=about.st_gid,
            mode=stat.S_IMODE(about.st_mode),
        )


def _whole(value: str | None) -> int | None:
    return None if value is None else int(value)


def _decimal(value: str | None) -> float | None:
    return None if value is None else float(value)


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(value.split("/")) if value else ()
