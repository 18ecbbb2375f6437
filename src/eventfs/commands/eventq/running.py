"""From arguments to a command, and from its end to the exit status."""

import os
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module

from eventfs import QueueError
from eventfs.commands.eventq import arguments, outcome, output

#: Which module has a command: only that one is imported, since each command runs for an instant.
_MODULES = {
    "create": "making",
    "rm": "making",
    "follow": "making",
    "send": "sending",
    "cast": "sending",
    "recv": "receiving",
    "claim": "claiming",
    "peek": "peeking",
    "ls": "listing",
    "stat": "listing",
    "wait": "waiting",
    "watch": "watching",
}


def run(argv: list[str]) -> int:
    """Run a command; return its exit status."""
    _occupy_standard_descriptors()
    asked = arguments.parse(argv)
    module = import_module(f"eventfs.commands.eventq.{_MODULES[asked.command]}")
    command: Callable[[Namespace], outcome.Status] = getattr(module, asked.command)
    try:
        return command(asked)
    except outcome.Ended as ended:
        return outcome.die_of(ended.number)
    except outcome.Complaint as complaint:
        output.complain(str(complaint))
        return complaint.status
    except QueueError as error:
        return outcome.report(error)
    except output.OutputFailed as error:
        output.complain(str(error))
        return outcome.Status.FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        output.complain(f"{where}{error.strerror or error}")
        return outcome.Status.FAILED


def _occupy_standard_descriptors() -> None:
    """Let no queue be opened as standard output, where the caller has closed that.

    To read from or write to what was closed is still an error: /dev/null is opened the wrong way.
    """
    for fd, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)
