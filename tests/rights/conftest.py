"""A mount whose root the tests may change, and tmpfs to compare it with."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mounts import Mount, mounted, mounted_tmpfs


@pytest.fixture(scope="session")
def rights_mount(public_path: Path) -> Iterator[Mount]:
    """A mount for all users; all queues in it are made by processes that end with their test."""
    with mounted(public_path / "rights", "-o", "allow_other") as mount:
        yield mount


@pytest.fixture
def eventfs(rights_mount: Mount) -> Iterator[Path]:
    """The root of the mount, empty; it is given back as it was."""
    root = rights_mount.path
    yield root
    for path in root.iterdir():
        # Made sticky by a test; all others have died with their makers.
        shutil.rmtree(path, ignore_errors=True)
    os.chown(root, 0, 0)
    root.chmod(0o1777)
    for name in os.listxattr(root):
        os.removexattr(root, name)
    assert os.listdir(root) == []


@pytest.fixture
def tmpfs(public_path: Path) -> Iterator[Path]:
    """The root of an empty tmpfs, with the same mode."""
    with mounted_tmpfs(public_path / "rights-tmpfs", "mode=1777,size=100m") as path:
        yield path
