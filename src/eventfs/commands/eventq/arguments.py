"""What can be asked of eventq, and what its help says."""

import argparse
import math
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from eventfs.commands.eventq import manual

#: So many seconds are for ever.
_MOST_SECONDS = 1e9

#: All bits that mkdir(2) knows.
_MOST_MODE = 0o1777


class _Parser(argparse.ArgumentParser):
    """A parser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Formatter(argparse.HelpFormatter):
    """Fills paragraphs, and leaves lists as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            part
            if part.startswith(("examples:", "exit status:"))
            else super(_Formatter, self)._fill_text(part, width, indent)
            for part in text.rstrip().split("\n\n")
        )


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line; help and mistakes end the process (SystemExit)."""
    parser = _Parser(
        prog="eventq",
        usage="eventq COMMAND [OPTION...] QUEUE...",
        description=manual.ABOUT,
        epilog=manual.MORE,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    commands = parser.add_subparsers(
        prog="eventq", metavar="COMMAND", dest="command", title="commands"
    )
    asked_for = argv[0] if argv else None
    for name, add in _COMMANDS.items():
        # All, for the help and for what is no command; else one, since each takes a millisecond.
        if name == asked_for or asked_for not in _COMMANDS:
            add(commands)
    asked = parser.parse_args(argv)
    if asked.version:
        from importlib.metadata import version  # noqa: PLC0415  # as slow as all the rest together

        print("eventq", version("eventfs"))
        parser.exit()
    if asked.command is None:
        parser.error("what is to be done? COMMAND is missing")
    if asked.command == "claim" and asked.exec is None:
        parser.error(
            "claim needs --exec COMMAND, since what is claimed is given back when it ends; to take"
            " messages for good use recv"
        )
    return asked


#: What add_subparsers returns, which has no public name.
_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001


def _add(commands: _Commands, name: str, usage: str, help_: str) -> _Parser:
    """Add a command."""
    description, _, examples = manual.COMMANDS[name].partition("\n\nexamples:\n")
    return commands.add_parser(
        name,
        usage=f"eventq {name} {usage}",
        help=help_,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=_Formatter,
        allow_abbrev=False,  # what scripts say keeps its meaning when there are more options
    )


def _create(commands: _Commands) -> None:
    parser = _add(
        commands,
        "create",
        "[--owner PID] [--sticky] [--mode MODE] [--topic]\n"
        "                     [--exist-ok] [RULE...] QUEUE",
        "make a queue",
    )
    parser.add_argument("queue", metavar="QUEUE", help="its path, directly in the mount")
    parser.add_argument(
        "--owner", type=_pid, metavar="PID", help="the process that it belongs to (your shell)"
    )
    parser.add_argument(
        "--sticky", action="store_true", help="keep it, whoever dies; with --owner it has one too"
    )
    parser.add_argument(
        "--mode", type=_mode, help="its permissions as in chmod 0640 (0777 less the umask)"
    )
    parser.add_argument(
        "--topic", action="store_true", help="let it pass on to its followers what it doesn't keep"
    )
    parser.add_argument(
        "--exist-ok", action="store_true", help="leave it as it is where it exists already"
    )
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--max-messages", type=_count, metavar="N", help="room for so many messages at most"
    )
    rules.add_argument(
        "--max-bytes", type=_count, metavar="N", help="room for so many bytes of all together"
    )
    rules.add_argument(
        "--overflow",
        choices=["reject", "drop-oldest"],
        help="what is done where it is full (reject)",
    )
    rules.add_argument(
        "--ttl", type=_time, metavar="S", help="remove messages when they are S seconds old"
    )
    rules.add_argument(
        "--max-attempts", type=_count, metavar="N", help="give up what was claimed N times in vain"
    )
    rules.add_argument(
        "--dead-letter", metavar="QUEUE", help="the queue that gets what was given up"
    )
    rules.add_argument(
        "--lease",
        type=_time,
        metavar="S",
        help="hold on loan what mv brings from other queues: it returns after S seconds, which may"
        " be inf, or with this queue's end",
    )


def _send(commands: _Commands) -> None:
    parser = _add(commands, "send", "[--lines | -0] QUEUE [FILE...]", "append a message, or many")
    parser.add_argument("queue", metavar="QUEUE", help="the queue")
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help="what to send; - is standard input (the default)"
    )
    parser.add_argument(
        "--lines", action="store_true", help="make a message of each line, without its newline"
    )
    parser.add_argument(
        "-0", "--null", action="store_true", help="the same for lines that end in NUL"
    )


def _recv(commands: _Commands) -> None:
    parser = _add(
        commands,
        "recv",
        "[--count N | --follow] [--timeout S]\n"
        "                   [--lines | -0 | --json | --exec COMMAND] QUEUE",
        "take messages, and wait for them",
    )
    _add_which(parser, "take")
    how = _add_formats(parser)
    how.add_argument(
        "--exec", metavar="COMMAND", help="give each message to this shell command instead"
    )


def _claim(commands: _Commands) -> None:
    parser = _add(
        commands,
        "claim",
        "[--count N | --follow] [--timeout S] [--lease S]\n"
        "                    [--keep-going] --exec COMMAND QUEUE",
        "work on messages, which nobody loses",
    )
    _add_which(parser, "claim")
    parser.add_argument(
        "--lease",
        type=_time,
        metavar="S",
        help="give a message back if the command isn't done with it after S seconds",
    )
    parser.add_argument(
        "-k", "--keep-going", action="store_true", help="go on after a command that has failed"
    )
    parser.add_argument(
        "--exec", metavar="COMMAND", help="the shell command that gets each message"
    )


def _add_which(parser: _Parser, take: str) -> None:
    parser.add_argument("queue", metavar="QUEUE", help="the queue")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--count", type=_count, metavar="N", help=f"{take} so many messages (1)")
    which.add_argument(
        "--follow", action="store_true", help=f"{take} all, until the queue vanishes (7)"
    )
    parser.add_argument(
        "--timeout", type=_seconds, metavar="S", help="wait S seconds for each; 0: don't wait"
    )


def _peek(commands: _Commands) -> None:
    parser = _add(
        commands,
        "peek",
        "[--all] [--lines | -0 | --json] QUEUE",
        "print messages and leave them there",
    )
    parser.add_argument("queue", metavar="QUEUE", help="the queue")
    parser.add_argument("--all", action="store_true", help="print all messages, the oldest first")
    _add_formats(parser)


def _add_formats(parser: _Parser) -> "argparse._MutuallyExclusiveGroup":
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--lines", action="store_true", help="print a newline after each content")
    how.add_argument("-0", "--null", action="store_true", help="print a NUL after each content")
    how.add_argument(
        "--json",
        action="store_true",
        help="print an object a line: name, uid (the sender's), time (in seconds since 1970), size,"
        " and content, or content_base64 where it isn't UTF-8",
    )
    return how


def _cast(commands: _Commands) -> None:
    parser = _add(
        commands, "cast", "[--file FILE] [--] QUEUE...", "append one message to many queues"
    )
    parser.add_argument("queues", metavar="QUEUE", nargs="+", help="the queues")
    parser.add_argument("--file", metavar="FILE", default="-", help="what to send")


def _ls(commands: _Commands) -> None:
    parser = _add(commands, "ls", "[--all] [--json] [MOUNTPOINT...]", "list queues")
    parser.add_argument(
        "mountpoints", metavar="MOUNTPOINT", nargs="*", help="an eventfs mount, or a queue (all)"
    )
    parser.add_argument(
        "-a", "--all", action="store_true", help="also those whose names begin with a dot"
    )
    parser.add_argument("--json", action="store_true", help="print an object a line")


def _stat(commands: _Commands) -> None:
    parser = _add(commands, "stat", "[--json] QUEUE", "tell all about a queue")
    parser.add_argument("queue", metavar="QUEUE", help="the queue")
    parser.add_argument("--json", action="store_true", help="print an object")


def _watch(commands: _Commands) -> None:
    parser = _add(commands, "watch", "[--json] QUEUE", "tell what happens in a queue")
    parser.add_argument("queue", metavar="QUEUE", help="the queue")
    parser.add_argument("--json", action="store_true", help="print an object a line")


def _wait(commands: _Commands) -> None:
    parser = _add(
        commands, "wait", "[--empty | --gone] [--timeout S] QUEUE", "wait until there is a message"
    )
    parser.add_argument("queue", metavar="QUEUE", help="the queue")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--empty", action="store_true", help="wait until there is no message")
    what.add_argument("--gone", action="store_true", help="wait until there is no such queue")
    parser.add_argument("--timeout", type=_seconds, metavar="S", help="wait S seconds at most")


def _rm(commands: _Commands) -> None:
    parser = _add(commands, "rm", "QUEUE...", "remove queues with their messages")
    parser.add_argument("queues", metavar="QUEUE", nargs="+", help="the queues")


def _follow(commands: _Commands) -> None:
    parser = _add(commands, "follow", "QUEUE [SOURCE...]", "let a queue get what arrives in others")
    parser.add_argument("queue", metavar="QUEUE", help="the queue that is to follow")
    parser.add_argument("sources", metavar="SOURCE", nargs="*", help="a queue to be followed")


#: What adds the arguments of each command, in the order of the help.
_COMMANDS: dict[str, Callable[[_Commands], None]] = {
    "create": _create,
    "send": _send,
    "recv": _recv,
    "claim": _claim,
    "peek": _peek,
    "cast": _cast,
    "ls": _ls,
    "stat": _stat,
    "watch": _watch,
    "wait": _wait,
    "rm": _rm,
    "follow": _follow,
}


def _pid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no process id")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= _MOST_MODE:
        raise argparse.ArgumentTypeError(f"{text!r} are no permissions in octal up to 1777")
    return mode


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return min(seconds, _MOST_SECONDS)


def _time(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError("0 seconds are no time")
    return math.inf if seconds == _MOST_SECONDS else seconds
