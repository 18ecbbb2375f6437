"""`head` and `tail` as each user sees them in a queue with S_ISVTX."""

import os
from collections.abc import Iterator
from errno import EPERM
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.processes import ALICE, BOB, CAROL, Forked, in_child
from tests.mounts import wait_until


@pytest.fixture(params=["0", "1"])
def protected_symlinks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both settings of fs.protected_symlinks, whatever it is here."""
    setting = Path("/proc/sys/fs/protected_symlinks")
    before = setting.read_text()
    try:
        setting.write_text(request.param)
    except OSError as error:
        pytest.fail(f"these tests need the right to change {setting}: {error}")
    yield
    setting.write_text(before)


@pytest.fixture
def sticky_queue(queue: Path) -> Path:
    """A queue of ALICE's with mode 1777, in which the oldest message is BOB's."""
    os.chown(queue, ALICE, ALICE)
    queue.chmod(0o1777)
    in_child(lambda: (queue / "bobs").write_text("text"), BOB)
    return queue


users = pytest.mark.parametrize("user", [ALICE, BOB, CAROL, 0], ids=["alice", "bob", "carol", "0"])


@pytest.mark.usefixtures("protected_symlinks")
@users
def test_everybody_may_follow_head_in_a_queue_with_s_isvtx(sticky_queue: Path, user: int) -> None:
    (sticky_queue / "head").lstat()  # the kernel knows another user's
    assert in_child((sticky_queue / "head").read_text, user) == "text"


@pytest.mark.usefixtures("protected_symlinks")
def test_users_who_look_in_turns_all_see_head(sticky_queue: Path) -> None:
    def look() -> tuple[str, int]:
        for _ in range(100):
            owner = (sticky_queue / "head").lstat().st_uid
            assert owner == os.getuid()
            assert (sticky_queue / "head").read_text() == "text"
        return os.readlink(sticky_queue / "tail"), owner

    children = {user: Forked(look, user) for user in (ALICE, BOB, CAROL)}
    try:
        assert {user: child.result() for user, child in children.items()} == {
            user: ("bobs", user) for user in children
        }
    finally:
        for child in children.values():
            child.end()


@pytest.mark.usefixtures("protected_symlinks")
def test_in_a_queue_with_s_isvtx_a_stranger_follows_head_but_cannot_pop(
    sticky_queue: Path,
) -> None:
    def follow_and_pop() -> None:
        assert (sticky_queue / "head").read_text() == "text"
        (sticky_queue / "head").unlink()

    with refused(EPERM):
        in_child(follow_and_pop, CAROL)
    in_child(follow_and_pop, BOB)
    assert os.listdir(sticky_queue) == []


@pytest.mark.usefixtures("protected_symlinks")
@users
def test_everybody_lists_a_queue_with_s_isvtx_alike(sticky_queue: Path, user: int) -> None:
    listed = in_child(lambda: os.listdir(sticky_queue), user)
    assert listed == ["head", "bobs", "tail"]


@pytest.fixture
def plain_queue(queue: Path) -> Path:
    """A queue of ALICE's with mode 0777 and a message of BOB's; its head is in the cache."""
    os.chown(queue, ALICE, ALICE)
    queue.chmod(0o777)
    in_child(lambda: (queue / "bobs").write_text("text"), BOB)
    (queue / "head").lstat()
    (queue / "tail").lstat()
    return queue


def head_owner(queue: Path, user: int) -> int:
    """Return whom `head` belongs to, as *user* sees it."""
    owner: int = in_child(lambda: (queue / "head").lstat().st_uid, user)
    return owner


def assert_soon_owned_by(queue: Path, owner: int) -> None:
    """Wait until BOB sees that `head` belongs to *owner*."""
    wait_until(lambda: head_owner(queue, BOB) == owner, f"head to be user {owner}'s")


@pytest.mark.parametrize("end", ["head", "tail"])
def test_s_isvtx_keeps_a_stranger_from_an_end_that_the_kernel_knew_before(
    plain_queue: Path, end: str
) -> None:
    plain_queue.chmod(0o1777)
    with refused(EPERM):
        in_child((plain_queue / end).unlink, CAROL)
    assert os.listdir(plain_queue) == ["head", "bobs", "tail"]


@pytest.mark.parametrize("end", ["head", "tail"])
def test_s_isvtx_lets_a_messages_owner_take_it_by_an_end_that_the_kernel_knew_before(
    plain_queue: Path, end: str
) -> None:
    plain_queue.chmod(0o1777)
    # The kernel is told only after chmod has returned: it can't be before.
    assert_soon_owned_by(plain_queue, BOB)
    in_child((plain_queue / end).unlink, BOB)
    assert os.listdir(plain_queue) == []


@pytest.mark.parametrize("end", ["head", "tail"])
def test_without_s_isvtx_everybody_may_pop_what_they_saw_with_it(
    sticky_queue: Path, end: str
) -> None:
    for user in (ALICE, BOB, CAROL):
        in_child((sticky_queue / end).lstat, user)
    sticky_queue.chmod(0o777)
    in_child((sticky_queue / end).unlink, CAROL)
    assert os.listdir(sticky_queue) == []


def test_s_isvtx_and_a_new_owner_count_time_and_again(plain_queue: Path) -> None:
    for owner in (ALICE, CAROL) * 5:
        plain_queue.chmod(0o1777)
        assert_soon_owned_by(plain_queue, BOB)
        plain_queue.chmod(0o777)
        os.chown(plain_queue, owner, -1)
        assert_soon_owned_by(plain_queue, owner)


def test_in_a_queue_without_s_isvtx_the_ends_belong_to_the_queues_user(plain_queue: Path) -> None:
    assert in_child(lambda: (plain_queue / "head").lstat().st_uid, BOB) == ALICE
