"""When something is to be done about a queue that nobody asks for."""

from collections.abc import Callable

from eventfs.queues.queue import Queue

#: Later than anything: there is nothing to be done.
NEVER_NS = 2**63 - 1


class Timers:
    """Queues that have to be looked at, each at some time of a clock that never jumps."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """Start with nothing to do; *now_ns* tells the time."""
        self.now_ns = now_ns
        #: When the next of them is due.
        self.next_ns = NEVER_NS
        self._due: dict[Queue, int] = {}

    def set(self, queue: Queue, due_ns: int) -> None:
        """Have a queue looked at by then, if not before."""
        if due_ns < self._due.get(queue, NEVER_NS):
            self._due[queue] = due_ns
            self.next_ns = min(self.next_ns, due_ns)

    def forget(self, queue: Queue) -> None:
        """Leave a queue alone."""
        if self._due.pop(queue, NEVER_NS) == self.next_ns:
            self._note_next()

    def due(self) -> list[Queue]:
        """Return those whose time has come; they are to be set anew."""
        now_ns = self.now_ns()
        queues = [queue for queue, due_ns in self._due.items() if due_ns <= now_ns]
        for queue in queues:
            del self._due[queue]
        self._note_next()
        return queues

    def _note_next(self) -> None:
        self.next_ns = min(self._due.values(), default=NEVER_NS)
