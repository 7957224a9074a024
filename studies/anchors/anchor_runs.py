"""The runs behind the anchors, by section: numbers by name, of the package's defaults unless said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from anchor_models import (
    body_alone,
    build_body,
    build_unit,
    capped_problem,
    capped_stiffness,
    disc_height,
    solve_disc_alone,
    solve_segment,
    solve_with_slack_fibres,
)

from fesolver.outcomes.endplate import endplate_bulge
from fesolver.outcomes.load_share import body_force_split
from fesolver.outcomes.registry import evaluate, select_outcomes
from fesolver.outcomes.state import OutcomeSettings, SolvedState
from fesolver.outcomes.strength import strength_values
from fesolver.outcomes.surface import FacetSurface, fit_rigid_motion

Numbers = dict[str, float]

UNITS = (("T12", "L1"), ("L1", "L2"), ("L4", "L5"))
FORCE_N = 1000.0
PUBLISHED_AREA_MM2 = 1800.0
"""Of the discs that published pressures are quoted for; ours are brought to it by the size of the recipe."""
T_SCORES = (0.0, -1.0, -2.5, -3.5)
HEIGHTS = tuple(float(h) for h in np.round(np.arange(0.06, 0.95, 0.04), 2))
MODERATE = {"annulus_young_mpa": 2.5, "annulus_poisson": 0.4, "nucleus_young_mpa": 2.0, "nucleus_poisson": 0.49}
"""Keys of `[disc]` for the moderate set, used with the geometry of severe degeneration, which has no set of its own."""
COMPACT_MPA = {rho: 2980.0 * rho**1.05 for rho in (0.8, 1.0, 1.2)}
"""What the cohort's law gives compact bone of 0.8 to 1.2 g/cm3 (K2HPO4 equivalent), MPa."""
COHORT_L1 = {"5 %": 0.0639, "mean": 0.1132, "95 %": 0.1707}
"""Mean density of the cohort's 77 bodies of L1: 5th percentile, mean, 95th percentile, g/cm3."""
BIN_G_CM3 = 0.015
"""Width of the cohort's density bins: its moduli are those of the next higher bin."""


_SEVERE_L1_L2 = {"input": {"discs": {"L1-L2": {"height_mm": 0.4 * 7.75, "nucleus_area_fraction": 0.75 * 0.4}}}}
_MODERATE_L1_L2 = {"input": {"discs": {"L1-L2": {"height_mm": 0.6 * 7.75, "nucleus_area_fraction": 0.5 * 0.4}}}}
DEGENERATE_L1_L2: dict[str, dict[str, Any]] = {
    "normal": {},
    "moderate set": {"disc": MODERATE},
    "moderate geometry": _MODERATE_L1_L2,
    "severe geometry": _SEVERE_L1_L2,
    "severe geometry, moderate set": _SEVERE_L1_L2 | {"disc": MODERATE},
}
"""Moderate: what the grade changes, part by part. Severe: height less 60 %, nucleus volume less 70 %, as the published
disc of L1-L3."""


def unit_numbers(
    levels: tuple[str, ...], *, refinement: float = 1.0, top: str = "tilt", alone: bool = True, slack: bool = False,
    tables: Mapping[str, Any] | None = None,
) -> Numbers:  # fmt: skip
    """Stiffness, pressure and bulge of a unit of two bodies and their disc at 1000 N."""
    model, disc = build_unit(levels, refinement=refinement, tables=tables), "-".join(levels)
    state = solve_with_slack_fibres(model)[0] if slack else solve_segment(model, force_n=FORCE_N, top=top)
    values = evaluate(select_outcomes(["stiffness", "disc"]), state, {})
    found = {v.quantity: v.value for v in values if v.level in (disc, "segment")}
    area = found["disc_area_mm2"]
    height = disc_height(model, disc, area)
    out = {
        "unit stiffness": found["segment_stiffness_n_per_mm"],
        "disc stiffness": found["disc_stiffness_n_per_mm"],
        "effective modulus": found["disc_stiffness_n_per_mm"] * height / area,
        "pressure ratio": found["nucleus_pressure_over_mean_pressure"],
        "pressure at 1000 N": found["nucleus_pressure_mpa"],
        "area": area,
        "height": height,
        **bulges(state, levels),
    }
    if alone:
        single = solve_disc_alone(model, disc, force_n=FORCE_N)
        out["disc alone stiffness"] = single.stiffness
        out["disc alone stiffness, parallel"] = solve_disc_alone(model, disc, force_n=FORCE_N, tilt=False).stiffness
        out["disc alone effective modulus"] = single.stiffness * height / area
        out["disc alone pressure ratio"] = single.pressure * area / FORCE_N
    return out


def bulges(state: SolvedState, levels: tuple[str, ...]) -> Numbers:
    """Bulge of both endplates of a disc, mm: against the rim, and the centre against the whole body."""
    out = {}
    for level, side in zip(levels, ("inferior", "superior"), strict=True):
        surface = FacetSurface.of(state.mesh, f"{level}/{side}_endplate")
        out[f"{side} bulge"] = endplate_bulge(surface, state.solution.u, OutcomeSettings())
        points = np.unique(state.mesh.cells[state.mesh.level_cells(level)])
        body = fit_rigid_motion(state.mesh.points[points], state.solution.u[points], np.ones(len(points)))
        centre = int(np.argmin(np.linalg.norm(surface.centers - surface.centroid, axis=1)))
        moved = surface.displacement(state.solution.u)[centre] - body.at(surface.centers[centre])
        out[f"{side} centre against the body"] = float(-moved @ surface.normal)
    return out


def shares(state: SolvedState, level: str) -> Numbers:
    """Share of the shell at mid-height, and the largest shares of shell and core over the height."""
    profile = []
    for height in HEIGHTS:
        force = body_force_split(state, level, height)
        whole = force["shell"] + force["core"] + force["endplate"]
        profile.append((force["shell"] / whole, force["core"] / whole))
    shell, core = np.array(profile).T
    return {
        "shell share at mid-height": float(shell[HEIGHTS.index(0.5)]),
        "largest shell share": float(shell.max()),
        "core share 10 % up": float(core[HEIGHTS.index(0.1)]),
        "core share 90 % up": float(core[HEIGHTS.index(0.9)]),
        "largest core share": float(core.max()),
        "height of the largest core share": HEIGHTS[int(core.argmax())],
    }


def run_units() -> Numbers:
    """Functional units, solid and fluid nucleus, normal and moderately degenerate."""
    out: Numbers = {}
    for levels in UNITS:
        name = "-".join(levels)
        for nucleus in ("solid", "fluid"):
            for grade in ("none", "moderate"):
                tables = {"disc": {"nucleus": nucleus, "degeneration": {name: grade}}}
                found = unit_numbers(levels, tables=tables)
                out |= {f"{name} {nucleus} {grade}: {key}": value for key, value in found.items()}
    return out


def run_pressure() -> Numbers:
    """L4-L5 of 1800 mm2: pressure per force, by nucleus and grade."""
    levels, name = ("L4", "L5"), "L4-L5"
    size = math.sqrt(PUBLISHED_AREA_MM2 / unit_numbers(levels, alone=False)["area"])
    severe = {
        "input": {"size": size, "discs": {name: {"height_mm": 10.8 * size * 0.4, "nucleus_area_fraction": 0.4 * 0.4}}},
        "disc": MODERATE,
    }
    out = {"size": size}
    for nucleus in ("solid", "fluid"):
        for grade in ("none", "moderate", "severe"):
            tables: dict[str, Any] = {"input": {"size": size}, "disc": {"degeneration": {name: grade}}}
            if grade == "severe":
                tables = severe
            tables = tables | {"disc": tables["disc"] | {"nucleus": nucleus}}
            found = unit_numbers(levels, alone=False, tables=tables)
            out |= {f"{nucleus} {grade}: {k}": found[k] for k in ("pressure at 1000 N", "pressure ratio", "area")}
    for name, tables in DEGENERATE_L1_L2.items():
        found = unit_numbers(UNITS[1], alone=False, tables=tables)
        out |= {f"L1-L2 {name}: {key}": found[key] for key in ("pressure at 1000 N", "disc stiffness")}
        lost = 1.0 - found["pressure at 1000 N"] / out["L1-L2 normal: pressure at 1000 N"]
        out[f"L1-L2 {name}: pressure lost %"] = 100.0 * lost
    return out


def run_shares() -> Numbers:
    """L1 between discs (T12-L2) by T-score and shell; T11 between discs, also with one material for the whole disc."""
    out: Numbers = {}
    homogeneous = {
        "fibres": False, "annulus_young_mpa": 8.0, "annulus_poisson": 0.45, "nucleus_young_mpa": 8.0,
        "nucleus_poisson": 0.45,
    }  # fmt: skip
    for t_score in T_SCORES:
        for young in (4700.0, 8040.0, 12000.0) if t_score == -2.5 else (8040.0,):
            tables = {"input": {"t_score": t_score}, "materials": {"cortical_young_mpa": young}}
            state = solve_segment(build_unit(("T12", "L1", "L2"), tables=tables), force_n=FORCE_N)
            out |= {f"L1, T {t_score:g}, shell {young:g}: {k}": v for k, v in shares(state, "L1").items()}
    for disc in ("default", "homogeneous"):
        tables = {"input": {"t_score": -2.5}, "disc": homogeneous if disc == "homogeneous" else {}}
        state = solve_segment(build_unit(("T10", "T11", "T12"), tables=tables), force_n=FORCE_N)
        out |= {f"T11, T -2.5, {disc} disc: {k}": v for k, v in shares(state, "T11").items()}
    tables = {"input": {"t_score": -2.5}}
    state = solve_segment(build_unit(("L1", "L2"), tables=tables), force_n=FORCE_N)
    out |= {f"L1 at a pad, T -2.5: {k}": v for k, v in shares(state, "L1").items()}
    return out


def run_bodies() -> Numbers:
    """Bodies between rigid ends that stay parallel, along their own axis: stiffness and 0.0068 k h."""
    out: Numbers = {}
    for t_score in T_SCORES:
        for level in ("L1", "L2", "L3", "L4", "L5"):
            model = build_unit((level,), tables={"input": {"t_score": t_score}})
            out |= {f"{level}, T {t_score:g}: {k}": v for k, v in isolated(model, level).items()}
    tables: dict[str, Any] = {"input": {"t_score": -2.5}}
    column = build_unit(("L1", "L2", "L3", "L4", "L5"), tables=tables)
    out |= {f"L1 along the axis of L1-L5: {k}": v for k, v in isolated(body_alone(column, "L1"), "L1").items()}
    model = build_unit(("L1",), tables=tables | {"materials": {"cortical_young_mpa": 4700.0}})
    out |= {f"L1, T -2.5, shell 4700: {k}": v for k, v in isolated(model, "L1").items()}
    return out


def isolated(model: Any, level: str) -> Numbers:
    """Stiffness and strength of a body alone."""
    state = solve_segment(model, force_n=FORCE_N, top="fixed")
    found = {v.quantity: v.value for v in strength_values(state, {level: state}, OutcomeSettings())}
    return {"stiffness": found["isolated_stiffness_n_per_mm"], "strength": found["strength_isolated_n"]}


def run_cohort() -> Numbers:
    """L1 between PMMA caps, as the VerSe cohort: law, caps and supports matched, by density and by what the wall is."""
    one = COMPACT_MPA[1.0]
    variants: dict[str, dict[str, Any]] = {
        "no shell": {},
        "no shell, next bin": {"offset_g_cm3": BIN_G_CM3},
        "wall by the law": {"layers_mpa": (one, one)},
        "wall by the law, next bin": {"layers_mpa": (one, one), "offset_g_cm3": BIN_G_CM3},
        "default layers": {"layers_mpa": (8040.0, 670.0)},
    }
    out: Numbers = {}
    for place, density in COHORT_L1.items():
        for name, options in variants.items():
            out[f"{name}, {place}"] = cohort_stiffness(density_g_cm3=density, **options)
    density, layers = COHORT_L1["mean"], {"layers_mpa": (one, one)}
    for rho in (0.8, 1.2):
        wall = (COMPACT_MPA[rho], COMPACT_MPA[rho])
        out[f"wall of {rho:g} g/cm3"] = cohort_stiffness(density_g_cm3=density, layers_mpa=wall)
    out["caps held in all directions"] = cohort_stiffness(density_g_cm3=density, bonded=True, **layers)
    out["caps of 5 mm"] = cohort_stiffness(density_g_cm3=density, thickness_mm=5.0, **layers)
    out["caps of 10 mm"] = cohort_stiffness(density_g_cm3=density, thickness_mm=10.0, **layers)
    out["size 1.05"] = cohort_stiffness(density_g_cm3=density, size=1.05, **layers)
    for t_score in T_SCORES:
        t_density = 0.1467 + 0.0267 * t_score
        out[f"T {t_score:g}"] = cohort_stiffness(density_g_cm3=t_density, **layers)
    return out


def cohort_stiffness(
    *, refinement: float = 1.0, thickness_mm: float = 3.0, bonded: bool = False, **options: Any
) -> float:
    """Stiffness of L1 between caps, N/mm."""
    mesh, elasticity = build_body("L1", refinement=refinement, **options)
    layers = max(2, round(thickness_mm * refinement))
    problem, top = capped_problem(mesh, elasticity, thickness_mm=thickness_mm, n_layers=layers, bonded=bonded)
    return capped_stiffness(problem, top)
