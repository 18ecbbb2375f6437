"""What messages, owners and mounts cost: memory, deaths, starting, doing nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks.clients import inodes, quantile
from benchmarks.peers import HERE, Mounted, Peer, compile_c
from benchmarks.workloads import FREE, LINES, ONE, Failed, Figure, Run, Workload

_MIB = 1 << 20

#: How many messages of 1 MiB share what an allocator takes in advance (CPython: 1 MiB at a time);
#: fewer where each of them takes 100 MiB.
_HELD = 16
_HELD_COPIES = 2

#: How many messages the client sends, and then receives.
_BATCH = 50


def _memory(run: Run, peer: Peer) -> Mapping[str, float]:
    return _fill(run, peer)


def _fill(run: Run, peer: Peer, **how: str) -> Mapping[str, float]:
    """Publish to a daemon that has nothing yet to use again."""
    with peer.another() as one:
        run.ask(one, {"do": "fill", "messages": 100, **how})
        before_bytes = one.rss_bytes()
        run.ask(one, {"do": "fill", "messages": run.size.memory_messages, **how})
        return {"bytes": (one.rss_bytes() - before_bytes) / run.size.memory_messages}


def _ports(run: Run, peer: Peer) -> Mapping[str, float]:
    """As `_memory`, through `.pipe`."""
    return _fill(run, peer, port=".pipe")


def _million(run: Run, peer: Peer) -> Mapping[str, float]:
    """Write all, and then read them: they are all held for a moment, by a daemon that goes."""
    task = {"do": "million", "port": ".lines", "batch": LINES}
    with peer.another() as one:
        return run.ask(one, {**task, "messages": run.size.long_messages})[0]


def _follow(run: Run, peer: Peer) -> Mapping[str, float]:
    """Send one message to many, first by links, then by `.pipe` to those who follow."""
    task = {"do": "multicast", "subscribers": 100}
    with peer.another() as one:
        links = run.ask(one, task)[0]["s"]
        ports = run.ask(one, {**task, "port": ".pipe"})[0]["s"]
    return {"links": links, "ports": ports, "ratio": links / ports}


def _wake(run: Run, peer: Peer) -> Mapping[str, float]:
    """Have one client wait for what another sends, in epoll on many queues."""
    queues = run.size.idle_queues
    task = {"port": ".pipe", "queues": queues}
    with peer.another() as one:
        for number in range(queues):
            one.make_queue(f"wait-{number}")
        return run.ask(one, {"do": "await", **task}, {"do": "arrive", **task})[0]


def _returned(run: Run, peer: Peer) -> Mapping[str, float]:
    """Have one client wait for what another has claimed, who is killed."""
    task = {"port": ".pipe", "returns": run.size.deaths}
    return run.ask(peer, {"do": "returned", **task}, {"do": "return", **task})[0]


def _library(run: Run, peer: Peer) -> Mapping[str, float]:
    """Compare the Python client with the bare system calls that it makes."""
    return run.ask(peer, {"do": "library", "batch": _BATCH})[0]


def _woken(run: Run, peer: Peer) -> Mapping[str, float]:
    """Have the Python client wait for messages, and then a C program for as many."""
    waking = {"do": "waking", "port": ".pipe", "messages": run.size.deaths}
    client = run.ask(peer, {"do": "woken"}, waking)[0]["p50"]
    program = run.folder / "woken"
    if not program.exists():
        compile_c(HERE / "woken.c", program)
    waiting = subprocess.Popen(
        [program, f"{peer.where}/q0"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert waiting.stdout is not None
        if waiting.stdout.readline() != "ready\n":
            raise Failed("woken.c can't wait")
        run.ask(peer, waking)
        bare = float(waiting.stdout.readline())
    finally:
        waiting.kill()
        waiting.communicate()
    return {"client": client, "bare": bare, "ratio": client / bare}


def _held(run: Run, peer: Peer) -> Mapping[str, float]:
    """Multicast, and leave the messages in the queues."""
    messages = _HELD if isinstance(peer, Mounted) else _HELD_COPIES
    task = {"do": "multicast", "subscribers": 100, "size": _MIB, "taken": False, "seconds": 20}
    with peer.another() as one:
        run.ask(one, {**task, "messages": 1})
        before_bytes = one.rss_bytes()
        run.ask(one, {**task, "messages": messages})
        return {"bytes": (one.rss_bytes() - before_bytes) / messages}


def _long(run: Run, peer: Peer) -> Mapping[str, float]:
    """Leave it to pop.py, which mounts an eventfs of its own."""
    del peer
    long = run.size.long_messages
    process = subprocess.Popen(
        [sys.executable, str(HERE / "pop.py"), "--long", str(long)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(run.folder)},
        start_new_session=True,
    )
    try:
        said, _ = process.communicate()
    finally:
        process.send_signal(signal.SIGTERM)  # unmounts
        process.wait()
    if process.returncode != 0:
        raise Failed("pop.py failed; it has said why")
    found = re.findall(r"^(head|tail|middle) .* (\S+)$", said, re.MULTILINE)
    return {end: float(ratio) for end, ratio in found}


def _deaths(run: Run, peer: Peer) -> Mapping[str, float]:
    return run.ask(peer, {"do": "deaths", "owners": run.size.deaths})[0]


def _owners(run: Run, peer: Peer) -> Mapping[str, float]:
    """Kill many owners at once, while a client goes on with its requests.

    On tmpfs nothing is freed: it shows what so many deaths alone do to a client.
    """
    program = run.folder / "owners"
    if not program.exists():
        compile_c(HERE / "owners.c", program)
    before = inodes(peer.where)
    owners = subprocess.Popen(
        [program, peer.where, str(run.size.owners)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert owners.stdout is not None
        if (said := owners.stdout.readline()) != "made\n":
            raise Failed(said.strip())
        with run.asked(
            peer,
            {
                "do": "watch",
                "inodes": before,
                "most_s": 20 if peer.owned else 1.5 + run.size.owners / 4_000,
                "at": time.monotonic() + 0.5,
            },
        ) as ask:
            time.sleep(1)
            killed = float(owners.communicate("kill\n")[0])
            ended = time.monotonic()
            answer = ask()[0]
    finally:
        owners.kill()
        owners.communicate()
    freed = answer["freed"] if peer.owned else ended
    took = [took_s for due, took_s in answer["seen"] if killed <= due + took_s and due <= freed]
    others = {"others": quantile(took, 0.99)}
    return {"freed": freed - killed, **others} if peer.owned else others


def _start(run: Run, peer: Peer) -> Mapping[str, float]:
    del run
    with peer.another() as one:
        return {"s": one.started_s}


def _idle(run: Run, peer: Peer) -> Mapping[str, float]:
    """Have queues, and ask for nothing."""
    with peer.another() as one:
        one.place(set(run.cpus))
        if isinstance(one, Mounted):
            for number in range(run.size.idle_queues):
                one.make_queue(f"idle-{number}")
        time.sleep(0.5)  # what comes after the last request
        before_s = one.cpu_s()
        time.sleep(run.size.idle_s)
        return {"%": (one.cpu_s() - before_s) / run.size.idle_s * 100}


def _if(condition: Callable[[Peer], bool], otherwise: str) -> Callable[[Peer], str]:
    return lambda peer: "" if condition(peer) else otherwise


_daemons = _if(lambda peer: peer.process is not None, "has no daemon")
_ported = _if(lambda peer: peer.kind == "queues", "has no ports")
_owned = _if(lambda peer: peer.owned, "has no owners")
_deadly = _if(lambda peer: peer.owned or peer.kind == "directory", "has no owners")
_itself = _if(lambda peer: peer.label == "eventfs", "measured for eventfs only")

COSTS = (
    Workload(
        "memory", ONE, (Figure("bytes", "memory per queued 100-byte message", "B"),), _daemons,
        _memory, 1,
    ),
    Workload(
        "ports", ONE,
        (Figure("bytes", "memory per 100-byte message held in ports", "B"),), _ported,
        _ports, 1,
    ),
    *(
        Workload(
            "million", place,
            (Figure("s", "{long_messages:,} written and read, .lines", "s"),), _itself, _million, 3,
        )
        for place in (ONE, FREE)
    ),
    Workload(
        "follow", ONE,
        (Figure("links", "one message to 100, by links", "s"),
         Figure("ports", "one message to 100, by followers", "s"),
         Figure("ratio", "links against followers", "×")), _itself, _follow, 3,
    ),
    Workload(
        "wake", FREE,
        tuple(Figure(f"p{share}", f"epoll on {{idle_queues:,}} queues wakes, p{share}", "s")
              for share in (50, 99)), _itself, _wake, 3,
    ),
    Workload(
        "returned", FREE,
        tuple(Figure(f"p{share}", f"a worker killed: who waits has what it claimed, p{share}", "s")
              for share in (50, 99)), _itself, _returned, 3,
    ),
    *(
        Workload(
            "client", place,
            (Figure("send", "the client's send against bare write", "×"),
             Figure("receive", "the client's receive against bare read", "×")),
            _itself, _library, 5,
        )
        for place in (ONE, FREE)
    ),
    Workload(
        "clientwait", FREE,
        (Figure("client", "the client, waiting, has a message after, p50", "s"),
         Figure("bare", "a C program in poll and read has it after, p50", "s"),
         Figure("ratio", "the client against the C program", "×")), _itself, _woken, 5,
    ),
    Workload(
        "held", ONE, (Figure("bytes", "memory for 1 MiB multicast to 100", "B"),), _daemons,
        _held, 1,
    ),
    Workload(
        "long", ONE,
        tuple(Figure(end, f"{{long_messages:,}} queued against 1,000: taken at {end}", "×")
              for end in ("head", "tail", "middle")), _itself, _long, 1,
    ),
    Workload(
        "deaths", FREE,
        (Figure("gone", "owner's death to ENOENT, p99", "s"),
         Figure("freed", "owner's death to memory freed, p99", "s")), _owned, _deaths, 3,
    ),
    Workload(
        "owners", FREE,
        (Figure("freed", "{owners:,} owners killed at once: all freed", "s"),
         Figure("others", "others' requests meanwhile, p99", "s")), _deadly, _owners, 1,
    ),
    Workload("start", FREE, (Figure("s", "start to usable mount", "s"),), _daemons, _start, 5),
    Workload(
        "idle", FREE, (Figure("%", "CPU used when idle, {idle_queues:,} queues", "%"),), _daemons,
        _idle, 1,
    ),
)  # fmt: skip
