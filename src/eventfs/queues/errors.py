"""What a caller may be refused for. `mount.errnos` says which errno each one is."""


class Refused(Exception):
    """The rules don't allow the operation; nothing was changed."""


class NotFound(Refused):
    """The name isn't there, or the queue it was to be in has vanished."""


class AlreadyExists(Refused):
    """The name is taken."""


class NameTaken(Refused):
    """An unfinished message has the name, which the caller doesn't see."""


class NotPermitted(Refused):
    """The rules allow it to nobody, or not to this caller."""


class NotEmpty(Refused):
    """The queue still has messages."""


class NotADirectory(Refused):
    """The name leads to a message where a queue is needed."""


class IsADirectory(Refused):
    """The name leads to a queue where a message is needed."""


class NameTooLong(Refused):
    """The name has more than 255 bytes."""


class Stale(Refused):
    """What the caller knows of the name is out of date; looked up again, it will be right."""


class FileTooLarge(Refused):
    """The write would end behind the largest offset a file can have."""


class NoSuchAttribute(Refused):
    """The inode hasn't got this extended attribute."""


class AttributeNotSupported(Refused):
    """Extended attributes of this namespace aren't kept."""


class AttributeNameTooLong(Refused):
    """The extended attribute's name has more than 255 bytes."""


class AttributeTooLarge(Refused):
    """The extended attribute's value has more than 64 KiB."""


class NoRoomForAttribute(Refused):
    """The list of the inode's attribute names would have more than 64 KiB."""


class LimitReached(Refused):
    """A limit of the user or the group doesn't allow it."""


class MountFull(Refused):
    """The mount's own limit doesn't allow it."""


class BadValue(Refused):
    """The value is none that the extended attribute can have."""


class QueueGone(Refused):
    """The queue that the port belongs to has vanished."""


class MessageTooLong(Refused):
    """The message is too large for a port, or for the caller's buffer."""


class FollowsItself(Refused):
    """The queue's messages would come back to it, perhaps through others."""


class MayNotFollow(Refused):
    """The caller may not read the queue to be followed, or add to that for dead letters."""


class NoDefaultAcl(Refused):
    """Only directories pass a default access control list on."""


class LinkUnchangeable(Refused):
    """`head` and `tail` have no mode, owner or times of their own to change."""
