"""Lengths and reserved names."""

import pytest

from eventfs.queues.errors import NameTooLong
from eventfs.queues.names import RESERVED, Name, check_length


def test_a_name_may_have_255_bytes() -> None:
    check_length(Name(b"x" * 255))


def test_a_name_of_256_bytes_is_too_long() -> None:
    with pytest.raises(NameTooLong):
        check_length(Name(b"x" * 256))


def test_bytes_count_not_characters() -> None:
    name = "ä" * 128
    assert len(name) == 128
    with pytest.raises(NameTooLong):
        check_length(Name(name.encode()))


def test_the_links_and_the_ports_are_reserved_and_nothing_else() -> None:
    assert {b"head", b"tail", b".pipe", b".lines"} == RESERVED
