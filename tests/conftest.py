"""Fixtures for all tests."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_IXOTH

import pytest

from tests.mounts import Child, Mount

_numbers = itertools.count()


@pytest.fixture
def mounter(tmp_path: Path) -> Iterator[Callable[..., Mount]]:
    """Mount as often as a test wants; arguments are those of `Mount` after the paths."""
    mounts: list[Mount] = []

    def mount(*arguments: str, program: str = "") -> Mount:
        number = len(mounts)
        path = tmp_path / f"mount-{number}"
        path.mkdir()
        mounts.append(Mount(path, tmp_path / f"log-{number}", *arguments, program=program))
        return mounts[-1]

    yield mount
    errors: list[BaseException] = []
    for mounted in reversed(mounts):
        try:
            mounted.unmount()
        except BaseException as error:  # noqa: BLE001  # the other mounts must go too
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def mount(mounter: Callable[..., Mount]) -> Mount:
    """A mount of the test's own, for all users."""
    return mounter("-o", "allow_other")


@pytest.fixture(scope="session")
def shared_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """One mount for all tests that leave no traces in it, for all users."""
    path = tmp_path_factory.mktemp("shared")
    mounted = Mount(path, path.with_suffix(".log"), "-o", "allow_other")
    # pytest's folders are their owner's alone; tests become other users.
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & S_IXOTH:
            parent.chmod(mode | S_IXOTH)
    yield mounted
    mounted.unmount()


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
