"""Which errno each refusal is, and why."""

import errno

from eventfs.queues import errors


class Failed(Exception):
    """The answer is an errno for a reason that isn't the rules': `errno` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.errno = number


#: Only errnos that the man pages of the operations list.
ERRNOS: dict[type[errors.Refused], int] = {
    errors.NotFound: errno.ENOENT,
    errors.AlreadyExists: errno.EEXIST,
    # Looked up again it still wouldn't be there, so never ESTALE.
    errors.NameTaken: errno.EEXIST,
    # As filesystems without links, nodes or subdirectories answer (link(2), mknod(2), mkdir(2)).
    errors.NotPermitted: errno.EPERM,
    errors.NotEmpty: errno.ENOTEMPTY,
    errors.NotADirectory: errno.ENOTDIR,
    errors.IsADirectory: errno.EISDIR,
    errors.NameTooLong: errno.ENAMETOOLONG,
    # The kernel's path walk answers this one by walking again and asking for every name.
    errors.Stale: errno.ESTALE,
    errors.FileTooLarge: errno.EFBIG,
    errors.NoSuchAttribute: errno.ENODATA,
    errors.AttributeNotSupported: errno.EOPNOTSUPP,
    # What Linux itself answers to names and values over its limits (xattr(7)).
    errors.AttributeNameTooLong: errno.ERANGE,
    errors.AttributeTooLarge: errno.E2BIG,
    errors.NoRoomForAttribute: errno.ENOSPC,
    # lchown(3p): the file system doesn't support it for a link. `chown -R` goes on after that.
    errors.LinkUnchangeable: errno.EOPNOTSUPP,
    # As System V's message queues answer where the queue is removed (msgop(2)).
    errors.QueueGone: errno.EIDRM,
    errors.MessageTooLong: errno.EMSGSIZE,
    errors.FollowsItself: errno.ELOOP,
    errors.MayNotFollow: errno.EACCES,
    errors.BadValue: errno.EINVAL,
    errors.NoDefaultAcl: errno.EACCES,
    errors.LimitReached: errno.EDQUOT,
    # As tmpfs answers where its size or nr_inodes is used up.
    errors.MountFull: errno.ENOSPC,
}
