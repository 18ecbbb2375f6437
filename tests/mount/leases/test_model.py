"""Claims, returns and limits: a mount that is driven by system calls, against a naive model.

Processes of three users make the calls; some of them own queues and are killed. After each step all
that can be seen of the mount has to be as the model says.

The usual number of examples takes less than a minute; for more:

    CLAIM_EXAMPLES=2000 .venv/bin/pytest --timeout=7200 tests/mount/leases/test_model.py
"""

import os
import re
import select
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from errno import errorcode
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.mount.calls import RENAME_NOREPLACE
from tests.mount.daemon import wait_until_empty
from tests.mount.leases import acting
from tests.mount.leases.acting import Process
from tests.mount.leases.model import ENDS, ROOT, Model, Refused
from tests.mount.ports.using import opened
from tests.mount.processes import ALICE, BOB
from tests.mounts import Mount, mounted

PREFIX = "user.eventfs_"

#: What a port's message is called, and what returns to find its name taken.
PORT_NAME = re.compile(r"[0-9a-f]{16}\+*")

T = TypeVar("T")


def one_of_its(choices: Callable[["ClaimsMachine"], list[T]]) -> st.SearchStrategy[T]:
    """Choose among what there is at that moment."""
    runner: st.SearchStrategy[ClaimsMachine] = st.runner()
    return runner.flatmap(lambda machine: st.sampled_from(choices(machine)))


def _known_queues(machine: "ClaimsMachine") -> list[str]:
    return [queue.name for queue in machine.model.queues] or ["a"]


def _known_names(machine: "ClaimsMachine") -> list[tuple[str, str]]:
    return [(queue.name, name.name or "") for queue, name in machine.model.all_names()]


def _known_loans(machine: "ClaimsMachine") -> list[tuple[str, str, str]]:
    return [
        (queue.name, name.name or "", name.loan.source.name)
        for queue, name in machine.model.all_names()
        if name.loan is not None
    ]


def _lease_queues(machine: "ClaimsMachine") -> list[str]:
    return [queue.name for queue in machine.model.queues if "lease" in queue.attributes]


def has_names(machine: "ClaimsMachine") -> bool:
    return bool(_known_names(machine))


def has_loans(machine: "ClaimsMachine") -> bool:
    return bool(_known_loans(machine))


def can_claim(machine: "ClaimsMachine") -> bool:
    return has_names(machine) and bool(_lease_queues(machine))


QUEUE_NAMES = st.sampled_from(("a", "b", "c", "d"))
QUEUES = one_of_its(_known_queues)
LEASE_QUEUES = one_of_its(_lease_queues)
MESSAGES = one_of_its(_known_names)
LOANS = one_of_its(_known_loans)

# Few, so that they meet.
FREE_NAMES = ("1", "2", "3", "4", "5", "6")
NEW_NAMES = st.sampled_from(FREE_NAMES)
NAMES = st.sampled_from((*FREE_NAMES, "head", ".pipe"))
CONTENTS = st.binary(min_size=1, max_size=6).map(lambda content: content.replace(b"\n", b"-"))

# Most may do most.
USERS = st.sampled_from((ROOT, ROOT, ROOT, ALICE, BOB))
QUEUE_MODES = st.sampled_from((0o777, 0o777, 0o777, 0o1777, 0o755, 0o700, 0o733))
MODES = st.sampled_from((0o666, 0o666, 0o644, 0o600))

#: What is set together. Few of the values are none.
LIMITS = st.tuples(
    st.one_of(
        st.tuples(st.just("max_messages"), st.sampled_from((*"1234123412345", "0", "x"))),
        st.tuples(st.just("max_bytes"), st.sampled_from(("4", "8", "8", "12", "12", "16", "-1"))),
    ),
    st.tuples(
        st.just("overflow"), st.sampled_from(("reject", "drop-oldest", "drop-oldest", "drop"))
    ),
)
ATTRIBUTES = st.one_of(
    st.tuples(st.just("lease"), st.sampled_from(("", "", "1000", "0"))),
    st.tuples(st.just("max_attempts"), st.sampled_from(("1", "2", "2", "3", "1.5"))),
    st.tuples(st.just("dead_letter"), QUEUE_NAMES),
    st.tuples(st.just("follow"), QUEUE_NAMES),
    st.tuples(st.just("keep"), st.sampled_from(("no", "yes", "yes"))),
    st.tuples(st.just("sticky"), st.just("")),
)
ATTRIBUTE_NAMES = (
    *("lease", "max_messages", "max_bytes", "max_attempts", "overflow"),
    *("dead_letter", "follow", "keep", "keep", "sticky"),
)

#: What goes through ports without anybody looking.
PORT_USES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), CONTENTS),
        st.tuples(st.just("put_lines"), st.lists(CONTENTS, min_size=1, max_size=5)),
        st.tuples(st.just("take"), st.sampled_from((3, 100))),
        st.tuples(st.just("take_lines"), st.sampled_from((8, 100))),
    ),
    min_size=1,
    max_size=4,
)


class ClaimsMachine(RuleBasedStateMachine):
    """Queues `a` to `d` in an empty mount, and what should be in them."""

    def __init__(self, root: Path, users: dict[int, Process]) -> None:
        super().__init__()
        self.model = Model()
        self.root = root
        self.users = users
        self.owners: list[Process] = []
        self.numbers: set[int] = set()

    def may_be_known(self, queue: str, name: str) -> bool:
        """Tell whether the kernel may still know an end of a queue that has become empty.

        Then it refuses without asking, as if the end showed: docs/rules.md tells of that.
        """
        return name in ENDS and self.model.has(queue) and not self.model.queue(queue).names

    def path(self, queue: str, name: str = "") -> str:
        return f"{self.root}/{queue}/{name}" if name else f"{self.root}/{queue}"

    def do(
        self,
        expected: Callable[[], T],
        process: Process,
        function: Callable[..., object],
        *arguments: object,
    ) -> tuple[T | None, Any]:
        """Let the model and a process do the same; return what both say, if they do it."""
        refusal, result, answer = "done", None, None
        try:
            result = expected()
        except Refused as refused:
            refusal = str(refused)
        try:
            answer = process.call(function, *arguments)
        except OSError as error:
            said = errorcode[error.errno or 0]
        else:
            said = "done"
        assert said == refusal
        return result, answer

    # Queues and their owners

    @initialize(
        modes=st.tuples(QUEUE_MODES, QUEUE_MODES),
        uids=st.tuples(USERS, USERS),
        attempts=st.sampled_from(("", "1", "2", "3")),
        limits=st.just(()) | LIMITS,
        limited=QUEUE_NAMES,
    )
    def begin(
        self,
        modes: tuple[int, int],
        uids: tuple[int, int],
        attempts: str,
        limits: Iterable[tuple[str, str]],
        limited: str,
    ) -> None:
        """Make a source with messages, two lease queues, and a queue for dead letters."""
        self.make("a", uids[0], modes[0], is_new=True)
        self.make("b", uids[1], modes[1], is_new=True)
        self.make("c", ROOT, 0o777, is_new=True)
        self.make("d", ROOT, 0o777, is_new=True)
        for name in "bc":
            self.set_attribute(ROOT, name, ("lease", ""))
        if attempts:
            self.set_attribute(ROOT, "a", ("max_attempts", attempts))
            self.set_attribute(ROOT, "a", ("dead_letter", "d"))
        self.fill("a", [(ROOT, b"1"), (ALICE, b"12"), (BOB, b"123"), (ROOT, b"1234")])
        self.set_limits(ROOT, limited, limits)

    @rule(name=QUEUE_NAMES, uid=USERS, mode=QUEUE_MODES, is_new=st.booleans())
    def make(self, name: str, uid: int, mode: int, *, is_new: bool) -> None:
        """Let a process make a queue: a new one, or one of that user's that has some already."""
        theirs = [owner for owner in self.owners if owner.uid == uid]
        if is_new or not theirs:
            theirs.append(Process(uid))
            self.owners.append(theirs[-1])
        owner = theirs[-1]
        self.do(
            lambda: self.model.mkdir(uid, name, mode, owner), owner, os.mkdir, self.path(name), mode
        )

    @precondition(lambda self: self.owners)
    @rule(owner=one_of_its(lambda machine: machine.owners), comes_back=st.booleans())
    def die(self, owner: Process, *, comes_back: bool) -> None:
        """Kill a process; perhaps others make its queues anew."""
        theirs = [queue for queue in self.model.queues if queue.owner is owner]
        owner.close()
        self.owners.remove(owner)
        self.model.die(owner)
        for queue in theirs if comes_back else ():
            if queue.vanished:
                self.make(queue.name, ROOT, 0o777, is_new=True)
                if "lease" in queue.attributes:
                    self.set_attribute(ROOT, queue.name, ("lease", ""))

    @precondition(has_loans)
    @rule(loan=LOANS, of_source=st.sampled_from((False, False, True)))
    def die_in_a_loan(self, loan: tuple[str, str, str], *, of_source: bool) -> None:
        holder, _, source = loan
        name = source if of_source else holder
        owner = self.model.queue(name).owner if self.model.has(name) else None
        if owner is not None:
            self.die(owner, comes_back=True)

    @precondition(lambda self: bool(_lease_queues(self)))
    @rule(queue=QUEUES, holder=LEASE_QUEUES, count=st.integers(1, 3))
    def die_at_work(self, queue: str, holder: str, count: int) -> None:
        """Take some on loan, and have the holder killed."""
        self.claim_several(ROOT, queue, holder, count)
        owner = self.model.queue(holder).owner
        if owner is not None:
            self.die(owner, comes_back=True)

    @rule(queue=QUEUES, uid=USERS, mode=st.none() | QUEUE_MODES)
    def change_or_remove_a_queue(self, queue: str, uid: int, mode: int | None) -> None:
        path, process = self.path(queue), self.users[uid]
        if mode is None:
            self.do(lambda: self.model.rmdir(uid, queue), process, os.rmdir, path)
        else:
            self.do(lambda: self.model.chmod_queue(uid, queue, mode), process, os.chmod, path, mode)

    @rule(uid=USERS, queue=QUEUES, limits=LIMITS)
    def set_limits(self, uid: int, queue: str, limits: Iterable[tuple[str, str]]) -> None:
        for limit in limits:
            self.set_attribute(uid, queue, limit)

    @rule(uid=USERS, queue=QUEUES, attribute=ATTRIBUTES)
    def set_attribute(self, uid: int, queue: str, attribute: tuple[str, str]) -> None:
        name, value = attribute
        self.do(
            lambda: self.model.set_attribute(uid, queue, name, value),
            self.users[uid],
            os.setxattr,
            self.path(queue),
            PREFIX + name,
            value.encode(),
        )

    @rule(uid=USERS, queue=QUEUES, name=st.sampled_from(ATTRIBUTE_NAMES))
    def remove_attribute(self, uid: int, queue: str, name: str) -> None:
        self.do(
            lambda: self.model.remove_attribute(uid, queue, name),
            self.users[uid],
            os.removexattr,
            self.path(queue),
            PREFIX + name,
        )

    # Messages

    @rule(uid=USERS, queue=QUEUES, name=NAMES, mode=MODES, content=CONTENTS)
    def create(self, uid: int, queue: str, name: str, mode: int, content: bytes) -> None:
        if self.may_be_known(queue, name):
            return
        message, ino = self.do(
            lambda: self.model.create(uid, queue, name, mode),
            self.users[uid],
            acting.create,
            self.path(queue, name),
            mode,
        )
        if message is not None:
            assert ino not in self.numbers
            self.numbers.add(ino)
            message.ino = ino
            self.append(uid, (queue, name), content)

    @rule(
        queue=QUEUES,
        contents=st.lists(st.tuples(USERS, CONTENTS), min_size=1, max_size=4),
    )
    def fill(self, queue: str, contents: list[tuple[int, bytes]]) -> None:
        """Make messages with names that are free there."""
        there = self.model.queue(queue) if self.model.has(queue) else None
        free = [name for name in FREE_NAMES if there is None or not there.find(name)]
        for name, (uid, content) in zip(free, contents, strict=False):
            self.create(uid, queue, name, 0o666, content)

    @precondition(has_names)
    @rule(uid=USERS, message=MESSAGES, text=CONTENTS)
    def append(self, uid: int, message: tuple[str, str], text: bytes) -> None:
        self.do(
            lambda: self.model.append(uid, *message, text),
            self.users[uid],
            acting.append,
            self.path(*message),
            text,
        )

    @precondition(has_names)
    @rule(uid=USERS, message=MESSAGES, size=st.integers(0, 14))
    def truncate(self, uid: int, message: tuple[str, str], size: int) -> None:
        self.do(
            lambda: self.model.truncate(uid, *message, size),
            self.users[uid],
            os.truncate,
            self.path(*message),
            size,
        )

    @precondition(has_names)
    @rule(uid=USERS, message=MESSAGES, other=QUEUES, new_name=NAMES)
    def link(self, uid: int, message: tuple[str, str], other: str, new_name: str) -> None:
        if self.may_be_known(other, new_name):
            return
        self.do(
            lambda: self.model.link(uid, *message, other, new_name),
            self.users[uid],
            os.link,
            self.path(*message),
            self.path(other, new_name),
        )

    @rule(uid=USERS, queue=QUEUES, name=st.none() | NAMES)
    def unlink_or_consume(self, uid: int, queue: str, name: str | None) -> None:
        if name:
            self.unlink(uid, queue, name)
            return
        content, read = self.do(
            lambda: self.model.consume(uid, queue),
            self.users[uid],
            acting.consume,
            self.path(queue),
        )
        assert read == content

    def unlink(self, uid: int, queue: str, name: str) -> None:
        self.do(
            lambda: self.model.unlink(uid, queue, name),
            self.users[uid],
            os.unlink,
            self.path(queue, name),
        )

    @rule(uid=USERS, queue=QUEUES, uses=PORT_USES)
    def use_ports(self, uid: int, queue: str, uses: list[tuple[str, Any]]) -> None:
        """Write and read without anybody looking at the messages in between."""
        for use, what in uses:
            self.use_port(uid, queue, use, what)

    def use_port(self, uid: int, queue: str, use: str, what: Any) -> None:  # noqa: ANN401
        expected = getattr(self.model, use)
        port = self.path(queue, ".lines" if use.endswith("lines") else ".pipe")
        call: Callable[..., object] = acting.read_port
        data = what
        if use.startswith("put"):
            call = acting.write_port
            data = what if use == "put" else b"".join(line + b"\n" for line in what)
        count, said = self.do(lambda: expected(uid, queue, what), self.users[uid], call, port, data)
        assert said == count

    # Renaming

    def rename(  # noqa: PLR0913  # as the model has them
        self, uid: int, queue: str, name: str, other: str, new_name: str, *, replaces: bool
    ) -> None:
        self.do(
            lambda: self.model.rename(uid, queue, name, other, new_name, replaces=replaces),
            self.users[uid],
            acting.rename,
            self.path(queue, name),
            self.path(other, new_name),
            0 if replaces else RENAME_NOREPLACE,
        )

    @rule(uid=USERS, queue=QUEUES, name=NAMES, other=QUEUES, new_name=NAMES, replaces=st.booleans())
    def rename_anything(  # noqa: PLR0913  # as above
        self, uid: int, queue: str, name: str, other: str, new_name: str, *, replaces: bool
    ) -> None:
        if not self.may_be_known(queue, name) and not self.may_be_known(other, new_name):
            self.rename(uid, queue, name, other, new_name, replaces=replaces)

    @precondition(has_names)
    @rule(uid=USERS, message=MESSAGES, other=QUEUES, new_name=NEW_NAMES, replaces=st.booleans())
    def rename_a_message(
        self, uid: int, message: tuple[str, str], other: str, new_name: str, *, replaces: bool
    ) -> None:
        self.rename(uid, *message, other, new_name, replaces=replaces)

    @precondition(can_claim)
    @rule(uid=USERS, message=MESSAGES, other=LEASE_QUEUES, new_name=st.none() | NEW_NAMES)
    def claim(self, uid: int, message: tuple[str, str], other: str, new_name: str | None) -> None:
        """Take a message on loan, or on into another lease queue; mostly as what it is called."""
        self.rename(uid, *message, other, new_name or message[1], replaces=True)

    @precondition(lambda self: bool(_lease_queues(self)))
    @rule(uid=USERS, queue=QUEUES, other=LEASE_QUEUES, count=st.integers(2, 4))
    def claim_several(self, uid: int, queue: str, other: str, count: int) -> None:
        """Take what is at head, as a worker does, and again."""
        for _ in range(count):
            there = self.model.queue(queue) if self.model.has(queue) else None
            if queue == other or there is None or not there.names or not there.names[0].name:
                return
            name = there.names[0].name
            self.rename(uid, queue, name, other, name, replaces=False)

    @precondition(has_loans)
    @rule(uid=USERS, loan=LOANS, new_name=st.none() | NEW_NAMES, replaces=st.booleans())
    def give_back(
        self, uid: int, loan: tuple[str, str, str], new_name: str | None, *, replaces: bool
    ) -> None:
        queue, name, source = loan
        self.rename(uid, queue, name, source, new_name or name, replaces=replaces)

    @precondition(has_loans)
    @rule(uid=USERS, loan=LOANS)
    def finish(self, uid: int, loan: tuple[str, str, str]) -> None:
        self.unlink(uid, *loan[:2])

    # What must hold after each step

    @invariant()
    def all_that_can_be_seen_is_as_in_the_model(self) -> None:
        assert os.listdir(self.root) == [queue.name for queue in self.model.queues]
        self.each_queue_shows_its_messages_in_order()
        self.each_queue_says_so_of_itself()
        self.each_port_is_ready_for_what_would_work()
        self.each_message_is_what_it_was_made_to_be()

    def each_queue_shows_its_messages_in_order(self) -> None:
        for queue in self.model.queues:
            path = self.path(queue.name)
            listed = os.listdir(path)
            if queue.names:
                assert (listed[0], listed[-1]) == ENDS
                listed = listed[1:-1]
            for name, shown in zip(queue.names, listed, strict=False):
                if name.name is None and PORT_NAME.fullmatch(shown):
                    name.name = shown
            assert listed == [name.name for name in queue.names]
            assert len(set(listed)) == len(listed)
            for end in ENDS:
                expected = queue.end(end)
                if expected is None:
                    assert not os.path.lexists(f"{path}/{end}")
                else:
                    assert os.readlink(f"{path}/{end}") == expected.name

    def each_queue_says_so_of_itself(self) -> None:
        for queue in self.model.queues:
            path = self.path(queue.name)
            there = os.stat(path)
            assert (there.st_uid, stat.S_IMODE(there.st_mode)) == (queue.uid, queue.mode)
            said = {
                name.removeprefix(PREFIX): _attribute(path, name) for name in os.listxattr(path)
            }
            assert said == queue.attributes
            counted = {
                "messages": len(queue.names),
                "bytes": queue.bytes,
                "dropped": queue.dropped,
                "expired": 0,
                "lent": len(self.model.lent(queue)),
            }
            assert {name: int(_attribute(path, PREFIX + name)) for name in counted} == counted

    def each_port_is_ready_for_what_would_work(self) -> None:
        for queue in self.model.queues:
            with opened(Path(self.path(queue.name)), os.O_RDWR | os.O_NONBLOCK) as port:
                poll = select.poll()
                poll.register(port, select.POLLIN | select.POLLOUT)
                ready = dict(poll.poll(0)).get(port, 0)
            expected = bool(queue.names), not queue.is_full_for(1)
            assert (bool(ready & select.POLLIN), bool(ready & select.POLLOUT)) == expected

    def each_message_is_what_it_was_made_to_be(self) -> None:
        for queue, name in self.model.all_names():
            assert name.name is not None
            path = self.path(queue.name, name.name)
            message, there = name.message, os.stat(path)
            if message.ino is None:
                assert there.st_ino not in self.numbers
                self.numbers.add(there.st_ino)
                message.ino = there.st_ino
            assert there.st_ino == message.ino
            names = self.model.names_of(message)
            assert there.st_nlink == len(names)
            assert (there.st_uid, stat.S_IMODE(there.st_mode)) == (message.uid, message.mode)
            assert Path(path).read_bytes() == message.content
            assert int(_attribute(path, f"{PREFIX}attempts")) == message.attempts

    def teardown(self) -> None:
        """Kill all owners, the newest first; let go what is sticky; then nothing is left."""
        try:
            for owner in reversed(self.owners[:]):
                self.die(owner, comes_back=False)
                self.all_that_can_be_seen_is_as_in_the_model()
            for queue in self.model.queues[:]:
                self.remove_attribute(ROOT, queue.name, "sticky")
            assert os.listdir(self.root) == []
        finally:
            # The next example needs an empty mount, whatever has become of this one.
            for owner in self.owners:
                owner.close()
            for name in os.listdir(self.root):
                os.removexattr(self.path(name), f"{PREFIX}sticky")


def _attribute(path: str, name: str) -> str:
    return os.getxattr(path, name).decode()


# The test

#: How many sequences of how many steps.
EXAMPLES = int(os.environ.get("CLAIM_EXAMPLES", "120"))
STEPS = 40


@pytest.fixture
def own_mount(public_path: Path) -> Iterator[Mount]:
    """A mount in which nothing else is."""
    with mounted(public_path / "claims", "-o", "allow_other") as mount:
        yield mount


@pytest.mark.timeout(120 + 5 * EXAMPLES)
def test_claims_returns_and_limits_are_as_in_the_model(own_mount: Mount) -> None:
    with ExitStack() as stack:
        users = {uid: stack.enter_context(closing(Process(uid))) for uid in (ROOT, ALICE, BOB)}
        run_state_machine_as_test(
            lambda: ClaimsMachine(own_mount.path, users),  # type: ignore[arg-type]  # makes one
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize="CLAIM_EXAMPLES" not in os.environ,
                suppress_health_check=list(HealthCheck),
            ),
        )
    wait_until_empty(own_mount)
