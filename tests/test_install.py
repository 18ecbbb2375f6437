"""What `make install` makes runs by itself, and `make uninstall` takes away just that."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)  # pip fetches what it needs

CHECKOUT = Path(__file__).resolve().parent.parent
OTHERS = {Path("bin/other"), Path("lib/other/file")}  # what a prefix has from elsewhere


def make(target: str, prefix: Path, destdir: Path | None) -> None:
    """Run make as from a shell, also where a make runs the tests."""
    env = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    subprocess.run(
        ["make", target, f"PREFIX={prefix}", f"DESTDIR={destdir or ''}"],
        cwd=CHECKOUT,
        env=env,
        check=True,
    )


def below(destdir: Path, prefix: Path) -> Path:
    return destdir / prefix.relative_to("/")


def files(top: Path) -> set[Path]:
    return {path.relative_to(top) for path in top.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("staging")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory, staging: Path) -> Path:
    """Install by way of a staging tree, as packagers do, and move the result to its place."""
    prefix = tmp_path_factory.mktemp("final") / "prefix"
    staged = below(staging, prefix)
    for other in OTHERS:
        (staged / other).parent.mkdir(parents=True)
        (staged / other).touch()
    make("install", prefix, staging)
    staged.rename(prefix)
    return prefix


@pytest.fixture
def mountpoint(tmp_path: Path) -> Iterator[Path]:
    mountpoint = tmp_path / "events"
    mountpoint.mkdir()
    yield mountpoint
    subprocess.run(["fusermount3", "-uzq", mountpoint], check=False)  # where the test failed


def run(program: Path, *arguments: str | Path) -> str:
    """Run a program with nothing in its environment and return what it prints."""
    done = subprocess.run(
        [program, *arguments], cwd="/", env={}, check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout


def test_nothing_installed_names_the_checkout_or_the_staging_tree(
    prefix: Path, staging: Path
) -> None:
    traces = (os.fsencode(CHECKOUT), os.fsencode(staging))
    contents = {path: (prefix / path).read_bytes() for path in files(prefix)}
    assert contents.keys() > OTHERS
    assert [path for path, data in contents.items() if any(t in data for t in traces)] == []


def test_everybody_may_read_what_is_installed(prefix: Path) -> None:
    assert [path for path in prefix.rglob("*") if not path.stat().st_mode & 0o004] == []


@pytest.mark.parametrize("command", ["eventfs", "eventq"])
def test_an_installed_command_tells_its_version(prefix: Path, command: str) -> None:
    assert run(prefix / "bin" / command, "--version").split() == [command, "0.1.0"]


def test_the_installed_commands_mount_and_use_the_mount(prefix: Path, mountpoint: Path) -> None:
    run(prefix / "bin/eventfs", mountpoint)
    (mountpoint / "queue").mkdir()
    (mountpoint / "queue/message").write_text("text")
    assert (mountpoint / "queue/head").read_text() == "text"
    assert run(prefix / "bin/eventq", "recv", mountpoint / "queue") == "text"
    assert run(prefix / "bin/eventq", "ls", "--json", mountpoint).startswith("{")
    subprocess.run(["fusermount3", "-u", mountpoint], check=True)
    assert not mountpoint.is_mount()


@pytest.mark.parametrize("staged", [False, True], ids=["in place", "staged"])
def test_uninstall_leaves_what_others_have_put_there(
    prefix: Path, tmp_path: Path, *, staged: bool
) -> None:
    installed = tmp_path / "copy"
    shutil.copytree(prefix, installed)
    make("uninstall", Path("/copy") if staged else installed, tmp_path if staged else None)
    assert files(installed) == OTHERS
