"""The daemon makes no garbage that refers to itself: it runs without Python's collector."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.mount.processes import in_child
from tests.mounts import DEADLINE_S, Mount

#: Says at the end whether the collector was off, and what it would have found.
COUNT = """
import gc, sys
from eventfs.mount.reader import Reader
run = Reader.run
def run_and_count(self):
    gc.collect()
    run(self)
    print("enabled" if gc.isenabled() else "off", gc.collect(), file=sys.stderr, flush=True)
Reader.run = run_and_count
"""


def use(root: Path, number: int) -> None:
    """Do of everything a little, also what is refused; the queues go with the process."""
    source, follower = root / f"source-{number}", root / f"follower-{number}"
    source.mkdir()
    follower.mkdir()
    os.setxattr(follower, "user.eventfs_follow", source.name.encode())
    refused: list[Callable[[], object]] = [
        source.mkdir,
        (source / "queue").mkdir,
        (source / "absent").unlink,
        (source / ".pipe").unlink,
        lambda: os.setxattr(source, "user.eventfs_follow", follower.name.encode()),
        lambda: os.getxattr(source, "user.absent"),
        lambda: os.rename(source / "head", source / "new"),
    ]
    for name in map(str, range(20)):
        (source / name).write_text("text")
        (source / ".pipe").write_text("text")
        (source / ".lines").write_text("one\ntwo\nthree")
        for call in refused:
            with suppress(OSError):
                call()
        (source / "head").read_text()
        (source / "head").unlink()
        os.listdir(follower)
        (follower / ".pipe").read_text()


def test_nothing_is_left_for_a_collector(mounter: Callable[..., Mount]) -> None:
    mount = mounter(program=COUNT)
    for number in range(10):
        in_child(lambda number=number: use(mount.path, number))  # type: ignore[misc]
    mount.expected.append("off 0")
    mount.process.send_signal(signal.SIGTERM)
    mount.process.wait(DEADLINE_S)
    assert mount.said() == "off 0\n"
