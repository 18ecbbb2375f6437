"""A lease queue with drop-oldest, whose loans can't be dropped: what doesn't fit beside them."""

import os
from errno import EDQUOT
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.leases.using import claim, rule, set_rule
from tests.mount.making import fill, messages
from tests.mount.ports.using import put


@pytest.fixture
def holder(other_queue: Path) -> Path:
    """A lease queue for at most 8 bytes."""
    set_rule(other_queue, "lease")
    set_rule(other_queue, "max_bytes", "8")
    set_rule(other_queue, "overflow", "drop-oldest")
    return other_queue


def test_what_does_not_fit_is_refused_and_is_not_let_in_to_be_dropped(
    queue: Path, holder: Path
) -> None:
    fill(queue, "123456", "abcdef")
    claim(queue, holder)
    with refused(EDQUOT):
        claim(queue, holder)
    with refused(EDQUOT):
        (holder / "abcdef").hardlink_to(queue / "abcdef")
    with refused(EDQUOT):
        put(holder, b"abc")
    put(holder, b"ab")
    assert (rule(holder, "bytes"), rule(holder, "dropped")) == ("8", "0")


def test_where_loans_are_too_much_already_nothing_is_made(queue: Path, holder: Path) -> None:
    """A message that were made and dropped at once would be a file that nobody can use."""
    set_rule(holder, "max_bytes", "12")
    fill(queue, "123456", "abcdef")
    for _ in range(2):
        claim(queue, holder)
    set_rule(holder, "max_bytes", "8")
    with refused(EDQUOT):
        os.close(os.open(holder / "new", os.O_CREAT | os.O_WRONLY))
    assert messages(holder) == ["123456", "abcdef"]


def test_what_grows_drops_no_loan(queue: Path, holder: Path) -> None:
    fill(queue, "123456")
    claim(queue, holder)
    (holder / "own").write_bytes(b"ab")
    with refused(EDQUOT), (holder / "own").open("ab", buffering=0) as file:
        file.write(b"c")
    assert rule(holder, "bytes") == "8"
