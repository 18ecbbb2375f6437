"""Configuration files for tests, and what is said of them."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventfs import config
from tests.commands.namespace import Namespace
from tests.mounts import wait_until

#: A file that sends its reader to a folder of quota files.
MAIN = "[eventfs-config]\nquotas = quotas\n"


def configure(folder: Path, main: str = MAIN, quotas: Mapping[str, str] | None = None) -> Path:
    """Write eventfs.conf and, where given, the files of the folder `quotas`; return the former."""
    if quotas is not None:
        (folder / "quotas").mkdir(exist_ok=True)
        for name, text in quotas.items():
            (folder / "quotas" / name).write_text(text, encoding="utf-8", newline="")
    path = folder / "eventfs.conf"
    path.write_text(main, encoding="utf-8", newline="")
    return path


def quota(whose: str, **limits: int | str) -> str:
    """Return the text of a quota file."""
    lines = ["[eventfs-quota]", whose, *(f"{key} = {value}" for key, value in limits.items())]
    return "\n".join(lines) + "\n"


def default_folder(apart: Namespace) -> Path:
    """Give a namespace an /etc of its own; return its /etc/eventfs, where the default file is."""
    apart.run("cp", "-a", "/etc", "/mnt/etc")
    apart.run("mount", "--bind", "/mnt/etc", "/etc")
    path = apart.path("/etc/eventfs")
    path.mkdir(exist_ok=True)
    return path


def mistakes(path: Path) -> list[str]:
    """Return the mistakes in a configuration that can't be used, below its folder."""
    with pytest.raises(config.ConfigError) as caught:
        config.read(path)
    return [line.replace(f"{path.parent}/", "") for line in str(caught.value).split("\n")]


@contextmanager
def paused_at(file: Path, start: Callable[[], object]) -> Iterator[None]:
    """Run the body while the reader that *start* sets off waits to open *file*.

    A lease on the file holds the reader up, see "Leases" in fcntl(2).
    """
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel's way to tell of it
    fd = os.open(file, os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        start()
        wait_until(
            lambda: fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_WRLCK, f"{file} to be opened"
        )
        yield
    finally:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(fd)
        signal.signal(signal.SIGIO, before)
