"""What ligaments, annulus fibres and facet joints carry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.problem import Connections
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.solvers.solution import ConnectionState

__all__ = ["FACET", "FIBRES", "connection_values", "fibre_strain"]

FACET = "facet_"
"""Start of the kind of facet joints, `facet_left` and `facet_right`."""

FIBRES = "fibres"
"""Start of the kind of annulus fibres."""


def fibre_strain(
    connections: Connections, points: NDArray[np.float64], elongation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Strain along each fibre, dimensionless, (m,).

    Parameters
    ----------
    connections : Connections
        Fibres within cells: their elongation is L a . strain . a under a field of constant strain.
    points : (n_points, 3) ndarray
        mm.
    elongation : (m,) ndarray
        mm.

    Notes
    -----
    Under u = x, a strain of 1 in every direction, the elongation is L: the length is the sum of weights . points.
    """
    size = np.einsum("qi,qi->q", connections.weights, points[connections.points])
    return np.asarray(elongation / np.add.reduceat(size, connections.starts[:-1]))


def connection_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Tension of ligaments, force of facet joints, and how many fibres pull; nothing where a problem has none.

    Notes
    -----
    By disc, from the groups `L1-L2/facet_left`, `L1-L2/fibres`, `L1-L2/anterior_longitudinal`, ...:

    - `facet_force_left_n`: sum over the joint's contact points, compression positive; they share one normal, so the sum
      is the size of the resultant. `facet_contact_left_fraction`: part of the points that touch.
    - `fibres_pulling_fraction`: part of the fibres that carry tension, each by the volume of its cell.
      `fibres_tension_max_mesh_dependent_n` and `fibres_strain_max_mesh_dependent`: of one element, extremes of a cell.
    - `anterior_longitudinal_tension_n`: sum over the ligament's strands, tension positive.
      `anterior_longitudinal_pulling_fraction`: part of its strands that carry tension.
    """
    values: list[Value] = []
    for connections in segment.problem.connections:
        state = segment.solution.connections.get(connections.name)
        if state is None or not connections.count:
            continue
        disc, kind = connections.name.split("/")
        if kind.startswith(FACET):
            found = _facet_values(kind.removeprefix(FACET), state)
        elif kind.startswith(FIBRES):
            found = _fibre_values(segment, connections, kind, state)
        else:
            found = {
                f"{kind}_tension_n": float(np.sum(state.force)),
                f"{kind}_pulling_fraction": float(np.mean(state.force > 0.0)),
            }
        values += [Value(disc, quantity, number) for quantity, number in found.items()]
    return values


def _facet_values(side: str, state: ConnectionState) -> dict[str, float]:
    """Force and contact of one joint; 0.0 added so that an open joint has no negative zero."""
    return {
        f"facet_force_{side}_n": 0.0 - float(np.sum(state.force)),
        f"facet_contact_{side}_fraction": float(np.mean(state.force < 0.0)),
    }


def _fibre_values(
    segment: SolvedState, connections: Connections, kind: str, state: ConnectionState
) -> dict[str, float]:
    """How many fibres pull, and the extremes among them."""
    volume = segment.cell_volumes[connections.owners[connections.starts[:-1]]]
    strain = fibre_strain(connections, segment.problem.points, state.elongation)
    return {
        f"{kind}_pulling_fraction": float(np.sum(volume[state.force > 0.0]) / np.sum(volume)),
        f"{kind}_tension_max_mesh_dependent_n": float(state.force.max()),
        f"{kind}_strain_max_mesh_dependent": float(strain.max()),
    }
