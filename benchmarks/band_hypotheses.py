"""Every number outside its published range, and the run that tests why: variants of the demo and of the CT study.

    python benchmarks/band_hypotheses.py [--study demo|ct] [--only NAME ...] [--spacing MM] [--threads N]

One variant changes one thing. The table of `docs/bands.md` is made of these numbers; the CT study needs FESOLVER_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.materials import FibreReinforced, fibre_strains
from fesolver.fem.hooke import rotate_elasticity
from fesolver.outcomes.load_share import body_force_split
from fesolver.outcomes.registry import evaluate, select_outcomes
from fesolver.outcomes.state import SolvedState
from fesolver.study.config import StudyConfig, load_study
from fesolver.study.inputs import read_data
from fesolver.study.model import Model, build_models
from fesolver.study.solving import SolvedPair, SolveOptions, solve_pair
from fesolver.study.stages import Stages

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
STUDIES = {"demo": "demo.toml", "ct": "ct_lumbar_vertebroplasty.toml"}

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "one more level at each end": {"segment.levels": {"demo": ["T11", "T12", "L1", "L2", "L3"], "ct": None}},
    "one more level below": {"segment.levels": {"demo": None, "ct": ["L1", "L2", "L3", "L4"]}},
    "top held parallel": {"load.top": "fixed"},
    "fibres slack in compression": {},
    "fibres slack, nucleus nu 0.4999": {"disc.nucleus_poisson": 0.4999},
    "no fibres": {"disc.fibres": False},
    "nucleus 30 % of the area": {"segment.nucleus_area_fraction": 0.30},
    "nucleus 50 % of the area": {"segment.nucleus_area_fraction": 0.50},
    "nucleus nu 0.4999": {"disc.nucleus_poisson": 0.4999},
    "disc of one material, 8 MPa": {
        "disc.fibres": False,
        "disc.annulus_young_mpa": 8.0,
        "disc.annulus_poisson": 0.45,
        "disc.nucleus_young_mpa": 8.0,
        "disc.nucleus_poisson": 0.45,
    },
    "discs moderately degenerate": {"disc.degeneration": "moderate"},
    "shell 4700 MPa": {"materials.cortical_young_mpa": 4700.0},
    "shell from the CT": {"segment.shell": "from_ct"},
    "calibration slope 0.8": {"calibration.slope_factor": {"demo": None, "ct": 0.8}},
    "shell thickness halved": {"segment.cortical_thickness_mm": 0.175},
    "bone twice as dense": {"bone.density_scale": 2.0},
    "cement pillar": {"treatment.axial_stretch": 4.0},
    "rigid cement pillar": {"treatment.axial_stretch": 4.0, "materials.cement_young_mpa": 20000.0},
    "rigid cement in half of the body": {
        "treatment.axial_stretch": 4.0,
        "treatment.volume_ml": {"demo": 12.0, "ct": 20.0},
        "materials.cement_young_mpa": 20000.0,
    },
    "rigid cement in half of the body, bone half as dense": {
        "treatment.axial_stretch": 4.0,
        "treatment.volume_ml": {"demo": None, "ct": 20.0},
        "materials.cement_young_mpa": 20000.0,
        "bone.density_scale": 0.5,
    },
}
"""Variant -> keys it changes; a value per study is a mapping, None leaves the variant out there."""

WITH_SLACK_FIBRES = ("fibres slack in compression", "fibres slack, nucleus nu 0.4999")

WITH_TREATMENT = (
    "base",
    "fibres slack in compression",
    "no fibres",
    "cement pillar",
    "rigid cement pillar",
    "rigid cement in half of the body",
    "rigid cement in half of the body, bone half as dense",
)
"""Variants whose change with cement is asked for; the others are solved intact only."""

MOST_ROUNDS = 12
SETTLED = 1e-3
"""Part of the fibre families that may still change when they count as settled."""

HEIGHTS = tuple(np.round(np.arange(0.06, 0.95, 0.04), 2))


def variant_config(study: str, name: str, spacing_mm: float) -> StudyConfig | None:
    """The study with one thing changed, without its sweep; None where the variant does not apply."""
    data = load_study(ROOT / "studies" / STUDIES[study]).model_dump(mode="json", by_alias=True)
    data["segment"]["spacing_mm"] = spacing_mm
    data["sweep"] = {}
    for key, value in VARIANTS[name].items():
        chosen = value[study] if isinstance(value, dict) else value
        if chosen is None:
            return None
        table, leaf = key.split(".")
        if key == "disc.degeneration":
            levels = data["segment"]["levels"]
            chosen = {f"{a}-{b}": chosen for a, b in pairwise(levels)}
        data[table][leaf] = chosen
    if name not in WITH_TREATMENT:
        data["treatment"] = None
    return StudyConfig.model_validate(data)


def slack_families(model: Model, state: SolvedState) -> dict[str, NDArray[np.bool_]]:
    """Annulus region -> which of its two fibre families are shortened in each cell, (k, 2)."""
    return {
        name: fibre_strains(material, state.fields.strain[region.cells], model.tissue.axes[name]) < 0.0
        for name, region in model.tissue.regions.items()
        if isinstance(material := model.mix.materials[name], FibreReinforced)
    }


def without(model: Model, slack: dict[str, NDArray[np.bool_]]) -> Model:
    """The model without the fibre families that are slack."""
    e = model.elasticity
    matrices = e.general_matrices.copy()
    for name, is_slack in slack.items():
        region, material, axes = model.tissue.regions[name], model.mix.materials[name], model.tissue.axes[name]
        assert isinstance(material, FibreReinforced)
        rows = np.searchsorted(e.general_cells, region.cells)
        for family, (x, y, z) in enumerate(material.directions()):
            v = np.array([x * x, y * y, z * z, y * z, x * z, x * y])
            alone = 0.5 * material.volume_fraction * material.fibre_young_mpa * np.outer(v, v)
            matrices[rows] -= (is_slack[:, family] * region.fraction)[:, None, None] * rotate_elasticity(alone, axes)
    return replace(model, elasticity=replace(e, general_matrices=matrices))


def solve(config: StudyConfig, *, slack: bool, threads: int | None) -> tuple[SolvedPair, dict[str, float]]:
    """Intact and treated states; with slack fibres, after the set of slack families has settled."""
    built = build_models(config, read_data(config), Stages())
    intact, treated = built.intact, built.treated
    models = [intact] if treated is None else [intact, treated]
    how = SolveOptions(Stages(), threads, with_looser=False)
    pair = solve_pair(config, intact, treated, how)
    if not slack:
        return pair, {}
    before: list[dict[str, NDArray[np.bool_]]] = []
    for rounds in range(1, MOST_ROUNDS + 1):
        states = (pair.intact.segment, pair.treated.segment)[: len(models)]
        now = [slack_families(model, state) for model, state in zip(models, states, strict=True)]
        moved = [a[name] != b[name] for a, b in zip(now, before, strict=True) for name in a] if before else [np.ones(1)]
        changing = float(np.mean(np.concatenate([m.ravel() for m in moved])))
        part = float(np.mean(np.concatenate([m.ravel() for m in now[0].values()])))
        if changing < SETTLED or rounds == MOST_ROUNDS:
            break
        before = now
        loose = [without(model, families) for model, families in zip(models, now, strict=True)]
        pair = solve_pair(config, loose[0], loose[1] if len(loose) > 1 else None, how)
    return pair, {"rounds": rounds, "part of the families slack": part, "part still changing": changing}


def numbers(pair: SolvedPair, *, treated: bool) -> dict[str, float]:
    """What the bands ask for, and the largest share of shell and core over the height of each body."""
    outcomes = select_outcomes(["stiffness", "disc", "load_share", "strength", "yielding"])
    wanted = ("_stiffness", "nucleus_pressure", "nucleus_load_share", "_load_share_", "strength")
    state = pair.intact.segment
    before = {f"{v.level} {v.quantity}": v.value for v in evaluate(outcomes, state, pair.intact.isolated)}
    out: dict[str, float] = {name: v for name, v in before.items() if any(word in name for word in wanted)}
    for level in (name for name in state.mesh.levels if f"{name}/cortical" in state.mesh.regions):
        profile = []
        for height in HEIGHTS:
            force = body_force_split(state, level, float(height))
            whole = force["shell"] + force["core"] + force["endplate"]
            profile.append([float(height)] + [force[part] / whole for part in ("shell", "core", "endplate")])
        out[f"{level} largest core share"] = max(row[2] for row in profile)
        out[f"{level} largest core share without endplates"] = max(row[2] / (row[1] + row[2]) for row in profile)
        out[f"{level} largest shell share"] = max(row[1] for row in profile)
    if treated:
        after = {
            f"{v.level} {v.quantity}": v.value for v in evaluate(outcomes, pair.treated.segment, pair.treated.isolated)
        }
        for name in (n for n in before if "pressure_mpa" in n or "segment_stiffness" in n):
            out[f"{name} change percent"] = 100.0 * (after[name] - before[name]) / before[name]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=sorted(STUDIES), action="append", help="both by default")
    parser.add_argument("--only", nargs="+", choices=sorted(VARIANTS), help="these variants; all by default")
    parser.add_argument("--spacing", type=float, default=1.5, metavar="MM")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    studies = options.study or (["demo", "ct"] if os.environ.get("FESOLVER_DATA") else ["demo"])
    RESULTS.mkdir(exist_ok=True)
    for study in studies:
        path = RESULTS / f"bands_{study}.json"
        results: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.is_file() else {}
        for name in options.only or VARIANTS:
            config = variant_config(study, name, options.spacing)
            if config is None:
                continue
            pair, how = solve(config, slack=name in WITH_SLACK_FIBRES, threads=options.threads)
            results[name] = numbers(pair, treated=config.treatment is not None) | how
            print(f"{study}, {name}:")
            for key, value in results[name].items():
                print(f"    {key}: {value:.4g}")
            path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
