"""Loans: messages that a worker holds in a queue of its own until they are done.

What is renamed into a queue that has `user.eventfs_lease` is on loan from where it was, its source.
To unlink it there, or to move it on, is to be done with it. Else it returns: when the worker's
queue vanishes, when it was held too long, or when somebody renames it back. It returns to its old
place in the order and to whom its name was charged, whatever the limits are by then: a return loses
nothing. What returned too often goes to the source's dead letters instead.
"""

from collections.abc import Callable
from typing import Protocol

from eventfs.queues import xattrs
from eventfs.queues.directory import Dentry, Sequence
from eventfs.queues.errors import FollowsItself, MayNotFollow, NotFound
from eventfs.queues.followers import with_all_sources
from eventfs.queues.ledger import Payer
from eventfs.queues.message import Message
from eventfs.queues.names import UNNAMED, Name
from eventfs.queues.queue import Loan, Queue, Returned
from eventfs.queues.timers import Timers


class Places(Protocol):
    """Where messages leave and arrive."""

    def queue_named(self, name: Name) -> Queue:
        """Return a queue (NotFound)."""

    def next_number(self) -> int:
        """Return a number that no inode, no name and no packet has had."""

    def take_out(self, queue: Queue, dentry: Dentry, now_ns: int) -> None:
        """Take a name, and nothing else, from a message; its loan is over."""

    def remove(self, queue: Queue, dentry: Dentry, now_ns: int) -> None:
        """Take a message out of a queue."""

    def lose_name(self, message: Message, now_ns: int) -> None:
        """Count one name of a message fewer."""

    def arrived(
        self, queue: Queue, name: Name, inode: Message, number: Sequence, now_ns: int
    ) -> None:
        """Do what follows from an arrival."""

    def drop_excess(self, queue: Queue, now_ns: int) -> None:
        """Drop a queue's oldest messages while there are too many, if that is its rule."""

    def changed(self, queue: Queue, name: Name = UNNAMED, message: Message | None = None) -> None:
        """Note what nobody has asked for: that a queue changed, or lost a name."""


class Leases:
    """All loans."""

    def __init__(self, places: Places, timers: Timers) -> None:
        """Start with nothing on loan."""
        self._places = places
        self._timers = timers
        self._loans: dict[Message, list[Loan]] = {}
        #: How often messages had returned when they last did, for those that did; moved to another
        #: queue for good a message begins anew.
        self.attempts: dict[Message, int] = {}

    def lend(  # noqa: PLR0913  # what `renaming` knows
        self,
        source: Queue,
        dentry: Dentry,
        message: Message,
        holder: Queue,
        name: Name,
        number: Sequence,
        payer: Payer,
    ) -> Loan:
        """Return the dentry with which *message*, whose *dentry* was taken out, is on loan.

        If it was on loan already, it still is from the same source.
        """
        loan = Loan(name, message, number, payer, holder, source, dentry)
        loan.source.lent += 1
        self._loans.setdefault(message, []).append(loan)
        holder.loans[loan] = self._timers.now_ns()
        self._set_timer(holder)
        return loan

    def end(self, loan: Loan) -> None:
        """Note that a loan is over."""
        message = loan.inode
        assert isinstance(message, Message)
        del loan.holder.loans[loan]
        loan.source.lent -= 1
        loans = self._loans[message]
        loans.remove(loan)
        if not loans:
            del self._loans[message]

    def touched(self, message: Message) -> None:
        """Have the time of a message's loans begin anew."""
        for loan in self._loans.get(message, ()):
            del loan.holder.loans[loan]
            loan.holder.loans[loan] = self._timers.now_ns()

    def return_overdue(self, holder: Queue, now_ns: int) -> None:
        """Let return what is held for too long, and look again when the next of it will be."""
        lease_ns = xattrs.rule(holder, xattrs.LEASE)
        if not lease_ns:
            return
        clock_ns = self._timers.now_ns()
        overdue = []
        for loan, since_ns in holder.loans.items():
            if since_ns + lease_ns > clock_ns:
                break
            overdue.append(loan)
        for loan in overdue:
            message = loan.inode
            assert isinstance(message, Message)
            self._places.changed(holder, loan.name, message)
            self.give_back(loan, now_ns)
        self._set_timer(holder)

    def give_back(
        self, loan: Loan, now_ns: int, name: Name | None = None, replaced: Dentry | None = None
    ) -> None:
        """Let a message return; in its source it is called *name*, or as before.

        Where that is taken by anything but *replaced*, it gets another name. It is gone where the
        source is, or keeps nothing.
        """
        message, source = loan.inode, loan.source
        assert isinstance(message, Message)
        self._places.take_out(loan.holder, loan, now_ns)
        loan.payer.refund_file()
        message.ctime_ns = now_ns
        if source.vanished or not source.keeps:
            self._places.lose_name(message, now_ns)
            return
        attempts = loan.attempts + 1
        self.attempts[message] = attempts
        most = xattrs.rule(source, xattrs.MAX_ATTEMPTS)
        if most is not None and attempts >= most:
            self._give_up(loan, message, now_ns)
            return
        if replaced is not None:
            self._places.remove(source, replaced, now_ns)
        name = name or loan.home.name
        if source.is_taken(name):
            name = source.free_name(loan.home.sequence)
        payer = loan.home.payer
        payer.charge_files(1)
        source.insert(Returned(name, message, loan.home.sequence, payer, attempts), now_ns)
        self._places.changed(source)
        self._places.drop_excess(source, now_ns)

    def _give_up(self, loan: Loan, message: Message, now_ns: int) -> None:
        """Put a message that returned too often into its source's dead letters, or drop it."""
        queue = loan.source.dead_letter
        if queue is None or (queue.keeps and not queue.has_room(message.size)):
            loan.source.dropped += 1
            self._places.lose_name(message, now_ns)
            return
        number = Sequence(self._places.next_number())
        name = loan.home.name
        if queue.keeps:
            if queue.is_taken(name):
                name = queue.free_name(number)
            payer = loan.home.payer
            payer.charge_files(1)
            queue.append(Dentry(name, message, number, payer), now_ns)
        self._places.arrived(queue, name, message, number, now_ns)
        self._places.changed(queue)
        if not queue.keeps:
            self._places.lose_name(message, now_ns)

    def _set_timer(self, holder: Queue) -> None:
        lease_ns = xattrs.rule(holder, xattrs.LEASE)
        if lease_ns and holder.loans:
            self._timers.set(holder, next(iter(holder.loans.values())) + lease_ns)

    # Dead letters

    def dead_letter_named(
        self, queue: Queue, name: Name, may_add: Callable[[Queue], bool]
    ) -> Queue:
        """Return the queue that is to take *queue*'s dead letters.

        Refused with NotFound; with MayNotFollow where *may_add* says no; with FollowsItself where
        messages would come back.
        """
        target = self._places.queue_named(name)
        if target in with_all_sources(queue):
            raise FollowsItself
        if not may_add(target):
            raise MayNotFollow
        if not queue.links:
            raise NotFound
        return target

    @staticmethod
    def bury_in(queue: Queue, target: Queue | None) -> None:
        """Have *target* take a queue's dead letters from now on, or nobody."""
        if queue.dead_letter is not None:
            queue.dead_letter.dead_from.remove(queue)
        if target is not None:
            target.dead_from.append(queue)
        queue.dead_letter = target
