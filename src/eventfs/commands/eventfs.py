"""eventfs: mount a filesystem in which each directory is a message queue."""

import argparse
import contextlib
import errno
import logging
import logging.handlers
import os
import shlex
import shutil
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from stat import S_ISDIR
from typing import NoReturn

from eventfs import config
from eventfs.commands import options
from eventfs.mount import mounting, owners, reader, session
from eventfs.queues.ledger import Settings

#: Where the system's log takes messages, if there is one.
_SYSLOG = Path("/dev/log")

_HELP = """\
Mount a filesystem in which each directory is a message queue that belongs to the process that made
it. In a queue, `head` and `tail` lead to the oldest and the newest message; removing them removes
that message. When the process dies, its queues are gone, unless they have the extended attribute
user.eventfs_sticky.
"""

_EXAMPLES = """\
examples:
  eventfs /run/events                  mount for yourself
  eventfs -o allow_other /run/events   mount for all users
  fusermount3 -u /run/events           unmount

in /etc/fstab:
  events  /run/events  fuse.eventfs  allow_other  0  0

mount options are those of mount.fuse3(8), among them allow_other, allow_root, auto_unmount,
fsname=NAME, subtype=NAME, ro, noexec, nosuid and nodev, and as for tmpfs:
  mode=MODE       the root's permissions (default 1777)
  size=SIZE       how many bytes may be stored (default: half of the memory)
  nr_inodes=N     how many queues and messages there may be
and eventfs's own:
  spin=MICROSECONDS   how long to poll for the next request before sleeping (default 50)
  commit=create       a message joins its queue as soon as it is made (the default)
  commit=close        ... when who made it has closed it; removed if they are killed before

limits of users and groups stand in FILE (default /etc/eventfs/eventfs.conf, if that exists);
SIGHUP makes the daemon read it again.
"""


class _Failed(Exception):
    """The command can't do what it was asked for; the message says why and what to do."""


class _Parser(argparse.ArgumentParser):
    """A parser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    _open_standard_descriptors()
    arguments = _parse(argv)
    try:
        if arguments.check_config:
            config.read(arguments.c)
            return 0
        plan = _plan(arguments)
        if arguments.f or plan.trace:
            _log_to(logging.StreamHandler(), trace=plan.trace)
            session.serve(plan, lambda: None)
            return 0
        return _serve_in_background(plan)
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except (options.OptionError, _Failed, mounting.MountFailed, OSError) as error:
        print(f"eventfs: {error}", file=sys.stderr)
        return 1


def _open_standard_descriptors() -> None:
    """Make sure that nothing else gets their numbers, where the caller has closed them."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004  # stderr
        pass
    os.close(fd)


def _plan(arguments: argparse.Namespace) -> session.Plan:
    """Check what was asked for."""
    source, mountpoint = [None, *arguments.paths][-2:]
    asked = options.parse(arguments.o, source)
    config_path = arguments.c and arguments.c.absolute()

    def read_settings() -> Settings:
        settings = config.read(config_path)
        # Mount options go before the file.
        if asked.size_bytes is not None:
            settings = replace(settings, size_bytes=asked.size_bytes)
        if asked.nr_inodes is not None:
            settings = replace(settings, nr_inodes=asked.nr_inodes)
        return settings

    read_settings()
    _check(mountpoint)
    return session.Plan(
        Path(mountpoint).resolve(),
        read_settings,
        asked.fuse,
        asked.root_mode,
        asked.spin_ns,
        asked.commits_at_close,
        trace=arguments.d or asked.debug,
    )


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="eventfs",
        usage="eventfs [-c FILE] [-f] [-d] [-s] [-o OPTION[,OPTION...]] [SOURCE] MOUNTPOINT\n"
        "       eventfs --check-config [-c FILE]",
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", metavar="FILE", type=Path, help="read this configuration file")
    parser.add_argument("-f", action="store_true", help="stay in the foreground")
    parser.add_argument("-d", action="store_true", help="show each request (implies -f)")
    parser.add_argument("-s", action="store_true", help="for FUSE's users: always single-threaded")
    parser.add_argument("-o", metavar="OPTION", action="append", default=[], help="mount options")
    parser.add_argument(
        "--check-config", action="store_true", help="only check the configuration and its quotas"
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="MOUNTPOINT",
        help="the directory to mount on; before it, SOURCE may name the mount in /proc/mounts",
    )
    arguments = parser.parse_args(argv)
    if arguments.version:
        how = "interpreted" if reader.__file__.endswith(".py") else "compiled"
        print(f"eventfs {version('eventfs')} ({how})")
        parser.exit()
    if not arguments.paths and not arguments.check_config:
        parser.error("where? MOUNTPOINT is missing")
    if len(arguments.paths) > 2:  # noqa: PLR2004  # SOURCE MOUNTPOINT
        parser.error(f"what is {arguments.paths[2]!r}? Only SOURCE and MOUNTPOINT were expected")
    return arguments


def _check(mountpoint: str) -> None:
    """Complain of what would keep the mount from working, in better words than the kernel's."""
    if not mountpoint:
        raise _Failed("the mountpoint '' doesn't exist; name a directory")
    try:
        if not S_ISDIR(Path(mountpoint).stat().st_mode):
            raise _Failed(f"{mountpoint} is no directory; give an (empty) directory to mount on")
        # As who walks into it would see it: to look at the directory alone needs no right to it.
        Path(mountpoint, "eventfs").exists()
    except FileNotFoundError:
        raise _Failed(
            f"{mountpoint} doesn't exist; make it with: mkdir {shlex.quote(mountpoint)}"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            raise _Failed(
                f"{mountpoint} is the stale mount of a daemon that died (Transport endpoint is not"
                f" connected); unmount it with: fusermount3 -u {shlex.quote(mountpoint)}"
            ) from None
        raise _Failed(
            f"{mountpoint} can't be used: {error.strerror}; choose a directory that you may enter"
        ) from None
    if not os.access(mountpoint, os.W_OK):
        raise _Failed(
            f"you have no write access to {mountpoint}; choose a directory of your own to mount on"
        )
    if not Path("/dev/fuse").exists():
        raise _Failed("there is no /dev/fuse; load the kernel module with: modprobe fuse")
    if not owners.sees_itself():
        raise _Failed(
            "/proc shows another pid namespace; mount this one's with: mount -t proc proc /proc"
        )
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise _Failed("there is no fusermount3, which mounts for users; install the package fuse3")


def _log_to(handler: logging.Handler, *, trace: bool = False) -> None:
    handler.setFormatter(logging.Formatter("eventfs: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("eventfs").setLevel(logging.DEBUG if trace else logging.INFO)


def _serve_in_background(plan: session.Plan) -> int:
    """Start the daemon; return once the mount is usable, or raise _Failed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        # Not through main: nothing of the parent's may run twice, such as its caller's clean-up.
        os._exit(_daemon(plan, writer))
    os.close(writer)
    with os.fdopen(reader, errors="surrogateescape") as said:
        answer = said.read()
    if answer == _READY:
        return 0
    _, status = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(status)
    if status == _BAD_CONFIG:
        raise config.ConfigError(answer)
    raise _Failed(answer or f"the daemon ended before the mount was usable (status {status})")


#: What the daemon says when the mount is usable; anything else is why it isn't.
_READY = "ready\n"

#: The daemon's exit status where the configuration went bad after it was checked.
_BAD_CONFIG = 3


def _daemon(plan: session.Plan, writer: int) -> int:
    os.setsid()
    # Nothing of the caller's may stay open for as long as the daemon lives.
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # their names are numbers
        if fd > 2 and fd != writer:  # noqa: PLR2004  # the standard ones go when all is well
            with contextlib.suppress(OSError):
                os.close(fd)
    if _SYSLOG.exists():
        _log_to(logging.handlers.SysLogHandler(str(_SYSLOG)))
    null = os.open(os.devnull, os.O_RDWR)

    def ready() -> None:
        # Whoever started us may wait for the end of our output, or unmount our directory.
        os.chdir("/")
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.write(writer, _READY.encode())
        os.close(writer)

    try:
        session.serve(plan, ready)
    except (config.ConfigError, mounting.MountFailed) as error:
        os.write(writer, os.fsencode(str(error)))
        return _BAD_CONFIG if isinstance(error, config.ConfigError) else 1
    except Exception as error:
        if not isinstance(error, OSError):
            logging.getLogger(__name__).exception("the daemon failed")
        # If the caller is still there, which it isn't once the mount was usable.
        with contextlib.suppress(OSError):
            os.write(writer, os.fsencode(f"the daemon failed: {error}"))
        return 1
    return 0
