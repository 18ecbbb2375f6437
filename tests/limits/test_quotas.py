"""The four limits of users and groups, by each way in.

Each check runs twice: the second time shows that the owner's death has given everything back.
"""

from collections.abc import Callable, Mapping
from errno import EDQUOT
from functools import partial
from pathlib import Path

import pytest

from tests.limits.users import FREE, LIMITS, User, being, short_of
from tests.limits.ways_in import (
    BYTES,
    BYTES_OF_GROUP,
    NAMES,
    QUEUES,
    QUEUES_OF_GROUP,
    Bytes,
    Way,
    check_bytes,
    check_counted,
    check_names,
)
from tests.mount.processes import in_child


def by(ways: Mapping[str, object], of_group: Mapping[str, object]) -> pytest.MarkDecorator:
    """Parametrize with all ways, for a limited user and for a limited group."""
    tables = {"user": ways, "group": {**ways, **of_group}}
    return pytest.mark.parametrize(
        ("kind", "way"),
        [
            pytest.param(kind, way, id=f"{kind}, {name}")
            for kind, table in tables.items()
            for name, way in table.items()
        ],
    )


def twice(user: User, check: Callable[[], None]) -> None:
    for _ in range(2):
        in_child(being(user, check, groups=(FREE,)))


@by(QUEUES, QUEUES_OF_GROUP)
def test_nobody_gets_more_queues_than_max_dirs(root: Path, kind: str, way: Way) -> None:
    places = [root / f"{number}" for number in range(LIMITS["max_dirs"] + 1)]
    twice(short_of("max_dirs", kind), partial(check_counted, way, places, EDQUOT))


@by(NAMES, {})
@pytest.mark.parametrize("limit", ["max_files", "max_files_per_dir"])
def test_nobody_gets_more_names_than(root: Path, limit: str, kind: str, way: Way) -> None:
    check = partial(check_names, way, root / "queue", LIMITS[limit], EDQUOT)
    twice(short_of(limit, kind), check)


@by(BYTES, BYTES_OF_GROUP)
def test_nobody_gets_more_bytes_than_max_bytes(root: Path, kind: str, way: Bytes) -> None:
    check = partial(check_bytes, way, root / "queue", LIMITS["max_bytes"], EDQUOT)
    twice(short_of("max_bytes", kind), check)
