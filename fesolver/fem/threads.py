"""How many threads kernels use, and who may start them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

__all__ = ["SERIAL_LIMIT", "kernel_threads", "threads_for"]

SERIAL_LIMIT = 30_000
"""Unknowns below which starting threads costs more than they save: a kernel on so few takes some 0.1 ms."""

_kernels = threading.RLock()


def threads_for(n_unknowns: int, count: int) -> int:
    """Threads to use on a grid of `n_unknowns`: 1 where it is small, and never more than numba was started with."""
    from numba import config

    return min(count, int(vars(config)["NUMBA_NUM_THREADS"])) if n_unknowns >= SERIAL_LIMIT else 1


@contextmanager
def kernel_threads(count: int | None = None) -> Iterator[None]:
    """Run parallel kernels from one Python thread at a time, with `count` threads, and BLAS with one.

    Notes
    -----
    Not every threading layer of numba may be entered from two Python threads at once, and BLAS sums in another order
    on more threads: with both held, the bits of a result do not depend on either.
    """
    from numba import config, get_num_threads, set_num_threads

    with _kernels, _libraries(len(sys.modules)).limit(limits=1, user_api="blas"):
        before = get_num_threads()
        if count is not None:
            set_num_threads(min(count, int(vars(config)["NUMBA_NUM_THREADS"])))
        try:
            yield
        finally:
            set_num_threads(before)


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> Any:
    """The loaded libraries that have threads; looked for again (5 ms) once more modules are imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
