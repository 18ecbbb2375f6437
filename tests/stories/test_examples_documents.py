"""What README.md and docs/client.md show is so."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import eventfs
from eventfs.commands.eventq.outcome import Status, status_of
from tests.mounts import DEADLINE_S, Mount, names

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.md").read_text()
CLIENT = (CHECKOUT / "docs/client.md").read_text()

#: As where it is installed.
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}

#: What is in the files of `logs`.
LOGS = {"db.log": "ERROR: disk\nok\nERROR: disk\n", "mail.log": "ok\n", "web.log": "ERROR\n"}


def shown(language: str) -> list[str]:
    """Return the blocks of a language in the README."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def place(mount: Mount, tmp_path: Path) -> Path:
    """A directory with a mount in `events`, and files in `logs`."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "events").symlink_to(mount.path)
    (place / "logs").mkdir()
    for name, text in LOGS.items():
        (place / "logs" / name).write_text(text)
    return place


@pytest.fixture
def run(place: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run something there."""

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=place,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    return run


def test_the_readmes_python_counts_errors_in_each_file_once(
    run: Callable[..., "subprocess.CompletedProcess[str]"], mount: Mount
) -> None:
    done = run(sys.executable, "-c", shown("python")[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        "0 errors in mail.log",
        "1 errors in web.log",
        "2 errors in db.log",
    ]
    assert names(mount.path) == []


def test_a_job_in_the_readmes_python_is_done_though_a_worker_dies(
    run: Callable[..., "subprocess.CompletedProcess[str]"], mount: Mount
) -> None:
    done = run(sys.executable, "-c", shown("python")[1])
    assert (done.returncode, done.stdout, done.stderr) == (0, "a job is done, at attempt 2\n", "")
    assert names(mount.path) == []


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_readmes_shell_compresses_each_file(
    run: Callable[..., "subprocess.CompletedProcess[str]"], place: Path, mount: Mount, shell: str
) -> None:
    done = run(shell, "-c", shown("sh")[0])
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing has failed\n", "")
    assert sorted(names(place / "logs")) == ["db.log.gz", "mail.log.gz", "web.log.gz"]
    assert names(mount.path) == []


def test_a_job_that_fails_in_the_readmes_shell_stays(
    run: Callable[..., "subprocess.CompletedProcess[str]"], place: Path
) -> None:
    (place / "logs/a.log").mkdir()
    done = run("sh", "-c", shown("sh")[0])
    assert done.stdout == "gzip logs/a.log\n"
    assert sorted(names(place / "logs")) == ["a.log", "db.log.gz", "mail.log.gz", "web.log.gz"]


def test_all_are_as_short_as_can_be_read_at_a_glance() -> None:
    blocks = shown("python") + shown("sh")
    assert len(blocks) == 3
    for block in blocks:
        assert len([line for line in block.splitlines() if line]) <= 12


def test_what_the_readme_links_to_is_there() -> None:
    for text, folder in ((README, CHECKOUT), (CLIENT, CHECKOUT / "docs")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (folder / target).exists(), target


def test_all_examples_are_among_those_that_are_run() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for example in (CHECKOUT / "examples").iterdir():
        if example.is_file():
            assert example.name in tests, example


def test_the_table_of_methods_has_all_of_them() -> None:
    table = CLIENT.partition("## ")[0]
    for name in dir(eventfs.Queue):
        if not name.startswith("_"):
            assert re.search(rf"`[^`]*\b{name}\b[^`]*`", table), name


def test_the_table_of_methods_has_all_commands() -> None:
    table = CLIENT.partition("## ")[0]
    said = subprocess.run([BIN / "eventq", "--help"], capture_output=True, text=True, check=True)
    commands = re.findall(r"^    (\w+) ", said.stdout.partition("  COMMAND")[2], re.MULTILINE)
    assert "create" in commands
    for command in commands:
        assert re.search(rf"\|[^|]*`{command}`[^|]*\|$", table, re.MULTILINE), command


def errors() -> dict[str, type[eventfs.QueueError]]:
    kinds = {name: getattr(eventfs, name) for name in eventfs.__all__}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, eventfs.QueueError)
    }


def test_the_table_of_errors_has_all_exceptions_with_the_status_that_eventq_ends_with() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (\d*) ?\|", CLIENT, re.MULTILINE))
    assert table.pop("CastIncomplete") == ""  # that of another
    kinds = errors()
    assert table.keys() == kinds.keys() - {"CastIncomplete"}
    for name, status in table.items():
        assert status_of(kinds[name](1, "what", "queue")) == int(status), name


def test_the_table_of_errors_has_all_statuses() -> None:
    said = {int(status) for status in re.findall(r"^\| \S* ?\| (\d+) \|", CLIENT, re.MULTILINE)}
    assert said == set(Status)
