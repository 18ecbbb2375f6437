"""The storm through the client and the tool: 8 receivers and 8 senders of one queue.

They use it as programs and people do: `eventfs.Queue`, eventq, and a shell with echo, readlink, cat
and rm. Each message is received exactly once, and each receiver gets each sender's in their order.
The receivers end because the queue does.

An open `Queue` takes a message with one request, a shell with three programs. So first the slower
ones receive alone until each of them has got some, and then they do so turn by turn: meanwhile the
others are stopped, wherever they are. With `--log-cli-level=INFO` the figures are shown.

The usual number of messages takes some seconds. The full one takes a few minutes:

    STORM_MESSAGES=100000 .venv/bin/pytest tests/stories/test_client_storm.py --log-cli-level=INFO
"""

import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from eventfs import Queue
from tests.eventq.running import EVENTQ
from tests.mounts import Mount, names, wait_until
from tests.stories.mixed_storm import (
    _PYTHON_WRITER,
    _SHELL_WRITER,
    Kind,
    MixedStorm,
    Stormer,
    by_writer,
)
from tests.stories.test_ports_storm import running

#: A multiple of a thousand.
MESSAGES = int(os.environ.get("STORM_MESSAGES", "6000"))

#: The machine may have few processors and much else to do.
DEADLINE_S = 100 + MESSAGES // 100

#: The senders, and how many of a thousand messages each sends.
SENDERS = (
    (Kind("client", "send"), 250),
    (Kind("client", "send_lines and send"), 250),
    (Kind("client", "cast"), 100),
    (Kind("eventq", "send --lines"), 200),
    (Kind("eventq", "send --lines and send"), 80),
    (Kind("sh", "echo"), 40),
    (Kind("sh", "echo"), 40),
    (Kind("sh", "echo and eventq"), 40),
)

RECEIVERS = (
    Kind("client", "receive"),
    Kind("client", "receive in time"),
    Kind("client", "receive details"),
    Kind("client", "receive_each"),
    Kind("eventq", "recv --follow"),
    Kind("eventq", "recv --follow"),
    Kind("sh", "readlink, cat, rm"),
    Kind("sh", "readlink, cat, rm"),
)

#: Those who need many requests for a message.
SLOWER = tuple(
    kind for kind in RECEIVERS if kind.language == "sh" or kind == ("client", "receive details")
)

#: Who may receive, turn by turn; and how long a turn is, in seconds.
TURNS = (
    tuple(kind for kind in RECEIVERS if kind.language == "sh"),
    SLOWER,
    RECEIVERS,
    RECEIVERS,
)
TURN_S = 0.3

#: argv of all programs: the queue, the log, and senders' the name, the number of messages.
_CLIENT_SENDER = f"""
from eventfs import Queue
{_PYTHON_WRITER}
queue = Queue(".")
count = int(count)
"""

_EVENTQ_SENDER = f"""
import subprocess
{_PYTHON_WRITER}
count = int(count)
def send(*options, text):
    subprocess.run([os.environ["eventq"], "send", *options, "."], input=text, check=True)
"""

_CLIENT_RECEIVER = """
import os, sys
from eventfs import Queue, QueueEmpty, QueueVanished
queue = Queue(sys.argv[1])
log = os.open(sys.argv[2], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
def keep(message):
    assert os.write(log, message.content) == len(message.content)
try:
    while True:
        TAKE
except QueueVanished:
    pass
"""

#: A queue is missing (3) or has vanished (7): so a receiver's work ends, and by nothing else.
_SHELL_RECEIVER = """
end() {
    case $1 in
    3 | 7) exit 0 ;;
    esac
    printf 'status %s: %s\\n' "$1" "$said" >&2
    exit 1
}
"""

_SHELL_CONTENT = '"$name $number $(printf "%0${zeros}d" 0)."'

#: What each kind of process runs.
_PROGRAMS = {
    ("put", "client", "send"): f"""{_CLIENT_SENDER}
for number in range(count):
    queue.send(message(number))
""",
    ("put", "client", "send_lines and send"): f"""{_CLIENT_SENDER}
number = 0
while number < count:
    end = min(number + 1 + number % 60, count)
    assert queue.send_lines(map(message, range(number, end))) == end - number
    for number in range(end, min(end + 3, count)):
        queue.send(message(number))
        end = number + 1
    number = end
""",
    # For more than one queue it is written where nobody sees it, and linked; a topic keeps nothing.
    ("put", "client", "cast"): f"""{_CLIENT_SENDER}
topic = Queue.create(f"../topic-{{name}}", topic=True)
for number in range(count):
    Queue.cast([queue, topic], message(number))
""",
    # The buffer ends within lines.
    ("put", "eventq", "send --lines"): f"""{_EVENTQ_SENDER}
command = [os.environ["eventq"], "send", "--lines", "."]
with subprocess.Popen(command, stdin=subprocess.PIPE) as eventq:
    for number in range(count):
        eventq.stdin.write(message(number) + b"\\n")
assert eventq.returncode == 0
""",
    ("put", "eventq", "send --lines and send"): f"""{_EVENTQ_SENDER}
number = 0
while number < count:
    end = min(number + 50, count)
    send("--lines", text=b"".join(message(one) + b"\\n" for one in range(number, end)))
    if end < count:
        send(text=message(end))
    number = end + 1
""",
    ("put", "sh", "echo"): _SHELL_WRITER.replace("PUT", f"echo {_SHELL_CONTENT} >.pipe || exit"),
    ("put", "sh", "echo and eventq"): _SHELL_WRITER.replace(
        "PUT",
        f"""
    case $((number % 40)) in
    10) printf %s {_SHELL_CONTENT} | "$eventq" send . || exit ;;
    30) echo {_SHELL_CONTENT} | "$eventq" send --lines . || exit ;;
    *) echo {_SHELL_CONTENT} >.pipe || exit ;;
    esac""",
    ),
    ("take", "client", "receive"): _CLIENT_RECEIVER.replace("TAKE", "keep(queue.receive())"),
    ("take", "client", "receive in time"): _CLIENT_RECEIVER.replace(
        "TAKE",
        """try:
            keep(queue.receive(timeout=0.01))
        except QueueEmpty:
            pass""",
    ),
    ("take", "client", "receive details"): _CLIENT_RECEIVER.replace(
        "TAKE", "keep(queue.receive(details=True))"
    ),
    ("take", "client", "receive_each"): _CLIENT_RECEIVER.replace(
        "TAKE", "for message in queue.receive_each(): keep(message)"
    ),
    ("take", "eventq", "recv --follow"): f"""{_SHELL_RECEIVER}
said=$("$eventq" recv --follow "$1" 2>&1 >>"$2")
end $?
""",
    ("take", "sh", "readlink, cat, rm"): f"""{_SHELL_RECEIVER}
cd "$1" || exit
while true; do
    if name=$(readlink head); then
        text=$(cat "$name") && rm "$name" && {{ printf '%s\\n' "$text" >>"$2" || exit; }}
    else
        said=$("$eventq" wait "$1" 2>&1) || end $?
    fi
done
""",
}

pytestmark = pytest.mark.timeout(2 * DEADLINE_S + 60)

_log = logging.getLogger(__name__)


class ClientStorm(MixedStorm):
    """Senders and receivers that use the client and the tool; the C program isn't needed."""

    def __init__(self, mount: Mount, folder: Path) -> None:
        super().__init__(mount, Path(EVENTQ), folder)

    def _start(
        self, name: str, does: str, kind: Kind, messages: int, *arguments: object
    ) -> Stormer:
        log = self.folder / f"{name}.log"
        program = _PROGRAMS[does, *kind]
        is_python = kind.language == "client" or (does, kind.language) == ("put", "eventq")
        words = [sys.executable, "-Pc", program] if is_python else ["sh", "-c", program, "sh"]
        # Each has a file for its complaints: cat(1) and rm(1) write a line in several pieces.
        with log.with_suffix(".complaints").open("wb") as complaints:
            process = subprocess.Popen(
                [*words, self.queue, log, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stderr=complaints,
                env={**os.environ, "LC_ALL": "C", "eventq": EVENTQ},
                process_group=0,  # stopped and killed with what it has started
            )
        self.everybody.append(Stormer(name, kind, log, messages, process))
        return self.everybody[-1]

    def let_each_get_some(self) -> None:
        """Have all kinds of receivers receive alone until each of these has taken something."""
        for kind in dict.fromkeys(reversed(RECEIVERS)):
            self.let_read((kind,))
            alone = [one for one in self.readers if one.kind == kind]
            wait_until(
                lambda alone=alone: all(one.logged_bytes for one in alone),  # type: ignore[misc]
                f"{alone} to take something",
                DEADLINE_S,
            )

    def finish(self, deadline_s: float) -> None:
        """Wait for the senders and for all to be received, and remove the queue: all end well."""
        self.let_read(RECEIVERS)
        for one in self.writers:
            assert one.wait(deadline_s), f"{one} hangs"
        with Queue(self.queue) as queue:
            queue.wait_empty(deadline_s)
            queue.remove()
        for one in self.readers:
            assert one.wait(deadline_s), f"{one} hangs"
        of_each = [one.log.with_suffix(".complaints") for one in self.everybody]
        self.complaints.write_text("".join(path.read_text() for path in of_each))
        super().finish(deadline_s)


@pytest.fixture
def storm(mount: Mount, tmp_path: Path) -> Iterator[ClientStorm]:
    """A storm that has begun, in a mount of the test's own."""
    (tmp_path / "logs").mkdir()
    storm = ClientStorm(mount, tmp_path / "logs")
    try:
        for kind in RECEIVERS:
            storm.add_reader(kind)
        for kind, share in SENDERS:
            storm.add_writer(kind, MESSAGES * share // 1000)
        yield storm
    finally:
        storm.close()


def all_received(storm: ClientStorm) -> Counter[tuple[str, int]]:
    """Return how often each message was received; check that each receiver did so in order."""
    times = Counter[tuple[str, int]]()
    for receiver in storm.readers:
        taken = receiver.taken()
        assert taken, receiver
        for numbers in by_writer(taken).values():
            assert numbers == sorted(set(numbers)), receiver
        times.update(taken)
        _log.info("%s %s: %s", *receiver.kind, f"{len(taken):,}")
    return times


def check_nothing_is_left(storm: ClientStorm) -> None:
    """Check that there is no queue, no message and no process any more."""
    assert names(storm.mount.path) == []
    wait_until(lambda: storm.mount.inodes() == 1, "the root alone to be left")
    for one in storm.everybody:
        with pytest.raises(ProcessLookupError):
            os.killpg(one.process.pid, 0)


def test_each_message_is_received_once_whoever_sends_and_receives(storm: ClientStorm) -> None:
    began = time.monotonic()
    storm.let_each_get_some()
    for kinds in cycle(TURNS):
        if not (senders := running(storm.writers)):
            break
        assert time.monotonic() < began + DEADLINE_S, f"these hang: {senders}"
        storm.let_read(kinds)
        senders[0].wait(TURN_S)
    storm.finish(DEADLINE_S)
    _log.info("%s messages in %.1f s", f"{MESSAGES:,}", time.monotonic() - began)
    times = all_received(storm)
    assert times.total() == MESSAGES
    assert times == Counter(
        (sender.name, number) for sender in storm.writers for number in range(sender.messages)
    )
    check_nothing_is_left(storm)
