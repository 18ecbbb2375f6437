"""How long there is still to wait."""

import math
from time import monotonic

#: What poll(2) takes, an int of C's, in milliseconds: it is called again after that.
_MOST_MS = 2**31 - 1


class Deadline:
    """A time to wait, in seconds from now; None is for ever."""

    def __init__(self, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self._end_s = None if timeout_s is None else monotonic() + timeout_s

    def left_s(self) -> float | None:
        """Return how much is left, in seconds, and 0 when it is over."""
        return None if self._end_s is None else max(0.0, self._end_s - monotonic())

    def left_ms(self) -> int | None:
        """Return how long poll(2) may wait: not less, so as not to look in vain."""
        left_s = self.left_s()
        return None if left_s is None else math.ceil(min(left_s * 1000, _MOST_MS))

    def is_past(self) -> bool:
        """Tell whether it is over."""
        return self.left_s() == 0

    def at_most(self, pause_s: float) -> float:
        """Return a pause, cut to what is left."""
        left_s = self.left_s()
        return pause_s if left_s is None else min(pause_s, left_s)
