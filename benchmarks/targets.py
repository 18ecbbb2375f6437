"""What eventfs is to reach: of itself, or as its ratio to others."""

from typing import NamedTuple

from benchmarks.workloads import FREE, ONE, Row


class Target(NamedTuple):
    """A limit for a row's figure."""

    row: str
    limit: float
    sign: str = "≤"
    #: Whom the figure is compared with: with all of them, so with the best.
    to: tuple[str, ...] = ()

    def reached(self, row: Row) -> float | None:
        """Return what eventfs has come to, or None where that hasn't been measured."""
        if not self.to:
            return row.value("eventfs")
        ratios = [row.ratio("eventfs", label) for label in self.to]
        known = [ratio for ratio in ratios if ratio is not None]
        if len(known) < len(ratios):
            return None
        return min(known) if self.sign == "≥" else max(known)

    def met(self, reached: float) -> bool:
        """Tell whether that is good enough."""
        if self.sign == "≥":
            return reached >= self.limit
        return reached < self.limit or (self.sign == "≤" and reached == self.limit)


_FLOOR = ("floor.c",)

#: Queues for Python programs that keep their messages in files.
_LIBRARIES = ("dirq", "persist-queue file", "persist-queue SQLite", "litequeue")

TARGETS = (
    Target("turns one CPU rate", 0.9, "≥", _FLOOR),
    Target("turns free rate", 1.0, "≥", _FLOOR),
    Target("pingpong free p50", 1.2, "≤", _FLOOR),
    Target("pingpong free p99", 1.5, "≤", _FLOOR),
    Target("producers free rate", 0.8, "≥", _FLOOR),
    Target("size 1 MiB one CPU rate", 0.8, "≥", _FLOOR),
    Target("pipe one CPU rate", 0.7, "≥", _FLOOR),
    Target("pipe one CPU rate", 1.3, "≥", _LIBRARIES),
    Target("pipe one CPU rate", 5, "≥", ("Redis",)),
    Target("lines one CPU rate", 1, "≥", ("POSIX mq",)),
    *(Target(f"million {place} s", 3, "<") for place in (ONE, FREE)),
    Target("follow one CPU ratio", 20, "≥"),
    Target("ports one CPU bytes", 400 + 100),
    Target("wake free p99", 0.001, "<"),
    Target("returned free p99", 0.005, "<"),
    *(
        Target(f"client {place} {call}", 0.8, "≥")
        for place in (ONE, FREE)
        for call in ("send", "receive")
    ),
    Target("clientwait free ratio", 2, "<"),
    Target("held one CPU bytes", 1.01 * (1 << 20) + 100 * 1024),
    *(Target(f"long one CPU {end}", 1.2) for end in ("head", "tail", "middle")),
    Target("memory one CPU bytes", 600),
    Target("deaths free freed", 0.005, "<"),
    Target("owners free freed", 2, "<"),
    Target("owners free others", 0.020, "<"),
    Target("start free s", 0.3, "<"),
    Target("idle free %", 0.1, "<"),
)
