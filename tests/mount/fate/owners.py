"""Owners for tests."""

from collections.abc import Callable

from tests.mounts import Child

#: The fixture `start`: arguments are those of `Child`.
Start = Callable[..., Child]

#: Makes the queue argv[1] in a thread, after the main thread has ended by pthread_exit.
LEADERLESS = """
import ctypes, os, sys, threading
def make():
    is_gone = lambda: "State:\\tZ" in open("/proc/self/status").read()
    while not is_gone():
        pass
    os.mkdir(sys.argv[1])
    print("made", flush=True)
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=make).start()
ctypes.CDLL(None).pthread_exit(None)
"""
