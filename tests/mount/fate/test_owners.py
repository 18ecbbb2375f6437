"""The owner is the process that made the queue."""

import os
import select
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.mount.fate.owners import LEADERLESS, Start
from tests.mount.making import is_gone
from tests.mount.processes import ALICE, Fork, in_child
from tests.mounts import MAKE_QUEUE, wait_until


def test_exec_keeps_ownership(path: Path, start: Start) -> None:
    owner = start(
        "import os, sys; os.mkdir(sys.argv[1])\n"
        "os.execvp('sh', ['sh', '-c', 'echo executed; exec cat'])",
        path,
    )
    assert owner.line == "executed"
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_exec_from_a_thread_keeps_ownership(path: Path, start: Start) -> None:
    owner = start(
        "import os, sys, threading; os.mkdir(sys.argv[1])\n"
        "execute = lambda: os.execvp('sh', ['sh', '-c', 'echo executed; exec cat'])\n"
        "threading.Thread(target=execute).start()\n"
        "sys.stdin.read()",
        path,
    )
    assert owner.line == "executed"
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_a_queue_made_by_a_thread_belongs_to_the_process(path: Path, start: Start) -> None:
    owner = start(
        "import os, sys, threading\n"
        "thread = threading.Thread(target=os.mkdir, args=[sys.argv[1]])\n"
        "thread.start(); thread.join()\n"
        "while len(os.listdir('/proc/self/task')) > 1: pass\n"
        "print(1, flush=True)\n"
        "sys.stdin.read()",
        path,
    )
    assert owner.line == "1"  # the thread is gone, the queue isn't
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_a_queue_made_after_the_main_thread_has_ended_belongs_to_the_process(
    path: Path, start: Start
) -> None:
    owner = start(LEADERLESS, path)
    assert owner.line == "made"
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_a_queue_stays_when_the_main_thread_ends_and_others_live(path: Path, start: Start) -> None:
    owner = start("import os, sys; os.mkdir(sys.argv[1] + '-2')" + LEADERLESS, path)
    second = path.with_name(path.name + "-2")
    assert path.is_dir()
    assert second.is_dir()
    owner.end()
    assert is_gone(second)


def test_a_forked_child_owns_nothing_of_its_parents(path: Path, start: Start) -> None:
    parent = start(
        "import os, sys, time; os.mkdir(sys.argv[1])\n"
        "child = os.fork()\n"
        "if child == 0: sys.stdin.read(); os._exit(0)\n"
        "print(child, flush=True)\n"
        "sys.stdin.read()",
        path,
    )
    parent.end()
    assert is_gone(path)
    # The child is alive: it reads what nobody has closed.
    os.kill(int(parent.line), 0)


def test_a_queue_stays_when_a_forked_child_dies(path: Path, fork: Fork) -> None:
    def make_and_fork() -> None:
        path.mkdir()
        in_child(lambda: None)

    owner = fork(make_and_fork)
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_a_childs_queue_vanishes_with_the_child_not_with_the_parent(
    path: Path, start: Start
) -> None:
    parent = start(
        "import os, subprocess, sys\n"
        f"code = {MAKE_QUEUE!r}\n"
        "child = subprocess.Popen([sys.executable, '-c', code, sys.argv[1]], stdin=0)\n"
        "sys.stdin.read()",
        path,
    )
    assert parent.line == "made"
    parent.end()
    assert path.is_dir()
    assert parent.process.stdin is not None
    parent.process.stdin.close()  # which the child waits for
    wait_until(lambda: is_gone(path), "the child's queue to vanish")


def test_a_daemon_that_forked_twice_owns_its_queue(path: Path, start: Start) -> None:
    starter = start(
        "import os, sys\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.mkdir(sys.argv[1])\n"
        "        print(os.getpid(), flush=True)\n"
        "        sys.stdin.read()\n"
        "    os._exit(0)\n"
        "os.wait()",
        path,
    )
    assert starter.process.wait() == 0
    daemon = int(starter.line)
    assert path.is_dir()
    with ExitStack() as stack:
        pidfd = os.pidfd_open(daemon)
        stack.callback(os.close, pidfd)
        os.kill(daemon, signal.SIGKILL)
        assert select.select([pidfd], [], [], 20)[0]
    wait_until(lambda: is_gone(path), "the daemon's queue to vanish")


def test_an_owner_may_live_in_a_child_pid_namespace(path: Path, start: Start) -> None:
    owner = start(
        "import os, sys; os.mkdir(sys.argv[1])\nprint(os.getpid(), flush=True)\nsys.stdin.read()",
        path,
        argv0=("unshare", "--fork", "--pid", "--kill-child"),
    )
    assert owner.line == "1"
    assert path.is_dir()
    assert owner.process.stdin is not None
    owner.process.stdin.close()
    assert owner.process.wait() == 0  # unshare's, which has waited for its child
    assert is_gone(path)


def test_a_thread_in_a_child_pid_namespace_makes_its_processs_queue(
    path: Path, start: Start
) -> None:
    owner = start(
        "import os, sys, threading\n"
        "thread = threading.Thread(target=os.mkdir, args=[sys.argv[1]])\n"
        "thread.start(); thread.join()\n"
        "print('made', flush=True)\n"
        "sys.stdin.read()",
        path,
        argv0=("unshare", "--fork", "--pid", "--kill-child"),
    )
    assert path.is_dir()
    assert owner.process.stdin is not None
    owner.process.stdin.close()
    assert owner.process.wait() == 0
    assert is_gone(path)


def test_an_owner_may_be_another_user(path: Path, fork: Fork) -> None:
    owner = fork(path.mkdir, ALICE)
    assert path.is_dir()
    owner.end()
    assert is_gone(path)


def test_a_shells_mkdir_owns_the_queue_only_while_it_runs(path: Path) -> None:
    subprocess.run(["mkdir", path], check=True)
    assert is_gone(path)
