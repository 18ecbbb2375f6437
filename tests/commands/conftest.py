"""Fixtures for the tests of the command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import Commands
from tests.commands.namespace import Namespace, namespace


@pytest.fixture
def mountpoint(commands: Commands) -> Path:
    """The folder `events` of `commands`."""
    return commands.mountpoint


@pytest.fixture
def apart() -> Iterator[Namespace]:
    """A mount namespace of the test's own."""
    with namespace() as made:
        yield made
