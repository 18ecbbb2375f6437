"""What the C library does with memory that was freed."""

import ctypes
from functools import cache

#: Freed memory is kept up to so many bytes, and blocks up to that size are taken from it: what
#: glibc comes to by itself when such blocks are freed, but for giving memory back too early.
KEPT_BYTES = 32 * 1024 * 1024

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@cache
def keep_freed() -> None:
    """Keep some of it for the next large message.

    Else the kernel is asked for each page of each of them: without this, 1.6 times fewer messages
    of 1 MiB pass. Where there are only small messages it is better left alone: what grows large
    then are tables, which leave holes behind.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        libc.mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
