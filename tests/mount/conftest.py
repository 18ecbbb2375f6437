"""Fixtures for tests of the mount."""

from pathlib import Path

import pytest

from tests.mount.processes import Fork
from tests.mounts import Mount


@pytest.fixture
def root(shared_mount: Mount) -> Path:
    """The root of the shared mount."""
    return shared_mount.path


@pytest.fixture
def path(root: Path) -> Path:
    """Where a queue is to be made by somebody who dies before the test ends."""
    return root / "fated"


@pytest.fixture
def other_queue(root: Path, fork: Fork) -> Path:
    """A queue of another process."""
    path = root / "other-queue"
    fork(path.mkdir)
    return path
