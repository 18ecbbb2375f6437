"""Running eventfs interpreted although it is compiled: to compare the two, and to change it."""

from pathlib import Path

import eventfs

#: Python to run before anything of eventfs is imported.
INTERPRETED = f"""
import sys
from importlib.machinery import FileFinder, SourceFileLoader

def only_sources(path):
    if not path.startswith({str(Path(eventfs.__file__).parent.parent)!r}):
        raise ImportError
    return FileFinder(path, (SourceFileLoader, [".py"]))

sys.path_hooks.insert(0, only_sources)
sys.path_importer_cache.clear()
"""
