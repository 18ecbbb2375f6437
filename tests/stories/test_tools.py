"""The tools that people use on files, used on queues."""

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.mounts import DEADLINE_S, Child, names, wait_until

MESSAGES = ["first", "second", "third"]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, which is to end well and without complaint; return what it prints."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


@pytest.fixture
def full(queue: Path) -> Path:
    """A queue with three messages; each contains its own name and a line end."""
    for name in MESSAGES:
        (queue / name).write_text(f"{name}\n")
    return queue


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in MESSAGES}


EXPECTED = {name: f"{name}\n" for name in MESSAGES}


# Listing


def test_ls_shows_the_messages_in_order_between_head_and_tail(full: Path) -> None:
    assert run("ls", "-U", full).split() == ["head", *MESSAGES, "tail"]


def test_ls_l_shows_where_head_and_tail_lead(full: Path) -> None:
    lines = run("ls", "-l", full).splitlines()
    assert [line.split()[8:] for line in lines[1:]] == [
        ["first"],
        ["head", "->", "first"],
        ["second"],
        ["tail", "->", "third"],
        ["third"],
    ]


def test_ls_l_of_an_empty_queue_is_empty(queue: Path) -> None:
    assert re.fullmatch(r"total \d+\n", run("ls", "-l", queue))


def test_ls_l_follows_links_when_told_to(full: Path) -> None:
    lines = run("ls", "-lL", full / "head").splitlines()
    assert lines[0].startswith("-")


def test_ls_r_descends_into_queues(full: Path) -> None:
    assert str(full) in run("ls", "-R", full.parent)


def test_find_finds_each_name_once(full: Path) -> None:
    found = run("find", full, "-mindepth", "1", "-printf", "%f\\n").split()
    assert found == ["head", *MESSAGES, "tail"]


def test_find_tells_files_from_links(full: Path) -> None:
    assert run("find", full, "-type", "f", "-printf", "%f\\n").split() == MESSAGES
    assert run("find", full, "-type", "l", "-printf", "%l\\n").split() == ["first", "third"]


def test_find_counts_the_queues_of_the_root_as_links(full: Path) -> None:
    # Some tools save looking into directories whose link count says that there are no more.
    found = run("find", full.parent, "-type", "d").splitlines()
    assert str(full) in found
    assert full.parent.stat().st_nlink == 1 + len(found)


def test_find_deletes_all_messages(full: Path) -> None:
    run("find", full, "-type", "f", "-delete")
    assert names(full) == []


def test_stat_shows_what_a_message_is(full: Path) -> None:
    assert run("stat", "-c", "%F %s %h", full / "second") == "regular file 7 1\n"
    assert run("stat", "-c", "%F %N", full / "head").startswith("symbolic link ")
    assert run("stat", "-c", "%F", full) == "directory\n"


def test_stat_f_shows_the_filesystem(full: Path) -> None:
    # All of FUSE has one number, which stat calls fuseblk.
    assert run("stat", "-f", "-c", "%T %l", full) == "fuseblk 255\n"


def test_du_counts_what_is_stored(queue: Path) -> None:
    (queue / "message").write_bytes(bytes(1_000_000))
    (queue / "again").hardlink_to(queue / "message")
    kilobytes = int(run("du", "-sk", queue).split()[0])
    assert 976 <= kilobytes <= 1_000


def test_du_knows_a_hole(queue: Path) -> None:
    with (queue / "message").open("wb") as file:
        file.truncate(1_000_000_000)
    assert int(run("du", "-sk", queue).split()[0]) < 100
    assert int(run("du", "-sb", queue / "message").split()[0]) == 1_000_000_000


def test_df_shows_the_mount(full: Path) -> None:
    _, line = run("df", "-P", full).splitlines()
    source, *_, mountpoint = line.split()
    assert source == "eventfs"
    assert mountpoint == str(full.parent)


def test_df_i_shows_inodes(full: Path) -> None:
    _, line = run("df", "-P", "-i", full).splitlines()
    assert int(line.split()[2]) >= 1 + 1 + len(MESSAGES)


# Reading


def test_cat_reads_through_head_and_tail(full: Path) -> None:
    assert run("cat", full / "head", full / "tail") == "first\nthird\n"


def test_grep_r_reads_each_message_once(full: Path) -> None:
    # -r doesn't follow links, so head and tail don't show what they lead to a second time.
    assert run("grep", "-rh", "", full).split() == MESSAGES


def test_grep_r_that_follows_links_reads_the_ends_twice(full: Path) -> None:
    assert run("grep", "-Rh", "", full).split() == ["first", *MESSAGES, "third"]


def test_wc_knows_the_sizes(full: Path) -> None:
    assert run("wc", "-c", *[full / name for name in MESSAGES]).split()[-2:] == ["19", "total"]


def test_tail_f_sees_a_message_grow(queue: Path) -> None:
    message = queue / "message"
    message.write_text("one\n")
    process = subprocess.Popen(["tail", "-s", "0.05", "-f", message], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"one\n"
        for text in (b"two\n", b"three\n"):
            with message.open("ab") as file:
                file.write(text)
            assert process.stdout.readline() == text
    finally:
        process.kill()
        process.communicate()


def test_tail_f_sees_a_message_grow_whose_writer_keeps_it_open(queue: Path) -> None:
    message = queue / "message"
    with message.open("wb", buffering=0) as file:
        file.write(b"one\n")
        process = subprocess.Popen(["tail", "-s", "0.05", "-f", message], stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"one\n"
            for text in (b"two\n", b"three\n"):
                file.write(text)
                assert process.stdout.readline() == text
        finally:
            process.kill()
            process.communicate()


# Removing


def test_rm_rf_removes_a_full_queue(full: Path) -> None:
    run("rm", "-rf", full)
    assert not full.exists()


def test_rm_rf_removes_a_queue_of_a_thousand(queue: Path) -> None:
    for number in range(1_000):
        (queue / f"message-{number}").touch()
    run("rm", "-rf", queue)
    assert not queue.exists()


def test_rm_rf_removes_all_queues(full: Path) -> None:
    other = full.with_name(f"{full.name}-other")
    other.mkdir()
    (other / "message").touch()
    run("rm", "-rf", full, other)
    assert not full.exists()
    assert not other.exists()


def test_rm_removes_all_messages_by_name(full: Path) -> None:
    run("rm", *[full / name for name in MESSAGES])
    assert names(full) == []


def test_rmdir_removes_an_empty_queue_only(full: Path) -> None:
    done = subprocess.run(["rmdir", full], capture_output=True, text=True, check=False)
    assert "not empty" in done.stderr
    run("rm", *[full / name for name in MESSAGES])
    run("rmdir", full)
    assert not full.exists()


def test_rmtree_that_ignores_errors_removes_a_full_queue(full: Path) -> None:
    shutil.rmtree(full, ignore_errors=True)
    assert not full.exists()


# Copying


def test_cp_copies_a_message_out(full: Path, tmp_path: Path) -> None:
    run("cp", full / "head", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "first\n"


def test_cp_a_copies_a_queue_out_with_its_links(full: Path, tmp_path: Path) -> None:
    os.setxattr(full / "first", "user.key", b"value")
    run("cp", "-a", full, tmp_path / "copy")
    assert contents(tmp_path / "copy") == EXPECTED
    assert (tmp_path / "copy/head").readlink() == Path("first")
    assert (tmp_path / "copy/tail").readlink() == Path("third")
    assert (tmp_path / "copy/second").stat().st_mtime == (full / "second").stat().st_mtime


def test_cp_copies_files_in_and_they_queue_in_that_order(queue: Path, tmp_path: Path) -> None:
    for name in MESSAGES:
        (tmp_path / name).write_text(f"{name}\n")
    run("cp", *[tmp_path / name for name in reversed(MESSAGES)], queue)
    assert contents(queue) == EXPECTED
    assert names(queue) == ["head", *reversed(MESSAGES), "tail"]


def test_cp_p_keeps_mode_and_times(queue: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o640)
    os.utime(tmp_path / "file", (1, 2))
    run("cp", "-p", tmp_path / "file", queue)
    status = (queue / "file").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_atime, status.st_mtime) == (0o640, 1, 2)


def test_cp_overwrites_a_message_in_its_place(full: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("new\n")
    run("cp", tmp_path / "file", full / "second")
    assert (full / "second").read_text() == "new\n"
    assert names(full) == ["head", *MESSAGES, "tail"]


def test_cp_copies_from_queue_to_queue(full: Path) -> None:
    other = full.with_name(f"{full.name}-other")
    other.mkdir()
    run("cp", *[full / name for name in MESSAGES], other)
    assert contents(other) == EXPECTED
    run("rm", "-rf", other)


def test_cp_l_links_from_queue_to_queue(full: Path) -> None:
    other = full.with_name(f"{full.name}-other")
    other.mkdir()
    run("cp", "-l", *[full / name for name in MESSAGES], other)
    assert (other / "first").samefile(full / "first")
    run("rm", "-rf", other)


def test_cp_copies_large_messages(queue: Path, tmp_path: Path) -> None:
    data = os.urandom(5_000_001)
    (tmp_path / "file").write_bytes(data)
    run("cp", tmp_path / "file", queue)
    run("cp", queue / "file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_ln_links_a_message_and_ln_s_does_not(full: Path) -> None:
    run("ln", full / "first", full / "again")
    assert (full / "tail").readlink() == Path("again")
    done = subprocess.run(["ln", "-s", "first", full / "link"], stderr=subprocess.PIPE, check=False)
    assert b"Operation not permitted" in done.stderr


def test_mv_renames_a_message_and_its_place_stays(full: Path) -> None:
    run("mv", full / "first", full / "renamed")
    assert names(full) == ["head", "renamed", "second", "third", "tail"]
    run("mv", "--no-clobber", full / "renamed", full / "third")
    assert names(full) == ["head", "renamed", "second", "third", "tail"]
    run("mv", "--force", full / "renamed", full / "third")
    assert names(full) == ["head", "third", "second", "tail"]


def test_mv_takes_a_message_out(full: Path, tmp_path: Path) -> None:
    run("mv", full / "head", tmp_path / "link")
    # mv moves what the name is: a link. Its removal is the removal of the message.
    assert (tmp_path / "link").is_symlink()
    assert names(full) == ["head", "second", "third", "tail"]


def test_tar_packs_a_queue(full: Path, tmp_path: Path) -> None:
    run("tar", "-cf", tmp_path / "archive", "-C", full, ".")
    run("tar", "-xf", tmp_path / "archive", "-C", tmp_path)
    assert contents(tmp_path) == EXPECTED
    assert (tmp_path / "head").readlink() == Path("first")


def test_tar_unpacks_files_into_a_queue_in_their_order(queue: Path, tmp_path: Path) -> None:
    for name in MESSAGES:
        (tmp_path / name).write_text(f"{name}\n")
    run("tar", "-cf", tmp_path / "archive", "-C", tmp_path, *reversed(MESSAGES))
    run("tar", "-xf", tmp_path / "archive", "-C", queue)
    assert contents(queue) == EXPECTED
    assert names(queue) == ["head", *reversed(MESSAGES), "tail"]


def test_tar_passes_a_queue_on_to_another(full: Path) -> None:
    other = full.with_name(f"{full.name}-other")
    other.mkdir()
    run("sh", "-c", f"tar -c -C {full} --exclude=./head --exclude=./tail . | tar -x -C {other}")
    assert contents(other) == EXPECTED
    run("rm", "-rf", other)


# Writing


def test_touch_makes_a_message_and_moves_none(full: Path) -> None:
    run("touch", full / "fourth", full / "first")
    assert names(full) == ["head", *MESSAGES, "fourth", "tail"]


def test_touch_sets_times(full: Path) -> None:
    run("touch", "-d", "2001-02-03 04:05:06.789 UTC", full / "first")
    assert (full / "first").stat().st_mtime_ns == 981173106_789000000


def test_dd_writes_in_pieces_and_at_offsets(queue: Path) -> None:
    run("dd", "if=/dev/zero", f"of={queue}/message", "bs=1000", "count=7", "status=none")
    run("sh", "-c", f"printf x | dd of={queue}/message bs=1 seek=3500 conv=notrunc status=none")
    data = (queue / "message").read_bytes()
    assert (len(data), data.index(b"x")) == (7000, 3500)


def test_dd_with_fsync_is_content(queue: Path) -> None:
    run("sh", "-c", f"printf text | dd of={queue}/message conv=fsync status=none")
    assert (queue / "message").read_text() == "text"


@pytest.mark.parametrize("flag", ["direct", "sync", "dsync", "append", "nofollow", "excl"])
def test_dd_opens_in_every_way(queue: Path, flag: str) -> None:
    options = {"excl": ["conv=excl"], "append": ["conv=notrunc", "oflag=append"]}
    option = options.get(flag, [f"oflag={flag}"])
    run("dd", "if=/dev/zero", f"of={queue}/message", "bs=4096", "count=2", "status=none", *option)
    assert (queue / "message").stat().st_size == 8192


def test_truncate_changes_the_size(queue: Path) -> None:
    run("truncate", "-s", "1000", queue / "message")
    assert (queue / "message").stat().st_size == 1000


def test_tee_appends(full: Path) -> None:
    run("sh", "-c", f"echo more | tee -a {full}/first")
    assert (full / "first").read_text() == "first\nmore\n"


def test_flock_holds_others_off(queue: Path, start: Callable[..., Child]) -> None:
    (queue / "lock").touch()
    holder = start(
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()",
        queue / "lock",
    )
    taken = ["flock", "-n", str(queue / "lock"), "true"]
    assert subprocess.run(taken, check=False).returncode == 1
    holder.end()
    assert subprocess.run(taken, check=False).returncode == 0


def test_chmod_and_chown_do_as_on_any_file(full: Path) -> None:
    run("chmod", "u=rw,go=", full / "first")
    run("chown", "1:2", full / "first")
    assert run("stat", "-c", "%a %u %g", full / "first") == "600 1 2\n"


# Databases and temporary files


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "memory", "off", "wal"])
def test_sqlite_keeps_a_database_in_a_queue(queue: Path, mode: str) -> None:
    database = queue / "database"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(f"pragma journal_mode={mode}").fetchone() == (mode,)
        connection.execute("create table numbers (number integer)")
        for number in range(100):
            connection.execute("insert into numbers values (?)", (number,))
            connection.commit()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select sum(number) from numbers").fetchone() == (4950,)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("mode", ["delete", "truncate", "wal"])
def test_sqlite_takes_back_what_was_not_committed(queue: Path, mode: str) -> None:
    with closing(sqlite3.connect(queue / "database")) as connection:
        connection.execute(f"pragma journal_mode={mode}")
        connection.execute("create table numbers (number integer)")
        connection.commit()
        connection.execute("insert into numbers values (1)")
        connection.rollback()
        assert connection.execute("select count(*) from numbers").fetchone() == (0,)


@pytest.mark.parametrize("mode", ["delete", "truncate", "wal"])
def test_sqlite_serves_several_processes(queue: Path, mode: str) -> None:
    with closing(sqlite3.connect(queue / "database")) as connection:
        connection.execute(f"pragma journal_mode={mode}")
        connection.execute("create table numbers (number integer)")
        connection.commit()
    code = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60)
for number in range(25):
    with connection:
        connection.execute("insert into numbers values (?)", (number,))
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, queue / "database"]) for _ in range(3)
    ]
    try:
        assert [process.wait(DEADLINE_S) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with closing(sqlite3.connect(queue / "database")) as connection:
        assert connection.execute("select count(*) from numbers").fetchone() == (75,)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


@pytest.fixture
def temporary(queue: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(queue))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield queue
    monkeypatch.undo()


def test_tempfile_takes_a_queue_for_its_directory(temporary: Path) -> None:
    assert tempfile.gettempdir() == str(temporary)


@pytest.mark.parametrize("delete", [True, False])
def test_a_named_temporary_file_works_in_a_queue(queue: Path, *, delete: bool) -> None:
    with tempfile.NamedTemporaryFile("w+", dir=queue, delete=delete) as file:
        file.write("text")
        file.flush()
        assert Path(file.name).read_text() == "text"
        file.seek(0)
        assert file.read() == "text"
    assert Path(file.name).exists() != delete


def test_a_temporary_file_without_a_name_works_in_a_queue(queue: Path) -> None:
    with tempfile.TemporaryFile(dir=queue) as file:
        assert names(queue) == []
        file.write(b"text")
        file.seek(0)
        assert file.read() == b"text"
        assert os.fstat(file.fileno()).st_size == 4


def test_a_temporary_directory_cannot_be_in_a_queue(queue: Path) -> None:
    with pytest.raises(PermissionError):
        tempfile.mkdtemp(dir=queue)


def test_a_temporary_directory_can_be_a_queue(queue: Path) -> None:
    with tempfile.TemporaryDirectory(dir=queue.parent, ignore_cleanup_errors=True) as folder:
        (Path(folder) / "message").write_text("text")
        assert (Path(folder) / "head").read_text() == "text"
    wait_until(lambda: not Path(folder).exists(), "its removal")
