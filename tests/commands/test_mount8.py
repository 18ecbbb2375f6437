"""Mounting through mount(8), as from /etc/fstab."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.daemons import Commands, Daemon, mounts
from tests.commands.namespace import Namespace
from tests.mounts import names

EXAMPLE = Path(__file__).resolve().parents[2] / "etc/fstab.example"


class System:
    """A system on which `eventfs` is installed, with the directory /mnt/events."""

    mountpoint = "/mnt/events"

    def __init__(self, apart: Namespace, commands: Commands) -> None:
        self._apart = apart
        self._commands = commands
        self.fstab = apart.path("/mnt/fstab")
        self.events = apart.path(self.mountpoint)
        self.events.mkdir()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self._commands.run(*command, command=self._apart.enter)

    def mount(self, *arguments: str) -> Daemon:
        return self._commands.mount("mount", *arguments, command=self._apart.enter)

    def mounted(self) -> tuple[str, str, set[str]]:
        return mounts(self._apart.pid)[self.mountpoint]

    def is_mounted(self) -> bool:
        return self.mountpoint in mounts(self._apart.pid)


@pytest.fixture
def system(apart: Namespace, commands: Commands) -> Iterator[System]:
    system = System(apart, commands)
    yield system
    if system.is_mounted():
        system.run("umount", "-l", system.mountpoint)


def test_mount_with_the_type_mounts(system: System) -> None:
    system.mount("-t", "fuse.eventfs", "source", system.mountpoint)
    assert system.mounted()[:2] == ("source", "fuse.eventfs")
    (system.events / "queue").mkdir()


def test_mount_with_the_type_fuse_mounts(system: System) -> None:
    system.mount("-t", "fuse", "eventfs#source", system.mountpoint)
    assert system.mounted()[:2] == ("source", "fuse.eventfs")


@pytest.mark.parametrize("source", ["none", "with space", "a,b", "back\\slash"])
def test_the_source_of_mount_shows(system: System, source: str) -> None:
    system.mount("-t", "fuse.eventfs", source, system.mountpoint)
    assert system.mounted()[0] == source


def test_the_options_of_mount_count(system: System) -> None:
    options = "ro,noexec,allow_other,noatime,sync,dirsync"
    system.mount("-t", "fuse.eventfs", "-o", options, "source", system.mountpoint)
    assert set(options.split(",")) <= system.mounted()[2]


def test_what_mount_refuses_it_says_in_our_words(system: System) -> None:
    done = system.run("mount", "-t", "fuse.eventfs", "-o", "bogus", "source", system.mountpoint)
    assert done.returncode != 0
    assert done.stderr == "eventfs: unknown mount option 'bogus'\n"


@pytest.mark.parametrize("option", ["-T", "--fstab"])
def test_a_line_in_fstab_mounts(system: System, option: str) -> None:
    system.fstab.write_text(f"source {system.mountpoint} fuse.eventfs allow_other 0 0\n")
    system.mount(option, "/mnt/fstab", system.mountpoint)
    source, kind, flags = system.mounted()
    assert (source, kind) == ("source", "fuse.eventfs")
    assert "allow_other" in flags
    (system.events / "queue").mkdir()


def test_a_boot_mounts_what_fstab_says(system: System) -> None:
    system.fstab.write_text(f"source {system.mountpoint} fuse.eventfs defaults 0 0\n")
    system.mount("-T", "/mnt/fstab", "-a")
    (system.events / "queue").mkdir()


@pytest.mark.parametrize(
    "options",
    [
        "defaults",
        "rw,suid,dev,exec,auto,nouser,async",
        "noauto,user,nofail,_netdev",
        "users,group,owner,noexec",
        "x-systemd.automount,x-systemd.requires=/srv,X-mount.mkdir,comment=words",
        "relatime,nodiratime",
    ],
)
def test_what_fstab_says_to_others_does_no_harm(system: System, options: str) -> None:
    system.fstab.write_text(f"source {system.mountpoint} fuse.eventfs {options} 0 0\n")
    system.mount("-T", "/mnt/fstab", system.mountpoint)
    (system.events / "queue").mkdir()


def test_a_source_with_a_space_in_fstab_shows(system: System) -> None:
    system.fstab.write_text(f"with\\040space {system.mountpoint} fuse.eventfs defaults 0 0\n")
    system.mount("-T", "/mnt/fstab", system.mountpoint)
    assert system.mounted()[0] == "with space"


def test_the_example_for_fstab_mounts(system: System) -> None:
    (line,) = [line for line in EXAMPLE.read_text().splitlines() if not line.startswith("#")]
    example, options = line.split()[1], line.split()[3]
    system.fstab.write_text(line.replace(example, system.mountpoint) + "\n")
    system.mount("-T", "/mnt/fstab", system.mountpoint)
    assert set(options.split(",")) <= system.mounted()[2]
    assert names(system.events) == []


@pytest.mark.parametrize("command", [["umount"], ["fusermount3", "-u"]], ids=" ".join)
def test_what_mount_mounted_can_be_unmounted(system: System, command: list[str]) -> None:
    daemon = system.mount("-t", "fuse.eventfs", "source", system.mountpoint)
    system.run(*command, system.mountpoint)
    assert daemon.wait() == 0
    assert not system.is_mounted()
