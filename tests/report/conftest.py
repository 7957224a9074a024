"""A made-up result folder: three boxes of bone with discs between, in the layout that the runner writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import meshio
import numpy as np
import pandas as pd
import pytest

from fesolver.anatomy.frames import Frame
from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.problem import Elasticity
from fesolver.imaging.volume import SegmentImage, VertebraGeometry
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.study.check import StudyCheck

LEVELS = ("T12", "L1", "L2")
PARTS = ("L2", "L1-L2", "L1", "T12-L1", "T12")  # caudal first, as z runs
H = 3.0


def brick(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Points and hexahedra of a regular brick, the x index running fastest."""
    nx, ny, nz = shape
    k, j, i = np.meshgrid(np.arange(nz + 1), np.arange(ny + 1), np.arange(nx + 1), indexing="ij")
    points = np.stack([i, j, k], axis=-1).reshape(-1, 3) * H
    step = np.array([0, 1, 1 + (nx + 1), nx + 1])
    k, j, i = np.meshgrid(np.arange(nz), np.arange(ny), np.arange(nx), indexing="ij")
    first = (i + (nx + 1) * (j + (ny + 1) * k)).ravel()
    bottom = first[:, None] + step
    return points.astype(float), np.hstack([bottom, bottom + (nx + 1) * (ny + 1)])


def fake_fields(*, treated: bool) -> tuple[meshio.Mesh, dict[str, str]]:
    """Five stacked parts with a smooth stress field and a ball of cement in L1."""
    points, cells = brick((12, 10, 26))
    points[:, :2] -= points[:, :2].mean(axis=0)
    centre = points[cells].mean(axis=1)
    heights = np.array([0, 8, 9.5, 17.5, 19, 26]) * H
    part = np.clip(np.searchsorted(heights, centre[:, 2], side="right") - 1, 0, 4)
    radius = np.hypot(centre[:, 0] / 18, centre[:, 1] / 15)
    keep = radius < 1.05
    cells, centre, part, radius = cells[keep], centre[keep], part[keep], radius[keep]
    used, inverse = np.unique(cells, return_inverse=True)
    points, cells = points[used], inverse.reshape(cells.shape)
    is_disc = part % 2 == 1
    ball = np.linalg.norm((centre - [0, -3, 40.5]) / [1, 1, 0.9], axis=1)
    cement = np.where(part == 2, np.clip((10.0 - ball) / H + 0.5, 0, 1), 0.0) * treated
    names, regions = {}, {}
    for index, name in enumerate(PARTS):
        mine = part == index
        if index % 2:
            inside = {"nucleus": mine & (radius < 0.63), "annulus": mine & (radius >= 0.63)}
        else:
            inside = {"trabecular": mine & (radius < 0.95), "cortical": mine & (radius >= 0.95)}
        for kind, cells_of in inside.items():
            regions[f"{name}/{kind}"] = cells_of * (1 - cement if kind == "trabecular" else 1.0)
    if treated:
        regions["L1/cement"] = cement
    young = np.where(is_disc, 4.2, 250.0 + 60 * np.sin(centre[:, 0] / 4)) + 4000 * (radius > 0.95) * ~is_disc
    stress = -0.4 * (1 + 0.5 * np.cos(radius * 2)) * np.where(young > 1000, 4, 1) + 0.05 * np.sin(centre[:, 2])
    states = {"intact": (young, stress)}
    if treated:
        bump = 0.01 * np.exp(-((centre[:, 2] - 40) ** 2) / 400) * np.cos(radius * 3)
        states["treated"] = (young * (1 - cement) + 2000 * cement, stress * (1 + bump) - 2.0 * cement)
    cell_data = {"density": [np.where(is_disc, 0.0, 0.1)]}
    for state, (modulus, sigma) in states.items():
        cell_data[f"young_{state}"] = [modulus]
        cell_data[f"min_principal_stress_{state}"] = [sigma]
        cell_data[f"von_mises_{state}"] = [np.abs(sigma) * 0.9]
    for index, (name, values) in enumerate(regions.items()):
        names[f"region_{index}"] = name
        cell_data[f"region_{index}"] = [np.asarray(values, float)]
    data = {f"displacement_{state}": np.zeros_like(points) for state in states}
    return meshio.Mesh(points, [("hexahedron", cells)], point_data=data, cell_data=cell_data), names


QUANTITIES = {
    "factor_of_risk_yielded_volume": (LEVELS, 0.31, 0.004, 0.001),
    "strength_isolated_n": (LEVELS, 2900.0, 0.0, 1e-6),
    "segment_stiffness_n_per_mm": (("segment",), 812.3, 0.021, 0.003),
    "vertebra_stiffness_n_per_mm": (LEVELS, 9400.0, 0.001, 0.002),
    "nucleus_pressure_mpa": (("T12-L1", "L1-L2"), 0.47, 0.0055, 0.0004),
    "superior_endplate_bulge_mm": (LEVELS, 0.021, 0.03, 0.01),
    "yielded_volume_fraction": (LEVELS, 0.0, np.nan, np.nan),
}


def _changes(case: str) -> pd.DataFrame:
    rows = []
    for quantity, (levels, base, change, floor) in QUANTITIES.items():
        for at, level in enumerate(levels):
            intact = base * (1 + 0.1 * at)
            delta = 0.0 if base == 0 else intact * change * (-2.5 if level == "L1" else 1 - 0.8 * at)
            height = abs(intact * floor) if base else 0.0
            row = {"case": case, "level": level, "quantity": quantity, "intact": intact, "treated": intact + delta}
            row |= {"change": delta, "change_percent": 100 * delta / intact if intact else np.nan}
            row |= {"floor_solver": height * 1e-4, "floor_spacing": height, "is_resolved": abs(delta) > height}
            rows.append(row)
    return pd.DataFrame(rows)


def _summary(changes: pd.DataFrame, case: str, keys: dict[str, float], *, treated: bool) -> pd.DataFrame:
    rows = []
    for state in ("intact", "treated", "change", "floor_solver", "floor_spacing") if treated else ("intact",):
        for level in dict.fromkeys(changes["level"]):
            mine = changes[changes["level"] == level]
            rows.append(
                {
                    "case": case,
                    **keys,
                    "state": state,
                    "level": level,
                    **dict(zip(mine.quantity, mine[state], strict=True)),
                }
            )
    return pd.DataFrame(rows)


def _case_record(case: str, keys: dict[str, float], *, treated: bool) -> dict[str, object]:
    solve = {"method": "multigrid-cg", "n_dof": 93000, "iterations": 41, "residual": 3.1e-9, "rtol": 1e-8}
    states = ("intact", "treated") if treated else ("intact",)
    return {
        "case": case,
        "keys": keys,
        "treated": "L1" if treated else None,
        "levels": list(LEVELS),
        "load": {"name": "compression", "control": "force", "force_n": 500.0, "top": "tilt", "offset_anterior_mm": 0.0},
        "solves": [{"name": state, **solve} for state in states],
        "cuts": [
            {
                "state": s,
                "name": "L1-L2",
                "z_mm": 26.2,
                "force_n": [0.0, 0.1, -500.0],
                "moment_nmm": [12.0, 3.0, 0.0],
                "imbalance": 2e-9,
            }
            for s in states
        ],
        "bands": [
            {
                "quantity": "nucleus_pressure_over_mean_pressure",
                "level": "L1-L2",
                "low": 1.15,
                "high": 1.45,
                "standing": "trial model",
                "source": "no published standing",
                "ours": 1.52,
                "is_inside": False,
                "hypothesis": "fibres carry compression in the linear model: without them 1.31",
            }
        ],
        "cement": {"level": "L1", "asked_ml": 6.0, "placed_ml": 6.003} if treated else None,
        "findings": ["L5: crumb of 1 voxel <removed> at (12.0, -3.1, 40.2) mm"],
        "notes": ["shear reaction 1.2 % of the force"],
        "shell_share_resolved": False,
        "reactions": [
            {"state": s, "body": "bottom", "force_n": [0.0, 0.1, 500.0], "moment_nmm": [1.0, 2.0, 0.0]} for s in states
        ],
    }


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Write a result folder: `make_results(slopes=(0.8, 1.0), treated=True, failed=0, fields=True)`."""

    def make(
        *,
        slopes: tuple[float, ...] = (1.0,),
        treated: bool = True,
        failed: int = 0,
        fields: bool = True,
        name: str = "demo",
    ) -> Path:
        out = tmp_path / "out"
        out.mkdir()
        is_sweep = len(slopes) > 1
        cases, tables, summaries = [], [], []
        for at, slope in enumerate(slopes):
            case, keys = f"case_{at:04d}", {"input.calibration.slope_factor": slope} if is_sweep else {}
            is_failed = at < failed
            error = "L1: no room for <30 ml>" if is_failed else None
            cases.append({"id": case, "keys": keys, "status": "failed" if is_failed else "done", "error": error})
            if is_failed:
                continue
            folder = out / "cases" / case
            folder.mkdir(parents=True)
            changes = _changes(case)
            # The change, alone, is proportional to the slope.
            changes[["change", "change_percent"]] *= slope
            changes["treated"] = changes["intact"] + changes["change"]
            changes = changes.assign(**keys)  # a run writes the swept keys as columns
            summaries.append(_summary(changes, case, keys, treated=treated))
            if treated:
                tables.append(changes)
            (folder / "case.json").write_text(json.dumps(_case_record(case, keys, treated=treated)))
            if fields:
                mesh, names = fake_fields(treated=treated)
                mesh.write(folder / "fields.vtu")
                (folder / "fields.json").write_text(json.dumps(names))
        if summaries:
            pd.concat(summaries).to_csv(out / "summary.csv", index=False)
        if tables:
            pd.concat(tables).to_csv(out / "changes.csv", index=False)
        run = {
            "schema": 1,
            "name": name,
            "status": "failed" if failed else "done",
            "config": {"schema": 1, "input": {"calibration": {"slope_factor": 1.0}}, "load": {"force_n": 500.0}},
            "config_hash": "ab12" * 16,
            "inputs": [{"path": "ct.nii.gz", "sha256": "0f" * 32}],
            "versions": {"fesolver": "0.1.0", "python": "3.11.9", "numpy": "2.2.0"},
            "git_commit": None,
            "host": "bench",
            "threads": 2,
            "date": "2026-01-02T03:04:05+00:00",
            "timings": {case["id"]: {"geometry": 1.2, "solve": 22.5} for case in cases if case["status"] == "done"},
            "warnings": ["posterior elements are left out"],
            "assumptions": ["calibration is assumed: density = 0.0008 HU + 0"],
            "cases": cases,
        }
        (out / "run.json").write_text(json.dumps(run))
        return out

    return make


def fake_check() -> StudyCheck:
    """What a check hands over, for the boxes of `fake_fields`, the top endplate of T12 tilted by 5 degrees."""
    mesh, names = fake_fields(treated=True)
    cells = mesh.cells[0].data
    data = {name: values[0] for name, values in mesh.cell_data.items()}
    regions = {
        name: Region(np.flatnonzero(data[array] > 0), data[array][data[array] > 0]) for array, name in names.items()
    }
    z = mesh.points[:, 2]
    surfaces, frames, vertebrae = {}, {}, {}
    for level, low, high in (("L2", 0.0, 24.0), ("L1", 30.0, 51.0), ("T12", 57.0, 78.0)):
        tilt = np.radians(5.0) if level == "T12" else 0.0
        frame = Frame(np.array([0.0, 0.0, (low + high) / 2]), np.eye(3))
        frames[level] = frame
        vertebrae[level] = VertebraGeometry(
            level=level,
            frame=frame,
            superior_centroid=np.array([0.0, 0.0, high]),
            superior_normal=np.array([0.0, -np.sin(tilt), np.cos(tilt)]),
            inferior_centroid=np.array([0.0, 0.0, low]),
            inferior_normal=np.array([0.0, 0.0, -1.0]),
            superior_area_mm2=850.0,
            inferior_area_mm2=850.0,
            canal_area_mm2=150.0,
        )
        for name, height, order, normal in (
            (f"{level}/superior_endplate", high, [4, 5, 6, 7], 1.0),
            (f"{level}/inferior_endplate", low, [0, 3, 2, 1], -1.0),
        ):
            at = np.flatnonzero(np.all(np.abs(z[cells[:, order]] - height) < 1e-6, axis=1))
            normals = np.tile([0.0, 0.0, normal], (len(at), 1))
            surfaces[name] = Surface(cells[at][:, order], at, normals, np.full(len(at), H * H))
    frames["L1-L2"] = Frame(np.array([0.0, 0.0, 27.0]), np.eye(3))
    tilt = np.radians(20.0)
    axes = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    scanner = Frame(np.zeros(3), axes)
    empty = np.zeros((1, 1, 1))
    return StudyCheck(
        n_cases=3,
        n_cells=len(cells),
        n_dof=3 * len(mesh.points),
        memory_mb=812.0,
        seconds_estimate=None,
        findings=("L5: crumb removed",),
        image=SegmentImage(
            spacing=np.full(3, H),
            origin=np.zeros(3),
            frame=scanner,
            levels=LEVELS,
            body=empty.astype(np.int8),
            posterior=empty.astype(np.int8),
            density=empty,
            kind="rho_qct",
            vertebrae=vertebrae,
            source_spacing_mm=3.0,
            volume_change={"L1": 0.012},
            extra={},
        ),
        mesh=SpineMesh(mesh.points, cells.astype(np.int64), regions, surfaces, frames, LEVELS, scanner),
        tissue=Tissue(data["density"] + 0.02 * np.sin(np.arange(len(cells))), "rho_qct", regions),
        elasticity=Elasticity(data["young_treated"], np.full(len(cells), 0.3)),
        density_hu=None,
        load_point=np.array([0.0, -4.0, 78.0]),
    )


@pytest.fixture
def checked() -> StudyCheck:
    """A made-up check."""
    return fake_check()
