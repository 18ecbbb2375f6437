"""A shell command that works on a message."""

import os
import subprocess

from eventfs.commands.eventq.endings import Endings
from eventfs.commands.eventq.outcome import Ended


def execute(command: str, content: bytes, endings: Endings, **environment: str) -> str | None:
    """Run a command with the content on its standard input; return how it failed, if it did.

    Raises Ended if a signal has made it fail that was to end eventq too.
    """
    # A file, not a pipe: the command may end without reading it, or read it when it likes.
    stdin = os.memfd_create("message")
    with os.fdopen(stdin, "r+b", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        file.seek(0)
        child = subprocess.Popen(  # noqa: S603  # as asked
            ["/bin/sh", "-c", command], stdin=file, env={**os.environ, **environment}
        )
    with endings.passed_on_to(child):
        status = child.wait()
    if status == 0:
        return None
    if endings.number is not None:
        raise Ended(endings.number)
    return f"with status {status}" if status > 0 else f"by signal {-status}"
