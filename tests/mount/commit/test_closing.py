"""A message is committed when its creator has closed it: no earlier, and no later."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.mount.commit.writers import TEXT, Write
from tests.mount.daemon import Mounter
from tests.mount.making import messages
from tests.mount.processes import in_child, wait_until_blocked
from tests.mounts import wait_until


def bash(script: str, queue: Path) -> str:
    """Run a script in a queue; return what it prints."""
    done = subprocess.run(
        ["bash", "-ec", script], cwd=queue, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def test_close_commits(queue: Path, message: int) -> None:
    assert messages(queue) == []
    os.close(os.dup(message))
    assert messages(queue) == []
    other = os.dup(message)
    os.close(message)
    assert messages(queue) == []
    os.dup2(0, message)
    os.close(other)
    assert messages(queue) == ["message"]
    assert (queue / "head").read_bytes() == TEXT


#: Ways to close the message whose descriptor is `fd`, with the message unfinished up to then.
CLOSINGS = {
    "close": "os.close(fd)",
    "dup2 over it": "os.dup2(0, fd)",
    "close_range": "os.closerange(fd, fd + 9)",
    "the last of two": "d = os.dup(fd); os.close(fd); assert not there(); os.close(d)",
    "after having opened it again": """
again = os.open("message", os.O_WRONLY | os.O_CREAT)
os.close(fd); assert not there(); os.close(again)""",
    "in another thread": """
t = threading.Thread(target=os.close, args=(fd,)); t.start(); t.join()""",
    "while a child has it": """
child = os.fork() or linger(); os.close(fd); assert there(); os.kill(child, 9)""",
    "after a child has closed it": """
if os.fork() == 0: os.close(fd); os._exit(0)
os.wait(); assert not there(); os.close(fd)""",
    "after a child was killed": """
child = os.fork() or linger(); os.kill(child, 9); os.wait(); assert not there(); os.close(fd)""",
    "after a program has written to it": """
subprocess.run(["true"], stdout=fd, check=True); assert not there(); os.close(fd)""",
    "in a program that it has become": """
os.dup2(fd, 5); os.close(fd); shell("exec 5>&-; echo done; read -r end")""",
    "while another message has its name": """
os.mkdir("../beside"); d = os.open("../beside/message", os.O_CREAT | os.O_WRONLY); os.close(fd)
assert there(); os.unlink("../beside/message"); os.close(d); os.rmdir("../beside")""",
    "with a thousand others open": """
others = [os.dup(0) for _ in range(1000)]; os.close(fd)""",
}


@pytest.mark.parametrize("then", CLOSINGS.values(), ids=CLOSINGS.keys())
def test_who_closes_it_commits_it_even_if_others_have_it_open(
    queue: Path, write: Write, then: str
) -> None:
    writer = write(then)
    with writer.shared() as fd:
        assert messages(queue) == []
        assert writer.go_on() == "done"
        assert messages(queue) == ["message"]
        assert os.read(fd, 100) == TEXT


OPENED_BY_A_THREAD = "t = threading.Thread(target=begin); t.start(); t.join()"


def test_it_is_the_process_that_makes_it_not_the_thread(queue: Path, write: Write) -> None:
    writer = write("os.close(fd)", begin=OPENED_BY_A_THREAD)
    with writer.shared():
        assert messages(queue) == []
        assert writer.go_on() == "done"
        assert messages(queue) == ["message"]


def test_a_name_that_the_kernel_takes_for_deleted_is_found_open(queue: Path, write: Write) -> None:
    writer = write("d = os.dup(fd); os.close(fd)")
    assert not (queue / "message").exists()  # from now on its link in /proc says so
    assert writer.go_on() == "done"
    assert messages(queue) == []


def test_a_name_that_looks_like_a_deleted_one_is_found_open(queue: Path) -> None:
    fd = os.open(queue / "message (deleted)", os.O_CREAT | os.O_WRONLY)
    other = os.dup(fd)
    os.close(fd)
    assert messages(queue) == []
    os.close(other)
    assert messages(queue) == ["message (deleted)"]


def test_a_path_that_is_too_long_for_the_kernel_is_not_missed(tmp_path: Path, root: Path) -> None:
    code = """
import os, sys
os.chdir(sys.argv[1]); os.mkdir("queue-long")
fd = os.open("queue-long/" + "x" * 255, os.O_CREAT | os.O_WRONLY)
os.close(os.dup(fd)); assert not os.listdir("queue-long")
os.close(fd); assert os.listdir("queue-long")
"""
    deep = tmp_path
    for _ in range(14):
        deep /= "d" * 250
    subprocess.run(["mkdir", "-p", deep], check=True)
    subprocess.run(["mount", "--bind", root, deep], check=True)
    try:
        subprocess.run([sys.executable, "-IS", "-c", code, deep], check=True)
    finally:
        subprocess.run(["umount", deep], check=True)


# Shells


def test_a_redirection_is_one_message(queue: Path) -> None:
    assert bash("echo text > message; ls", queue).split() == ["head", "message", "tail"]
    assert (queue / "message").read_bytes() == b"text\n"


def test_a_block_is_one_message(queue: Path) -> None:
    script = "{ echo 1; ls; [ -e head ] || echo nothing; echo 2; } > message"
    bash(script, queue)
    assert (queue / "message").read_text() == "1\nnothing\n2\n"


def test_a_descriptor_that_a_shell_keeps_is_one_message(queue: Path) -> None:
    script = "exec 3> message; echo a >&3; ls; echo b >&3; (echo c) >&3; /bin/echo d >&3; ls"
    assert bash(script, queue) == ""
    assert (queue / "message").read_text() == "a\nb\nc\nd\n"
    script = "exec 3> 2; echo a >&3; exec 4>&3 3>&-; ls -d 2 || echo no; exec 4>&-; ls -d 2"
    (queue / "message").unlink()
    bash(f"exec 2>/dev/null; {script} | cat", queue)
    assert messages(queue) == ["2"]


def test_an_appending_redirection_is_one_message_too(queue: Path) -> None:
    bash("echo 1 >> message; echo 2 >> message", queue)
    assert (queue / "message").read_text() == "1\n2\n"


def test_a_commands_output_is_one_message(queue: Path) -> None:
    bash("seq 100000 | cat > message", queue)
    assert (queue / "message").read_text().split()[-1] == "100000"


# Programs


def test_a_programs_output_is_one_message(queue: Path) -> None:
    with (queue / "message").open("w") as stdout:
        subprocess.run(["echo", "text"], stdout=stdout, check=True)
        assert messages(queue) == []
    assert (queue / "message").read_text() == "text\n"


def test_mapped_memory_is_in_it(queue: Path, write: Write) -> None:
    begin = 'fd = os.open("message", os.O_CREAT | os.O_RDWR); os.ftruncate(fd, 4096)'
    then = "import mmap; m = mmap.mmap(fd, 4096); m[:4] = b'text'; os.close(fd); m.close()"
    writer = write(then, begin=begin)
    with writer.shared():
        assert writer.go_on() == "done"
        with (queue / ".pipe").open("rb", buffering=0) as port:
            assert port.read(1 << 16) == b"text" + bytes(4092)


def test_mknod_makes_a_finished_one(queue: Path) -> None:
    os.mknod(queue / "message")
    assert messages(queue) == ["message"]
    with (queue / "message").open("w") as again:
        assert messages(queue) == ["message"]
        again.write("text")


def test_what_exec_closes_is_there_for_the_new_program(queue: Path) -> None:
    """The kernel holds a lock of the process's meanwhile, that it takes to look at it."""
    code = 'import os; os.open("message", os.O_CREAT | os.O_WRONLY); os.execlp("ls", "ls")'
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code], cwd=queue, check=True, stdout=subprocess.PIPE
    )
    assert done.stdout.split() == [b"head", b"message", b"tail"]


@pytest.mark.parametrize("who", ["os.execlp", "threading.Thread(target=shell).start"])
def test_what_exec_keeps_is_unfinished_whoever_calls_it(
    queue: Path, write: Write, who: str
) -> None:
    """The other threads end in exec, and the last of them gives the process's descriptors back."""
    call = 'shell("echo done; read -r end")'
    if "Thread" in who:
        call = f"threading.Thread(target=lambda: {call}).start(); pause()"
    writer = write(f"some_threads(); os.set_inheritable(fd, True); {call}")
    assert writer.go_on() == "done"
    assert messages(queue) == []
    writer.end()
    assert messages(queue) == []


def test_two_messages_of_one_process_are_committed_as_they_are_closed(queue: Path) -> None:
    first, second = (
        os.open(queue / name, os.O_CREAT | os.O_WRONLY) for name in ("first", "second")
    )
    os.close(second)
    assert messages(queue) == ["second"]
    os.close(first)
    assert messages(queue) == ["second", "first"]


def test_what_another_process_closes_last_is_committed(queue: Path, write: Write) -> None:
    """Its creator has closed it by exec, which isn't looked into."""
    then = 'os.fork() or linger(); shell("echo done; read -r end")'
    writer = write(then)
    assert writer.go_on() == "done"
    children = Path(f"/proc/{writer.process.pid}/task/{writer.process.pid}/children").read_text()
    assert messages(queue) == []
    os.kill(int(children), 9)
    wait_until(lambda: messages(queue) == ["message"], "the child to end")


def test_a_close_is_released_before_the_next_request_of_the_program(root: Path) -> None:
    """What is committed at the last close only is there for whoever closed it."""

    def releases() -> int:
        counts = os.getxattr(root, "user.eventfs_requests").decode().splitlines()
        return sum(int(line.split()[1]) for line in counts if line.startswith("release "))

    def close_often() -> bool:
        queue = root / "releases"
        queue.mkdir()
        os.mknod(queue / "message")
        for _ in range(200):
            before = releases()
            os.close(os.open(queue / "message", os.O_RDONLY))
            if releases() <= before:
                return False
        return True

    assert in_child(close_often)


def test_also_when_many_close_at_once(mounter: Mounter) -> None:
    """Of releases the kernel sends only some at a time, unless it is told otherwise."""
    mount = mounter("-o", "commit=close", "-d")
    mount.expected.append("eventfs: ")
    queue = mount.path / "queue"
    queue.mkdir()
    closers = [Closer(queue / f"{number}") for number in range(40)]
    mount.process.send_signal(signal.SIGSTOP)
    try:
        for closer in closers:
            closer.start()
            wait_until(lambda: closer.native_id, "the thread")  # noqa: B023  # it is called at once
            wait_until_blocked(closer.native_id or 0)
    finally:
        mount.process.send_signal(signal.SIGCONT)
        for closer in closers:
            closer.join()
    said = mount.said().splitlines()
    for closer in closers:
        lookups = [at for at, line in enumerate(said) if line.endswith(f"b'{closer.path.name}')")]
        assert said.index(f"eventfs: release({closer.ino})") < lookups[-1]


class Closer(threading.Thread):
    """Closes a message and looks at it again."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        os.mknod(path)
        self.path = path
        self.fd = os.open(path, os.O_RDONLY)
        self.ino = os.fstat(self.fd).st_ino

    def run(self) -> None:
        os.close(self.fd)
        self.path.stat()
