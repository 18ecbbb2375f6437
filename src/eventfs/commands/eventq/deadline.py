"""How long there is still to wait."""

import math
from time import monotonic

#: What select.poll takes, an int of C's, in milliseconds: it is called again after that.
_MOST_MS = 2**31 - 1


class Deadline:
    """A moment from which on nobody waits any more, or none."""

    def __init__(self, seconds: float | None) -> None:
        """Set it so many seconds from now; None is never."""
        self._end = math.inf if seconds is None else monotonic() + seconds

    def is_past(self) -> bool:
        """Tell whether it is over."""
        return monotonic() >= self._end

    def left_ms(self) -> int:
        """Return how long poll may wait, in milliseconds: rounded up, so as not to ask in vain."""
        return math.ceil(min(max(0, self._end - monotonic()) * 1000, _MOST_MS))
