"""What stands behind the anchors: one input changed at a time, and every quantity on two nested meshes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anchor_models import build_unit, solve_segment
from anchor_runs import (
    COHORT_L1,
    COMPACT_MPA,
    Numbers,
    cohort_stiffness,
    isolated,
    run_bodies,
    run_cohort,
    run_pressure,
    run_shares,
    run_units,
    shares,
    unit_numbers,
)

from fesolver.outcomes.convergence import convergence_study

REFINEMENTS = (1.0, 2.0)
"""Nested: every cell of the first is eight of the second. In between, counts are rounded and orders mean nothing."""

CORE_G_CM3 = {young: (young / 2980.0) ** (1.0 / 1.05) for young in (34, 100)}
"""Density that gives the core a modulus other models use (normal 100, osteoporotic 34 MPa), by the default law."""

VARIANTS: dict[str, dict[str, Any]] = {
    "base (T -1)": {},
    "no fibres": {"tables": {"disc": {"fibres": False}}},
    "one fibre layer": {"tables": {"disc": {"fibre_layers": False}}},
    "nucleus nu 0.4999": {"tables": {"disc": {"nucleus_poisson": 0.4999}}},
    "nucleus fluid": {"tables": {"disc": {"nucleus": "fluid"}}},
    "nucleus 30 % of the area": {"tables": {"segment": {"nucleus_area_fraction": 0.3}}},
    "nucleus 50 % of the area": {"tables": {"segment": {"nucleus_area_fraction": 0.5}}},
    "disc 20 % lower": {"tables": {"input": {"discs": {"L4-L5": {"height_mm": 0.8 * 10.8}}}}},
    "disc 20 % higher": {"tables": {"input": {"discs": {"L4-L5": {"height_mm": 1.2 * 10.8}}}}},
    "disc without wedge": {"tables": {"input": {"discs": {"L4-L5": {"wedge_deg": 0.0}}}}},
    "annulus ground 8.4 MPa": {"tables": {"disc": {"annulus_young_mpa": 8.4}}},
    "annulus ground 1.36 MPa": {"tables": {"disc": {"annulus_young_mpa": 1.36}}},
    "top held parallel": {"top": "fixed"},
    "shell 12000 MPa": {"tables": {"materials": {"cortical_young_mpa": 12000.0}}},
    "shell 4700 MPa": {"tables": {"materials": {"cortical_young_mpa": 4700.0}}},
    "endplate 24 MPa": {"tables": {"materials": {"endplate_young_mpa": 24.0}}},
    "endplate 5567 MPa": {"tables": {"materials": {"endplate_young_mpa": 5567.0}}},
    "T -3.5": {"tables": {"input": {"t_score": -3.5}}},
    "core 100 MPa": {"tables": {"input": {"density_g_cm3": CORE_G_CM3[100]}}},
    "core 34 MPa": {"tables": {"input": {"density_g_cm3": CORE_G_CM3[34]}}},
    "core 34 MPa, shell 12000 MPa": {
        "tables": {"input": {"density_g_cm3": CORE_G_CM3[34]}, "materials": {"cortical_young_mpa": 12000.0}}
    },
    "endplates flat": {"tables": {"input": {"dimensions": {
        level: {"superior_concavity_mm": 0.0, "inferior_concavity_mm": 0.0} for level in ("L4", "L5")}}}},
}  # fmt: skip
"""One input at a time on L4-L5; `base` is the row of the table."""


SLACK_VARIANTS: dict[str, dict[str, Any]] = {
    "fibres slack where they shorten": {"slack": True},
    "nucleus fluid, fibres slack": {"tables": {"disc": {"nucleus": "fluid"}}, "slack": True},
    "annulus ground 1.36 MPa, fibres slack": {"tables": {"disc": {"annulus_young_mpa": 1.36}}, "slack": True},
    "annulus ground 1.36 MPa, nucleus fluid, fibres slack": {
        "tables": {"disc": {"annulus_young_mpa": 1.36, "nucleus": "fluid"}}, "slack": True
    },
}  # fmt: skip
"""Those that solve again and again without the fibres that shorten."""


def run_variants(variants: Mapping[str, dict[str, Any]] = VARIANTS) -> Numbers:
    """L4-L5 with one input changed at a time."""
    out: Numbers = {}
    wanted = ("unit stiffness", "disc stiffness", "pressure ratio", "inferior bulge", "superior bulge")
    more = ("inferior centre against the body", "superior centre against the body")
    for name, options in variants.items():
        found = unit_numbers(("L4", "L5"), alone=False, **options)
        out |= {f"{name}: {key}": found[key] for key in (*wanted, *more)}
    return out


def run_slack_variants() -> Numbers:
    """L4-L5 with fibres that carry no compression."""
    return run_variants(SLACK_VARIANTS)


def _converged(evaluate_at: Callable[[float], Numbers]) -> Numbers:
    """Value on each mesh; distance of the first from Richardson's limit (order 2 assumed) and index, percent."""
    study = convergence_study(lambda size: evaluate_at(1.0 / size), [1.0 / r for r in REFINEMENTS])
    out: Numbers = {}
    for name, q in study.quantities.items():
        out |= {f"{name}: refinement {r:g}": value for r, value in zip(REFINEMENTS, q.values, strict=True)}
        out[f"{name}: off the limit %"] = 100.0 * (q.values[0] - q.extrapolated) / abs(q.extrapolated)
        out[f"{name}: GCI of the finest %"] = 100.0 * q.gci_fine
    return out


def run_mesh_unit() -> Numbers:
    """Convergence of a unit, solid nucleus: L4-L5."""
    return _converged(lambda r: _without_shape(unit_numbers(("L4", "L5"), refinement=r)))


def run_mesh_fluid() -> Numbers:
    """Convergence of a unit, fluid nucleus: L4-L5."""
    tables = {"disc": {"nucleus": "fluid"}}

    def at(r: float) -> Numbers:
        return _without_shape(unit_numbers(("L4", "L5"), refinement=r, tables=tables))

    return _converged(at)


def run_mesh_bodies() -> Numbers:
    """Convergence of bodies: L1 alone, and between caps."""

    def at(r: float) -> Numbers:
        model = build_unit(("L1",), refinement=r, tables={"input": {"t_score": -2.5}})
        layers = (COMPACT_MPA[1.0], COMPACT_MPA[1.0])
        capped = cohort_stiffness(density_g_cm3=COHORT_L1["mean"], layers_mpa=layers, refinement=r)
        return isolated(model, "L1") | {"between caps": capped}

    return _converged(at)


def run_mesh_shares() -> Numbers:
    """Convergence of the shares of L1 in T12-L2."""

    def at(r: float) -> Numbers:
        tables = {"input": {"t_score": -2.5}}
        found = shares(solve_segment(build_unit(("T12", "L1", "L2"), refinement=r, tables=tables)), "L1")
        return {k: v for k, v in found.items() if not k.startswith("height")}

    return _converged(at)


def _without_shape(numbers: Numbers) -> Numbers:
    """Numbers that a mesh is judged by."""
    return {k: v for k, v in numbers.items() if k not in ("area", "height")}


SECTIONS: dict[str, Callable[[], Numbers]] = {
    "units": run_units,
    "pressure": run_pressure,
    "shares": run_shares,
    "bodies": run_bodies,
    "cohort": run_cohort,
    "variants": run_variants,
    "slack variants": run_slack_variants,
    "mesh unit": run_mesh_unit,
    "mesh fluid": run_mesh_fluid,
    "mesh bodies": run_mesh_bodies,
    "mesh shares": run_mesh_shares,
}
