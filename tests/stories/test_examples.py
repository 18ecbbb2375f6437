"""The examples of ports and followers run, and say what they are there to show."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounts import DEADLINE_S, Mount, names

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

NEWS = ["it rains", "it is dry again", "bye"]

#: What each prints, line by line; those of several processes come in any order.
PRINTED = {
    "log_pipeline.sh": [f"{name} has logged 5 lines" for name in ("db", "mail", "web")],
    "topic.py": [f"{name} got: {text}" for name in ("ann", "ben", "cleo") for text in NEWS],
    "event_loop.py": ["done: task 1", "done: task 2", "done: task 3", "heard: that's all"],
    "hand_over.py": ["the other may not open the port", "we got: written by the other"],
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
    )


@each
def test_it_shows_what_it_is_there_for_and_leaves_nothing(mount: Mount, example: str) -> None:
    done = run(example, mount.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(PRINTED[example])
    assert names(mount.path) == []


@each
def test_it_can_be_run_by_its_name(mount: Mount, example: str) -> None:
    done = subprocess.run([EXAMPLES / example, mount.path], stdout=subprocess.PIPE, check=True)
    assert len(done.stdout.splitlines()) == len(PRINTED[example])


@each
@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_it_says_how_to_use_it(example: str, arguments: list[str]) -> None:
    done = run(example, *arguments)
    assert done.returncode == 2
    assert f"usage: {example} DIRECTORY" in done.stderr


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
