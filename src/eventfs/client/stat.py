"""All that a queue tells about itself."""

import os
import stat
from typing import NamedTuple

from eventfs.client.directory import attribute, readable

OWNER = "user.eventfs_owner"
MESSAGES = "user.eventfs_messages"
BYTES = "user.eventfs_bytes"
OLDEST = "user.eventfs_oldest"
STICKY = "user.eventfs_sticky"
KEEP = "user.eventfs_keep"
FOLLOW = "user.eventfs_follow"
FOLLOWERS = "user.eventfs_followers"
DROPPED = "user.eventfs_dropped"


class QueueStat(NamedTuple):
    """What a queue is like at one moment."""

    owner: int | None
    """The owner's process id: None when it is dead, 0 where it can't be seen from here."""
    messages: int
    """How many messages are there."""
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
    """How many messages it missed for want of room."""
    uid: int
    """Its user."""
    gid: int
    """Its group."""
    mode: int
    """Its permission bits."""


def stat_of(directory: int) -> QueueStat:
    """Ask a queue for all that it tells (OSError)."""
    with readable(directory) as handle:
        about = os.fstat(handle)
        owner = attribute(handle, OWNER)
        oldest = attribute(handle, OLDEST)
        return QueueStat(
            owner=None if owner is None else int(owner),
            messages=int(attribute(handle, MESSAGES) or 0),
            bytes=int(attribute(handle, BYTES) or 0),
            oldest=None if oldest is None else float(oldest),
            sticky=attribute(handle, STICKY) is not None,
            topic=attribute(handle, KEEP) == "no",
            sources=_names(attribute(handle, FOLLOW)),
            followers=_names(attribute(handle, FOLLOWERS)),
            dropped=int(attribute(handle, DROPPED) or 0),
            uid=about.st_uid,
            gid=about.st_gid,
            mode=stat.S_IMODE(about.st_mode),
        )


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(value.split("/")) if value else ()
