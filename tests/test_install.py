"""What `make install` makes runs by itself, and `make uninstall` takes away just that.

Where there is no compiler, what is installed is interpreted, and keeps the same rules.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)  # pip fetches what it needs

CHECKOUT = Path(__file__).resolve().parent.parent
OTHERS = {Path("bin/other"), Path("lib/other/file")}  # what a prefix has from elsewhere


def make(target: str, prefix: Path, destdir: Path | None) -> None:
    """Run make as from a shell, also where a make runs the tests."""
    env = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    subprocess.run(
        ["make", target, f"PREFIX={prefix}", f"DESTDIR={destdir or ''}"],
        cwd=CHECKOUT,
        env=env,
        check=True,
    )


def below(destdir: Path, prefix: Path) -> Path:
    return destdir / prefix.relative_to("/")


def files(top: Path) -> set[Path]:
    return {path.relative_to(top) for path in top.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("staging")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory, staging: Path) -> Path:
    """Install by way of a staging tree, as packagers do, and move the result to its place."""
    prefix = tmp_path_factory.mktemp("final") / "prefix"
    staged = below(staging, prefix)
    for other in OTHERS:
        (staged / other).parent.mkdir(parents=True)
        (staged / other).touch()
    make("install", prefix, staging)
    staged.rename(prefix)
    return prefix


@pytest.fixture
def mountpoint(tmp_path: Path) -> Iterator[Path]:
    mountpoint = tmp_path / "events"
    mountpoint.mkdir()
    yield mountpoint
    subprocess.run(["fusermount3", "-uzq", mountpoint], check=False)  # where the test failed


def run(program: Path, *arguments: str | Path) -> str:
    """Run a program with nothing in its environment and return what it prints."""
    done = subprocess.run(
        [program, *arguments], cwd="/", env={}, check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout


def test_nothing_installed_names_the_checkout_or_the_staging_tree(
    prefix: Path, staging: Path
) -> None:
    traces = (os.fsencode(CHECKOUT), os.fsencode(staging))
    contents = {path: (prefix / path).read_bytes() for path in files(prefix)}
    assert contents.keys() > OTHERS
    assert [path for path, data in contents.items() if any(t in data for t in traces)] == []


def test_everybody_may_read_what_is_installed(prefix: Path) -> None:
    assert [path for path in prefix.rglob("*") if not path.stat().st_mode & 0o004] == []


def test_an_installed_command_tells_its_version_and_that_it_is_compiled(prefix: Path) -> None:
    assert run(prefix / "bin/eventfs", "--version") == "eventfs 0.1.0 (compiled)\n"
    assert run(prefix / "bin/eventq", "--version") == "eventq 0.1.0\n"


def test_the_installed_commands_mount_and_use_the_mount(prefix: Path, mountpoint: Path) -> None:
    run(prefix / "bin/eventfs", mountpoint)
    (mountpoint / "queue").mkdir()
    (mountpoint / "queue/message").write_text("text")
    assert (mountpoint / "queue/head").read_text() == "text"
    assert run(prefix / "bin/eventq", "recv", mountpoint / "queue") == "text"
    assert run(prefix / "bin/eventq", "ls", "--json", mountpoint).startswith("{")
    subprocess.run(["fusermount3", "-u", mountpoint], check=True)
    assert not mountpoint.is_mount()


@pytest.mark.parametrize("staged", [False, True], ids=["in place", "staged"])
def test_uninstall_leaves_what_others_have_put_there(
    prefix: Path, tmp_path: Path, *, staged: bool
) -> None:
    installed = tmp_path / "copy"
    shutil.copytree(prefix, installed)
    make("uninstall", Path("/copy") if staged else installed, tmp_path if staged else None)
    assert files(installed) == OTHERS


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install where the compiler fails; return where the package is."""
    checkout, target = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("target")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, checkout)
    made = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")
    shutil.copytree(CHECKOUT / "src", checkout / "src", ignore=made)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", target, checkout],
        env={**os.environ, "CC": "false"},
        check=True,
    )
    return target


def test_without_a_compiler_what_is_installed_is_interpreted(
    interpreted: Path, mountpoint: Path
) -> None:
    assert list(interpreted.rglob("eventfs/**/*.so")) == []
    command = f"import sys; sys.path.insert(0, {str(interpreted)!r})\n"
    command += "from eventfs.commands.eventfs import main; sys.exit(main())"
    said = run(Path(sys.executable), "-c", command, "--version")
    assert said == "eventfs 0.1.0 (interpreted)\n"
    run(Path(sys.executable), "-c", command, mountpoint)
    (mountpoint / "queue").mkdir()
    (mountpoint / "queue/message").write_text("text")
    (mountpoint / "queue/.pipe").write_text("more")
    assert (mountpoint / "queue/head").read_text() == "text"
    (mountpoint / "queue/head").unlink()
    assert (mountpoint / "queue/.pipe").read_text() == "more"
    subprocess.run(["fusermount3", "-u", mountpoint], check=True)


def test_interpreted_the_rules_are_the_same(interpreted: Path) -> None:
    """All that is tested of them without a kernel, once more."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/queues"],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(interpreted)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
