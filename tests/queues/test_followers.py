"""Queues in which is what arrives in others, and topics, which only pass on."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from eventfs.queues import acl, attributes, ports, xattrs
from eventfs.queues.errors import (
    AlreadyExists,
    AttributeNotSupported,
    FollowsItself,
    LimitReached,
    MayNotFollow,
    MountFull,
    NoSuchAttribute,
    NotFound,
    NotPermitted,
    Refused,
)
from eventfs.queues.inode import Mode
from eventfs.queues.ledger import Gid, Limits, Settings, Uid
from eventfs.queues.message import Message
from eventfs.queues.names import HEAD, TAIL
from eventfs.queues.packet import Packet
from eventfs.queues.queue import Owner, Queue
from eventfs.queues.tree import Tree
from eventfs.queues.xattrs import DROPPED, FOLLOW, FOLLOWERS, KEEP, STICKY
from tests.queues.making import (
    ALICE,
    BOB,
    CAROL,
    NOW,
    STAFF,
    THEN,
    USERS,
    FakeThreads,
    charged,
    content,
    create,
    drain,
    extended_list,
    follow,
    has_room,
    link,
    message_at,
    mkdir,
    names,
    put,
    put_lines,
    rmdir,
    take,
    take_lines,
    times,
    unlink,
    user,
)

#: The owners of the source and of its follower, who die apart.
SOURCES_OWNER, FOLLOWERS_OWNER = Owner(11), Owner(12)


@pytest.fixture
def news(tree: Tree) -> Queue:
    """A queue of ALICE's to be followed."""
    return mkdir(tree, b"news", owner=SOURCES_OWNER)


@pytest.fixture
def mine(tree: Tree, news: Queue) -> Queue:
    """A queue of BOB's that follows `news`."""
    queue = mkdir(tree, b"mine", uid=BOB, gid=STAFF, owner=FOLLOWERS_OWNER)
    follow(tree, queue, news.name, uid=BOB)
    return queue


@pytest.fixture
def topic(tree: Tree, news: Queue) -> Queue:
    """A queue of ALICE's that keeps nothing."""
    attributes.put(tree, news, KEEP, b"no", NOW)
    return news


def follower_of(tree: Tree, name: bytes, *sources: bytes) -> Queue:
    """Make a queue of ALICE's that follows others."""
    queue = mkdir(tree, name)
    follow(tree, queue, *sources)
    return queue


def contents(queue: Queue) -> list[bytes]:
    """Look at each message."""
    return [content(message) for _, message in queue.after(0)]


def add_by_create(tree: Tree, queue: Queue, text: bytes) -> None:
    message = create(tree, queue, b"created " + text)
    tree.open(message)
    tree.write(message, 0, text, NOW)
    tree.close(message)


def add_by_link(tree: Tree, queue: Queue, text: bytes) -> None:
    elsewhere = mkdir(tree, b"elsewhere of " + text)
    message = create(tree, elsewhere)
    tree.write(message, 0, text, NOW)
    link(tree, message, queue, b"linked " + text)


def add_by_put(tree: Tree, queue: Queue, text: bytes) -> None:
    put(tree, queue, text)


def add_by_put_lines(tree: Tree, queue: Queue, text: bytes) -> None:
    assert put_lines(tree, queue, text) == 1


WAYS = [add_by_create, add_by_link, add_by_put, add_by_put_lines]

#: Each way in which a message arrives.
Way = Callable[[Tree, Queue, bytes], None]


@pytest.fixture(params=WAYS, ids=["create", "link", "put", "put_lines"])
def arrive(request: pytest.FixtureRequest) -> Way:
    """Each way in which a message arrives."""
    way: Way = request.param
    return way


# Who follows whom


def test_a_follower_names_its_sources_and_a_source_its_followers(tree: Tree) -> None:
    for name in (b"a", b"b"):
        mkdir(tree, name)
    one = follower_of(tree, b"one", b"a", b"b")
    other = follower_of(tree, b"other", b"b")
    a, b = one.sources
    assert attributes.get(tree, one, FOLLOW) == b"a/b"
    assert attributes.get(tree, other, FOLLOW) == b"b"
    assert attributes.get(tree, a, FOLLOWERS) == b"one"
    assert attributes.get(tree, b, FOLLOWERS) == b"one/other"
    assert attributes.get(tree, one, FOLLOWERS) == b""


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (b"news", b"news"),
        (b"news/news", b"news"),
        (b"/news//", b"news"),
        (b"other/news/other", b"other/news"),
        (b"", b""),
        (b"///", b""),
    ],
)
def test_sources_are_named_once_and_without_empty_names(
    tree: Tree, news: Queue, other_queue: Queue, value: bytes, stored: bytes
) -> None:
    mine = follower_of(tree, b"mine", value)
    assert attributes.get(tree, mine, FOLLOW) == stored
    put(tree, news, b"text")
    put(tree, other_queue, b"text")
    assert len(mine) == len(stored.split(b"/")) - (not stored)


def test_the_attribute_is_listed_and_the_computed_ones_are_not(news: Queue, mine: Queue) -> None:
    assert xattrs.names(mine) == [FOLLOW]
    assert xattrs.names(news) == []


@pytest.mark.parametrize("value", [b"none", b"news/none", b"none/news", b"mine/none", b"x" * 300])
def test_an_unknown_source_is_refused_and_nothing_changes(
    tree: Tree, news: Queue, other_queue: Queue, value: bytes
) -> None:
    mine = follower_of(tree, b"mine", b"other")
    before = charged(tree)
    with pytest.raises(NotFound):
        follow(tree, mine, value)
    assert mine.sources == [other_queue]
    assert news.followers == []
    assert attributes.get(tree, mine, FOLLOW) == b"other"
    assert charged(tree) == before


def test_no_queue_follows_itself(tree: Tree, queue: Queue, news: Queue) -> None:
    for value in (b"queue", b"news/queue"):
        with pytest.raises(FollowsItself):
            follow(tree, queue, value)
    assert queue.sources == news.followers == []
    with pytest.raises(NoSuchAttribute):
        attributes.get(tree, queue, FOLLOW)


@pytest.mark.parametrize("length", [2, 3, 10])
def test_no_queues_follow_each_other_in_a_circle(tree: Tree, length: int) -> None:
    first = mkdir(tree, b"0")
    for number in range(1, length):
        follower_of(tree, b"%d" % number, b"%d" % (number - 1))
    with pytest.raises(FollowsItself):
        follow(tree, first, b"%d" % (length - 1))
    put(tree, first)
    assert [len(queue) for _, queue in tree.root.after(0)] == [1] * length


def test_a_circle_through_one_of_several_sources_is_one(tree: Tree, news: Queue) -> None:
    follower_of(tree, b"a", b"news")
    mkdir(tree, b"b")
    follower_of(tree, b"c", b"b", b"a")
    with pytest.raises(FollowsItself):
        follow(tree, news, b"b", b"c")
    follow(tree, news, b"b")


def test_a_circle_that_was_broken_is_none(tree: Tree, news: Queue, mine: Queue) -> None:
    with pytest.raises(FollowsItself):
        follow(tree, news, b"mine")
    attributes.remove(tree, mine, FOLLOW, NOW)
    follow(tree, news, b"mine")
    put(tree, mine, b"text")
    assert contents(news) == [b"text"]


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "may"),
    [
        (0o500, ALICE, set(), True),
        (0o477, ALICE, set(), False),
        (0o177, ALICE, set(), False),
        (0o050, BOB, {USERS}, True),
        (0o040, BOB, {USERS}, False),
        (0o707, BOB, {USERS}, False),
        (0o050, BOB, {STAFF}, False),
        (0o005, BOB, {STAFF}, True),
        (0o775, BOB, set(), True),
        (0o772, BOB, set(), False),
        (0o774, BOB, set(), False),
        (0o771, BOB, set(), False),
    ],
)
def test_following_takes_the_right_to_read_and_search(  # noqa: PLR0913  # a table
    tree: Tree, threads: FakeThreads, mode: int, uid: Uid, groups: set[Gid], *, may: bool
) -> None:
    mkdir(tree, b"news", mode=mode)
    mine = mkdir(tree, b"mine", uid=uid)
    threads.groups_of[7] = frozenset(groups)
    if may:
        follow(tree, mine, b"news", uid=uid, tid=7)
        assert attributes.get(tree, mine, FOLLOW) == b"news"
    else:
        with pytest.raises(MayNotFollow):
            follow(tree, mine, b"news", uid=uid, tid=7)
        assert mine.xattrs is None


@pytest.mark.parametrize(
    ("named", "mask", "may"), [(0o5, 0o7, True), (0o7, 0o4, False), (0o4, 0o7, False)]
)
def test_following_obeys_the_access_control_list_of_the_source(
    tree: Tree, news: Queue, named: int, mask: int, *, may: bool
) -> None:
    attributes.put(tree, news, acl.ACCESS, extended_list(0o007 | mask << 3, named), NOW)
    mine = mkdir(tree, b"mine", uid=BOB)
    if may:
        follow(tree, mine, b"news", uid=BOB)
    else:
        with pytest.raises(MayNotFollow):
            follow(tree, mine, b"news", uid=BOB)
    follow(tree, mine, b"news", uid=CAROL)
    with pytest.raises(MayNotFollow):
        follow(tree, mine, b"news", uid=ALICE)


def test_who_may_read_everything_may_follow(tree: Tree, threads: FakeThreads) -> None:
    asked = []

    def may(tid: int, uid: Uid, gid: Gid) -> bool:
        asked.append((tid, uid, gid))
        return tid == 7

    threads.may_act_for = may
    news, mine = mkdir(tree, b"news", mode=0), mkdir(tree, b"mine", uid=BOB)
    follow(tree, mine, b"news", uid=BOB, tid=7)
    assert mine.sources == [news]
    with pytest.raises(MayNotFollow):
        follow(tree, mine, b"news", uid=BOB, tid=8)
    assert asked == [(7, ALICE, USERS), (8, ALICE, USERS)]


def test_a_right_to_one_source_is_none_to_another(tree: Tree, news: Queue) -> None:
    mkdir(tree, b"secret", mode=0o700)
    mine = mkdir(tree, b"mine", uid=BOB)
    with pytest.raises(MayNotFollow):
        follow(tree, mine, b"news", b"secret", uid=BOB)
    assert news.followers == []


def test_the_right_is_bound_when_the_attribute_is_set(tree: Tree, news: Queue, mine: Queue) -> None:
    tree.chown(news, CAROL, None, NOW)
    tree.chmod(news, Mode(0o700), NOW)
    put(tree, news, b"text")
    assert contents(mine) == [b"text"]


def test_a_vanished_queue_can_not_follow(tree: Tree, news: Queue, mine: Queue) -> None:
    mine.holds += 1
    rmdir(tree, b"mine")
    with pytest.raises(NotFound):
        follow(tree, mine, b"news")
    assert news.followers == []


@pytest.mark.parametrize("what", ["user", "group", "size"])
def test_an_attribute_over_a_limit_is_refused_and_the_old_sources_stay(
    tree: Tree, news: Queue, other_queue: Queue, what: str
) -> None:
    mine = follower_of(tree, b"mine", b"news")
    before = charged(tree)
    room = before["stored_bytes"] + 5
    tree.ledger.change(
        {
            "user": Settings(users={ALICE: Limits(max_bytes=room)}),
            "group": Settings(groups={USERS: Limits(max_bytes=room)}),
            "size": Settings(size_bytes=room),
        }[what]
    )
    with pytest.raises(MountFull if what == "size" else LimitReached):
        follow(tree, mine, b"news", b"other")
    assert (mine.sources, other_queue.followers, news.followers) == ([news], [], [mine])
    assert attributes.get(tree, mine, FOLLOW) == b"news"
    assert charged(tree) == before


def test_setting_the_attribute_anew_replaces_the_sources(
    tree: Tree, news: Queue, mine: Queue, other_queue: Queue
) -> None:
    follow(tree, mine, b"other")
    put(tree, news, b"old")
    put(tree, other_queue, b"new")
    assert contents(mine) == [b"new"]
    assert attributes.get(tree, news, FOLLOWERS) == b""
    assert attributes.get(tree, other_queue, FOLLOWERS) == b"mine"


def test_removing_the_attribute_ends_it_and_costs_nothing(
    tree: Tree, queue: Queue, news: Queue
) -> None:
    before = charged(tree)
    follow(tree, queue, b"news")
    assert charged(tree) != before
    attributes.remove(tree, queue, FOLLOW, NOW)
    put(tree, news)
    assert len(queue) == 0
    assert attributes.get(tree, news, FOLLOWERS) == b""
    take(tree, news)
    assert charged(tree) == before
    with pytest.raises(NoSuchAttribute):
        attributes.remove(tree, queue, FOLLOW, NOW)


@pytest.mark.parametrize("name", [FOLLOWERS, DROPPED])
def test_what_is_computed_can_only_be_read(tree: Tree, queue: Queue, name: bytes) -> None:
    before = attributes.get(tree, queue, name)
    with pytest.raises(NotPermitted):
        attributes.put(tree, queue, name, b"1", NOW)
    with pytest.raises(NotPermitted):
        attributes.remove(tree, queue, name, NOW)
    assert attributes.get(tree, queue, name) == before
    assert times(queue) == (THEN, THEN, THEN)


@pytest.mark.parametrize("name", [FOLLOWERS, DROPPED])
def test_a_message_has_no_computed_attributes(tree: Tree, message: Message, name: bytes) -> None:
    with pytest.raises((NoSuchAttribute, AttributeNotSupported)):
        attributes.get(tree, message, name)


# What arrives


def test_what_arrives_in_a_source_is_in_its_followers_too_whichever_way(
    tree: Tree, news: Queue, mine: Queue, arrive: Way
) -> None:
    other = follower_of(tree, b"other", b"news")
    for text in (b"1", b"2", b"3"):
        arrive(tree, news, text)
    assert contents(mine) == contents(other) == contents(news) == [b"1", b"2", b"3"]
    assert names(mine) == names(other) == names(news)
    assert (news.dropped, mine.dropped) == (0, 0)


def test_all_ways_together_keep_one_order(tree: Tree, news: Queue, mine: Queue) -> None:
    texts = []
    for turn in range(3):
        for number, way in enumerate(WAYS):
            texts.append(b"%d%d" % (turn, number))
            way(tree, news, texts[-1])
    assert contents(mine) == texts
    assert drain(tree, news) == drain(tree, mine) == texts


def test_what_was_there_before_is_not_passed_on(tree: Tree, news: Queue, arrive: Way) -> None:
    arrive(tree, news, b"old")
    mine = follower_of(tree, b"mine", b"news")
    arrive(tree, news, b"new")
    assert contents(mine) == [b"new"]


def test_what_arrives_in_a_follower_is_not_in_its_source(
    tree: Tree, news: Queue, mine: Queue, arrive: Way
) -> None:
    arrive(tree, mine, b"text")
    assert len(news) == 0


def test_a_message_is_one_inode_in_all_queues(
    tree: Tree, news: Queue, mine: Queue, arrive: Way
) -> None:
    other = follower_of(tree, b"other", b"news")
    arrive(tree, news, b"text")
    elsewhere = arrive is add_by_link
    places = [place for queue in (other, news, mine) for place in queue.after(0)]
    assert len({inode for _, inode in places}) == 1
    assert len({place.name for place, _ in places}) == 1
    message = places[0][1]
    assert message.links == 3 + elsewhere
    unlink(tree, news, HEAD)
    assert take(tree, mine) == b"text"
    assert message.links == 1 + elsewhere
    assert message_at(tree, other, names(other)[0]) is message


@pytest.mark.parametrize("looks", ["at none", "at the source", "at the follower"])
def test_links_count_right_whoever_looks_when(
    tree: Tree, news: Queue, mine: Queue, looks: str
) -> None:
    put(tree, news, b"1")
    put_lines(tree, news, b"2", b"3")
    if looks != "at none":
        assert {m.links for _, m in (news if looks == "at the source" else mine).after(0)} == {2}
    take_lines(tree, news, 4)
    assert [message.links for _, message in mine.after(0)] == [1, 1, 2]
    take_lines(tree, news)
    assert [message.links for _, message in mine.after(0)] == [1, 1, 1]
    assert take_lines(tree, mine) == b"1\n2\n3\n"
    assert {type(inode) for inode in tree.inodes.values()} == {type(tree.root), Queue}


def test_what_is_written_through_one_queue_is_read_through_another(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    put(tree, news, b"text")
    (name,) = names(mine)
    message = message_at(tree, mine, name)
    tree.write(message, 4, b" and more", NOW)
    assert take(tree, news) == b"text and more"
    assert take_lines(tree, mine) == b"text and more\n"


def test_a_message_is_stored_and_charged_once_and_a_name_to_its_queue(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    before = charged(tree)
    put(tree, news, b"text", by=user(tree, CAROL))
    assert charged(tree) == before | {
        "inodes": before["inodes"] + 2,
        "stored_bytes": before["stored_bytes"] + 4,
        "user 1002 files": 1,
        "user 1002 bytes": 4,
        "group 100 files": 1,
        "group 100 bytes": 4,
        # BOB asked for it.
        "user 1001 files": 1,
        "group 50 files": 1,
    }
    take(tree, news)
    assert charged(tree)["user 1002 bytes"] == 4
    take(tree, mine)
    assert charged(tree) == before


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_nothing_is_left_of_what_was_passed_on_in_whatever_order_it_is_taken(
    tree: Tree, news: Queue, mine: Queue, arrive: Way, order: tuple[int, ...]
) -> None:
    queues = (news, mine, follower_of(tree, b"third", b"mine", b"news"))
    before = charged(tree)
    arrive(tree, news, b"text")
    for index in order:
        assert drain(tree, queues[index]) == [b"text"]
    if arrive is add_by_link:
        place = tree.root.newest
        assert place is not None
        assert isinstance(place.inode, Queue)
        drain(tree, place.inode)
        rmdir(tree, place.name)
    assert charged(tree) == before


def test_messages_of_several_sources_arrive_in_one_order(tree: Tree) -> None:
    a, b = mkdir(tree, b"a"), mkdir(tree, b"b")
    mine = follower_of(tree, b"mine", b"a", b"b")
    for text in (b"1", b"2", b"3", b"4"):
        put(tree, a if text in b"13" else b, text)
    assert contents(mine) == [b"1", b"2", b"3", b"4"]
    assert names(mine) == sorted(names(mine))


@pytest.mark.parametrize("length", [2, 10, 2_000])
def test_a_message_goes_through_a_chain(tree: Tree, length: int) -> None:
    first = mkdir(tree, b"0")
    for number in range(1, length):
        follower_of(tree, b"%d" % number, b"%d" % (number - 1))
    put(tree, first, b"text")
    create(tree, first, b"name")
    assert {len(queue) for _, queue in tree.root.after(0)} == {2}
    last = tree.root.newest
    assert last is not None
    assert isinstance(last.inode, Queue)
    assert contents(last.inode) == [b"text", b""]
    assert {message.links for _, message in last.inode.after(0)} == {length}


def test_a_message_that_comes_on_two_ways_arrives_once(tree: Tree, arrive: Way) -> None:
    source = mkdir(tree, b"source")
    follower_of(tree, b"left", b"source")
    follower_of(tree, b"right", b"source")
    both = follower_of(tree, b"both", b"left", b"right", b"source")
    arrive(tree, source, b"text")
    assert contents(both) == [b"text"]
    assert len(source) == len(both) == 1


def test_a_message_that_is_linked_from_a_source_to_another_arrives_twice(tree: Tree) -> None:
    a, b = mkdir(tree, b"a"), mkdir(tree, b"b")
    mine = follower_of(tree, b"mine", b"a", b"b")
    link(tree, create(tree, a, b"name"), b, b"other name")
    assert names(mine) == [b"name", b"other name"]


def test_a_name_that_is_taken_in_the_follower_is_another_there(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    theirs = create(tree, mine, b"name")
    message = create(tree, news, b"name")
    assert names(news) == [b"name"]
    first, second = names(mine)
    assert first == b"name"
    assert message_at(tree, mine, first) is theirs
    assert message_at(tree, mine, second) is message
    unlink(tree, mine, b"name")
    create(tree, news, b"next")
    assert names(mine) == [second, b"next"]


def test_a_name_that_was_taken_and_is_free_again_may_arrive_again(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    messages = []
    for _ in range(3):
        messages.append(create(tree, news, b"name"))
        unlink(tree, news, b"name")
    assert [message for _, message in mine.after(0)] == messages
    seen = names(mine)
    assert seen[0] == b"name"
    assert seen[1:] == sorted(set(seen[1:]))
    assert [message.links for message in messages] == [1, 1, 1]


def test_a_link_within_a_source_arrives_with_its_own_name(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    message = create(tree, news, b"one")
    link(tree, message, news, b"two")
    assert names(mine) == [b"one", b"two"]
    assert message.links == 4


def test_a_link_into_the_source_of_what_the_follower_has_is_there_twice(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    message = create(tree, mine, b"name")
    link(tree, message, news, b"name")
    assert [found for _, found in mine.after(0)] == [message, message]
    assert message.links == 3
    assert len(set(names(mine))) == 2


def test_the_name_of_a_message_from_a_port_that_the_follower_has_taken_is_another_there(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    put(tree, news)
    first = news.first
    assert first is not None
    future = b"%016x" % (first.sequence + 2)
    create(tree, mine, future)
    put(tree, news, b"text")
    assert names(mine)[1:] == [future, future + b"+"]
    assert names(news)[1:] == [future]
    assert [message.links for _, message in news.after(0)] == [2, 2]


def test_the_name_of_a_file_may_be_that_of_a_message_nobody_has_looked_at_in_the_follower(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    put(tree, mine, b"theirs")
    first = mine.first
    assert first is not None
    name = b"%016x" % first.sequence
    message = create(tree, news, name)
    assert content(message_at(tree, mine, name)) == b"theirs"
    assert [inode for _, inode in mine.after(0)][1] is message
    assert len(set(names(mine))) == 2


def test_arrivals_move_the_times_of_the_follower(tree: Tree, news: Queue, mine: Queue) -> None:
    put(tree, news, now_ns=NOW + 5)
    assert times(mine) == (THEN, NOW + 5, NOW + 5)


def test_arrivals_wake_those_who_wait_at_a_follower(
    tree: Tree, news: Queue, mine: Queue, arrive: Way
) -> None:
    class Sleeper:
        woken = 0

        def wake(self) -> None:
            self.woken += 1

    sleeper = Sleeper()
    mine.waiters.add(sleeper)
    arrive(tree, news, b"text")
    assert sleeper.woken == 1


def test_of_followers_that_were_shown_the_mount_is_told(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    put(tree, news)
    assert tree.changes == []
    mine.shown = True
    put(tree, news)
    assert tree.changes == [(mine, b"", None)]


# Limits of a follower


#: What lets two messages into BOB's queue and no more.
BOBS_LIMITS = {
    "user max_files": Settings(users={BOB: Limits(max_files=2)}),
    "group max_files": Settings(groups={STAFF: Limits(max_files=2)}),
    "user max_files_per_dir": Settings(users={BOB: Limits(max_files_per_dir=2)}),
    "group max_files_per_dir": Settings(groups={STAFF: Limits(max_files_per_dir=2)}),
}


@pytest.mark.parametrize("limit", BOBS_LIMITS)
def test_a_follower_at_its_limit_misses_the_message_and_counts_it(
    tree: Tree, news: Queue, mine: Queue, arrive: Way, limit: str
) -> None:
    other = follower_of(tree, b"other", b"news")
    tree.ledger.change(BOBS_LIMITS[limit])
    for number in range(5):
        arrive(tree, news, b"%d" % number)
    assert contents(mine) == [b"0", b"1"]
    assert contents(news) == contents(other) == [b"0", b"1", b"2", b"3", b"4"]
    assert attributes.get(tree, mine, DROPPED) == b"3"
    assert attributes.get(tree, news, DROPPED) == attributes.get(tree, other, DROPPED) == b"0"
    take(tree, mine)
    arrive(tree, news, b"5")
    assert contents(mine) == [b"1", b"5"]
    assert attributes.get(tree, mine, DROPPED) == b"3"


@pytest.mark.parametrize("limit", BOBS_LIMITS)
def test_a_missed_message_is_not_charged_to_the_follower(
    tree: Tree, news: Queue, mine: Queue, arrive: Way, limit: str
) -> None:
    tree.ledger.change(BOBS_LIMITS[limit])
    put_lines(tree, mine, b"1", b"2", by=user(tree, BOB, STAFF))
    before = charged(tree)
    arrive(tree, news, b"text")
    for what in ("user 1001 files", "group 50 files", "user 1001 bytes", "group 50 bytes"):
        assert charged(tree)[what] == before[what]


def test_a_follower_misses_what_the_mount_has_no_inode_for(
    tree: Tree, news: Queue, mine: Queue, arrive: Way
) -> None:
    # A link takes an inode, and the queue that it is made from.
    tree.ledger.change(Settings(nr_inodes=tree.ledger.inodes + (3 if arrive is add_by_link else 1)))
    arrive(tree, news, b"text")
    assert (len(news), len(mine), mine.dropped) == (1, 0, 1)
    assert tree.ledger.inodes == tree.ledger.settings.nr_inodes


def test_a_batch_reaches_followers_as_far_as_the_source_and_they_have_room(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    tree.ledger.change(
        Settings(users={BOB: Limits(max_files=2), ALICE: Limits(max_files_per_dir=3)})
    )
    assert put_lines(tree, news, b"1", b"2", b"3", b"4") == 3
    assert contents(mine) == [b"1", b"2"]
    assert mine.dropped == 1


def test_what_the_source_refuses_is_not_passed_on(
    tree: Tree, news: Queue, mine: Queue, arrive: Way
) -> None:
    tree.ledger.change(Settings(users={ALICE: Limits(max_files_per_dir=0)}))
    if arrive is add_by_link:
        create(tree, mine, b"name", uid=BOB, gid=STAFF)
        with pytest.raises(LimitReached):
            link(tree, message_at(tree, mine, b"name"), news, b"other")
        unlink(tree, mine, b"name")
    else:
        with pytest.raises(LimitReached):
            arrive(tree, news, b"text")
    assert (len(mine), mine.dropped) == (0, 0)


def test_what_a_follower_misses_its_own_followers_miss_uncounted(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    last = follower_of(tree, b"last", b"mine")
    tree.ledger.change(BOBS_LIMITS["user max_files"])
    put_lines(tree, news, b"1", b"2", b"3")
    assert contents(last) == contents(mine) == [b"1", b"2"]
    assert (mine.dropped, last.dropped) == (1, 0)


def test_what_one_way_misses_arrives_on_another(tree: Tree, news: Queue, mine: Queue) -> None:
    last = follower_of(tree, b"last", b"mine", b"news")
    tree.ledger.change(BOBS_LIMITS["user max_files"])
    put_lines(tree, news, b"1", b"2", b"3")
    assert (contents(last), len(mine)) == ([b"1", b"2", b"3"], 2)


def test_a_message_with_a_list_that_is_refused_is_in_no_follower(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    default = extended_list(0o660, 0o6)
    attributes.put(tree, news, acl.DEFAULT, default, NOW)
    put(tree, news, b"text")
    assert [message.links for _, message in mine.after(0)] == [2]
    assert attributes.get(tree, message_at(tree, mine, names(mine)[0]), acl.ACCESS) == default
    tree.ledger.change(Settings(users={ALICE: Limits(max_bytes=charged(tree)["user 1000 bytes"])}))
    with pytest.raises(LimitReached):
        put(tree, news, b"more")
    assert (contents(mine), contents(news)) == ([b"text"], [b"text"])


# Topics


def test_a_topic_keeps_nothing_and_its_followers_do(
    tree: Tree, topic: Queue, mine: Queue, arrive: Way
) -> None:
    for text in (b"1", b"2"):
        arrive(tree, topic, text)
    assert len(topic) == 0
    assert contents(mine) == [b"1", b"2"]
    assert {message.links for _, message in mine.after(0)} == {1 + (arrive is add_by_link)}
    assert drain(tree, topic) == []


def test_what_is_passed_on_by_a_topic_leaves_nothing_once_it_is_taken(
    tree: Tree, topic: Queue, mine: Queue
) -> None:
    before, inodes = charged(tree), dict(tree.inodes)
    for way in (add_by_create, add_by_put, add_by_put_lines):
        way(tree, topic, b"text")
    assert len(mine) == 3
    assert {message.links for _, message in mine.after(0)} == {1}
    drain(tree, mine)
    assert charged(tree) == before
    assert tree.inodes == inodes


@pytest.mark.parametrize("way", [add_by_create, add_by_put, add_by_put_lines])
def test_a_topic_without_followers_forgets_what_arrives(tree: Tree, topic: Queue, way: Way) -> None:
    before, inodes = charged(tree), dict(tree.inodes)
    way(tree, topic, b"text")
    assert len(topic) == 0
    assert charged(tree) == before
    assert tree.inodes == inodes


def test_a_topic_forgets_what_no_follower_has_room_for(
    tree: Tree, topic: Queue, mine: Queue
) -> None:
    tree.ledger.change(Settings(users={BOB: Limits(max_files=0)}))
    before, inodes = charged(tree), dict(tree.inodes)
    for way in (add_by_create, add_by_put, add_by_put_lines):
        way(tree, topic, b"text")
    assert mine.dropped == 3
    assert charged(tree) == before
    assert tree.inodes == inodes


@pytest.mark.parametrize("followed", [False, True])
def test_the_open_handle_of_who_created_a_message_in_a_topic_works(
    tree: Tree, topic: Queue, *, followed: bool
) -> None:
    mine = follower_of(tree, b"mine", b"news") if followed else None
    before = charged(tree)
    message = create(tree, topic)
    tree.open(message)
    tree.write(message, 0, b"text", NOW)
    assert content(message) == b"text"
    assert message.links == followed
    assert charged(tree)["user 1000 bytes"] == before.get("user 1000 bytes", 0) + 4
    tree.close(message)
    if mine is not None:
        assert drain(tree, mine) == [b"text"]
    assert charged(tree) == before
    assert message.ino not in tree.inodes


def test_a_message_put_into_a_topic_with_a_default_list_leaves_nothing(
    tree: Tree, topic: Queue
) -> None:
    default = extended_list(0o660, 0o6)
    attributes.put(tree, topic, acl.DEFAULT, default, NOW)
    before, inodes = charged(tree), dict(tree.inodes)
    put(tree, topic, b"text")
    put_lines(tree, topic, b"text", b"more")
    assert charged(tree) == before
    assert tree.inodes == inodes


def test_a_name_in_a_topic_is_never_taken(tree: Tree, topic: Queue, mine: Queue) -> None:
    create(tree, topic, b"name")
    create(tree, topic, b"name")
    assert names(mine)[0] == b"name"
    assert len(set(names(mine))) == 2


def test_names_in_a_topic_are_not_charged_and_have_no_limit(tree: Tree, topic: Queue) -> None:
    tree.ledger.change(Settings(users={ALICE: Limits(max_files=0, max_files_per_dir=0)}))
    assert has_room(tree, topic)
    for way in (add_by_create, add_by_put, add_by_put_lines):
        way(tree, topic, b"text")


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        (Settings(users={ALICE: Limits(max_bytes=3)}), LimitReached),
        (Settings(size_bytes=3), MountFull),
    ],
)
def test_what_is_too_large_for_who_writes_is_not_passed_on_by_a_topic(
    tree: Tree, other_queue: Queue, settings: Settings, refusal: type[Refused]
) -> None:
    del other_queue
    topic = mkdir(tree, b"topic")
    attributes.put(tree, topic, KEEP, b"no", NOW)
    mine = follower_of(tree, b"mine", b"topic")
    stored = tree.ledger.stored_bytes
    tree.ledger.change(
        Settings(
            users={
                uid: replace(limits, max_bytes=stored + limits.max_bytes)
                for uid, limits in settings.users.items()
            },
            size_bytes=settings.size_bytes + stored,
        )
    )
    before = charged(tree)
    for way in (put, add_by_put_lines):
        with pytest.raises(refusal):
            way(tree, topic, b"text")
    assert (len(mine), mine.dropped) == (0, 0)
    assert charged(tree) == before
    put(tree, topic, b"txt")
    assert contents(mine) == [b"txt"]


@pytest.mark.parametrize(("value", "kept"), [(b"no", 0), (b"yes", 1), (b"", 1), (b"NO", 1)])
def test_only_no_makes_a_topic(tree: Tree, queue: Queue, value: bytes, kept: int) -> None:
    attributes.put(tree, queue, KEEP, value, NOW)
    put(tree, queue)
    assert len(queue) == kept


def test_a_queue_that_becomes_a_topic_still_has_what_it_had(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    put(tree, news, b"kept")
    attributes.put(tree, news, KEEP, b"no", NOW)
    put(tree, news, b"passed on")
    attributes.remove(tree, news, KEEP, NOW)
    put(tree, news, b"kept too")
    assert drain(tree, news) == [b"kept", b"kept too"]
    assert drain(tree, mine) == [b"kept", b"passed on", b"kept too"]


def test_a_topic_that_follows_a_topic_passes_on(tree: Tree, topic: Queue, arrive: Way) -> None:
    middle = follower_of(tree, b"middle", b"news")
    attributes.put(tree, middle, KEEP, b"no", NOW)
    last = follower_of(tree, b"last", b"middle")
    arrive(tree, topic, b"text")
    assert (len(topic), len(middle), middle.dropped) == (0, 0, 0)
    assert contents(last) == [b"text"]


def test_a_link_to_what_a_topic_has_passed_on_arrives_again(
    tree: Tree, topic: Queue, mine: Queue
) -> None:
    put(tree, topic, b"text")
    message = message_at(tree, mine, names(mine)[0])
    link(tree, message, topic, b"name")
    assert [found for _, found in mine.after(0)] == [message, message]
    assert message.links == 2
    with pytest.raises(AlreadyExists):
        link(tree, message, mine, b"name")


# Vanishing


def test_a_source_that_vanished_leaves_what_it_has_passed_on(
    tree: Tree, news: Queue, mine: Queue, arrive: Way
) -> None:
    arrive(tree, news, b"text")
    tree.owner_died(SOURCES_OWNER, NOW)
    assert contents(mine) == [b"text"]
    assert mine.sources == news.followers == []


def test_the_attribute_names_the_sources_that_are_left(tree: Tree) -> None:
    for number, name in enumerate((b"a", b"b", b"c")):
        mkdir(tree, name, owner=Owner(20 + number))
    before = charged(tree)
    mine = follower_of(tree, b"mine", b"a", b"b", b"c")
    for number, value in ((1, b"a/c"), (0, b"c"), (2, b"")):
        tree.owner_died(Owner(20 + number), NOW)
        assert attributes.get(tree, mine, FOLLOW) == value
    attributes.remove(tree, mine, FOLLOW, NOW)
    rmdir(tree, b"mine")
    assert charged(tree) == {"inodes": before["inodes"] - 3}


@pytest.mark.parametrize("as_topic", [False, True])
def test_a_source_that_comes_back_is_another_queue_and_not_followed(
    tree: Tree, news: Queue, mine: Queue, *, as_topic: bool
) -> None:
    if as_topic:
        attributes.put(tree, news, KEEP, b"no", NOW)
    tree.owner_died(SOURCES_OWNER, NOW)
    again = mkdir(tree, b"news")
    put(tree, again)
    assert len(mine) == 0
    assert attributes.get(tree, again, FOLLOWERS) == attributes.get(tree, mine, FOLLOW) == b""
    follow(tree, mine, b"news")
    put(tree, again, b"text")
    assert contents(mine) == [b"text"]


def test_a_follower_that_vanished_is_named_no_more_and_takes_its_messages_along(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    other = follower_of(tree, b"other", b"news", b"mine")
    put_lines(tree, news, b"1", b"2")
    tree.owner_died(FOLLOWERS_OWNER, NOW)
    assert attributes.get(tree, news, FOLLOWERS) == b"other"
    assert attributes.get(tree, other, FOLLOW) == b"news"
    assert mine.followers == mine.sources == []
    put(tree, news, b"3")
    assert (len(mine), contents(other)) == (0, [b"1", b"2", b"3"])
    assert {message.links for _, message in other.after(0)} == {2}


def test_a_follower_that_comes_back_follows_nobody(tree: Tree, news: Queue, mine: Queue) -> None:
    del mine
    tree.owner_died(FOLLOWERS_OWNER, NOW)
    again = mkdir(tree, b"mine")
    put(tree, news)
    assert len(again) == 0
    assert again.xattrs is None


def test_source_and_follower_may_vanish_together(tree: Tree, other_queue: Queue) -> None:
    before = charged(tree)
    mkdir(tree, b"a", owner=SOURCES_OWNER)
    for name, source in ((b"b", b"a"), (b"c", b"b"), (b"d", b"c")):
        follow(tree, mkdir(tree, name, owner=SOURCES_OWNER), source, b"other")
    put_lines(tree, other_queue, b"1", b"2")
    tree.owner_died(SOURCES_OWNER, NOW)
    assert other_queue.followers == []
    assert drain(tree, other_queue) == [b"1", b"2"]
    assert charged(tree) == before


def test_a_follower_that_is_removed_while_held_frees_all_when_it_is_let_go(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    mine.holds += 1
    rmdir(tree, b"mine")
    put(tree, news)
    take(tree, news)
    assert len(mine) == 0
    attributes.remove(tree, mine, FOLLOW, NOW)
    tree.unhold(mine)
    rmdir(tree, b"news")
    assert charged(tree) == {"inodes": 1}


def test_a_vanished_source_that_is_held_is_followed_by_nobody(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    news.holds += 1
    tree.owner_died(SOURCES_OWNER, NOW)
    assert news.followers == []
    follow(tree, mine, b"")
    with pytest.raises(NotFound):
        follow(tree, mine, b"news")
    tree.unhold(news)


def test_a_sticky_source_goes_on_without_its_owner(tree: Tree, news: Queue, mine: Queue) -> None:
    attributes.put(tree, news, STICKY, b"", NOW)
    tree.owner_died(SOURCES_OWNER, NOW)
    put(tree, news, b"text")
    assert contents(mine) == [b"text"]
    vanished = attributes.remove(tree, news, STICKY, NOW)
    assert vanished is not None
    assert attributes.get(tree, mine, FOLLOW) == b""


def test_the_ends_of_a_follower_lead_to_what_arrived(tree: Tree, news: Queue, mine: Queue) -> None:
    put_lines(tree, news, b"1", b"2", b"3")
    for name, text in ((HEAD, b"1"), (TAIL, b"3")):
        message = unlink(tree, mine, name, uid=BOB)
        assert content(message) == text
    assert contents(mine) == [b"2"]
    assert len(news) == 3


def test_what_was_looked_at_in_the_source_only_is_taken_from_the_follower_as_unseen(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    put_lines(tree, news, b"1", b"2")
    assert len(names(news)) == 2
    taken = ports.take(tree, mine, 100, user(tree), NOW)
    assert taken is not None
    assert (taken.content, taken.name, taken.message) == (b"1", b"", None)
    assert ports.take_lines(tree, mine, 100, user(tree), NOW) == (b"2\n", [])
    assert [message.links for _, message in news.after(0)] == [1, 1]


def test_messages_that_are_passed_on_have_no_inode_until_somebody_looks(
    tree: Tree, news: Queue, mine: Queue
) -> None:
    before = dict(tree.inodes)
    put(tree, news)
    put_lines(tree, news, b"1", b"2")
    assert tree.inodes == before
    (first, *_), (same, *_) = list(news.arrivals()), list(mine.arrivals())
    assert isinstance(first.inode, Packet)
    assert first.inode is same.inode
