"""What pyproject.toml can't say: that what each request goes through is compiled.

mypyc makes C of it from its annotations. That takes no second source: where there is no compiler,
pip installs the same modules as they are, and they run interpreted.
"""

from pathlib import Path

from mypyc.build import mypycify
from setuptools import Extension, setup

SOURCES = Path("src/eventfs")
#: What runs once, and `device`, which chooses between what is compiled and what isn't.
INTERPRETED = {
    SOURCES / "mount" / name for name in ("device.py", "lifeline.py", "mounting.py", "session.py")
}
COMPILED = {*SOURCES.glob("queues/*.py"), *SOURCES.glob("mount/*.py")} - INTERPRETED

extensions = mypycify(
    [
        "--ignore-missing-imports",  # psutil's types aren't needed
        *sorted(map(str, COMPILED)),
    ],
    debug_level="0",  # else it names the folder that it was made in
    group_name="eventfs",
)
extensions.append(
    Extension(
        "eventfs.mount._device",
        ["src/eventfs/mount/_device.c"],
        extra_compile_args=["-O3", "-g0"],  # as mypyc does, and for the same reason
    )
)
for extension in extensions:
    extension.optional = True

setup(ext_modules=extensions)
