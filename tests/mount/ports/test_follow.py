"""Followers: what arrives in one queue is in others too, stored once."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from errno import (
    E2BIG,
    EACCES,
    EEXIST,
    ELOOP,
    ENODATA,
    ENOENT,
    EPERM,
    ERANGE,
)
from pathlib import Path

import pytest

from tests.config.making import configure
from tests.mount.calls import refused
from tests.mount.making import Call, each, fill, is_gone, link_from_elsewhere, listed, messages
from tests.mount.ports.using import DROPPED, FOLLOW, FOLLOWERS, KEEP, put, take, take_all
from tests.mount.posix.checks import tick
from tests.mount.processes import ALICE, BOB, Fork, in_child
from tests.mounts import Mount


@pytest.fixture
def make(root: Path) -> Iterator[Callable[..., Path]]:
    """Make a queue that is gone at the test's end: it gets a name, and those of its sources."""
    made: list[Path] = []

    def make(name: str, *sources: str) -> Path:
        path = root / name
        path.mkdir()
        made.append(path)
        if sources:
            follow(path, *sources)
        return path

    yield make
    for path in made:
        if not is_gone(path):
            take_all(path)
            path.rmdir()


def follow(queue: Path, *sources: str) -> None:
    os.setxattr(queue, FOLLOW, "/".join(sources).encode())


def attribute(queue: Path, name: str) -> str:
    return os.getxattr(queue, name).decode()


@pytest.fixture
def news(make: Callable[..., Path]) -> Path:
    """A queue to be followed."""
    return make("news")


@pytest.fixture
def mine(make: Callable[..., Path], news: Path) -> Path:
    """A queue that follows it."""
    return make("mine", news.name)


ARRIVALS: dict[str, Call] = {
    "create": lambda queue: (queue / "message").write_bytes(b"message"),
    "mknod": lambda queue: os.mknod(queue / "message"),
    "link": lambda queue: link_from_elsewhere(queue / "message"),
    ".pipe": lambda queue: put(queue, b"message"),
    ".lines": lambda queue: put(queue, b"message\n", name=".lines"),
    "the rest of .lines": lambda queue: put(queue, b"message\nrest", name=".lines"),
}


@each(ARRIVALS)
def test_whichever_way_a_message_arrives_it_is_in_the_follower_too(
    news: Path, mine: Path, call: Call
) -> None:
    call(news)
    assert messages(mine) == messages(news)
    assert listed(mine) == ["head", *messages(news), "tail"]
    for name in messages(news):
        assert (mine / name).samefile(news / name)
        assert (mine / name).stat().st_nlink == 2
        assert (mine / name).read_bytes() == (news / name).read_bytes()
    assert take_all(mine) == take_all(news)


def test_followers_get_messages_in_the_same_order(make: Callable[..., Path], news: Path) -> None:
    followers = [make(f"follower-{number}", news.name) for number in range(3)]
    fill(news, "one")
    put(news, b"two")
    link_from_elsewhere(news / "three")
    put(news, b"four\nfive\n", name=".lines")
    for queue in (news, *followers):
        assert take_all(queue) == [b"one", b"two", b"message", b"four", b"five"]


def test_what_was_there_before_is_not_followed(news: Path, make: Callable[..., Path]) -> None:
    put(news, b"before")
    mine = make("mine", news.name)
    put(news, b"after")
    assert take_all(mine) == [b"after"]


def test_what_is_taken_from_one_stays_in_the_other(news: Path, mine: Path) -> None:
    put(news, b"one", b"two", b"three")
    assert take(mine) == b"one"
    (name,) = {*messages(news)} - {*messages(mine)}
    assert (news / name).stat().st_nlink == 1
    assert take_all(news) == [b"one", b"two", b"three"]
    assert (mine / "head").stat().st_nlink == 1
    assert take_all(mine) == [b"two", b"three"]


def test_a_file_is_written_for_both(news: Path, mine: Path) -> None:
    with (news / "message").open("wb", buffering=0) as file:
        file.write(b"written")
        assert (mine / "message").read_bytes() == b"written"
        file.write(b" later")
    assert take_all(mine) == [b"written later"]
    assert (news / "message").read_bytes() == b"written later"


def test_the_message_is_its_writers(news: Path, mine: Path) -> None:
    news.chmod(0o777)
    in_child(lambda: put(news, b"message"), ALICE)
    status = (mine / "head").stat()
    assert (status.st_uid, status.st_gid) == (ALICE, ALICE)
    assert stat.S_ISREG(status.st_mode)


def test_where_its_name_is_taken_it_gets_another(news: Path, mine: Path) -> None:
    fill(mine, "message")
    (news / "message").write_bytes(b"new")
    first, second = messages(mine)
    assert first == "message"
    assert second != "message"
    assert (mine / second).samefile(news / "message")
    (news / "message").unlink()
    (news / "message").write_bytes(b"newer")
    assert take_all(mine) == [b"message", b"new", b"newer"]


def test_a_port_passes_on_what_a_follower_has_a_name_for(news: Path, mine: Path) -> None:
    put(news, b"one")
    (name,) = messages(news)
    number = int(name, 16)
    for guess in range(number, number + 20):
        (mine / f"{guess:016x}-mine").touch()
    put(news, b"two")
    assert take_all(news) == [b"one", b"two"]
    assert [content for content in take_all(mine) if content] == [b"one", b"two"]


def test_several_sources_are_separated_by_slashes(make: Callable[..., Path]) -> None:
    sources = [make(f"source-{number}") for number in range(3)]
    mine = make("mine", *(source.name for source in sources))
    assert attribute(mine, FOLLOW) == "source-0/source-1/source-2"
    for source in (*sources, *reversed(sources)):
        put(source, source.name.encode())
    assert [int(content[-1:]) for content in take_all(mine)] == [0, 1, 2, 2, 1, 0]
    for source in sources:
        assert attribute(source, FOLLOWERS) == "mine"


def test_a_source_that_is_named_twice_is_one(make: Callable[..., Path], news: Path) -> None:
    mine = make("mine", "news", "", "news", "")
    assert attribute(mine, FOLLOW) == "news"
    assert attribute(news, FOLLOWERS) == "mine"
    put(news, b"message")
    assert take_all(mine) == [b"message"]


def test_set_anew_it_replaces_the_sources(make: Callable[..., Path], news: Path) -> None:
    mine, other = make("mine", "news"), make("other")
    follow(mine, "other")
    assert attribute(news, FOLLOWERS) == ""
    put(news, b"of news")
    put(other, b"of the other")
    assert take_all(mine) == [b"of the other"]


@pytest.mark.parametrize("end", ["empty", "removed"])
def test_empty_or_removed_it_follows_nobody(news: Path, mine: Path, end: str) -> None:
    if end == "empty":
        os.setxattr(mine, FOLLOW, b"")
        assert attribute(mine, FOLLOW) == ""
    else:
        os.removexattr(mine, FOLLOW)
        with refused(ENODATA):
            os.getxattr(mine, FOLLOW)
    assert attribute(news, FOLLOWERS) == ""
    put(news, b"message")
    assert take_all(mine) == []


@pytest.mark.usefixtures("mine")
def test_the_attributes_in_a_shell(news: Path) -> None:
    def shell(script: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", script], cwd=news.parent, check=True, capture_output=True, text=True
        )
        return done.stdout

    shell("setfattr -x user.eventfs_follow mine; setfattr -n user.eventfs_follow -v news mine")
    assert shell("getfattr --only-values -n user.eventfs_follow mine") == "news"
    assert shell("getfattr --only-values -n user.eventfs_followers news") == "mine"
    assert shell("getfattr --only-values -n user.eventfs_dropped mine") == "0"
    assert "followers" not in shell("getfattr -d news mine")
    shell("echo text > news/.pipe")
    assert shell("cat mine/.pipe news/.pipe") == "text\ntext\n"


def test_what_is_counted_can_only_be_read_and_is_not_listed(news: Path, mine: Path) -> None:
    for queue in (news, mine):
        for name in (FOLLOWERS, DROPPED):
            with refused(EPERM):
                os.setxattr(queue, name, b"x")
            with refused(EPERM):
                os.removexattr(queue, name)
            assert name not in os.listxattr(queue)
    assert os.listxattr(mine) == [FOLLOW]


def test_flags_of_setxattr_are_obeyed(news: Path, mine: Path) -> None:
    with refused(EEXIST):
        os.setxattr(mine, FOLLOW, b"", os.XATTR_CREATE)
    with refused(ENODATA):
        os.setxattr(news, FOLLOW, b"", os.XATTR_REPLACE)
    assert attribute(news, FOLLOWERS) == "mine"


def test_a_topic_keeps_nothing_itself(news: Path, make: Callable[..., Path]) -> None:
    os.setxattr(news, KEEP, b"no")
    followers = [make(f"follower-{number}", "news") for number in range(2)]
    (news / "file").write_bytes(b"file")
    put(news, b"pipe")
    put(news, b"one\ntwo\n", name=".lines")
    link_from_elsewhere(news / "link")
    assert listed(news) == []
    for follower in followers:
        assert take_all(follower) == [b"file", b"pipe", b"one", b"two", b"message"]


def test_a_topic_without_followers_takes_messages_and_drops_them(news: Path, root: Path) -> None:
    os.setxattr(news, KEEP, b"no")
    before = os.statvfs(root)
    put(news, b"message" * 1000)
    put(news, b"one\ntwo\n", name=".lines")
    with (news / "file").open("wb", buffering=0) as file:
        file.write(b"written to nobody")
    assert take_all(news) == []
    assert os.statvfs(root).f_bfree == before.f_bfree
    os.removexattr(news, KEEP)
    put(news, b"kept")
    assert take_all(news) == [b"kept"]


@pytest.mark.parametrize("value", ["yes", "", "No"])
def test_any_other_value_keeps(news: Path, value: str) -> None:
    os.setxattr(news, KEEP, value.encode())
    put(news, b"message")
    assert take_all(news) == [b"message"]


def test_a_chain_of_topics_leads_to_the_end(make: Callable[..., Path], news: Path) -> None:
    chain = [news, *(make(f"link-{n}", "news" if not n else f"link-{n - 1}") for n in range(20))]
    for queue in chain[:-1]:
        os.setxattr(queue, KEEP, b"no")
    put(news, b"pipe")
    fill(news, "file")
    assert take_all(chain[-1]) == [b"pipe", b"file"]


def test_a_message_comes_once_that_comes_two_ways(make: Callable[..., Path], news: Path) -> None:
    make("left", "news")
    make("right", "news")
    end = make("end", "left", "right")
    put(news, b"message")
    assert take_all(end) == [b"message"]
    fill(news, "file")
    assert len({(end / name).stat().st_ino for name in messages(end)}) == 1
    assert take_all(end) == [b"file"]


def test_no_queue_follows_itself(make: Callable[..., Path], news: Path) -> None:
    with refused(ELOOP):
        follow(news, "news")
    mine, third = make("mine", "news"), make("third", "mine")
    for sources in (("mine",), ("third",), ("third", "mine")):
        with refused(ELOOP):
            follow(news, *sources)
    with refused(ELOOP):
        follow(mine, "news", "third")
    assert attribute(mine, FOLLOW) == "news"
    put(news, b"message")
    assert take_all(third) == [b"message"]


@pytest.mark.parametrize(
    "value", ["nothing", "news/nothing", ".", "..", "news\0", " news", "x" * 256]
)
def test_what_is_no_queue_can_not_be_followed(news: Path, mine: Path, value: str) -> None:
    with refused(ENOENT):
        follow(mine, value)
    assert attribute(mine, FOLLOW) == "news"
    assert attribute(news, FOLLOWERS) == "mine"


def test_ports_do_not_follow_and_to_the_rest_it_is_an_ordinary_attribute(
    news: Path, mine: Path
) -> None:
    fill(mine, "message")
    with refused(EPERM):
        follow(mine / ".pipe", "news")
    follow(mine / "message", "nothing")
    assert attribute(mine / "message", FOLLOW) == "nothing"
    assert attribute(news, FOLLOWERS) == "mine"


def test_a_vanished_queue_follows_nobody(news: Path, mine: Path) -> None:
    directory = os.open(mine, os.O_DIRECTORY)
    mine.rmdir()
    with refused(ENOENT):
        os.setxattr(directory, FOLLOW, b"news")
    os.close(directory)
    assert attribute(news, FOLLOWERS) == ""


@pytest.mark.parametrize(
    ("mode", "allowed"),
    [(0o755, True), (0o775, True), (0o750, False), (0o754, False), (0o751, False), (0o773, False)],
)
def test_to_follow_takes_the_right_to_read_and_search(
    news: Path, mine: Path, mode: int, *, allowed: bool
) -> None:
    os.removexattr(mine, FOLLOW)
    os.chown(mine, ALICE, ALICE)
    news.chmod(mode)
    if allowed:
        in_child(lambda: follow(mine, "news"), ALICE)
    else:
        with refused(EACCES):
            in_child(lambda: follow(mine, "news"), ALICE)
    assert attribute(news, FOLLOWERS) == ("mine" if allowed else "")


def test_the_groups_right_and_the_lists_count(news: Path, mine: Path) -> None:
    os.removexattr(mine, FOLLOW)
    os.chown(mine, ALICE, ALICE)
    os.chown(news, BOB, ALICE)
    news.chmod(0o750)
    in_child(lambda: follow(mine, "news"), ALICE)
    os.chown(news, BOB, BOB)
    with refused(EACCES):
        in_child(lambda: follow(mine, "news"), ALICE)
    subprocess.run(["setfacl", "-m", f"u:{ALICE}:rx", news], check=True)
    in_child(lambda: follow(mine, "news"), ALICE)
    subprocess.run(["setfacl", "-m", "m::x", news], check=True)
    with refused(EACCES):
        in_child(lambda: follow(mine, "news"), ALICE)


def test_the_right_is_bound_when_it_is_set(news: Path, mine: Path) -> None:
    os.removexattr(mine, FOLLOW)
    os.chown(mine, ALICE, ALICE)
    in_child(lambda: follow(mine, "news"), ALICE)
    news.chmod(0o700)
    put(news, b"message")
    assert take_all(mine) == [b"message"]


def test_nobody_makes_anothers_queue_follow(news: Path, mine: Path) -> None:
    os.removexattr(mine, FOLLOW)
    news.chmod(0o777)
    with refused(EACCES):
        in_child(lambda: follow(mine, "news"), ALICE)
    assert attribute(news, FOLLOWERS) == ""


def test_an_absurd_number_of_names_is_refused(news: Path, mine: Path) -> None:
    absurd = "/".join(f"queue-{number}" for number in range(1_000_000)).encode()
    for value in (absurd, absurd[:65_537], b"/" * 65_537):
        with refused(E2BIG, ERANGE):
            os.setxattr(mine, FOLLOW, value)
    with refused(ENOENT):
        os.setxattr(mine, FOLLOW, absurd[:65_536])
    put(news, b"message")
    assert take_all(mine) == [b"message"]
    follow(mine, *["news"] * 13_000)
    assert attribute(mine, FOLLOW) == "news"
    os.setxattr(mine, FOLLOW, b"/" * 65_536)
    assert attribute(mine, FOLLOW) == ""


def test_a_source_that_vanishes_and_comes_back_is_another_queue(
    make: Callable[..., Path], news: Path
) -> None:
    make("other")
    mine = make("mine", "news", "other")
    news.rmdir()
    assert attribute(mine, FOLLOW) == "other"
    news.mkdir()
    assert attribute(news, FOLLOWERS) == ""
    put(news, b"message")
    assert take_all(mine) == []
    follow(mine, "news")
    put(news, b"followed again")
    assert take_all(mine) == [b"followed again"]


def test_so_is_one_whose_owner_dies(path: Path, mine: Path, fork: Fork) -> None:
    owner = fork(path.mkdir)
    follow(mine, path.name)
    put(path, b"last words")
    owner.end()
    assert attribute(mine, FOLLOW) == ""
    assert take_all(mine) == [b"last words"]
    fork(path.mkdir)
    put(path, b"of another")
    assert take_all(mine) == []


def test_a_follower_that_vanishes_is_followed_to_no_more(
    news: Path, path: Path, mine: Path, fork: Fork
) -> None:
    owner = fork(path.mkdir)
    follow(path, "news")
    assert attribute(news, FOLLOWERS).split("/") == ["mine", path.name]
    put(news, b"one")
    owner.end()
    assert attribute(news, FOLLOWERS) == "mine"
    put(news, b"two")
    assert (news / "head").stat().st_nlink == 2
    assert take_all(mine) == take_all(news) == [b"one", b"two"]


def test_a_listing_sees_what_followed(news: Path, mine: Path) -> None:
    before = mine.stat().st_mtime_ns
    assert listed(mine) == []
    tick()
    put(news, b"message")
    assert mine.stat().st_mtime_ns > before
    assert len(listed(mine)) == 3
    take(mine)
    assert listed(mine) == []


@pytest.fixture
def short(mounter: Callable[..., Mount], tmp_path: Path) -> Path:
    """The root of a mount in which Alice may have two messages, and `alices` follows `news`.

    `other` does too.
    """
    config = configure(
        tmp_path,
        quotas={"alice": f"[eventfs-quota]\nuser = {ALICE}\nmax_files = 2\n"},
    )
    root = mounter("-c", str(config), "-o", "allow_other").path
    for name in ("news", "alices", "other"):
        (root / name).mkdir()
    os.chown(root / "alices", ALICE, ALICE)
    for name in ("alices", "other"):
        follow(root / name, "news")
    return root


def test_a_follower_that_is_full_misses_messages_and_others_do_not(short: Path) -> None:
    alices = short / "alices"
    put(short / "news", *(b"%d" % number for number in range(5)))
    assert attribute(alices, DROPPED) == "3"
    assert attribute(short / "other", DROPPED) == attribute(short / "news", DROPPED) == "0"
    everything = [b"0", b"1", b"2", b"3", b"4"]
    assert take_all(short / "other") == take_all(short / "news") == everything
    assert take_all(alices) == everything[:2]
    fill(short / "news", "file")
    assert take_all(alices) == [b"file"]
    assert attribute(alices, DROPPED) == "3"


@each(ARRIVALS)
def test_whichever_way_they_arrive(short: Path, call: Call) -> None:
    put(short / "news", b"one", b"two")
    call(short / "news")
    missed = len(messages(short / "news")) - 2
    assert attribute(short / "alices", DROPPED) == str(missed)
    assert len(messages(short / "alices")) == 2
    assert len(messages(short / "other")) == 2 + missed
