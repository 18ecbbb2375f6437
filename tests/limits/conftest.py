"""Mounts with limits."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.limits.users import LIMITS, short_of
from tests.mounts import Mount, mounted

_numbers = count()

#: A limit's name, and what it is for those who have it.
Limits = Mapping[str, int | str]

#: The fixture `limited`: mounts with the mount's own limits, and each user's and group's.
Limited = Callable[[Limits, Mapping[str, Limits]], Mount]


@contextmanager
def limited_mount(folder: Path, settings: Limits, quotas: Mapping[str, Limits]) -> Iterator[Mount]:
    """Mount with the mount's own limits, and those of each `user = 1` or `group = 2`."""
    folder /= f"limits-{next(_numbers)}"
    (folder / "quotas").mkdir(parents=True)
    config = folder / "eventfs.conf"
    config.write_text(_section("config", "quotas = quotas", settings))
    for number, (who, limits) in enumerate(quotas.items()):
        (folder / "quotas" / str(number)).write_text(_section("quota", who, limits))
    with mounted(folder / "mount", "-c", str(config), "-o", "allow_other") as mount:
        yield mount


def _section(name: str, line: str, limits: Limits) -> str:
    lines = [f"{key} = {value}" for key, value in limits.items()]
    return "\n".join([f"[eventfs-{name}]", line, *lines, ""])


@pytest.fixture
def limited(public_path: Path) -> Iterator[Limited]:
    """Mount with limits; arguments are those of `limited_mount` after the folder."""
    with ExitStack() as stack:
        yield lambda settings, quotas: stack.enter_context(
            limited_mount(public_path, settings, quotas)
        )


@pytest.fixture(scope="session")
def root(public_path: Path) -> Iterator[Path]:
    """The root of a mount in which one user and one group are short of each limit."""
    quotas: dict[str, Limits] = {}
    for limit, value in LIMITS.items():
        quotas[f"user = {short_of(limit, 'user').uid}"] = {limit: value}
        quotas[f"group = {short_of(limit, 'group').gid}"] = {limit: value}
    with limited_mount(public_path, {}, quotas) as mount:
        yield mount.path
