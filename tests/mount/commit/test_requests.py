"""What it costs to commit at close: a request a message, and nothing where it isn't asked for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.daemon import Mounter
from tests.mount.kernel.test_requests import consume, counted, publish, waited
from tests.mount.ports.using import put, take

#: What is waited for to publish where a message joins its queue as soon as it is made.
PUBLISHED = {"getattr": 1, "lookup": 1, "create": 1, "write": 1}


@pytest.fixture(params=["create", "close"])
def commit(request: pytest.FixtureRequest) -> str:
    """When a mount commits."""
    how: str = request.param
    return how


@pytest.fixture
def root(commit: str, mounter: Mounter) -> Path:
    """A root of the test's own: nobody else's requests are counted."""
    return mounter("-o", f"allow_other,commit={commit}").path


@pytest.fixture
def directory(root: Path) -> Iterator[int]:
    """A queue where messages came and went, so that the kernel has asked what it asks once."""
    (root / "queue").mkdir()
    descriptor = os.open(root / "queue", os.O_DIRECTORY)
    publish("first", descriptor)
    consume("head", descriptor)
    publish("second", descriptor)
    consume("head", descriptor)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("commit", ["close"], indirect=True)
def test_committed_at_close_a_message_takes_one_request_more(root: Path, directory: int) -> None:
    with counted(root) as counts:
        publish("message", directory)
    assert waited(counts) == {**PUBLISHED, "flush": 1}


@pytest.mark.parametrize("commit", ["create"], indirect=True)
def test_else_it_takes_none(root: Path, directory: int) -> None:
    with counted(root) as counts:
        publish("message", directory)
    assert waited(counts) == PUBLISHED


def test_what_is_not_being_made_takes_none_either_way(root: Path, directory: int) -> None:
    publish("message", directory)
    with counted(root) as counts:
        os.close(os.open("message", os.O_WRONLY | os.O_APPEND, dir_fd=directory))
        consume("head", directory)
        put(root / "queue", b"text")
        take(root / "queue")
    assert counts["flush"] == 0
