"""Who is charged, and until when."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EDQUOT
from functools import partial
from pathlib import Path

import pytest

from tests.limits.conftest import Limited
from tests.limits.users import FREE, LIMITS, User, as_root, being, short_of
from tests.limits.ways_in import ACL, ATTRIBUTE, append, fill, refused_unchanged
from tests.mount.calls import refused
from tests.mount.making import messages
from tests.mount.processes import Fork, in_child
from tests.mounts import wait_until

MAX_FILES = LIMITS["max_files"]
MAX_BYTES = LIMITS["max_bytes"]

#: Somebody without limits, who fills a file with all that `fill` tries.
OTHER = User(FREE, FREE)
UNLIMITED = 4_095


def do(user: User, function: Callable[[], object], groups: tuple[int, ...] = ()) -> None:
    """Call a function as somebody else, in a process that is gone then."""
    in_child(being(user, function, groups))


def make(queue: Path, count: int) -> None:
    """Make so many messages, with names never used before."""
    for number in range(count):
        (queue / f"{os.getpid()}-{number}").touch()


def make_all(queue: Path, count: int) -> None:
    """Make so many messages, and see that no more may be made."""
    make(queue, count)
    with refused(EDQUOT):
        (queue / "more").touch()


def write(queue: Path) -> Path:
    """Write as much as one may; return the message."""
    assert fill(queue / "message") == MAX_BYTES
    return queue / "message"


def check_room(queue: Path, size: int) -> None:
    """Check that so many bytes may be written."""
    path = queue / f"room-{os.getpid()}"
    assert fill(path) == size
    path.unlink()


def wait_for_room(queue: Path) -> None:
    """Wait until the kernel has said that something was closed or forgotten."""
    wait_until(lambda: fill(queue / "room") == MAX_BYTES, "room for bytes")


@pytest.fixture
def queue(root: Path) -> Iterator[Path]:
    """A queue in which everybody may do anything."""
    path = root / "queue"
    path.mkdir()
    path.chmod(0o777)
    yield path
    with suppress(FileNotFoundError):
        for name in messages(path):
            (path / name).unlink()
        path.rmdir()


@pytest.fixture(params=["user", "group"])
def files_user(request: pytest.FixtureRequest) -> User:
    """Who is short of names, as a user or as a member of a group."""
    return short_of("max_files", request.param)


@pytest.fixture(params=["user", "group"])
def bytes_user(request: pytest.FixtureRequest) -> User:
    """Who is short of bytes, as a user or as a member of a group."""
    return short_of("max_bytes", request.param)


# Names


def test_nobody_can_use_up_anothers_files_by_linking(queue: Path, files_user: User) -> None:
    do(files_user, (queue / "source").touch)
    for number in range(10):
        os.link(queue / "source", queue / f"link-{number}")
    do(files_user, partial(make_all, queue, MAX_FILES - 1))


def test_a_link_is_charged_to_its_maker(queue: Path, files_user: User) -> None:
    def link() -> None:
        for number in range(MAX_FILES):
            os.link(queue / "source", queue / f"link-{number}")
        with refused(EDQUOT):
            os.link(queue / "source", queue / "more")

    (queue / "source").touch()
    (queue / "source").chmod(0o666)  # else only its owner may link it (protected_hardlinks)
    do(files_user, link)


@pytest.mark.parametrize("end", ["head", "tail"])
def test_a_name_that_somebody_else_pops_is_given_back(
    queue: Path, files_user: User, end: str
) -> None:
    do(files_user, partial(make_all, queue, MAX_FILES))
    (queue / end).unlink()
    do(files_user, partial(make_all, queue, 1))


def test_a_name_stays_its_makers_when_the_message_changes_hands(
    queue: Path, files_user: User
) -> None:
    do(files_user, partial(make_all, queue, MAX_FILES))
    for name in messages(queue):
        os.chown(queue / name, *OTHER)
    do(files_user, partial(make_all, queue, 0))
    (queue / "head").unlink()
    do(files_user, partial(make_all, queue, 1))


@pytest.mark.parametrize("kind", ["user", "group"])
def test_max_files_per_dir_is_that_of_the_queues_owner(queue: Path, kind: str) -> None:
    limited = short_of("max_files_per_dir", kind)
    do(limited, partial(make, queue, 10))
    for name in messages(queue):
        (queue / name).unlink()
    os.chown(queue, *limited)
    do(OTHER, partial(make_all, queue, LIMITS["max_files_per_dir"]))


# Groups


def test_a_groups_limit_is_shared_by_its_members(queue: Path) -> None:
    group = short_of("max_bytes", "group").gid
    do(User(30_001, group), partial(append, queue / "message", 1_500))
    do(User(30_002, group), partial(check_room, queue, MAX_BYTES - 1_500))


def test_supplementary_groups_pay_nothing(queue: Path) -> None:
    groups = short_of("max_bytes", "group").gid, short_of("max_files", "group").gid
    do(OTHER, partial(make, queue, MAX_FILES + 1), groups)
    do(OTHER, partial(check_room, queue, UNLIMITED), groups)


def test_bytes_in_a_setgid_queue_are_charged_to_its_group(queue: Path) -> None:
    os.chown(queue, 0, short_of("max_bytes", "group").gid)
    queue.chmod(0o2777)
    do(OTHER, partial(check_room, queue, MAX_BYTES))


def test_names_in_a_setgid_queue_are_charged_to_their_makers_group(queue: Path) -> None:
    member = short_of("max_files", "group")
    os.chown(queue, 0, member.gid)
    queue.chmod(0o2777)
    do(OTHER, partial(make, queue, MAX_FILES + 1))
    os.chown(queue, 0, FREE)
    do(member, partial(make_all, queue, MAX_FILES))


# Bytes


def test_bytes_are_charged_until_the_last_name_is_gone(queue: Path, bytes_user: User) -> None:
    do(bytes_user, partial(write, queue))
    os.link(queue / "message", queue / "link")
    (queue / "message").unlink()
    do(bytes_user, partial(check_room, queue, 0))
    (queue / "link").unlink()
    do(bytes_user, partial(check_room, queue, MAX_BYTES))


def test_what_is_unlinked_but_open_is_charged(queue: Path, bytes_user: User) -> None:
    do(bytes_user, partial(write, queue))
    with (queue / "message").open():
        (queue / "message").unlink()
        do(bytes_user, partial(check_room, queue, 0))
    do(bytes_user, partial(wait_for_room, queue))


def test_what_has_vanished_but_is_open_is_charged(
    root: Path, queue: Path, bytes_user: User, fork: Fork
) -> None:
    fated = root / "fated"

    def own() -> None:
        fated.mkdir()
        write(fated)

    owner = fork(being(bytes_user, own))
    with (fated / "message").open():
        owner.end()
        do(bytes_user, partial(check_room, queue, 0))
    do(bytes_user, partial(wait_for_room, queue))


def test_what_is_given_to_somebody_else_is_charged_no_more(queue: Path, bytes_user: User) -> None:
    do(bytes_user, partial(write, queue))
    os.chown(queue / "message", *OTHER)
    do(bytes_user, partial(check_room, queue, MAX_BYTES))


def test_overwriting_is_free(queue: Path, bytes_user: User) -> None:
    def overwrite() -> None:
        with write(queue).open("r+b") as message:
            message.write(b"x" * MAX_BYTES)

    do(bytes_user, overwrite)
    assert (queue / "message").read_bytes() == b"x" * MAX_BYTES


def test_what_is_kept_in_memory_without_a_name_counts_beyond_max_bytes(
    queue: Path, bytes_user: User
) -> None:
    def keep() -> None:
        kept = []
        for _ in range(2):
            message = write(queue)
            kept.append(os.open(message, os.O_PATH))
            message.unlink()
        assert fill(queue / "room") == 0
        os.close(kept[0])
        wait_for_room(queue)

    do(bytes_user, keep)


def test_attributes_of_a_vanished_queue_that_is_open_are_limited(
    root: Path, bytes_user: User
) -> None:
    def set_attributes() -> None:
        fated = root / "fated"
        fated.mkdir()
        fd = os.open(fated, os.O_RDONLY)
        fated.rmdir()
        length = MAX_BYTES - ATTRIBUTE - len("user.a")
        with refused(EDQUOT):
            os.setxattr(fd, "user.a", bytes(length + 1))
        os.setxattr(fd, "user.a", bytes(length))
        with refused(EDQUOT):
            os.setxattr(fd, "user.b", b"")

    do(bytes_user, set_attributes)


def test_an_inherited_access_control_list_is_charged(queue: Path, bytes_user: User) -> None:
    def inherit() -> None:
        ballast = write(queue)
        with as_root():
            os.setxattr(queue, "system.posix_acl_default", ACL)
        cost = len("system.posix_acl_access") + len(ACL) + ATTRIBUTE
        os.truncate(ballast, MAX_BYTES - cost + 1)
        refused_unchanged((queue / "new").touch, EDQUOT, queue)
        os.truncate(ballast, MAX_BYTES - cost)
        (queue / "new").touch()
        assert fill(ballast) == MAX_BYTES - cost

    do(bytes_user, inherit)


# Whose limits


def test_root_is_limited_too_where_a_file_says_so(limited: Limited) -> None:
    queue = limited({}, {"user = 0": {"max_files": 2, "max_bytes": MAX_BYTES}}).path / "queue"
    queue.mkdir()
    write(queue)
    make_all(queue, 1)


def test_whoever_has_no_file_has_the_default_limits_for_themselves(limited: Limited) -> None:
    path = limited({"default_max_files": 2}, {}).path
    queue = path / "queue"
    queue.mkdir()
    queue.chmod(0o777)
    for number in (30_001, 30_002):
        do(User(number, number), partial(make_all, queue, 2))
