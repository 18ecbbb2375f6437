"""INI files, with the line that each value stands on, and all mistakes found at once."""

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast


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
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Ini({}, {}, [f"{path}:{line}: not text: expected UTF-8"])
    except OSError as error:
        return Ini({}, {}, [f"{path}:1: can't be read: {error.strerror}"])
    source = _Source(path, lines)
    # A semicolon after a space starts a comment, as in the files of 2015.
    parser = configparser.RawConfigParser(
        dict_type=cast("Any", source.mapping),  # whatever makes a mapping will do
        inline_comment_prefixes=(";",),
        strict=False,
        default_section="",
    )
    parser.optionxform = str  # type: ignore[assignment]
    try:
        parser.read_file(source)
    except configparser.MissingSectionHeaderError as error:
        source.mistakes.append(f"{path}:{error.lineno}: a [section] must come first")
    except configparser.ParsingError as error:
        source.mistakes += [
            f"{path}:{line}: neither [section] nor KEY = VALUE: {text}"
            for line, text in error.errors
        ]
    sections = {
        section: {
            key: Value(text, source.lines[section, key]) for key, text in parser.items(section)
        }
        for section in parser.sections()
    }
    section_lines = {key: line for (section, key), line in source.lines.items() if not section}
    return Ini(sections, section_lines, source.mistakes)


class _Source:
    """A file's lines, and where in them configparser was when it stored something.

    It makes its mappings of the type it is given, one per section, and stores each value as it
    reads it.
    """

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.lines: dict[tuple[str, str], int] = {}
        self.mistakes: list[str] = []
        self._path = path
        self._text = lines
        self._line = 0

    def __iter__(self) -> Iterator[str]:
        for text in self._text:
            self._line += 1
            yield text
        # What configparser stores from now on are the same values again, joined.
        self._line = 0

    def mapping(self) -> "_Mapping":
        return _Mapping(self)

    def note(self, section: str, key: str) -> None:
        if not self._line:
            return
        first = self.lines.setdefault((section, key), self._line)
        if first != self._line:
            self.mistakes.append(
                f"{self._path}:{self._line}: {key} was set in line {first} already"
            )


class _Mapping(dict[str, Any]):
    """A mapping that tells its source what is stored in it."""

    def __init__(self, source: _Source) -> None:
        super().__init__()
        self.section = ""
        self._source = source

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, _Mapping):
            value.section = key
        if isinstance(value, _Mapping | list):
            self._source.note(self.section, key)
        super().__setitem__(key, value)
