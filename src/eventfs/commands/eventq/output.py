"""What commands print: bytes, straight to standard output and standard error."""

import os
from select import POLLOUT, poll

#: Not sys.stdout: a buffer would hold what isn't printed yet, and it knows only text.
STDOUT = 1
_STDERR = 2


class OutputFailed(Exception):
    """Standard output takes nothing; the message says why."""


def write(data: bytes | memoryview) -> int:
    """Write to standard output; return how much it took (OutputFailed, BrokenPipeError)."""
    try:
        return os.write(STDOUT, data)
    except BrokenPipeError:
        raise
    except BlockingIOError:
        # Somebody who shares it with us has set O_NONBLOCK.
        room = poll()
        room.register(STDOUT, POLLOUT)
        room.poll()
        return 0
    except OSError as error:
        raise OutputFailed(
            f"standard output: {error.strerror}; what was to be printed isn't"
        ) from None


def put(data: bytes) -> None:
    """Print all of it."""
    view = memoryview(data)
    while view:
        view = view[write(view) :]


def put_line(text: str) -> None:
    """Print a line."""
    put(os.fsencode(f"{text}\n"))


def complain(text: str) -> None:
    """Write a line to standard error."""
    try:
        os.write(_STDERR, os.fsencode(f"eventq: {shown(text)}\n"))
    except OSError:
        return  # nobody listens; the exit status still tells


def is_terminal() -> bool:
    """Tell whether it is people who read the output."""
    return os.isatty(STDOUT)


def shown(text: str) -> str:
    """Make text that others chose, such as a name, fit to show: no newlines, no terminal's codes.

    They become escapes, as in Python and C.
    """
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    # A byte that isn't text stands in a str as what PEP 383 says.
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
