"""What pyproject.toml can't say: that what each request goes through is compiled.

mypyc makes C of it from its annotations. That takes no second source: where there is no compiler,
pip installs the same modules as they are, and they run interpreted.
"""

from pathlib import Path

from mypyc.build import mypycify
from setuptools import Extension, setup

SOURCES = Path("src/eventfs")
RUN_ONCE = {SOURCES / "mount" / name for name in ("lifeline.py", "mounting.py", "session.py")}
CHOOSES = {SOURCES / "mount/device.py"}  # what is compiled, or what isn't

compiled = mypycify(
    [
        "--ignore-missing-imports",  # psutil's types aren't needed
        *map(
            str,
            sorted(
                {*SOURCES.glob("queues/*.py"), *SOURCES.glob("mount/*.py")} - RUN_ONCE - CHOOSES
            ),
        ),
    ],
    debug_level="0",  # else it names the folder that it was made in
    group_name="eventfs",
)
compiled.append(
    Extension(
        "eventfs.mount._device",
        ["src/eventfs/mount/_device.c"],
        extra_compile_args=["-O3", "-g0"],  # as mypyc does, and for the same reason
    )
)
for extension in compiled:
    extension.optional = True

setup(ext_modules=compiled)
