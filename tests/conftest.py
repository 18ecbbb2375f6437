"""Fixtures for all tests."""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventfs
from tests.commands.daemons import Commands, adopting
from tests.mount.processes import Fork, Forked
from tests.mounts import Child, Mount, mounted

_numbers = itertools.count()


def pytest_sessionstart() -> None:
    """Make sure that what is tested is what stands in the sources."""
    for compiled in Path(eventfs.__file__).parent.rglob("*.so"):
        name = compiled.name.partition(".")[0]
        sources = [*compiled.parent.glob(f"{name}.py"), *compiled.parent.glob(f"{name}.c")]
        if not sources or sources[0].stat().st_mtime > compiled.stat().st_mtime:
            pytest.exit(f"{name} has changed since it was compiled: run make", returncode=1)


@pytest.fixture
def mounter(tmp_path: Path) -> Iterator[Callable[..., Mount]]:
    """Mount as often as a test wants; arguments are those of `Mount` after the paths."""
    mounts: list[Mount] = []

    def mount(*arguments: str, program: str = "", argv0: tuple[str, ...] = ()) -> Mount:
        number = len(mounts)
        path = tmp_path / f"mount-{number}"
        path.mkdir()
        log = tmp_path / f"log-{number}"
        mounts.append(Mount(path, log, *arguments, program=program, argv0=argv0))
        return mounts[-1]

    yield mount
    errors: list[BaseException] = []
    for one in reversed(mounts):
        try:
            one.unmount()
        except BaseException as error:  # noqa: BLE001  # the other mounts must go too
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def mount(mounter: Callable[..., Mount]) -> Mount:
    """A mount of the test's own, for all users."""
    return mounter("-o", "allow_other")


@pytest.fixture(scope="session")
def public_path() -> Iterator[Path]:
    """A directory for mounts that all users may use.

    pytest's own are their user's alone: it sees to that whenever it is started.
    """
    with tempfile.TemporaryDirectory(prefix="eventfs-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture(scope="session")
def shared_mount(public_path: Path) -> Iterator[Mount]:
    """One mount for all tests that leave no traces in it, for all users."""
    with mounted(public_path / "shared", "-o", "allow_other") as mount:
        yield mount


@pytest.fixture
def queue(shared_mount: Mount) -> Iterator[Path]:
    """An empty queue in the shared mount; its owner is the process that runs the tests."""
    path = shared_mount.path / f"queue-{next(_numbers)}"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Start children that are gone at the test's end; arguments are those of `Child`."""
    children: list[Child] = []

    def start(*arguments: object, **keywords: object) -> Child:
        children.append(Child(*arguments, **keywords))  # type: ignore[arg-type]
        return children[-1]

    yield start
    for child in children:
        child.close()


@pytest.fixture
def fork() -> Iterator[Fork]:
    """Fork processes that are gone at the test's end; arguments are those of `Forked`.

    The function has been called when this returns, and has raised nothing.
    """
    children: list[Forked] = []

    def fork(function: Callable[[], object], uid: int = 0) -> Forked:
        children.append(Forked(function, uid))
        children[-1].result()
        return children[-1]

    yield fork
    for child in children:
        child.end()


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """Run commands in a folder of the test's own, with an empty mountpoint `events`."""
    with adopting():
        commands = Commands(tmp_path)
        yield commands
        commands.close()
