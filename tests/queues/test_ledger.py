"""Who may have how much, and who has how much."""

import pytest

from eventfs.queues.errors import LimitReached, MountFull
from eventfs.queues.ledger import Account, Gid, Ledger, Limits, Payer, Settings, Uid
from tests.queues.making import ALICE, BOB, STAFF, USERS

LIMITED = Limits(max_dirs=2, max_files=3, max_files_per_dir=4, max_bytes=5)

#: The same limits for everybody, for one user, for one group.
SETTINGS = {
    "default": Settings(default=LIMITED),
    "user": Settings(users={ALICE: LIMITED}),
    "group": Settings(groups={USERS: LIMITED}),
}


@pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
def payer(request: pytest.FixtureRequest) -> Payer:
    """ALICE with her group, limited one way or another."""
    settings: Settings = request.param
    return Ledger(settings).payer(ALICE, USERS)


def spent(account: Account) -> tuple[int, int, int]:
    return account.dirs, account.files, account.bytes


# Payers


def test_a_payer_is_always_the_same_for_a_user_and_a_group() -> None:
    ledger = Ledger(Settings())
    assert ledger.payer(ALICE, USERS) is ledger.payer(ALICE, USERS)
    assert (ledger.payer(ALICE, USERS).uid, ledger.payer(ALICE, USERS).gid) == (ALICE, USERS)


def test_a_user_has_one_account_in_all_groups_and_a_group_one_for_all_users() -> None:
    ledger = Ledger(Settings())
    ledger.payer(ALICE, USERS).pay_bytes(1)
    ledger.payer(ALICE, STAFF).pay_bytes(2)
    ledger.payer(BOB, STAFF).pay_bytes(4)
    assert ledger.payer(ALICE, USERS).user.bytes == 3
    assert ledger.payer(BOB, USERS).user.bytes == 4
    assert ledger.payer(BOB, USERS).group.bytes == 1
    assert ledger.payer(BOB, STAFF).group.bytes == 6


def test_a_user_and_a_group_of_the_same_number_are_two() -> None:
    ledger = Ledger(Settings())
    ledger.payer(Uid(7), Gid(8)).pay_file()
    assert spent(ledger.payer(Uid(8), Gid(7)).user) == (0, 0, 0)
    assert spent(ledger.payer(Uid(8), Gid(7)).group) == (0, 0, 0)


def test_without_settings_nobody_is_limited() -> None:
    ledger = Ledger(Settings())
    for _ in range(3):
        ledger.payer(ALICE, USERS).pay_bytes(2**63)
    ledger.check_stored(2**60)
    ledger.check_inode()
    assert ledger.payer(ALICE, USERS).max_files_per_dir > 2**60


def test_limits_of_a_user_or_a_group_replace_the_default() -> None:
    default = Limits(max_bytes=10)
    more, less = Limits(max_bytes=20), Limits(max_bytes=5)
    settings = Settings(default, users={ALICE: more}, groups={USERS: more, STAFF: less})
    ledger = Ledger(settings)
    ledger.payer(ALICE, USERS).pay_bytes(20)
    with pytest.raises(LimitReached):
        ledger.payer(BOB, Gid(1)).pay_bytes(11)
    with pytest.raises(LimitReached):
        ledger.payer(BOB, STAFF).pay_bytes(6)


# Each limit


def test_as_many_queues_are_charged_as_are_allowed(payer: Payer) -> None:
    payer.pay_dir()
    payer.pay_dir()
    with pytest.raises(LimitReached):
        payer.pay_dir()
    assert spent(payer.user) == spent(payer.group) == (2, 0, 0)


def test_as_many_names_are_charged_as_are_allowed(payer: Payer) -> None:
    for _ in range(3):
        payer.pay_file()
    with pytest.raises(LimitReached):
        payer.pay_file()
    assert spent(payer.user) == spent(payer.group) == (0, 3, 0)


def test_as_many_bytes_are_charged_as_are_allowed(payer: Payer) -> None:
    payer.pay_bytes(2)
    payer.pay_bytes(3)
    with pytest.raises(LimitReached):
        payer.pay_bytes(1)
    assert spent(payer.user) == spent(payer.group) == (0, 0, 5)


def test_a_refused_charge_is_not_charged_in_part(payer: Payer) -> None:
    with pytest.raises(LimitReached):
        payer.pay_bytes(6)
    assert spent(payer.user) == spent(payer.group) == (0, 0, 0)


def test_what_is_refunded_can_be_charged_again(payer: Payer) -> None:
    for _ in range(10):
        payer.pay_dir()
        payer.pay_file()
        payer.pay_bytes(5)
        payer.refund_dir()
        payer.refund_file()
        payer.pay_bytes(-5)
    assert spent(payer.user) == spent(payer.group) == (0, 0, 0)


def test_a_queue_takes_as_many_names_as_user_and_group_allow() -> None:
    settings = Settings(
        users={ALICE: Limits(max_files_per_dir=3)}, groups={STAFF: Limits(max_files_per_dir=2)}
    )
    ledger = Ledger(settings)
    assert ledger.payer(ALICE, USERS).max_files_per_dir == 3
    assert ledger.payer(ALICE, STAFF).max_files_per_dir == 2


def test_a_charge_that_cannot_be_refused_is_made_whatever_the_limit(payer: Payer) -> None:
    payer.charge_bytes(100)
    assert spent(payer.user) == spent(payer.group) == (0, 0, 100)


# Moving charges


def test_what_is_moved_is_charged_to_the_new_and_no_more_to_the_old() -> None:
    ledger = Ledger(Settings())
    old, new = ledger.payer(ALICE, USERS), ledger.payer(BOB, STAFF)
    old.pay_dir()
    old.pay_bytes(5)
    ledger.move(old, new, dirs=1, count_bytes=5)
    assert spent(old.user) == spent(old.group) == (0, 0, 0)
    assert spent(new.user) == spent(new.group) == (1, 0, 5)


@pytest.mark.parametrize(("dirs", "count_bytes"), [(1, 0), (0, 6)])
@pytest.mark.parametrize("limited", ["user", "group"])
def test_what_does_not_fit_stays_where_it_is(limited: str, dirs: int, count_bytes: int) -> None:
    limits = Limits(max_dirs=0, max_bytes=5)
    settings = {"user": Settings(users={BOB: limits}), "group": Settings(groups={STAFF: limits})}
    ledger = Ledger(settings[limited])
    old, new = ledger.payer(ALICE, USERS), ledger.payer(BOB, STAFF)
    old.charge_bytes(6)
    with pytest.raises(LimitReached):
        ledger.move(old, new, dirs=dirs, count_bytes=count_bytes)
    assert spent(old.user) == spent(old.group) == (0, 0, 6)
    assert spent(new.user) == spent(new.group) == (0, 0, 0)


def test_what_stays_with_a_user_is_not_charged_twice_on_the_way() -> None:
    # All that ALICE may have moves from one of her groups to another.
    ledger = Ledger(Settings(users={ALICE: LIMITED}))
    old, new = ledger.payer(ALICE, USERS), ledger.payer(ALICE, STAFF)
    old.pay_bytes(5)
    ledger.move(old, new, dirs=0, count_bytes=5)
    assert (old.user.bytes, old.group.bytes, new.group.bytes) == (5, 0, 5)


def test_who_has_too_much_already_can_be_given_nothing_but_may_be_given_it() -> None:
    ledger = Ledger(Settings(users={BOB: LIMITED}))
    old, new = ledger.payer(ALICE, USERS), ledger.payer(BOB, STAFF)
    new.charge_bytes(100)
    ledger.move(old, new, dirs=0, count_bytes=0)
    with pytest.raises(LimitReached):
        ledger.move(old, new, dirs=0, count_bytes=1)


# The mount's own limits


def test_so_many_inodes_are_in_the_mount_as_it_takes() -> None:
    ledger = Ledger(Settings(nr_inodes=2))
    for _ in range(2):
        ledger.check_inode()
        ledger.inodes += 1
    with pytest.raises(MountFull):
        ledger.check_inode()


def test_so_many_bytes_are_stored_in_the_mount_as_it_takes() -> None:
    ledger = Ledger(Settings(size_bytes=10))
    ledger.stored_bytes = 8
    ledger.check_stored(2)
    with pytest.raises(MountFull):
        ledger.check_stored(3)


# Other settings


def test_new_limits_hold_for_all_at_once() -> None:
    ledger = Ledger(Settings())
    payer = ledger.payer(ALICE, USERS)
    payer.pay_bytes(100)
    ledger.change(Settings(groups={USERS: LIMITED}))
    with pytest.raises(LimitReached):
        payer.pay_bytes(1)
    with pytest.raises(LimitReached):
        ledger.payer(BOB, USERS).pay_bytes(1)
    ledger.change(Settings())
    payer.pay_bytes(1)


def test_who_has_more_than_new_limits_allow_keeps_it_and_can_give_it_back() -> None:
    ledger = Ledger(Settings())
    payer = ledger.payer(ALICE, USERS)
    for _ in range(10):
        payer.pay_dir()
        payer.pay_file()
    payer.pay_bytes(100)
    ledger.change(Settings(default=LIMITED))
    assert spent(payer.user) == (10, 10, 100)
    payer.pay_bytes(0)
    payer.pay_bytes(-10)
    payer.refund_dir()
    payer.refund_file()
    assert spent(payer.user) == spent(payer.group) == (9, 9, 90)
    with pytest.raises(LimitReached):
        payer.pay_dir()
    with pytest.raises(LimitReached):
        payer.pay_file()


def test_a_mount_that_has_more_than_new_settings_allow_takes_what_stores_nothing() -> None:
    # As overwriting does.
    ledger = Ledger(Settings())
    ledger.stored_bytes = 100
    ledger.change(Settings(size_bytes=10))
    ledger.check_stored(0)
    with pytest.raises(MountFull):
        ledger.check_stored(1)
