"""Memory is estimated before it is taken, and a model that will not fit is refused with numbers."""

from __future__ import annotations

import pytest

import fesolver.study.memory as memory
from fesolver.errors import InputError
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
