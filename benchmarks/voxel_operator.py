"""The product K u alone against what the machine allows: its memory's stream and its arithmetic.

    python benchmarks/voxel_operator.py [--quick] [--runs N] [--sizes N ...]

Both bounds are measured in the run, by kernels of the same compiler on as many threads:

- stream: the product must read u, allocate a line of f before it writes it, write f, and read one modulus for the three
  unknowns of a cell: 3 + 1/3 numbers per unknown, 26.7 bytes in float64 and 13.3 in float32. The bandwidth is that of
  the best of a scaled copy and a triad on arrays far larger than the caches, the allocated lines counted.
- arithmetic: `OPERATIONS_PER_CELL` additions, multiplications and fused pairs of them for the three unknowns of a cell.
  The rate is that of chains of fused multiply-adds that stay in registers.

The lower of the two is the bound; the product's share of it is printed for float64 and float32, one and two threads. Of
the runs the quickest counts; compiling is apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from _common import (
    THREADS,
    ChildFailedError,
    Record,
    answer_child,
    compile_seconds,
    markdown,
    parser,
    run_child,
    write_results,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = (64, 160, 256)
"""Cells along an edge of the block: 0.8, 12.5 and 51 million unknowns."""
RUNS = 10
WANTED, LEAST = 0.30, 0.20
"""Share of the bound in float64 that is wanted, and that it must not fall below."""

NUMBERS_PER_UNKNOWN = 3.0 + 1.0 / 3.0

TRANSFORM = 3 * (2 + 4 + 8)
"""Sums and differences of one brick's three components: the two along x are shared by the four bricks at an edge, the
four after y by the two at a face, the eight after z belong to the brick; the transposed transform, which also adds up
the bricks at each point, takes as many."""
OPERATIONS_PER_CELL = TRANSFORM + 45 + 21 + TRANSFORM
"""The fewest known: 45 nonzeros in the basis of sums and differences (fused), and 21 products with the modulus."""
PLAIN_OPERATIONS_PER_CELL = 3 * 24 + 45 + 21 + 3 * 24 + 24
"""The same with nothing shared between bricks: two transforms of 24 per component, and 24 sums at the points."""


def quickest(work: Callable[[], object], runs: int) -> float:
    """Seconds of the quickest of some runs, after one that does not count."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def stream_bandwidth(dtype: str, n: int, runs: int) -> float:
    """Bytes per second through memory, lines that are allocated for writing counted.

    Parameters
    ----------
    dtype : str
        Of the arrays.
    n : int
        Numbers per array.
    runs : int
        How often each kernel runs.
    """
    import numpy as np
    from numba import njit, prange

    blocks = 512

    @njit(parallel=True)
    def scale(a: Any, b: Any, s: Any) -> None:
        for t in prange(blocks):
            part = slice(t * a.size // blocks, (t + 1) * a.size // blocks)
            to, of = a[part], b[part]
            for i in range(to.size):
                to[i] = s * of[i]

    @njit(parallel=True)
    def triad(a: Any, b: Any, c: Any, s: Any) -> None:
        for t in prange(blocks):
            part = slice(t * a.size // blocks, (t + 1) * a.size // blocks)
            to, of, other = a[part], b[part], c[part]
            for i in range(to.size):
                to[i] = of[i] + s * other[i]

    a, b, c = (np.full(n, value, dtype=dtype) for value in (0.0, 1.0, 2.0))
    s = a.dtype.type(1.5)
    size = a.dtype.itemsize * n
    return max(
        3 * size / quickest(lambda: scale(a, b, s), runs),
        4 * size / quickest(lambda: triad(a, b, c, s), runs),
    )


def fused_rate(dtype: str, runs: int) -> float:
    """Fused multiply-adds per second, each number of a vector counted."""
    import numpy as np
    from numba import get_num_threads, njit, prange

    width, chains, depth = 256, 4, 16
    repeats = 2000

    @njit(parallel=True, fastmath={"contract"})
    def chase(x: Any, p: Any, q: Any) -> None:
        for t in prange(x.shape[0]):
            for _ in range(repeats):
                for j in range(width):
                    a = x[t, j]
                    b, c, d = a + p, a + q, a - q
                    for _ in range(depth):
                        a = a * p + q
                        b = b * p + q
                        c = c * p + q
                        d = d * p + q
                    x[t, j] = (a + b) + (c + d)

    x = np.full((4 * get_num_threads(), width), 0.1, dtype=dtype)
    p, q = x.dtype.type(0.1), x.dtype.type(0.1)
    return x.size * repeats * chains * depth / quickest(lambda: chase(x, p, q), runs)


def product_rate(n: int, dtype: str, threads: int, runs: int) -> float:
    """Unknowns per second of K u on a full block of n^3 cells, moduli different in every cell.

    Parameters
    ----------
    n : int
        Cells along each edge.
    dtype : {"float64", "float32"}
        Of u, f and the moduli.
    threads : int
        Threads.
    runs : int
        How often the product is taken.
    """
    import numpy as np
    from _models import POISSON

    from fesolver.fem.hooke import lame_parameters
    from fesolver.fem.voxel_operator import Material, slabs_for, voxel_operator
    from fesolver.fem.voxel_runs import number_nodes

    generator = np.random.default_rng(0)
    active = np.ones((n, n, n), dtype=bool)
    nodes, number = number_nodes(active)
    lam, mu = lame_parameters(generator.uniform(1.0, 2.0, n**3), POISSON)
    material = Material(lam, mu, np.zeros(0, dtype=np.int64), np.zeros((0, 6, 6)))
    operator = voxel_operator(active, nodes, number, material, np.ones(3), is_bbar=True)
    u = np.zeros((3, nodes.stride), dtype=dtype)
    u[:, : nodes.count] = generator.standard_normal((3, nodes.count))
    f, slabs = np.zeros_like(u).ravel(), slabs_for(nodes, threads)
    return 3 * nodes.count / quickest(lambda: operator.product(u.ravel(), f, slabs), runs)


def measure(dtype: str, threads: int, sizes: list[int], runs: int, numbers: int) -> Record:
    """In a child: both bounds and the product's rate at every size."""
    with compile_seconds() as compiled:
        bandwidth = stream_bandwidth(dtype, numbers, runs)
        fused = fused_rate(dtype, 5 * runs)
        rates = {str(n): product_rate(n, dtype, threads, runs) for n in sizes}
    import numpy as np

    bounds = {
        "stream": bandwidth / (NUMBERS_PER_UNKNOWN * np.dtype(dtype).itemsize),
        "arithmetic": fused / (OPERATIONS_PER_CELL / 3.0),
    }
    bound = min(bounds.values())
    return {
        "dtype": dtype,
        "threads": threads,
        "bandwidth_gb_s": bandwidth / 1e9,
        "fused_g_s": fused / 1e9,
        "bound_unknowns_per_s": bounds,
        "lower": min(bounds, key=lambda name: bounds[name]),
        "plain_arithmetic_unknowns_per_s": fused / (PLAIN_OPERATIONS_PER_CELL / 3.0),
        "unknowns_per_s": rates,
        "share": {n: rate / bound for n, rate in rates.items()},
        "compile_s": compiled[0],
    }


def table(cases: list[Record]) -> str:
    """Rates, bounds and shares."""
    rows = []
    for case in cases:
        bounds = case["bound_unknowns_per_s"]
        for n, rate in case["unknowns_per_s"].items():
            rows.append(
                [
                    case["dtype"], str(case["threads"]), f"{n}^3", f"{rate / 1e6:.0f}", f"{case['bandwidth_gb_s']:.1f}",
                    f"{bounds['stream'] / 1e6:.0f}", f"{case['fused_g_s']:.1f}", f"{bounds['arithmetic'] / 1e6:.0f}",
                    f"{100.0 * case['share'][n]:.0f} % of {case['lower']}",
                ]
            )  # fmt: skip
    header = (
        "dtype",
        "threads",
        "cells",
        "M unknowns/s",
        "GB/s",
        "stream bound",
        "G FMA/s",
        "arithmetic bound",
        "share",
    )
    lines = [markdown(header, rows), ""]
    for case in cases:
        if case["dtype"] == "float64":
            share = min(case["share"].values())
            state = "reached" if share >= WANTED else "missed" if share >= LEAST else "under the least"
            lines.append(
                f"float64, {case['threads']} threads: {100.0 * share:.0f} % of the bound at the slowest size "
                f"(wanted {100 * WANTED:.0f} %, at least {100 * LEAST:.0f} %: {state})"
            )
    lines.append(
        f"arithmetic: {OPERATIONS_PER_CELL} operations per cell, the fewest known; {PLAIN_OPERATIONS_PER_CELL} with "
        "nothing shared between bricks"
    )
    return "\n".join(lines)


def plot(cases: list[Record]) -> Figure:
    """Rates as bars beside both bounds as lines."""
    from fesolver.report.style import COLOURS, figure_style, new_figure

    shades = ("#0072B2", "#56B4E9", "#B3DAF2")
    with figure_style():
        figure = new_figure(7.0, 3.6)
        axes = figure.add_subplot()
        for at, case in enumerate(cases):
            rates = case["unknowns_per_s"]
            width = 0.7 / len(rates)
            for place, (n, rate) in enumerate(rates.items()):
                x = at - 0.35 + (place + 0.5) * width
                axes.bar(
                    x, rate / 1e6, 0.92 * width, color=shades[place % 3],
                    label=f"{n}^3 cells" if at == 0 else None,
                )  # fmt: skip
                axes.annotate(
                    f"{100.0 * case['share'][n]:.0f} %", (x, rate / 1e6), (0, 2),
                    textcoords="offset points", ha="center", fontsize=8, zorder=5,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                )  # fmt: skip
            for name, colour, style in (("stream", "cement", "-"), ("arithmetic", "disc", "--")):
                axes.hlines(
                    case["bound_unknowns_per_s"][name] / 1e6, at - 0.42, at + 0.42, color=COLOURS[colour],
                    linestyle=style, label=f"{name} bound" if at == 0 else "",
                )  # fmt: skip
        names = [f"{case['dtype']}\n{case['threads']} thread{'s' * (case['threads'] > 1)}" for case in cases]
        axes.set_xticks(range(len(cases)), names)
        axes.set_ylabel("million unknowns per second")
        axes.set_title("The product K u and what the machine allows (percent: of the lower bound)")
        axes.margins(y=0.25)
        axes.legend(ncols=2, loc="upper left")
    return figure


def main() -> None:
    if answer_child(measure):
        return
    options = parser(__doc__)
    options.add_argument("--sizes", nargs="+", type=int, metavar="N", help="cells along the edge of a block")
    given = options.parse_args()
    sizes = given.sizes or ([24] if given.quick else list(SIZES))
    arguments = {
        "sizes": sizes,
        "runs": given.runs or (3 if given.quick else RUNS),
        "numbers": 16_000_000 if given.quick else 40_000_000,
    }
    cases = []
    for dtype in ("float64", "float32"):
        for threads in range(1, THREADS + 1):
            try:
                child = run_child(
                    __file__, "measure", {"dtype": dtype, "threads": threads} | arguments, threads=threads
                )
            except ChildFailedError as error:
                raise SystemExit(f"{dtype}, {threads} threads: {error}") from None
            cases.append(child.result)
    record = {"operations_per_cell": OPERATIONS_PER_CELL, "runs": arguments["runs"], "cases": cases}
    write_results("voxel_operator", record, table(cases), plot(cases), is_quick=given.quick)


if __name__ == "__main__":
    main()
