"""What is measured, and how: rounds alternate between the peers, so that noise hits all alike."""

import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers import HERE, Missing, Peer

#: How long a task may take beyond what it was asked to, before it counts as hanging.
_PATIENCE_S = 30

#: Where clients and daemon run.
ONE = "one CPU"
FREE = "free"

#: How many messages a client publishes before it consumes them, where the queue has room for them.
_BATCH = 200

#: How many messages go through `.lines` at once.
LINES = 1000

#: The CPUs that we may use.
CPUS = sorted(os.sched_getaffinity(0))


class Failed(Exception):
    """A peer couldn't do what it was asked for; the message says why."""


class Size(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float
    memory_messages: int
    long_messages: int
    deaths: int
    owners: int
    idle_s: float
    idle_queues: int


FULL = Size(7, 0.4, 20_000, 1_000_000, 300, 10_000, 10.0, 1_000)
QUICK = Size(2, 0.1, 2_000, 10_000, 30, 500, 1.0, 100)


class Figure(NamedTuple):
    """A number that a workload has for each peer."""

    key: str
    title: str
    unit: str


class Workload(NamedTuple):
    """Something that peers do, and how to measure a round of it."""

    name: str
    place: str
    figures: tuple[Figure, ...]
    #: Why a peer has no part in it, or nothing.
    excludes: Callable[[Peer], str]
    run: Callable[["Run", Peer], Mapping[str, float]]
    #: Rounds, where not as many as asked for.
    rounds: int | None = None


@dataclass
class Row:
    """A figure of all peers."""

    key: str
    title: str
    unit: str
    place: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def value(self, label: str) -> float | None:
        """Return the median of a peer's rounds."""
        samples = self.samples.get(label)
        return statistics.median(samples) if samples else None

    def ratio(self, label: str, to: str) -> float | None:
        """Return the median of the rounds' ratios: what disturbed a round disturbed both."""
        ours, theirs = self.samples.get(label, ()), self.samples.get(to, ())
        ratios = [one / other for one, other in zip(ours, theirs, strict=False) if other]
        return statistics.median(ratios) if ratios else None


class Client:
    """A process that does tasks; its command line says for which run."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.clients", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=HERE.parent,
            start_new_session=True,
        )

    def tell(self, task: Mapping[str, Any]) -> None:
        """Have it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, end: float) -> Mapping[str, Any]:
        """Wait for what it has measured."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            raise Failed("hangs")
        line = self._process.stdout.readline()
        answer: Mapping[str, Any] = json.loads(line) if line else {"error": "the client died"}
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def stop(self) -> None:
        """End it, whatever it does, and the owners that it has forked."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Run:
    """What the workloads share: the run's folder, its clients, its size, the CPUs of the round."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size
        self.cpus = CPUS
        self._clients: list[Client] = []

    def ask(self, peer: Peer, *tasks: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Have as many clients do these tasks at the same time."""
        with self.asked(peer, *tasks) as answers:
            return answers()

    @contextmanager
    def asked(
        self, peer: Peer, *tasks: Mapping[str, Any]
    ) -> Iterator[Callable[[], list[Mapping[str, Any]]]]:
        """Have them begin; yield what waits for their answers."""
        while len(self._clients) < len(tasks):
            self._clients.append(Client(self.folder))
        clients = self._clients[: len(tasks)]
        peer.place(set(self.cpus))
        common = {
            "kind": peer.kind,
            "where": peer.where,
            "size": 100,
            "cpus": self.cpus,
            "seconds": self.size.seconds,
            "at": time.monotonic() + 0.02,
        }
        end = time.monotonic() + self.size.seconds + _PATIENCE_S
        try:
            for client, task in zip(clients, tasks, strict=True):
                client.tell({**common, **task})
            yield lambda: [client.answer(end) for client in clients]
        except BaseException:
            # Who has not answered yet would answer the next question.
            self.stop()
            raise

    def restart(self, peer: Peer) -> None:
        """Start a peer once more, with empty queues."""
        peer.stop()
        with suppress(Missing, OSError):
            peer.start(self.folder / f"{peer.label}-{time.monotonic_ns()}")

    def stop(self) -> None:
        """End the clients."""
        for client in self._clients:
            client.stop()
        self._clients = []


def alternate(
    run: Run, workload: Workload, peers: list[Peer], rounds: int, tell: Callable[[str], None]
) -> list[Row]:
    """Measure in rounds, each of which begins with another peer; *tell* is told who is next."""
    size = run.size._asdict()
    rows = [
        Row(f"{workload.name} {workload.place} {key}", title.format(**size), unit, workload.place)
        for key, title, unit in workload.figures
    ]
    notes = {peer.label: note for peer in peers if (note := workload.excludes(peer))}
    run.cpus = CPUS if workload.place == FREE else CPUS[:1]
    for number in range(rounds):
        first = number % len(peers)
        for peer in peers[first:] + peers[:first]:
            tell(f"{workload.name}: {peer.label}")
            if peer.label in notes:
                continue
            try:
                measured = workload.run(run, peer)
            except (Failed, Missing, OSError) as error:
                notes[peer.label] = str(error)
                run.restart(peer)  # nobody knows what is left in its queues
                continue
            for row, (key, _, _) in zip(rows, workload.figures, strict=True):
                if key in measured:
                    row.samples.setdefault(peer.label, []).append(measured[key])
    for row in rows:
        row.notes.update(notes)
    return rows


def _task(**task: object) -> Callable[[Run, Peer], Mapping[str, float]]:
    """Return what has one client do a task."""
    return lambda run, peer: run.ask(peer, {"batch": min(peer.room, _BATCH), **task})[0]


def _lines(run: Run, peer: Peer) -> Mapping[str, float]:
    batch = min(peer.room, LINES)
    task = {"do": "lines", "port": ".lines", "batch": batch, "batches": LINES // batch}
    return run.ask(peer, task)[0]


def _ping_pong(run: Run, peer: Peer) -> Mapping[str, float]:
    return run.ask(peer, {"do": "ping"}, {"do": "pong"})[0]


def _four_and_four(run: Run, peer: Peer) -> Mapping[str, float]:
    began = time.monotonic() + 0.02
    common = {"sleeps": True, "at": began}
    answers = run.ask(peer, *[{"do": "produce", **common}] * 4, *[{"do": "consume", **common}] * 4)[
        4:
    ]
    took_s = max(answer["ended"] for answer in answers) - began
    return {"rate": sum(answer["count"] for answer in answers) / took_s}


def _anyone(_peer: Peer) -> str:
    return ""


def _shared(peer: Peer) -> str:
    return "" if peer.shared else "its queues are for the threads of one process"


def _many(peer: Peer) -> str:
    return "" if peer.kind != "queues" or peer.owned else "it has no .lines"


def _up_to(size: int) -> Callable[[Peer], str]:
    return lambda peer: "" if size <= peer.most_bytes else f"at most {peer.most_bytes} bytes"


def _bytes(size: int) -> str:
    power = (size.bit_length() - 1) // 10
    return f"{size >> 10 * power} {('B', 'KiB', 'MiB')[power]}"


#: Message sizes, from the smallest to the largest that anybody sends.
_SIZES = (16, 256, 4096, 1 << 16, 1 << 20, 1 << 24)

WORKLOADS: tuple[Workload, ...] = (
    *(
        Workload(
            "turns", place, (Figure("rate", "publish and consume in turns", "/s"),), _anyone,
            _task(do="turns"),
        )
        for place in (ONE, FREE)
    ),
    *(
        Workload(
            "publish", place,
            (Figure("publish", "publish", "/s"), Figure("consume", "consume", "/s")), _anyone,
            _task(do="batches"),
        )
        for place in (ONE, FREE)
    ),
    *(
        Workload(
            "pipe", place, (Figure("rate", "write and read in turns, .pipe", "/s"),), _anyone,
            _task(do="turns", port=".pipe"),
        )
        for place in (ONE, FREE)
    ),
    *(
        Workload(
            "lines", place,
            (Figure("rate", f"write and read batches of {LINES:,}, .lines", "/s"),), _many, _lines,
        )
        for place in (ONE, FREE)
    ),
    Workload(
        "pingpong", FREE,
        (Figure("p50", "ping-pong, p50", "s"), Figure("p99", "ping-pong, p99", "s")), _shared,
        _ping_pong,
    ),
    Workload(
        "producers", FREE, (Figure("rate", "4 producers, 4 consumers", "/s"),), _shared,
        _four_and_four,
    ),
    *(
        Workload(
            f"multicast {many}", ONE, (Figure("s", f"multicast to {many}", "s"),), _anyone,
            _task(do="multicast", subscribers=many), 3,
        )
        for many in (10, 100)
    ),
    *(
        Workload(
            f"size {_bytes(size)}", ONE,
            (Figure("rate", f"write and read back {_bytes(size)}", "/s"),), _up_to(size),
            _task(do="turns", size=size), None if size == 1 << 20 else 3,
        )
        for size in _SIZES
    ),
)  # fmt: skip
