"""A machine within this one, for what a test must not change outside: a mount namespace."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commands.daemons import EVENTFS
from tests.mounts import Child

#: Set up by root in the namespace, and kept until the input ends. /mnt is a filesystem that all
#: users can reach, with room for mountpoints; `eventfs` is installed where mount(8) looks for it.
_SETUP = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mknod -m 666 /mnt/fuse c 10 229
cp /etc/fuse.conf /mnt/fuse.conf
mkdir /mnt/bin
printf '#!/bin/sh\\nexec "%s" "$@"\\n' "$1" > /mnt/bin/eventfs
chmod 755 /mnt/bin/eventfs
mount --bind /mnt/bin /usr/local/sbin
mount --bind /mnt/fuse.conf /etc/fuse.conf
"""

_HOLD = """
import subprocess, sys
subprocess.run(["sh", "-c", sys.argv[1], "sh", sys.argv[2]], check=True)
print("ready", flush=True)
sys.stdin.read()
"""


class Namespace:
    """A mount namespace; it ends, with all that is mounted in it, when its last process does."""

    def __init__(self, holder: Child) -> None:
        self.pid = holder.process.pid
        #: What a command is prefixed with to run there.
        self.enter = (shutil.which("nsenter") or "", f"--mount=/proc/{self.pid}/ns/mnt", "--")

    def path(self, path: str) -> Path:
        """Return how a path of the namespace is reached from here."""
        return Path(f"/proc/{self.pid}/root{path}")

    def run(self, *command: str) -> None:
        """Run a command there, which is to succeed."""
        subprocess.run([*self.enter, *command], check=True)

    def let_users_mount(self) -> None:
        """Do what systems do on which not only root may mount: /dev/fuse is for everybody."""
        self.run("mount", "--bind", "/mnt/fuse", "/dev/fuse")

    def reserve_fuse_for_root(self) -> None:
        """Do what systems do on which only root may mount."""
        self.run("chmod", "600", "/mnt/fuse")
        self.let_users_mount()

    def let_users_allow_others(self) -> None:
        """Set `user_allow_other`, which allow_other and allow_root need for other users' mounts."""
        self.path("/mnt/fuse.conf").write_text("user_allow_other\n")


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a namespace."""
    holder = Child(_HOLD, _SETUP, EVENTFS, argv0=("unshare", "--mount"))
    try:
        assert holder.line == "ready"
        yield Namespace(holder)
    finally:
        holder.close()
