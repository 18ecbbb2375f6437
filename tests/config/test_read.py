"""What a configuration directory in the format of 2015 means."""

import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfs import config
from eventfs.queues.ledger import UNLIMITED, Gid, Limits, Settings, Uid
from tests.config.making import MAIN, configure, quota

#: As somebody would have written it then.
MAIN_2015 = """\
; eventfs.conf: limits for everybody
# (both kinds of comments)

[eventfs-config]
default_max_dirs=10          ; queues
default_max_files = 1000 ; messages
  default_max_files_per_dir: 100
default_max_bytes = 1048576
quotas=quotas/
"""

QUOTAS_2015 = {
    "root.conf": "[eventfs-quota]\nuser=root\nmax_dirs=20\nmax_files=2000\n",
    "1000": "; by number\n[eventfs-quota]\nmax_bytes=4096\nuser = 1000 ; no such user is needed\n",
    "daemons": "[eventfs-quota]\ngroup=daemon\nmax_files_per_dir = 1\n",
    "group 1000": "[eventfs-quota]\n\ngroup=1000\nmax_dirs=0\nmax_files=0\nmax_bytes=0\n",
}

DEFAULT = Limits(10, 1000, 100, 1048576)


def test_a_directory_of_2015_is_read_as_it_is(tmp_path: Path) -> None:
    assert config.read(configure(tmp_path, MAIN_2015, QUOTAS_2015)) == Settings(
        DEFAULT,
        {
            Uid(0): replace(DEFAULT, max_dirs=20, max_files=2000),
            Uid(1000): replace(DEFAULT, max_bytes=4096),
        },
        {
            Gid(1): replace(DEFAULT, max_files_per_dir=1),
            Gid(1000): Limits(0, 0, 100, 0),
        },
        config.default_size_bytes(),
        config.default_nr_inodes(),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        ("\n", "\n\n"),
        ("\n", "  \n"),
        ("\n", "\n\f"),
        ("\n", "\n    "),
        ("[", "\t["),
        ("=", " = "),
        ("=", ":"),
        ("\n", " ; comment\n"),
        ("\n", "\n# comment = [x]\n; comment = [x]\n"),
    ],
)
def test_white_space_and_comments_change_nothing(tmp_path: Path, old: str, new: str) -> None:
    before = config.read(configure(tmp_path, MAIN_2015, QUOTAS_2015))
    quotas = {name: text.replace(old, new) for name, text in QUOTAS_2015.items()}
    assert config.read(configure(tmp_path, MAIN_2015.replace(old, new), quotas)) == before


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    before = config.read(configure(tmp_path, MAIN_2015, QUOTAS_2015))
    quotas = {name: f"\ufeff{text}" for name, text in QUOTAS_2015.items()}
    assert config.read(configure(tmp_path, f"\ufeff{MAIN_2015}", quotas)) == before


def test_what_is_not_set_is_unlimited_but_for_the_mounts_own_limits(tmp_path: Path) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    settings = config.read(configure(tmp_path, "[eventfs-config]\n"))
    unlimited = Limits(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED)
    assert settings == Settings(unlimited, {}, {}, memory // 2, os.sysconf("SC_PHYS_PAGES") // 2)


def test_the_mounts_own_limits_are_set_too(tmp_path: Path) -> None:
    path = configure(tmp_path, "[eventfs-config]\nsize = 2G\nnr_inodes = unlimited\n")
    settings = config.read(path)
    assert (settings.size_bytes, settings.nr_inodes) == (2**31, UNLIMITED)


@pytest.mark.parametrize("where", ["quotas", "./quotas", "sub/../quotas", "{}/quotas"])
def test_the_quotas_are_looked_for_beside_the_file(tmp_path: Path, where: str) -> None:
    (tmp_path / "sub").mkdir()
    main = MAIN.replace("= quotas", f"= {where.format(tmp_path)}")
    path = configure(tmp_path, main, {"root": quota("user = root", max_dirs=1)})
    assert config.read(path).users[Uid(0)].max_dirs == 1


def test_a_section_may_be_resumed(tmp_path: Path) -> None:
    main = "[eventfs-config]\ndefault_max_dirs = 1\n[eventfs-config]\ndefault_max_files = 2\n"
    assert config.read(configure(tmp_path, main)).default == Limits(max_dirs=1, max_files=2)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("64K", 2**16),
        ("64k", 2**16),
        ("10M", 10 * 2**20),
        ("10m", 10 * 2**20),
        ("2G", 2**31),
        ("2g", 2**31),
        ("0G", 0),
        # No number stands for another: neither the largest of C nor the one after it.
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2**63),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("9" * 99 + "G", int("9" * 99) * 2**30),
        ("unlimited", UNLIMITED),
    ],
)
def test_a_number_is_read(text: str, number: int) -> None:
    assert config.number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "1.5", "1e3", "1_000", "1,000", "0x10", "1 K", "1KB", "1T", "K"),
        *("Unlimited", "unlimited ", "none", "²", "٣", "1\0", "9" * 101, "9" * 5000),
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is no number; expected one like 100, 64K"):
        config.number(text)


_numbers = st.integers(0, UNLIMITED)
_limits = st.builds(Limits, _numbers, _numbers, _numbers, _numbers)
_ids = st.integers(0, 2**32 - 2)
_settings = st.builds(
    Settings,
    default=_limits,
    users=st.dictionaries(_ids.map(Uid), _limits, max_size=3),
    groups=st.dictionaries(_ids.map(Gid), _limits, max_size=3),
    size_bytes=_numbers,
    nr_inodes=_numbers,
)


@given(settings=_settings)
def test_settings_that_are_written_are_read(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings
) -> None:
    default = [f"default_{key} = {value}\n" for key, value in asdict(settings.default).items()]
    own = f"size = {settings.size_bytes}\nnr_inodes = {settings.nr_inodes}\n"
    everybody: list[tuple[str, Iterable[tuple[int, Limits]]]] = [
        ("user", settings.users.items()),
        ("group", settings.groups.items()),
    ]
    quotas = {
        f"{kind}-{number}": quota(f"{kind} = {number}", **asdict(limits))
        for kind, all_limits in everybody
        for number, limits in all_limits
    }
    path = configure(tmp_path_factory.mktemp("settings"), MAIN + "".join(default) + own, quotas)
    assert config.read(path) == settings
