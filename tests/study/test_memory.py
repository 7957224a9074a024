"""Memory is estimated before it is taken, and a model that will not fit is refused with numbers."""

from __future__ import annotations

import pytest
from tet_split import split_mesh

import fesolver.study.memory as memory
from fesolver.errors import InputError
from fesolver.study.config import study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.model import build_models
from fesolver.study.progress import SilentProgress
from fesolver.study.stages import Stages


def test_a_model_that_does_not_fit_is_refused_with_what_is_needed_and_what_there_is(make_study, monkeypatch):
    study = make_study()
    intact = build_models(study, read_data(study), Stages(SilentProgress())).intact
    memory.check_memory(intact.mesh)  # it fits here

    monkeypatch.setattr(memory, "available_mb", lambda: 100.0)
    with pytest.raises(InputError, match=r"need about \d+ MB .* 100 MB are available(.|\n)*spacing_mm"):
        memory.check_memory(intact.mesh)


def test_tetrahedra_and_connections_need_what_was_measured(monkeypatch):
    config = study_from_dict(
        {
            "schema": 1,
            "name": "pair",
            "input": {"kind": "parametric", "t_score": -3.0},
            "segment": {"levels": ["L1", "L2"], "refinement": 0.4},
        }
    )
    mesh = build_models(config, read_data(config), Stages(SilentProgress())).intact.mesh
    for element, of_cells, per_unknown, soft in (
        ("hex8", 180.0 + 5400e-6 * len(mesh.cells), 2000.0, 2200.0),
        ("tet4", 255.0 + 1500e-6 * 6 * len(mesh.cells), 2100.0, 850.0),
        ("tet10", 255.0 + 1500e-6 * 6 * len(mesh.cells), 3200.0, 1700.0),
    ):
        made = mesh if element == "hex8" else split_mesh(mesh, quadratic=element == "tet10")
        n_dof = made.points.size
        assert memory.expected_memory_mb(made) == pytest.approx(of_cells + 1e-6 * per_unknown * n_dof)
        assert memory.expected_memory_mb(made, has_connections=True) == pytest.approx(
            of_cells + 1e-6 * (per_unknown + soft) * n_dof
        )

    monkeypatch.setattr(memory, "available_mb", lambda: 100.0)
    with pytest.raises(InputError, match=r"segment\.size_mm"):
        memory.check_memory(made)
