"""What eventq loads: it is started for each message, so as little as can be."""

import subprocess
import sys

import pytest

#: What takes long to load, or is none of eventq's business.
NEVER = ["eventfs.mount", "eventfs.queues", "eventfs.commands.eventfs", "asyncio", "psutil", "trio"]
SELDOM = ["rich", "json", "subprocess", "inotify_simple", "importlib.metadata", "base64", "ctypes"]

CODE = """
import importlib, sys
sys.argv.pop(0)
for name in sys.argv[0].split():
    importlib.import_module(f"eventfs.commands.eventq.{name}".rstrip("."))
print(*(name for name in sys.argv[1].split() if name in sys.modules))
"""


def loaded(modules: str, unwanted: list[str]) -> str:
    command = [sys.executable, "-c", CODE, modules, " ".join(unwanted)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("module", ["making", "sending", "receiving", "peeking", "waiting"])
def test_what_takes_long_is_loaded_only_where_it_is_used(module: str) -> None:
    assert loaded(f"running {module}", NEVER + SELDOM) == ""


@pytest.mark.parametrize("module", ["listing", "tables", "watching"])
def test_nothing_of_the_daemons_is_loaded(module: str) -> None:
    assert loaded(f"running {module}", NEVER) == ""
