"""Keep the memory of one training step for the next, where the C library can.

By default glibc hands large blocks back to the system after every step, and the next step pays
for them again, page by page: 10,000 page faults a step of the compact encoder, measured as a
tenth to a fifth of its time on a CPU. A file of its own, which loads no torch: comparisons of
features use it too.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Names and defaults of mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
DEFAULTS = {TRIM_THRESHOLD: 128 * 1024, TOP_PAD: 128 * 1024, MMAP_MAX: 65536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * 2**20, MMAP_MAX: 0}  # bytes, bytes, blocks


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory inside the block, and give it back after it; without glibc, do nothing.

    A heap that something else was mapped behind stays with the process, as glibc has it.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    for option, value in KEPT.items():
        library.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in DEFAULTS.items():
            library.mallopt(option, value)
        library.malloc_trim(0)
