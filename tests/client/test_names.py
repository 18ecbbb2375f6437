"""Names are nobody else's, and sort in the order in which they were made."""

import os
import threading
import time
from itertools import pairwise

import pytest

from eventfs.client.names import fresh_name
from tests.mount.processes import in_child


def test_names_sort_as_they_were_made() -> None:
    names = [fresh_name() for _ in range(10_000)]
    assert all(earlier < later for earlier, later in pairwise(names))


def test_also_when_the_clock_stands_still_or_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fresh_name()
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    names = [before, *(fresh_name() for _ in range(100))]
    assert all(earlier < later for earlier, later in pairwise(names))


def test_threads_never_get_the_same() -> None:
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.extend(fresh_name() for _ in range(5_000)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 8 * 5_000


def test_nor_do_forks_at_the_same_nanosecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1 << 62)
    names = [in_child(fresh_name) for _ in range(5)] + [fresh_name()]
    assert len(set(names)) == 6


def test_a_name_fits_and_is_no_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: (1 << 64) - 2)
    name = fresh_name()
    assert len(os.fsencode(name)) == 33
    assert "-" in name
