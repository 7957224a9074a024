"""One case of a study: from its configuration to every number and field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fesolver.imaging.volume import SegmentImage
from fesolver.outcomes.band_hypotheses import BAND_HYPOTHESES
from fesolver.outcomes.bands import BandCheck, check_bands
from fesolver.outcomes.change import Change, changes
from fesolver.outcomes.equilibrium import SIDEWAYS_WARNING, check_equilibrium, list_reactions
from fesolver.outcomes.error_estimate import estimate_error
from fesolver.outcomes.load_share import SHELL_RESOLVED_SOURCE_MM
from fesolver.outcomes.registry import evaluate, required_solves, select_outcomes
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.study.config import StudyConfig
from fesolver.study.connections import connection_record, rotation_lines
from fesolver.study.geometry_record import cavity_record, geometry_record, mesh_text, mesh_warnings, surface_record
from fesolver.study.inputs import ParametricData, StudyData
from fesolver.study.materials import axial_fibre_note, study_materials
from fesolver.study.model import Model, label_part_notes, treated_model
from fesolver.study.reuse import Reuse, SolvedModel
from fesolver.study.solving import SolvedPair, SolvedSet, SolveOptions, solve_pair
from fesolver.study.stages import Stages
from fesolver.study.surface_inputs import SurfaceData

__all__ = ["CaseResult", "run_case"]


@dataclass(frozen=True)
class CaseResult:
    """Everything a case has found.

    Parameters
    ----------
    intact, treated : tuple of Value
        Numbers of the two states; `treated` is empty for a study without treatment.
    changes : tuple of Change
        Each change beside its floors.
    bands : tuple of BandCheck
        Published ranges and where ours falls.
    pair : SolvedPair
        The solved states.
    models : tuple of Model
        Intact, and treated where there is one.
    record : dict
        What `case.json` holds besides the above.
    """

    intact: tuple[Value, ...]
    treated: tuple[Value, ...]
    changes: tuple[Change, ...]
    bands: tuple[BandCheck, ...]
    pair: SolvedPair
    models: tuple[Model, ...]
    record: dict[str, Any] = field(default_factory=dict)


def run_case(
    config: StudyConfig,
    data: StudyData,
    *,
    stages: Stages,
    threads: int | None = None,
    reuse: Reuse | None = None,
    with_record: bool = True,
) -> CaseResult:
    """Mesh, solve and evaluate one case.

    Parameters
    ----------
    config : StudyConfig
        With the swept keys set.
    data : SegmentData
        Input, read and calibrated.
    stages : Stages
        Stopwatch.
    threads : int, optional
        For the solver.
    reuse : Reuse, optional
        What other cases have left, and take from this one.
    with_record : bool
        Whether `record` is wanted whole; without it, it has the notes alone.

    Returns
    -------
    CaseResult

    Raises
    ------
    FesolverError
        Whatever stands in the way of a result.
    """
    reuse = reuse or Reuse()
    outcomes = select_outcomes(config.output.outcomes)
    settings = OutcomeSettings(**config.outcomes.model_dump())
    has_isolated = "isolated" in required_solves(outcomes)

    def values(states: SolvedSet) -> tuple[Value, ...]:
        with stages("outcomes"):
            return tuple(evaluate(outcomes, states.segment, states.isolated, settings))

    def intact_values(model: SolvedModel, states: SolvedSet) -> tuple[Value, ...]:
        key = (tuple(outcome.name for outcome in outcomes), settings)
        return model.memo.once("outcomes", key, lambda: values(states), sources=(states,), size=2)

    def pair_of(coarsening: float, *, with_looser: bool) -> tuple[SolvedModel, Model | None, SolvedPair]:
        how = SolveOptions(stages, threads, with_looser, has_isolated)
        intact = reuse.intact(config, data, coarsening, how)
        with stages("mesh"):
            treated = treated_model(config, intact.model)
        return intact, treated, solve_pair(config, intact.model, treated, how, before=intact.solved)

    intact, treated, pair = pair_of(1.0, with_looser=True)
    before = intact_values(intact, pair.intact)
    after = values(pair.treated) if treated is not None else ()
    looser = None
    if pair.looser and treated is not None:
        looser = intact_values(intact, pair.looser[0]), values(pair.looser[1])
    spacing_pair, moved = None, tuple[Change, ...]()
    if treated is not None:
        if config.solver.floor == "spacing":
            _, _, coarse = pair_of(config.solver.floor_spacing_factor, with_looser=False)
            spacing_pair = values(coarse.intact), values(coarse.treated)
        moved = changes(before, after, coarse_tolerance_pair=looser, spacing_pair=spacing_pair)
    bands = check_bands(
        before,
        moved,
        has_fibres=config.disc.fibres,
        treated_level=config.treatment.level if config.treatment else None,
        hypotheses=BAND_HYPOTHESES,
    )
    models = (intact.model,) if treated is None else (intact.model, treated)
    return CaseResult(
        intact=before,
        treated=after,
        changes=moved,
        bands=bands,
        pair=pair,
        models=models,
        record=_record(config, data, intact.image, models, pair, is_whole=with_record),
    )


def _record(
    config: StudyConfig,
    data: StudyData,
    image: SegmentImage | None,
    models: tuple[Model, ...],
    pair: SolvedPair,
    *,
    is_whole: bool,
) -> dict[str, Any]:
    """What `case.json` says about the model and its solves; of the notes alone, where that is all that is wanted."""
    states = [pair.intact.segment] + ([pair.treated.segment] if len(models) > 1 else [])
    reactions = [
        {
            "state": state.name, "body": r.name, "force_n": r.force.tolist(), "moment_nmm": r.moment.tolist(),
            "about_mm": r.reference.tolist(), "sideways_fraction": r.sideways_fraction,
        }
        for state in states
        for r in list_reactions(state)
    ]  # fmt: skip
    notes = _notes(config, data, image, models, states, reactions)
    if not is_whole:
        return {"notes": notes}
    cuts = [
        {
            "state": state.name, "name": cut.name, "z_mm": cut.z_mm, "force_n": cut.force.tolist(),
            "moment_nmm": cut.moment.tolist(), "imbalance": cut.imbalance,
        }
        for state in states
        for cut in check_equilibrium(state)
    ]  # fmt: skip
    cement = models[-1].cement
    return {
        "treated": config.treatment.level if config.treatment else None,
        "levels": list(config.segment.levels),
        **_cell_size(config),
        **_parametric_record(config, data, models[0], states),
        "load": config.load.model_dump(mode="json"),
        "n_cells": len(models[0].mesh.cells),
        "n_dof": int(models[0].mesh.points.size),
        "solves": list(pair.solves),
        "cuts": cuts,
        "reactions": reactions,
        "cement": None if cement is None else _plain(cement),
        "findings": list(data.findings),
        "calibration": data.calibration,
        **_source_record(image),
        "connections": connection_record(config, models[0].extras.notes, states, pair.solves),
        "notes": notes,
    }


def _cell_size(config: StudyConfig) -> dict[str, Any]:
    """How fine the mesh is."""
    segment, kind = config.segment, config.mesh_kind
    found: dict[str, Any] = {"mesh": kind, "mesh_text": mesh_text(config)}
    if kind == "voxel":
        return found | {"spacing_mm": segment.spacing_mm}
    if kind == "structured":
        return found | {"refinement": segment.refinement, "element": config.element}
    if kind == "tetrahedral":
        sizes = {"size_mm": segment.size_mm, "size_inside_mm": segment.size_inside_mm}
        return found | sizes | {"element": config.element}
    return found


def _parametric_record(
    config: StudyConfig, data: StudyData, intact: Model, states: list[SolvedState]
) -> dict[str, Any]:
    """Geometry, fluid nuclei and stress errors of a segment that is not of voxels; nothing for others."""
    if isinstance(data, SurfaceData):
        geometry = surface_record(data, intact.mesh, intact.tissue)
    elif isinstance(data, ParametricData):
        geometry = geometry_record(data.recipe, config, intact.mesh, intact.tissue)
    else:
        return {}
    return {"geometry": geometry, "cavities": cavity_record(states), "stress_error": _stress_errors(states)}


def _stress_errors(states: list[SolvedState]) -> dict[str, dict[str, float]]:
    """Relative error of the stress in the energy norm by region and state, as estimated from the mesh."""
    found: dict[str, dict[str, float]] = {}
    for state in states:
        estimate = estimate_error(
            state.problem, state.solution.u, state.mesh.regions, initial_strain=state.loads.initial_strain
        )
        for name, region in estimate.regions.items():
            found.setdefault(name, {})[state.name] = float(region.relative)
    return found


def _source_record(image: SegmentImage | None) -> dict[str, Any]:
    """What the resampling of an image did; a parametric segment has its shell as it is."""
    if image is None:
        return {"volume_change": {}, "source_spacing_mm": None, "shell_share_resolved": True}
    return {
        "volume_change": {level: float(v) for level, v in image.volume_change.items()},
        "source_spacing_mm": image.source_spacing_mm,
        "shell_share_resolved": image.source_spacing_mm <= SHELL_RESOLVED_SOURCE_MM,
    }


def _notes(
    config: StudyConfig,
    data: StudyData,
    image: SegmentImage | None,
    models: tuple[Model, ...],
    states: list[SolvedState],
    reactions: list[dict[str, Any]],
) -> list[str]:
    """What a reader must know beside the numbers."""
    notes = []
    if data.is_calibration_assumed:
        notes.append(f"calibration assumed, not measured: {data.calibration}")
    notes += label_part_notes(models[0])
    notes += list(models[0].mix.notes)
    notes.append(f"fraction of bone volume at the modulus floor: {models[0].mix.fraction_floored:.4f}")
    notes += list(models[0].extras.notes)
    notes += mesh_warnings(config)
    fibre = axial_fibre_note(study_materials(config)["annulus"])
    if fibre and len(config.segment.levels) > 1:
        is_own = config.connections.fibres == "elements"
        notes.append(fibre.split(", homogenised")[0] + ", elements of their own, tension only" if is_own else fibre)
    notes += [f"warning: {line}, {state.name}" for state in states for line in rotation_lines(state)]
    if image is not None and image.source_spacing_mm > SHELL_RESOLVED_SOURCE_MM:
        notes.append(f"shell share not resolved: source voxels of {image.source_spacing_mm:g} mm")
    for reaction in reactions:
        if reaction["sideways_fraction"] > SIDEWAYS_WARNING:
            notes.append(
                f"warning: sideways reaction of {100 * reaction['sideways_fraction']:.1f} % of the force at the "
                f"{reaction['body']} pad, {reaction['state']}"
            )
    return notes


def _plain(value: Any) -> Any:
    """Dataclasses and arrays as JSON types."""
    from dataclasses import asdict, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value
