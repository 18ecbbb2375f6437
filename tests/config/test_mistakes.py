"""Each mistake in a configuration is a line that says where it is and what would be right."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfs import config
from tests.config.making import MAIN, configure, mistakes, quota

CONF = "[eventfs-config]\n"
QUOTA = "[eventfs-quota]\n"
KEYS = (
    "default_max_bytes, default_max_dirs, default_max_files, default_max_files_per_dir, nr_inodes,"
    " quotas, size"
)
QUOTA_KEYS = "group, max_bytes, max_dirs, max_files, max_files_per_dir, user"
NUMBER = "is no number; expected one like 100, 64K, 10M, 2G or unlimited"
NAME = "expected a user's name or number"

#: The file, and what is said of it.
MAIN_FILES = {
    "nothing": ("", ["1: no section; expected [eventfs-config]"]),
    "comments alone": ("; a\n# b\n", ["1: no section; expected [eventfs-config]"]),
    "another section": (
        "\n[eventfs]\ndefault_max_dirs = 1\n",
        ["2: unknown section [eventfs]; expected [eventfs-config]"],
    ),
    "a quota's section": (QUOTA, ["1: unknown section [eventfs-quota]; expected [eventfs-config]"]),
    "one section too many": (
        CONF + "[more]\n[more]\n",
        ["2: unknown section [more]; expected [eventfs-config]"],
    ),
    "a section's case": (
        "[Eventfs-Config]",
        ["1: unknown section [Eventfs-Config]; expected [eventfs-config]"],
    ),
    "no section": ("size = 1\n", ["1: a [section] must come first"]),
    "a key before the section": (
        "size = 1\n" + CONF + "sise = 1\n",
        ["1: a [section] must come first", f"3: unknown key 'sise'; expected one of: {KEYS}"],
    ),
    "an unknown key": (
        CONF + "\nmax_files = 1\n",
        [f"3: unknown key 'max_files'; expected one of: {KEYS}"],
    ),
    "a key's case": (CONF + "Size = 1", [f"2: unknown key 'Size'; expected one of: {KEYS}"]),
    "a word": (CONF + "size\n", ["2: neither [section] nor KEY = VALUE: 'size'"]),
    "no key": (CONF + "=3\n", ["2: neither [section] nor KEY = VALUE: '=3'"]),
    "an open bracket": (
        "[eventfs-config\n",
        ["1: neither [section] nor KEY = VALUE: '[eventfs-config'"],
    ),
    "a key twice": (
        CONF + "size = 1\nnr_inodes = 1\nsize = 1\n",
        ["4: size was set in line 2 already"],
    ),
    "a key twice in a resumed section": (
        CONF + "size = 1\n" + CONF + "size = 2",
        ["4: size was set in line 2 already"],
    ),
    "a word for a number": (CONF + "size = many\n", [f"2: 'many' {NUMBER}"]),
    "nothing for a number": (CONF + "default_max_dirs =\n", [f"2: '' {NUMBER}"]),
    "a negative number": (CONF + "default_max_files = -1\n", [f"2: '-1' {NUMBER}"]),
    "an unknown unit": (CONF + "default_max_bytes = 1T\n", [f"2: '1T' {NUMBER}"]),
    "a broken number": (CONF + "nr_inodes = 1.5\n", [f"2: '1.5' {NUMBER}"]),
    "another script's digits": (CONF + "default_max_files_per_dir = ٣\n", [f"2: '٣' {NUMBER}"]),
    "a NUL in a number": (CONF + "size = 1\0", [f"2: '1\\x00' {NUMBER}"]),
    "thousands of digits": (CONF + f"size = {'1' * 5000}", [f"2: '{'1' * 5000}' {NUMBER}"]),
    "no quotas": (CONF + "quotas =", ["2: quotas: '' is no path; expected a directory"]),
    "a NUL in quotas": (
        CONF + "quotas = a\0b",
        ["2: quotas: 'a\\x00b' is no path; expected a directory"],
    ),
    "all at once": (
        "a\n" + CONF + "size = x\nb = 1\nsize = 1\n[c]\nnr_inodes = y",
        [
            "1: neither [section] nor KEY = VALUE: 'a'",
            "5: size was set in line 3 already",
            "6: unknown section [c]; expected [eventfs-config]",
            f"4: unknown key 'b'; expected one of: {KEYS}",
            f"3: 'x' {NUMBER}",
        ],
    ),
}

#: The file `quotas/a`, and what is said of it.
QUOTA_FILES = {
    "nothing": ("", ["1: no section; expected [eventfs-quota]"]),
    "the main file's section": (
        CONF + "user = root\n",
        ["1: unknown section [eventfs-config]; expected [eventfs-quota]"],
    ),
    "an unknown key": (
        quota("user = root", default_max_files=1),
        [f"3: unknown key 'default_max_files'; expected one of: {QUOTA_KEYS}"],
    ),
    "nobody's": (
        QUOTA + "max_files = 1\n",
        ["1: whose quota? Expected user = NAME or group = NAME"],
    ),
    "user and group": (
        QUOTA + "group = root\nmax_dirs = 1\nuser = root\n",
        ["4: both user and group; expected one of them"],
    ),
    "two users": (QUOTA + "user = root\nuser = daemon", ["3: user was set in line 2 already"]),
    "a word for a number": (quota("user = root", max_dirs="x"), [f"3: 'x' {NUMBER}"]),
    "an unknown group": (
        QUOTA + "group = nobody-of-us",
        ["2: there is no group 'nobody-of-us'; expected a group's name or number"],
    ),
    "all at once": (
        quota("user = nobody-of-us", max_dirs="x", max_bytes="y", max_fils=1),
        [
            f"5: unknown key 'max_fils'; expected one of: {QUOTA_KEYS}",
            f"3: 'x' {NUMBER}",
            f"4: 'y' {NUMBER}",
            f"2: there is no user 'nobody-of-us'; {NAME}",
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), MAIN_FILES.values(), ids=MAIN_FILES.keys())
def test_a_mistake_in_the_file_is_told_with_its_line(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    assert mistakes(configure(tmp_path, text)) == [f"eventfs.conf:{line}" for line in expected]


@pytest.mark.parametrize(("text", "expected"), QUOTA_FILES.values(), ids=QUOTA_FILES.keys())
def test_a_mistake_in_a_quota_file_is_told_with_its_line(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    path = configure(tmp_path, MAIN, {"a": text, "b": quota("user = 7", max_dirs=1)})
    assert mistakes(path) == [f"quotas/a:{line}" for line in expected]


@pytest.mark.parametrize(
    "name",
    [
        *("nobody-of-us", "", "-1", "0x0", "1.5", "a\0b", "\0", "²", "٣", "root root", "root,"),
        *("4294967295", "4294967296", "1" * 100, "1" * 5000),
    ],
    ids=lambda name: repr(name[:20]),
)
@pytest.mark.parametrize("kind", ["user", "group"])
def test_who_does_not_exist_is_a_mistake(tmp_path: Path, kind: str, name: str) -> None:
    path = configure(tmp_path, MAIN, {"a": quota(f"{kind} = {name}")})
    assert mistakes(path) == [
        f"quotas/a:2: there is no {kind} {name!r}; expected a {kind}'s name or number"
    ]


def test_the_largest_number_of_a_user_is_none(tmp_path: Path) -> None:
    quotas = {"a": quota("user = 4294967294"), "b": quota("group = 4294967294")}
    settings = config.read(configure(tmp_path, MAIN, quotas))
    assert [*settings.users, *settings.groups] == [2**32 - 2] * 2


@pytest.mark.parametrize(("first", "second"), [("root", "0"), ("0", "root"), ("1000", "01000")])
@pytest.mark.parametrize("kind", ["user", "group"])
def test_two_files_for_one_user_or_group_are_a_mistake(
    tmp_path: Path, kind: str, first: str, second: str
) -> None:
    quotas = {"a": quota(f"{kind} = {first}"), "b": f"\n{quota(f'{kind} = {second}')}"}
    assert mistakes(configure(tmp_path, MAIN, quotas)) == [
        f"quotas/b:3: {kind} {second!r} has limits in quotas/a:2 already; expected one file"
    ]


def test_a_user_and_a_group_may_have_the_same_name(tmp_path: Path) -> None:
    config.read(configure(tmp_path, MAIN, {"a": quota("user = root"), "b": quota("group = root")}))


def test_mistakes_in_all_files_are_told_at_once(tmp_path: Path) -> None:
    quotas = {"c": "c", "a": quota("user = root"), "b": quota("user = 0"), "d": QUOTA}
    assert mistakes(configure(tmp_path, MAIN + "size = x\n", quotas)) == [
        f"eventfs.conf:3: 'x' {NUMBER}",
        "quotas/b:2: user '0' has limits in quotas/a:2 already; expected one file",
        "quotas/c:1: neither [section] nor KEY = VALUE: 'c'",
        "quotas/d:1: whose quota? Expected user = NAME or group = NAME",
    ]


_lines = st.sampled_from(
    [
        *(
            "[eventfs-config]",
            "[eventfs-quota]",
            "[",
            "]",
            "=",
            ";",
            "\0",
            "\r",
            "\f",
            "\u2028",
            "",
        ),
        *("quotas = quotas", "quotas = .", "quotas = /\0", "user = root", "group = 0", "user = \0"),
        *("size = 1K", "size = -1", "max_dirs = 1", "max_dirs = x", "default_max_dirs = 2"),
    ]
).map(str.encode)
_files = st.binary(max_size=60) | st.lists(_lines | st.binary(max_size=5)).map(b"\n".join)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return configure(tmp_path_factory.mktemp("bytes"), MAIN, {})


@given(main=_files, other=_files)
def test_whatever_stands_in_the_files_nothing_else_is_said(
    path: Path, main: bytes, other: bytes
) -> None:
    path.write_bytes(main)
    (path.parent / "quotas/a").write_bytes(other)
    try:
        config.read(path)
    except config.ConfigError as error:
        places = f"({re.escape(os.fspath(path))}|{re.escape(os.fspath(path.parent))}/quotas/a)"
        for line in str(error).split("\n"):
            assert re.match(rf"{places}:[1-9]\d*: .", line), line
