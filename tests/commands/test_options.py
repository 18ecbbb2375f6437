"""The parser of `-o`."""

import pytest

from eventfs.commands.options import OptionError, parse

DEFAULTS = {"fsname=eventfs", "subtype=eventfs"}


def fuse(*texts: str, source: str | None = None) -> set[str]:
    """Return what is handed to the mount."""
    return set(parse(list(texts), source).fuse)


@pytest.mark.parametrize("texts", [[], [""], [","], ["", ","]])
def test_without_options_only_the_names_are_set(texts: list[str]) -> None:
    assert fuse(*texts) == DEFAULTS


@pytest.mark.parametrize(
    "option",
    [
        "allow_other",
        "allow_root",
        "async",
        "auto_unmount",
        "dev",
        "dirsync",
        "exec",
        "noatime",
        "nodev",
        "noexec",
        "nosuid",
        "ro",
        "rw",
        "suid",
        "sync",
    ],
)
def test_a_flag_is_handed_on(option: str) -> None:
    assert fuse(option) == DEFAULTS | {option}


@pytest.mark.parametrize("option", ["fsname=name", "subtype=name"])
def test_an_option_with_a_value_is_handed_on(option: str) -> None:
    assert option in fuse(option)


@pytest.mark.parametrize(
    "texts", [["ro,noexec"], ["ro", "noexec"], ["ro,", ",noexec"], ["noexec,ro"]]
)
def test_options_may_be_given_together_or_apart(texts: list[str]) -> None:
    assert fuse(*texts) == DEFAULTS | {"ro", "noexec"}


def test_an_option_may_be_repeated() -> None:
    assert fuse("ro,ro", "ro") == fuse("ro")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("ro", "rw"),
        ("rw", "ro"),
        ("exec", "noexec"),
        ("noexec", "exec"),
        ("suid", "nosuid"),
        ("dev", "nodev"),
        ("sync", "async"),
        ("fsname=a", "fsname=b"),
        ("subtype=a", "subtype=b"),
    ],
)
def test_of_two_that_contradict_each_other_the_last_counts(first: str, last: str) -> None:
    assert fuse(first, last) == fuse(f"{first},{last}") == fuse(last)


def test_debug_is_not_for_the_mount() -> None:
    options = parse(["debug"], None)
    assert options.debug
    assert set(options.fuse) == DEFAULTS


def test_nothing_is_debugged_unasked() -> None:
    assert not parse(["ro"], None).debug


@pytest.mark.parametrize(
    ("source", "fsname"),
    [
        ("name", "fsname=name"),
        ("with space", "fsname=with space"),
        ("a,b", r"fsname=a\,b"),
        ("a\\b", r"fsname=a\\b"),
        ("a\\,b", r"fsname=a\\\,b"),
        ("a=b", "fsname=a=b"),
    ],
)
def test_the_source_names_the_mount(source: str, fsname: str) -> None:
    assert fuse(source=source) == {fsname, "subtype=eventfs"}


def test_fsname_goes_before_the_source() -> None:
    assert fuse("fsname=name", source="source") == {"fsname=name", "subtype=eventfs"}


def test_a_protected_comma_belongs_to_the_value() -> None:
    assert r"fsname=a\,ro" in fuse(r"fsname=a\,ro")
    assert "ro" not in fuse(r"fsname=a\,ro")


def test_a_protected_backslash_protects_no_comma() -> None:
    assert fuse(r"fsname=a\\,ro") == {r"fsname=a\\", "ro", "subtype=eventfs"}


def test_a_backslash_at_the_end_of_one_argument_protects_nothing_of_the_next() -> None:
    assert "ro" in fuse("fsname=a\\", "ro")


@pytest.mark.parametrize(
    "option",
    [
        "_netdev",
        "atime",
        "auto",
        "default_permissions",
        "defaults",
        "group",
        "noauto",
        "nofail",
        "nouser",
        "owner",
        "relatime",
        "user",
        "users",
        "x-systemd.automount",
        "x-systemd.requires=/srv",
        "X-mount.mkdir",
        "comment=words",
    ],
)
def test_what_is_said_to_others_is_left_out(option: str) -> None:
    assert fuse(option) == DEFAULTS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bogus", "bogus"),
        ("bogus=1", "bogus"),
        ("ro,bogus", "bogus"),
        ("bogus,ro", "bogus"),
        ("RO", "RO"),
        ("ro ", "ro "),
        (" ro", " ro"),
        ("allow-other", "allow-other"),
        ("=", ""),
        ("=value", ""),
        ("user=somebody", "user"),
        ("defaults=1", "defaults"),
        ("größe", "größe"),
        (r"fsname=a\\,bogus", "bogus"),
    ],
)
def test_an_unknown_option_is_named(text: str, name: str) -> None:
    with pytest.raises(OptionError, match=f"^unknown mount option '{name}'$"):
        parse([text], None)


@pytest.mark.parametrize("name", ["fsname", "subtype"])
@pytest.mark.parametrize("equals", ["", "="])
def test_a_missing_value_is_asked_for(name: str, equals: str) -> None:
    with pytest.raises(OptionError, match=f"'{name}' needs a value"):
        parse([name + equals], None)


@pytest.mark.parametrize("name", ["ro", "allow_other", "debug"])
def test_a_value_too_many_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"'{name}'"):
        parse([name + "=1"], None)


@pytest.mark.parametrize(
    "texts", [["allow_other,allow_root"], ["allow_root,allow_other"], ["allow_other", "allow_root"]]
)
def test_allow_other_and_allow_root_exclude_each_other(texts: list[str]) -> None:
    with pytest.raises(OptionError, match="'allow_other' and 'allow_root'"):
        parse(texts, None)


def test_a_complaint_is_one_line() -> None:
    with pytest.raises(OptionError) as raised:
        parse(["line\nbreak"], None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("value", "spin_ns"), [("0", 0), ("50", 50_000), ("999999", 999_999_000)])
def test_the_time_to_poll_is_given_in_microseconds(value: str, spin_ns: int) -> None:
    assert parse([f"spin={value}"], None).spin_ns == spin_ns


@pytest.mark.parametrize("value", ["-1", "1000000", "1.5", "1K", "unlimited", "x"])
def test_another_time_to_poll_is_refused(value: str) -> None:
    with pytest.raises(OptionError, match="isn't a number of microseconds below a million"):
        parse([f"spin={value}"], None)


@pytest.mark.parametrize(
    ("texts", "at_close"),
    [
        ([], False),
        (["commit=create"], False),
        (["commit=close"], True),
        (["commit=close", "commit=create"], False),
    ],
)
def test_when_messages_are_committed(texts: list[str], *, at_close: bool) -> None:
    assert parse(texts, None).commits_at_close is at_close


@pytest.mark.parametrize("value", ["Close", "open", "1", "close "])
def test_they_are_committed_at_no_other_time(value: str) -> None:
    with pytest.raises(
        OptionError, match=f"^mount option 'commit': '{value}' is neither 'create' nor 'close'$"
    ):
        parse([f"commit={value}"], None)


def test_when_they_are_committed_needs_to_be_said() -> None:
    with pytest.raises(OptionError, match="'commit' needs a value"):
        parse(["commit"], None)
