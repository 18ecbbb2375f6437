"""INI files as the eventfs of 2015 read them, each value with its line, all mistakes at once.

configparser isn't used: it joins indented lines, stops at some mistakes and keeps no lines.
"""

import errno
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

#: A semicolon after a space starts a comment.
_COMMENT = re.compile(r"\s;.*")
_SECTION = re.compile(r"\[([^]]*)\]")
_VALUE = re.compile(r"([^=:]*[^=:\s])\s*[=:]\s*(.*)")

#: Much more than anybody writes; the daemon's memory isn't to be filled by mistake.
_MAX_BYTES = 2**20


class Value(NamedTuple):
    """A key's value, and where it stands."""

    text: str
    line: int


class Ini(NamedTuple):
    """The sections of a file, their lines, and what is wrong, as `FILE:LINE: what`."""

    sections: dict[str, dict[str, Value]]
    section_lines: dict[str, int]
    mistakes: list[str]


def read(path: Path) -> Ini:
    """Read a file; a mistake keeps nothing else from being read, as far as that makes sense."""
    found = Ini({}, {}, [])
    try:
        text = _text(path)
    except UnicodeDecodeError as error:
        bad = error.object[: error.start].count(b"\n") + 1
        found.mistakes.append(f"{path}:{bad}: not text: expected UTF-8")
        return found
    except OSError as error:
        found.mistakes.append(f"{path}:1: can't be read: {error.strerror}")
        return found
    values: dict[str, Value] | None = None
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        content = _COMMENT.sub("", line).rstrip()
        if section := _SECTION.match(content):
            values = found.sections.setdefault(section[1], {})
            found.section_lines.setdefault(section[1], number)
        elif not (pair := _VALUE.fullmatch(content)):
            found.mistakes.append(f"{path}:{number}: neither [section] nor KEY = VALUE: {line!r}")
        elif values is None:
            found.mistakes.append(f"{path}:{number}: a [section] must come first")
        elif pair[1] in values:
            first = values[pair[1]].line
            found.mistakes.append(f"{path}:{number}: {pair[1]} was set in line {first} already")
        else:
            values[pair[1]] = Value(pair[2], number)
    return found


def _text(path: Path) -> str:
    status = path.stat()
    # To open a fifo would wait for a writer.
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(errno.EINVAL, "not a file")
    if status.st_size > _MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    # Not utf-8-sig: Python loads that when it is first used, and may not be able to by then.
    return path.read_text(encoding="utf-8").removeprefix("\ufeff")
