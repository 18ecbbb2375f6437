"""Modes, owners and times, as POSIX has them."""

from stat import S_IFDIR, S_IFREG

import pytest

from eventfs.queues.inode import Ino, Inode, Mode
from eventfs.queues.ledger import Gid
from tests.queues.making import ALICE, BOB, NOW, STAFF, SUPERUSER, THEN, USERS, chown, payer, times

DAY_NS = 24 * 3600 * 10**9


def make_inode(mode: int = S_IFREG | 0o644) -> Inode:
    return Inode(Ino(7), Mode(mode), payer(ALICE, USERS), THEN)


def test_a_new_inode_has_all_times_alike() -> None:
    assert times(make_inode()) == (THEN, THEN, THEN)


def test_a_new_inode_has_no_names_no_holds_and_no_attributes() -> None:
    inode = make_inode()
    assert (inode.links, inode.holds, inode.xattrs) == (0, 0, None)


# chmod


@pytest.mark.parametrize("kind", [S_IFREG, S_IFDIR])
def test_chmod_sets_all_twelve_permission_bits_and_keeps_the_type(kind: int) -> None:
    inode = make_inode(kind | 0o644)
    inode.chmod(Mode(0o7751), NOW)
    assert inode.mode == kind | 0o7751


def test_chmod_cannot_change_the_type() -> None:
    inode = make_inode()
    inode.chmod(Mode(S_IFDIR | 0o755), NOW)
    assert inode.mode == S_IFREG | 0o755


def test_chmod_moves_only_ctime() -> None:
    inode = make_inode()
    inode.chmod(Mode(0o600), NOW)
    assert times(inode) == (THEN, THEN, NOW)


# chown


def test_chown_changes_owner_and_group() -> None:
    inode = make_inode()
    chown(inode, BOB, STAFF, NOW)
    assert (inode.uid, inode.gid) == (BOB, STAFF)


def test_chown_leaves_what_is_not_given() -> None:
    inode = make_inode()
    chown(inode, BOB, None, NOW)
    assert (inode.uid, inode.gid) == (BOB, USERS)
    chown(inode, None, STAFF, NOW)
    assert (inode.uid, inode.gid) == (BOB, STAFF)


def test_chown_moves_only_ctime() -> None:
    inode = make_inode()
    chown(inode, BOB, None, NOW)
    assert times(inode) == (THEN, THEN, NOW)


def test_chown_to_the_superuser_is_a_change_like_any_other() -> None:
    inode = make_inode()
    chown(inode, SUPERUSER, Gid(0), NOW)
    assert (inode.uid, inode.gid) == (0, 0)


def test_chown_takes_the_set_id_bits_from_an_executable_file() -> None:
    inode = make_inode(S_IFREG | 0o6755)
    chown(inode, BOB, None, NOW)
    assert inode.mode == S_IFREG | 0o755


def test_chown_keeps_the_mark_of_mandatory_locking() -> None:
    inode = make_inode(S_IFREG | 0o6745)
    chown(inode, BOB, None, NOW)
    assert inode.mode == S_IFREG | 0o2745


def test_chown_keeps_the_set_id_bits_of_a_directory() -> None:
    inode = make_inode(S_IFDIR | 0o6755)
    chown(inode, BOB, STAFF, NOW)
    assert inode.mode == S_IFDIR | 0o6755


# utimensat


def test_set_times_sets_both() -> None:
    inode = make_inode()
    inode.set_times(1, 2, NOW)
    assert times(inode) == (1, 2, NOW)


def test_set_times_leaves_what_is_not_given() -> None:
    inode = make_inode()
    inode.set_times(None, 2, NOW)
    assert times(inode) == (THEN, 2, NOW)
    inode.set_times(1, None, NOW + 1)
    assert times(inode) == (1, 2, NOW + 1)


def test_a_file_can_be_dated_to_the_epoch() -> None:
    inode = make_inode()
    inode.set_times(0, 0, NOW)
    assert times(inode) == (0, 0, NOW)


# relatime


def test_the_first_read_moves_atime_and_nothing_else() -> None:
    inode = make_inode()
    inode.touch_read(NOW)
    assert times(inode) == (NOW, THEN, THEN)


def test_a_second_read_does_not_move_atime() -> None:
    inode = make_inode()
    inode.touch_read(NOW)
    inode.touch_read(NOW + 1)
    assert inode.atime_ns == NOW


def test_a_read_after_a_change_moves_atime() -> None:
    inode = make_inode()
    inode.touch_read(NOW)
    inode.chmod(Mode(0o600), NOW + 1)
    inode.touch_read(NOW + 2)
    assert inode.atime_ns == NOW + 2


def test_a_read_after_a_write_moves_atime() -> None:
    inode = make_inode()
    inode.touch_read(NOW)
    inode.mtime_ns = NOW + 1
    inode.touch_read(NOW + 2)
    assert inode.atime_ns == NOW + 2


@pytest.mark.parametrize(("late_ns", "moves"), [(-1, False), (0, True)])
def test_a_read_a_day_after_the_last_one_moves_atime(late_ns: int, *, moves: bool) -> None:
    inode = make_inode()
    inode.touch_read(NOW)
    inode.touch_read(NOW + DAY_NS + late_ns)
    assert (inode.atime_ns > NOW) == moves
