"""Cement and metal that come from a label volume: in the bodies, at their volume, with their modulus."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fesolver.imaging.io import write_volume
from fesolver.imaging.phantom import synthetic_segment
from fesolver.imaging.volume import Volume
from fesolver.study.config import study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.model import build_models, label_part_notes
from fesolver.study.progress import SilentProgress
from fesolver.study.runner import run_study
from fesolver.study.stages import Stages


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One level with a ball of cement left and a rod of metal right of the middle of its body."""
    folder = tmp_path_factory.mktemp("parts")
    segment = synthetic_segment(levels=("L1",), t_score=-3.0, voxel_mm=2.0)
    labels = segment.labels.mask("L1").astype(np.uint8) * 31
    places = segment.density.to_mm(np.moveaxis(np.indices(labels.shape), 0, -1))
    body = segment.labels.to_mm(np.argwhere(segment.labels.mask("L1")))
    centre = np.array([0.0, body[:, 1].min() + 14.0, body[:, 2].mean()])
    cement = np.linalg.norm(places - centre - [9.0, 0.0, 0.0], axis=-1) < 6.0
    metal = np.linalg.norm((places - centre - [-9.0, 0.0, 0.0])[..., :2], axis=-1) < 3.0
    metal &= np.abs(places[..., 2] - centre[2]) < 6.0
    for name, values in (
        ("ct", (segment.density.values / 0.0008).astype(np.int16)),
        ("labels", labels),
        ("cement", cement.astype(np.uint8)),
        ("metal", metal.astype(np.uint8)),
    ):
        write_volume(Volume(values, segment.density.affine), folder / f"{name}.nii.gz")
    volumes = {"cement": cement.sum() * 8e-3, "implant": metal.sum() * 8e-3}  # ml of 2 mm voxels
    config = study_from_dict(
        {
            "name": "parts",
            "input": {
                "kind": "ct",
                "ct": str(folder / "ct.nii.gz"),
                "labels": str(folder / "labels.nii.gz"),
                "cement_label": str(folder / "cement.nii.gz"),
                "implant_label": str(folder / "metal.nii.gz"),
            },
            "calibration": {"method": "slope", "slope_g_cm3_per_hu": 0.0008, "assumed": True},
            "segment": {"levels": ["L1"], "spacing_mm": 2.0},
            "treatment": {"level": "L1", "volume_ml": 1.0, "approach": "point", "center_mm": [0.0, 0.0, 0.0]},
        }
    )
    return config, volumes


def test_labelled_parts_keep_their_volume_and_carry_their_modulus_in_both_states(study):
    config, volumes = study
    data = read_data(config)
    built = build_models(config, data, Stages(SilentProgress()))
    intact, treated = built.intact, built.treated

    cell_ml = 8e-3
    for part, young in (("cement", 2000.0), ("implant", 110000.0)):
        region = intact.mesh.regions[f"L1/{part}"]
        assert_allclose(region.fraction.sum() * cell_ml, volumes[part], rtol=0.01)  # interpolation of 2 mm stairs
        assert intact.elasticity.young[region.cells[region.fraction > 1 - 1e-9]] == pytest.approx(young)
        assert any(note.startswith(f"L1/{part}") for note in label_part_notes(intact))
    total = np.zeros(len(intact.mesh.cells))
    for region in intact.mesh.regions.values():
        total[region.cells] += region.fraction
    assert_allclose(total, 1.0, rtol=0, atol=1e-9)
    added = treated.mesh.regions["L1/cement"].fraction.sum() - intact.mesh.regions["L1/cement"].fraction.sum()
    assert_allclose(added * cell_ml, 1.0, rtol=0.01)  # what is injected comes on top of what was there
    assert_allclose(
        treated.mesh.regions["L1/implant"].fraction, intact.mesh.regions["L1/implant"].fraction, rtol=0, atol=0
    )


def test_a_run_with_labelled_parts_names_their_regions_and_stiffens_the_body(study, tmp_path):
    config, _ = study
    run_study(config, tmp_path / "with", threads=1)
    bare = config.model_copy(
        update={"input": config.input.model_copy(update={"cement_label": None, "implant_label": None})}
    )
    run_study(bare, tmp_path / "bare", threads=1)

    legend = json.loads(next((tmp_path / "with" / "cases").glob("*/fields.json")).read_text())
    assert {"L1/cement", "L1/implant"} <= {name for name in legend.values() if isinstance(name, str)}
    stiffness = {}
    for name in ("with", "bare"):
        summary = pd.read_csv(tmp_path / name / "summary.csv")
        intact = summary[(summary["state"] == "intact") & (summary["level"] == "L1")]
        stiffness[name] = float(intact["vertebra_stiffness_n_per_mm"].iloc[0])
    assert stiffness["with"] > 1.02 * stiffness["bare"]
