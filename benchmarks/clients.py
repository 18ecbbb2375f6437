"""The processes that use the queues: they take tasks as JSON lines, and answer what they measured.

The hot loops are the same Python code for every peer; what differs is the channel.
"""

import json
import os
import random
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from benchmarks.channels import Channel, Pipe, close_all, opened, sender

#: A message's first byte, where its receiver is to end.
_END = b"e"


def _turns(task: dict[str, Any]) -> dict[str, float]:
    """Publish and consume in turns."""
    channel, message = opened(task, "q0"), _message(task)
    count = 0
    began = now = time.perf_counter()
    while now < began + task["seconds"]:
        channel.put(message)
        channel.take()
        count += 1
        now = time.perf_counter()
    return {"rate": count / (now - began)}


def _batches(task: dict[str, Any]) -> dict[str, float]:
    """Publish many, then consume them."""
    channel, message = opened(task, "q0"), _message(task)
    batch = range(task["batch"])
    put_s = take_s = count = 0.0
    while put_s + take_s < task["seconds"]:
        began = time.perf_counter()
        for _ in batch:
            channel.put(message)
        half = time.perf_counter()
        for _ in batch:
            channel.take()
        put_s += half - began
        take_s += time.perf_counter() - half
        count += len(batch)
    return {"publish": count / put_s, "consume": count / take_s}


def _lines(task: dict[str, Any]) -> dict[str, float]:
    """Publish many and consume them, with as few calls as can be, batch after batch."""
    channel, messages = opened(task, "q0"), [_message(task)] * task["batch"]
    count = 0
    began = now = time.perf_counter()
    while now < began + task["seconds"]:
        for _ in range(task["batches"]):
            channel.put_many(messages)
            _take_all(channel, len(messages))
        count += task["batches"] * len(messages)
        now = time.perf_counter()
    return {"rate": count / (now - began)}


def _million(task: dict[str, Any]) -> dict[str, float]:
    """Publish a number of messages in batches, then consume them."""
    channel, messages = opened(task, "q0"), [_message(task)] * task["batch"]
    began = time.perf_counter()
    for _ in range(task["messages"] // len(messages)):
        channel.put_many(messages)
    _take_all(channel, task["messages"])
    return {"s": time.perf_counter() - began}


def _ping(task: dict[str, Any]) -> dict[str, float]:
    """Send, and wait for the answer; how long that takes."""
    out, back, message = opened(task, "q0"), opened(task, "q1"), _message(task)
    took: list[float] = []
    began = now = time.perf_counter()
    while now < began + task["seconds"]:
        sent = now
        out.put(message)
        back.take_waiting()
        now = time.perf_counter()
        took.append(now - sent)
    out.put(_message(task, _END))
    took = took[len(took) // 20 :]  # the other side may have begun late
    return {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)}


def _pong(task: dict[str, Any]) -> dict[str, float]:
    """Answer each message until the end."""
    inward, outward = opened(task, "q0"), opened(task, "q1")
    while not (message := inward.take_waiting()).startswith(_END):
        outward.put(message)
    return {}


def _produce(task: dict[str, Any]) -> dict[str, float]:
    channel, message = opened(task, "q0"), _message(task)
    end = task["at"] + task["seconds"]
    while time.monotonic() < end:
        channel.put(message)
    channel.put(_message(task, _END))
    return {}


def _consume(task: dict[str, Any]) -> dict[str, float]:
    """Take messages until one says that a producer has ended: there are as many of both."""
    channel = opened(task, "q0")
    count = 0
    while not channel.take_waiting().startswith(_END):
        count += 1
    return {"count": count, "ended": time.monotonic()}


def _multicast(task: dict[str, Any]) -> dict[str, float]:
    """Send one message to many; what they do with it isn't measured."""
    message = _message(task)
    many = [opened(task, f"q{number}") for number in range(1, task["subscribers"] + 1)]
    send = sender(opened(task, "q0"), many)
    count = 0
    sent_s = 0.0
    end = time.perf_counter() + task["seconds"]
    while not count or time.perf_counter() < end:
        began = time.perf_counter()
        send(message)
        sent_s += time.perf_counter() - began
        count += 1
        for subscriber in many if task.get("taken", True) else ():
            subscriber.take()
        if count == task.get("messages"):
            break
    return {"s": sent_s / count}


def _await(task: dict[str, Any]) -> dict[str, float]:
    """Wait for what arrives in many queues, once in each; how long after its sending that is."""
    channels: dict[int, Channel] = {}
    took: list[float] = []
    with closing(select.epoll()) as epoll:
        for channel in _many(task):
            channels[channel.fileno()] = channel
            epoll.register(channel.fileno(), select.EPOLLIN)
        opened(task, "q0").put(b"ready")
        while len(took) < len(channels):
            events = epoll.poll()
            now = time.monotonic()
            took += [now - float(channels[fd].take()) for fd, _ in events]
    return {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)}


def _arrive(task: dict[str, Any]) -> dict[str, float]:
    """Send a message to each of many queues, in no order, when all others have gone to sleep."""
    channels = _many(task)
    random.shuffle(channels)
    opened(task, "q0").take_waiting()
    for channel in channels:
        time.sleep(0.001)
        channel.put(b"%r" % time.monotonic())
    return {}


def _returned(task: dict[str, Any]) -> dict[str, float]:
    """Wait for a message that returns from a killed worker, again and again."""
    messages, orders, taken = (_waitable(task, name) for name in ("q0", "q1", "q2"))
    took: list[float] = []
    for _ in range(task["returns"]):
        _take_sleeping(orders)
        _sleep_until_readable(messages)
        now = time.monotonic()
        messages.take()
        took.append(now - float(_take_sleeping(orders)))
        taken.put(b"taken")
    return {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)}


def _return(task: dict[str, Any]) -> dict[str, float]:
    """Have workers claim the only message, and kill them when the other has gone to sleep."""
    messages, orders, taken = (_waitable(task, name) for name in ("q0", "q1", "q2"))
    for number in range(task["returns"]):
        messages.put(b"message")
        worker = _claiming(messages.queue, f"{task['where']}/worker-{number}")
        orders.put(b"wait")
        time.sleep(0.001)
        killed = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        orders.put(b"%r" % killed)
        _take_sleeping(taken)
    return {}


def _claiming(queue: str, own: str) -> int:
    """Fork a worker that has claimed the message at head."""
    reader, writer = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.mkdir(own)  # noqa: PTH102  # as short as can be
        os.setxattr(own, "user.eventfs_lease", b"")
        name = os.readlink(f"{queue}/head")  # noqa: PTH115  # as above
        os.rename(f"{queue}/{name}", f"{own}/{name}")  # noqa: PTH104  # as above
        os.write(writer, b".")
        signal.pause()
    os.read(reader, 1)
    for descriptor in (reader, writer):
        os.close(descriptor)
    return worker


def _waitable(task: dict[str, Any], name: str) -> Pipe:
    channel = opened(task, name)
    assert isinstance(channel, Pipe)
    return channel


def _take_sleeping(channel: Pipe) -> bytes:
    _sleep_until_readable(channel)
    return channel.take()


def _sleep_until_readable(channel: Pipe) -> None:
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    poll.poll()


def _library(task: dict[str, Any]) -> dict[str, float]:
    """Send and receive by `eventfs.Queue`, and by bare system calls, batch by batch in turns.

    What disturbs a batch most often doesn't disturb its neighbour: so the median ratio counts.
    """
    from eventfs import Queue  # noqa: PLC0415  # another eventfs may have none

    message = _message(task)
    took: dict[str, list[float]] = {name: [] for name in ("send", "receive", "write", "read")}
    with Queue(f"{task['where']}/q0") as queue:
        port = os.open(f"{queue.path}/.pipe", os.O_RDWR | os.O_NONBLOCK)
        calls: tuple[tuple[str, Callable[[], object]], ...] = (
            ("send", lambda: queue.send(message)),
            ("receive", queue.receive),
            ("write", lambda: os.write(port, message)),
            ("read", lambda: os.read(port, 4096)),
        )
        end = time.perf_counter() + task["seconds"]
        while time.perf_counter() < end:
            for name, call in calls:
                began = time.perf_counter()
                for _ in range(task["batch"]):
                    call()
                took[name].append(time.perf_counter() - began)
        os.close(port)
    return {
        call: quantile([bare / own for own, bare in zip(took[call], took[of], strict=True)], 0.5)
        for call, of in (("send", "write"), ("receive", "read"))
    }


def _woken(task: dict[str, Any]) -> dict[str, float]:
    """Wait by `eventfs.Queue`; how long after its sending a message is here (as woken.c)."""
    from eventfs import Queue  # noqa: PLC0415  # as above

    took: list[float] = []
    with Queue(f"{task['where']}/q0") as queue:
        while (content := queue.receive().content) != b"end":
            took.append(time.monotonic() - float(content))
    return {"p50": quantile(took, 0.5)}


def _waking(task: dict[str, Any]) -> dict[str, float]:
    """Send messages to who has gone to sleep again, and an end."""
    channel = opened(task, "q0")
    for _ in range(task["messages"]):
        time.sleep(0.001)
        channel.put(b"%r" % time.monotonic())
    channel.put(b"end")
    return {}


def _many(task: dict[str, Any]) -> list[Pipe]:
    """Open many queues, more than processes may open by default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    channels = [opened(task, f"wait-{number}") for number in range(task["queues"])]
    return [channel for channel in channels if isinstance(channel, Pipe)]


def _take_all(channel: Channel, count: int) -> None:
    while count:
        count -= len(channel.take_many(count))


def _fill(task: dict[str, Any]) -> dict[str, float]:
    """Publish a number of messages, and leave them there."""
    channel, message = opened(task, "q0"), _message(task)
    for _ in range(task["messages"]):
        channel.put(message)
    return {}


def _deaths(task: dict[str, Any]) -> dict[str, float]:
    """Kill owners; how long their queues are found, and how long they take memory."""
    gone: list[float] = []
    freed: list[float] = []
    for number in range(task["owners"]):
        queue = f"{task['where']}/owned-{number}"
        before = inodes(task["where"])
        reader, writer = os.pipe()
        owner = os.fork()
        if owner == 0:
            os.mkdir(queue)  # noqa: PTH102  # as short as can be
            os.close(os.open(f"{queue}/message", os.O_CREAT | os.O_WRONLY))
            os.write(writer, b".")
            signal.pause()
        os.read(reader, 1)
        pidfd = os.pidfd_open(owner)
        os.kill(owner, signal.SIGKILL)
        select.select([pidfd], [], [])
        died = time.perf_counter()
        while os.path.lexists(queue):
            pass
        gone.append(time.perf_counter() - died)
        while inodes(task["where"]) > before:
            pass
        freed.append(time.perf_counter() - died)
        os.waitpid(owner, 0)
        for descriptor in (reader, writer, pidfd):
            os.close(descriptor)
    return {"gone": quantile(gone, 0.99), "freed": quantile(freed, 0.99)}


def _watch(task: dict[str, Any]) -> dict[str, Any]:
    """Send a request each millisecond, until as few inodes are left as asked for, or in vain.

    A request counts from when it should have been sent: a stall delays all that fall into it.
    """
    due = time.monotonic()
    seen: list[tuple[float, float]] = []
    left = -1
    end = due + task["most_s"]
    while due < end and (left != task["inodes"] or due < task["at"]):
        time.sleep(max(0, due - time.monotonic()))
        left = inodes(task["where"])
        seen.append((due, time.monotonic() - due))
        due += 0.001
    return {"seen": seen, "freed": time.monotonic()}


def inodes(mountpoint: str) -> int:
    """Count the inodes in a daemon's memory."""
    stat = os.statvfs(mountpoint)
    return stat.f_files - stat.f_ffree


def quantile(values: list[float], share: float) -> float:
    """Return the value that *share* of the values are not above."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _message(task: dict[str, Any], first: bytes = b"m") -> bytes:
    return first.ljust(int(task["size"]), b".")


_TASKS = {
    function.__name__[1:]: function
    for function in (
        *(_turns, _batches, _lines, _million, _ping, _pong, _produce, _consume, _multicast),
        *(_fill, _deaths, _watch, _await, _arrive, _returned, _return),
        *(_library, _woken, _waking),
    )
}


def main() -> None:
    """Do tasks until there are no more."""
    for line in sys.stdin:
        task = json.loads(line)
        os.sched_setaffinity(0, task["cpus"])
        time.sleep(max(0, task.get("at", 0) - time.monotonic()))
        try:
            answer = _TASKS[task["do"]](task)
        except Exception as error:  # noqa: BLE001  # the run goes on without this figure
            answer = {"error": f"{type(error).__name__}: {error}"}
        close_all()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    main()
