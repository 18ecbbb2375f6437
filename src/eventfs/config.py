"""The configuration file: an INI file with one section, `[eventfs-config]`."""

import configparser
from pathlib import Path

SECTION = "eventfs-config"


class ConfigError(Exception):
    """A configuration file can't be used; the message has the form `FILE:LINE: what is wrong`."""


def read(path: Path) -> None:
    """Check the file at *path* (ConfigError).

    It has no settings yet, so there is nothing to return.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from error
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError(f"{path}:{error.lineno}: expected [{SECTION}] first") from error
    except configparser.DuplicateSectionError as error:
        raise ConfigError(f"{path}:{error.lineno}: a second section [{error.section}]") from error
    except configparser.DuplicateOptionError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.option} is set twice") from error
    except configparser.ParsingError as error:
        line, text = error.errors[0]
        raise ConfigError(f"{path}:{line}: neither a section nor KEY = VALUE: {text}") from error
    if not parser.has_section(SECTION):
        raise ConfigError(f"{path}:1: there is no section [{SECTION}]")
