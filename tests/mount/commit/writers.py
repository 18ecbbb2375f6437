"""Processes that begin a message in a queue and end it, or end themselves, as a test wants."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mounts import Child

#: The content of the message.
TEXT = b"text"

_PRELUDE = """
import ctypes, os, signal, subprocess, sys, threading
libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
fd = None

def begin():
    global fd
    fd = os.open("message", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(fd, b"text")

def there():  # what anybody sees
    return [name for name in os.listdir(".") if name not in ("head", "tail")]

def pause():
    threading.Event().wait()

def linger():  # as a child: until the test's end closes what it would read
    while os.read(0, 1): pass
    os._exit(0)

def some_threads():
    for _ in range(5):
        threading.Thread(target=pause, daemon=True).start()

def shell(script):
    os.execlp("sh", "sh", "-c", script)

def told():
    assert sys.stdin.buffer.raw.read(1), "nobody is there any more"

"""


class Writer(Child):
    """A process that begins `message` in a queue, and says which descriptor that is.

    Told to go on, it does what is next; then it says `done`, if it still lives, and waits for its
    end.
    """

    def __init__(self, queue: Path, begin: str, then: str) -> None:
        """Run *begin*, and, when told, *then*."""
        code = f"{_PRELUDE}{begin}\nprint(fd, flush=True)\ntold()\n{then}\n"
        super().__init__(code + "print('done', flush=True)\npause()\n", queue)
        self.queue = queue

    def go_on(self) -> str:
        """Tell it to go on; return what it says then ('' where it ended)."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"!")
        return self.read_line()

    def go_on_and_end(self) -> int:
        """Tell it to go on, and wait for its death; return its status as `Popen.returncode`."""
        self.go_on()
        return self.process.wait()

    @contextmanager
    def shared(self) -> Iterator[int]:
        """Have the message open too: no close of the writer's is the last one then."""
        fd = os.open(f"/proc/{self.process.pid}/fd/{self.line}", os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)


#: The fixture `write`: arguments are `then` and `begin` of `Writer`.
Write = Callable[..., Writer]
