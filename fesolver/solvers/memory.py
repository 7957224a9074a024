"""Memory of the voxel solver before it is taken."""

from __future__ import annotations

from fesolver.errors import InputError

__all__ = ["available_mb", "check_solver_memory", "solver_memory_mb"]


def available_mb() -> float | None:
    """Memory that can still be taken on this machine, MB; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) / 1024.0
    except OSError:
        pass
    return None


def solver_memory_mb(
    n_cells: int,
    n_points: int,
    shape: tuple[int, int, int],
    *,
    n_rigid: int = 3,
    n_vectors: int = 7,
    is_network: bool = False,
) -> float:
    """Peak of set-up and solve by voxel multigrid, MB.

    Parameters
    ----------
    n_cells, n_points : int
        Cells and points of the mesh.
    shape : tuple of int
        Cells of the lattice's whole box.
    n_rigid : int
        Free motions of rigid bodies.
    n_vectors : int
        Float64 vectors alive at once: displacement, residual, direction, product; K u, and copies at the border.

    is_network : bool
        Struts, which take the levels of `solvers.voxel_pieces` and `solvers.aggregation`.

    Notes
    -----
    Per unknown `n_vectors` float64 vectors, four float32 ones (two iterates, right-hand side, Jacobi scaling), a flag
    and the diagonal while it is made; coarse grids add a seventh to the float32 part. Per cell: Lame parameters in both
    precisions and once while they are packed. Per coarse cell, a seventh of the cells in all: 46 float32 moments and
    the places of its eight children. Per cell of the box: kind, place and number of a node while the hierarchy is made.
    Cells with a matrix of their own (384 float32) lie beside supports and non-isotropic cells; they are left out.
    The levels of a network take 109 bytes per unknown (measured on 1.1 million), and half as much again while they are
    made.
    """
    unknowns = 3 * n_points
    box = (shape[0] + 1) * (shape[1] + 1) * (shape[2] + 1)
    vectors = unknowns * (8 * n_vectors + 8 + (4 * 4 + 1) * 8 / 7)
    cells = n_cells * (24 + 16 + (46 * 4 + 8 * 4 + 4) / 7)
    rigid = 2 * 8 * n_rigid * 3 * n_points ** (2 / 3)
    levels = 164 * unknowns if is_network else 0
    return float(vectors + cells + rigid + levels + 17 * box) / 1e6


def check_solver_memory(
    n_cells: int, n_points: int, shape: tuple[int, int, int], *, n_rigid: int = 0, is_network: bool = False
) -> None:
    """Refuse a voxel model whose solver will not fit into memory; parameters as in `solver_memory_mb`.

    Raises
    ------
    InputError
        With what is needed and what there is.
    """
    needed = solver_memory_mb(n_cells, n_points, shape, n_rigid=n_rigid, is_network=is_network)
    have = available_mb()
    if have is not None and needed > have:
        raise InputError(
            f"{n_cells:,} cells with {3 * n_points:,} unknowns need about {needed:,.0f} MB of memory; "
            f"{have:,.0f} MB are available",
            fix="use larger voxels, or cut away what is not needed",
        )
