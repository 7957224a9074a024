"""The one decorator for kernels: compiled once, cached where a cache can be written."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import numba

# Threads that wait at the end of a kernel let go of their core instead of spinning: on a machine with anything else to
# do, spinning made a solve twice as slow, and on an idle one it gains a few percent. The OpenMP runtime reads this when
# the first kernel starts; what the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_has_warned = False

_SOURCES = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
"""Of all kernel files: numba looks only at a kernel's own file, and would keep what a kernel in another one was."""


def kernel(function=None, **options):
    """`numba.njit` with an on-disk cache, or compiled in memory with one warning where none can be written."""
    if function is None:
        return lambda f: kernel(f, **options)
    try:
        compiled = numba.njit(cache=True, **options)(function)
        file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
        if hasattr(file, "_source_stamp"):
            file._source_stamp = (file._source_stamp, _SOURCES)
        return compiled
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        global _has_warned
        if not _has_warned:
            _has_warned = True
            warnings.warn(
                "no writable place for compiled kernels: they are compiled again in every process; "
                "set NUMBA_CACHE_DIR to a writable folder",
                RuntimeWarning,
                stacklevel=2,
            )
        return numba.njit(**options)(function)
