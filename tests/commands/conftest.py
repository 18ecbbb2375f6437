"""Fixtures for the tests of the command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import Commands, adopting
from tests.commands.namespace import Namespace, namespace


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """Run commands in a folder of the test's own, with an empty mountpoint `events`."""
    with adopting():
        commands = Commands(tmp_path)
        yield commands
        commands.close()


@pytest.fixture
def mountpoint(commands: Commands) -> Path:
    """The folder `events` of `commands`."""
    return commands.mountpoint


@pytest.fixture
def apart() -> Iterator[Namespace]:
    """A mount namespace of the test's own."""
    with namespace() as made:
        yield made
