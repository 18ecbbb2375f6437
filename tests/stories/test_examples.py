"""The examples run, say what they are there to show, and leave nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounts import DEADLINE_S, Mount, names, wait_until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

#: With the commands, and the Python that finds eventfs, first in PATH: as where it is installed.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}

NEWS = ["it rains", "it is dry again", "bye"]
DEVICES = ["add usb1", "add sda", "remove sda"]

#: What factor(1) says of the jobs in shell.
FACTORED = [
    "1001: 7 11 13",
    "1002: 2 3 167",
    "1003: 17 59",
    "1004: 2 2 251",
    "1005: 3 5 67",
    "1006: 2 503",
    "1007: 19 53",
    "1008: 2 2 2 2 3 3 7",
    "1009: 1009",
    "1010: 2 5 101",
    "1011: 3 337",
    "1012: 2 2 11 23",
]

#: What each prints, line by line; those of several processes come in any order.
PRINTED = {
    "log_pipeline.sh": [f"{name} has logged 5 lines" for name in ("db", "mail", "web")],
    "topic.py": [f"{name} got: {text}" for name in ("ann", "ben", "cleo") for text in NEWS],
    "event_loop.py": ["done: task 1", "done: task 2", "done: task 3", "heard: that's all"],
    "hand_over.py": ["the other may not open the port", "we got: written by the other"],
    "work_queue.py": [
        "1000003 = 1000003",
        "91 = 7 × 13",
        "360 = 2 × 2 × 2 × 3 × 3 × 5",
        "65537 = 65537",
        "97 = 97",
        "1001 = 7 × 11 × 13",
        "5040 = 2 × 2 × 2 × 2 × 3 × 3 × 5 × 7",
        "6 = 2 × 3",
        "9409 = 97 × 97",
        "27 = 3 × 3 × 3",
    ],
    "work_queue.sh": FACTORED,
    "worker_pool.py": [
        *(f"{job} is done, at attempt 1" for job in (1, 2, 3, 4)),
        "unlucky is done, at attempt 2",
        "deadly was given up",
    ],
    "worker_pool.sh": FACTORED,
    "cast.py": [
        *(f"{name} got: {text}" for name in ("ann", "ben") for text in NEWS),
        "cleo got: it rains",
        "cleo is gone",
    ],
    "request_reply.py": [
        "client: the answer to 1 is 6",
        "server: replies-of-the-dead has gone",
        "client: the answer to 3 is 42",
    ],
    "request_reply.sh": ["1 + 2 = 3", "answers-of-the-dead has gone", "20 + 22 = 42"],
    "device_events.py": [
        *(f"client-{name} heard: {event}" for name in ("ann", "ben") for event in DEVICES),
        "client-child heard: add usb1",
        "the child has ended, and left: client-ann",
    ],
    "containers.sh": [
        # Each is the first process of its own pid namespace.
        *(f"received: message {number} from process 1" for number in (1, 2, 3)),
        "the sender sees the mount on /mnt only",
        "the receiver has ended, and so has its queue",
    ],
}

each = pytest.mark.parametrize("example", PRINTED)


def run(example: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    program = ["sh"] if example.endswith(".sh") else [sys.executable]
    return subprocess.run(
        [*program, EXAMPLES / example, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=ENVIRONMENT,
    )


@each
def test_it_shows_what_it_is_there_for_and_leaves_nothing(mount: Mount, example: str) -> None:
    done = run(example, mount.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(PRINTED[example])
    assert names(mount.path) == []


@each
def test_it_can_be_run_by_its_name(mount: Mount, example: str) -> None:
    done = subprocess.run(
        [EXAMPLES / example, mount.path], stdout=subprocess.PIPE, check=True, env=ENVIRONMENT
    )
    assert len(done.stdout.splitlines()) == len(PRINTED[example])


@each
@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_it_says_how_to_use_it(example: str, arguments: list[str]) -> None:
    done = run(example, *arguments)
    assert done.returncode == 2
    assert f"usage: {example} DIRECTORY" in done.stderr


@pytest.mark.parametrize("example", [name for name in PRINTED if name.endswith(".sh")])
def test_a_shell_finds_no_fault_in_it(example: str) -> None:
    subprocess.run(["sh", "-n", EXAMPLES / example], check=True)


def test_the_readmes_short_way_goes_as_shown(mount: Mount, tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    shown = readme.partition("The short way")[2].split("```")[1].strip().splitlines()
    (tmp_path / "events").symlink_to(mount.path)
    (tmp_path / "events/demo").mkdir()
    expected: list[str] = []
    printed: list[str] = []
    for line in shown:
        if line.startswith("$ "):
            done = subprocess.run(
                ["sh", "-c", line[2:]], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
            )
            printed += done.stdout.splitlines()
        else:
            expected.append(line)
    assert expected
    assert printed == expected


def test_messages_of_a_topic_arrive_in_order(mount: Mount) -> None:
    lines = run("topic.py", mount.path).stdout.splitlines()
    for name in ("ann", "ben", "cleo"):
        assert [line for line in lines if line.startswith(name)] == [
            f"{name} got: {text}" for text in NEWS
        ]


@pytest.mark.parametrize("name", ["ann", "ben"])
def test_what_is_cast_arrives_in_order(mount: Mount, name: str) -> None:
    lines = run("cast.py", mount.path).stdout.splitlines()
    assert [line for line in lines if line.startswith(name)] == [
        f"{name} got: {text}" for text in NEWS
    ]


def test_a_client_that_forked_misses_nothing_and_its_childs_queue_ends_with_the_child(
    mount: Mount,
) -> None:
    lines = run("device_events.py", mount.path).stdout.splitlines()
    assert [line for line in lines if not line.startswith(("client-ben", "client-child"))] == [
        "client-ann heard: add usb1",
        "the child has ended, and left: client-ann",
        "client-ann heard: add sda",
        "client-ann heard: remove sda",
    ]
    assert lines.index("client-child heard: add usb1") < lines.index(
        "the child has ended, and left: client-ann"
    )


def test_the_containers_leave_the_mount_as_it_is(mount: Mount) -> None:
    before = Path("/proc/self/mounts").read_text()
    assert run("containers.sh", mount.path).returncode == 0
    assert Path("/proc/self/mounts").read_text() == before


def test_interrupted_containers_are_gone(mount: Mount) -> None:
    process = subprocess.Popen(
        [EXAMPLES / "containers.sh", mount.path], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    inbox = mount.path / "inbox"
    wait_until(inbox.exists, "the receiver's queue")
    process.terminate()
    # The containers hold the other end of the pipe as long as they live.
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode in (0, 1)  # 0: all was done before
    wait_until(lambda: not inbox.exists(), "the end of the receiver's queue")
