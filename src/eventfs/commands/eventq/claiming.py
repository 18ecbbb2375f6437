"""claim: have messages worked on, each of which stays the queue's until that has succeeded."""

from argparse import Namespace
from contextlib import ExitStack

from eventfs import LeaseExpired, Queue
from eventfs.commands.eventq import output
from eventfs.commands.eventq.endings import Endings
from eventfs.commands.eventq.executing import execute
from eventfs.commands.eventq.outcome import Complaint, Status, report


def claim(asked: Namespace) -> Status:
    """Claim messages, and run a command for each."""
    wanted = None if asked.follow else asked.count or 1
    failed = Status.DONE
    with Queue.open(asked.queue) as queue, Endings(printing=False) as endings:
        claimed = 0
        while claimed != wanted:
            try:
                if not _work_on_next(queue, asked, endings):
                    return failed or (Status.NOTHING if wanted or not claimed else Status.DONE)
            except (Complaint, LeaseExpired) as error:
                if not asked.keep_going:
                    raise
                failed = _told(error)
            claimed += 1
    return failed


def _work_on_next(queue: Queue, asked: Namespace, endings: Endings) -> bool:
    """Work on the oldest message; tell whether one came in time."""
    with ExitStack() as claims:
        message = endings.next_of(
            queue,
            lambda: claims.enter_context(queue.claim(0, lease=asked.lease)),
            asked.timeout,
        )
        if message is None:
            return False
        how = execute(asked.exec, message.content, endings, EVENTQ_MESSAGE=message.path)
        if how is not None:
            raise Complaint(
                f"{queue.path}: the command ended {how}; its message was given back",
                Status.COMMAND_FAILED,
            )
    return True


def _told(error: Complaint | LeaseExpired) -> Status:
    if isinstance(error, LeaseExpired):
        return report(error)
    output.complain(str(error))
    return error.status
