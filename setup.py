"""What pyproject.toml can't say: that what each request goes through is compiled.

mypyc makes C of it from its annotations. That takes no second source: where there is no compiler,
pip installs the same modules as they are, and they run interpreted.
"""

from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup

SOURCES = Path("src/eventfs")
RUN_ONCE = {SOURCES / "mount" / name for name in ("lifeline.py", "mounting.py", "session.py")}

compiled = mypycify(
    [
        "--ignore-missing-imports",  # psutil's types aren't needed
        *map(str, sorted({*SOURCES.glob("queues/*.py"), *SOURCES.glob("mount/*.py")} - RUN_ONCE)),
    ],
    debug_level="0",  # else it names the folder that it was made in
    group_name="eventfs",
)
for extension in compiled:
    extension.optional = True

setup(ext_modules=compiled)
