"""Who may have how much, and who has how much: quotas per user and per group.

What is charged, to whom, and until when:

- a queue, to its user and group, until it vanishes;
- a name of a message, to who made it, until it is removed: nobody can use up another's files by
  linking to them;
- bytes, a file's size and its extended attributes with what keeping them takes, to the inode's user
  and group, once however many names it has, until the last name and the last open handle are gone.

What has neither and is in memory all the same, since the kernel still knows it, is *held*. The
kernel may forget it a moment later than its user expects, or be kept from that (O_PATH); so held
bytes weigh only as far as they exceed the limit, and no more than twice `max_bytes` is ever taken.

Above these stand the mount's own limits: what is really stored, and how many inodes and names there
are, which bounds the memory that the daemon takes.
"""

from dataclasses import dataclass, field
from typing import Final, NewType

from eventfs.queues.errors import LimitReached, MountFull

Uid = NewType("Uid", int)
Gid = NewType("Gid", int)

#: No limit. Nobody has so many messages or stores so many bytes; but files with holes may have more
#: together, so where bytes are charged they aren't compared with it. It is the largest number that
#: mypyc keeps in a machine's word.
UNLIMITED: Final = 2**62 - 1


@dataclass(frozen=True)
class Limits:
    """What a user or a group may have; `max_files_per_dir` bounds each queue that is theirs."""

    max_dirs: int = UNLIMITED
    max_files: int = UNLIMITED
    max_files_per_dir: int = UNLIMITED
    max_bytes: int = UNLIMITED


@dataclass(frozen=True)
class Settings:
    """All limits of a mount: whoever isn't listed has the defaults."""

    default: Limits = field(default_factory=Limits)
    users: dict[Uid, Limits] = field(default_factory=dict)
    groups: dict[Gid, Limits] = field(default_factory=dict)
    size_bytes: int = UNLIMITED
    nr_inodes: int = UNLIMITED


class Account:
    """What one user or one group may have, and has."""

    __slots__ = ("bytes", "dirs", "files", "held_bytes", "limits")

    def __init__(self, limits: Limits) -> None:
        """Start with nothing."""
        self.limits = limits
        self.dirs = 0
        self.files = 0
        self.bytes = 0
        self.held_bytes = 0

    def has_room(self, more_bytes: int) -> bool:
        """Tell whether so many bytes more may be charged."""
        limit = self.limits.max_bytes
        if limit == UNLIMITED:
            return True
        if self.held_bytes > limit:
            more_bytes += self.held_bytes - limit
        return self.bytes + more_bytes <= limit


class Payer:
    """A user and a group who are charged together."""

    __slots__ = ("gid", "group", "uid", "user")

    def __init__(self, uid: Uid, gid: Gid, user: Account, group: Account) -> None:
        """Join a user's and a group's account."""
        self.uid = uid
        self.gid = gid
        self.user = user
        self.group = group

    @property
    def max_files_per_dir(self) -> int:
        """How many messages a queue of theirs may hold."""
        return min(self.user.limits.max_files_per_dir, self.group.limits.max_files_per_dir)

    def pay_dir(self) -> None:
        """Charge a queue (LimitReached)."""
        user, group = self.user, self.group
        if user.dirs >= user.limits.max_dirs or group.dirs >= group.limits.max_dirs:
            raise LimitReached
        user.dirs += 1
        group.dirs += 1

    def refund_dir(self) -> None:
        """Take a queue off."""
        self.user.dirs -= 1
        self.group.dirs -= 1

    def pay_file(self) -> None:
        """Charge a name (LimitReached)."""
        user, group = self.user, self.group
        if user.files >= user.limits.max_files or group.files >= group.limits.max_files:
            raise LimitReached
        user.files += 1
        group.files += 1

    def charge_files(self, count: int) -> None:
        """Charge *count* names, or take them off where it is negative, whatever the limit is."""
        self.user.files += count
        self.group.files += count

    def has_room(self, *, files: int, count_bytes: int) -> bool:
        """Tell whether so many names and bytes more may be charged."""
        user, group = self.user, self.group
        return (
            user.files + files <= user.limits.max_files
            and group.files + files <= group.limits.max_files
            and user.has_room(count_bytes)
            and group.has_room(count_bytes)
        )

    def refund_file(self) -> None:
        """Take a name off."""
        self.user.files -= 1
        self.group.files -= 1

    def pay_bytes(self, count: int) -> None:
        """Charge *count* bytes (LimitReached), or take them off where it is negative."""
        user, group = self.user, self.group
        if count > 0 and not (user.has_room(count) and group.has_room(count)):
            raise LimitReached
        user.bytes += count
        group.bytes += count

    def charge_bytes(self, count: int) -> None:
        """Charge *count* bytes, or take them off where it is negative, whatever the limit is."""
        self.user.bytes += count
        self.group.bytes += count

    def release_bytes(self, count: int) -> None:
        """Charge *count* bytes no more: they are only held. Charge them again where negative."""
        self.charge_bytes(-count)
        self.hold_bytes(count)

    def hold_bytes(self, count: int) -> None:
        """Count *count* bytes as held, or no more where it is negative."""
        self.user.held_bytes += count
        self.group.held_bytes += count

    def pay_held_bytes(self, count: int) -> None:
        """Count *count* bytes as held, if they exceed no limit (LimitReached)."""
        for account in (self.user, self.group):
            if count > 0 and account.held_bytes + count > account.limits.max_bytes:
                raise LimitReached
        self.hold_bytes(count)


class Ledger:
    """All accounts, and the mount's own limits."""

    def __init__(self, settings: Settings) -> None:
        """Open the books."""
        self._payers: dict[tuple[Uid, Gid], Payer] = {}
        self._users: dict[Uid, Account] = {}
        self._groups: dict[Gid, Account] = {}
        self.settings = settings
        #: Bytes of content and attributes that are really stored.
        self.stored_bytes = 0
        #: Inodes in memory, and names beyond an inode's first.
        self.inodes = 0

    def payer(self, uid: Uid, gid: Gid) -> Payer:
        """Return the payer for a user and a group; always the same one."""
        payer = self._payers.get((uid, gid))
        if payer is None:
            user = self._users.get(uid)
            if user is None:
                user = self._users[uid] = Account(self._user_limits(uid))
            group = self._groups.get(gid)
            if group is None:
                group = self._groups[gid] = Account(self._group_limits(gid))
            payer = self._payers[uid, gid] = Payer(uid, gid, user, group)
        return payer

    def change(self, settings: Settings) -> None:
        """Put other limits in force; who has more than they allow keeps it and gets no more."""
        self.settings = settings
        for uid, account in self._users.items():
            account.limits = self._user_limits(uid)
        for gid, account in self._groups.items():
            account.limits = self._group_limits(gid)

    def check_inode(self) -> None:
        """Make sure that there may be one more inode, or one more name of one (MountFull)."""
        if self.inodes >= self.settings.nr_inodes:
            raise MountFull

    def check_stored(self, more_bytes: int) -> None:
        """Make sure that *more_bytes* can be stored (MountFull)."""
        if more_bytes > 0 and self.stored_bytes + more_bytes > self.settings.size_bytes:
            raise MountFull

    def move(self, old: Payer, new: Payer, *, dirs: int, count_bytes: int) -> None:
        """Charge *new* what *old* has been charged for an inode (LimitReached)."""
        for before, after in ((old.user, new.user), (old.group, new.group)):
            if before is not after and (
                after.dirs + dirs > max(after.limits.max_dirs, after.dirs)
                or (
                    after.bytes + count_bytes > max(after.limits.max_bytes, after.bytes)
                    and after.limits.max_bytes < UNLIMITED
                )
            ):
                raise LimitReached
        for account, sign in ((old.user, -1), (old.group, -1), (new.user, 1), (new.group, 1)):
            account.dirs += sign * dirs
            account.bytes += sign * count_bytes

    def _user_limits(self, uid: Uid) -> Limits:
        return self.settings.users.get(uid, self.settings.default)

    def _group_limits(self, gid: Gid) -> Limits:
        return self.settings.groups.get(gid, self.settings.default)
