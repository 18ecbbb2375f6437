"""What eventfs is to reach: of itself, or as its ratio to floor.c."""

from typing import NamedTuple

from benchmarks.workloads import Row


class Target(NamedTuple):
    """A limit for a row's figure."""

    row: str
    limit: float
    sign: str = "≤"
    to: str = ""

    def reached(self, row: Row) -> float | None:
        """Return what eventfs has come to, or None where that hasn't been measured."""
        return row.ratio("eventfs", self.to) if self.to else row.value("eventfs")

    def met(self, reached: float) -> bool:
        """Tell whether that is good enough."""
        if self.sign == "≥":
            return reached >= self.limit
        return reached < self.limit or (self.sign == "≤" and reached == self.limit)


TARGETS = (
    Target("turns one CPU rate", 0.9, "≥", "floor.c"),
    Target("turns free rate", 1.0, "≥", "floor.c"),
    Target("pingpong free p50", 1.2, "≤", "floor.c"),
    Target("pingpong free p99", 1.5, "≤", "floor.c"),
    Target("producers free rate", 0.8, "≥", "floor.c"),
    Target("size 1 MiB one CPU rate", 0.8, "≥", "floor.c"),
    Target("held one CPU bytes", 1.01 * (1 << 20) + 100 * 1024),
    *(Target(f"long one CPU {end}", 1.2) for end in ("head", "tail", "middle")),
    Target("memory one CPU bytes", 600),
    Target("deaths free freed", 0.005, "<"),
    Target("owners free freed", 2, "<"),
    Target("owners free others", 0.020, "<"),
    Target("start free s", 0.3, "<"),
    Target("idle free %", 0.1, "<"),
)
