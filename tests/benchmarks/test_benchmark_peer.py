"""How the peer's printed lines become seconds, and its answer on a small model."""

from __future__ import annotations

import numpy as np
import pytest
from _models import heterogeneous_block
from _parosol import PeerMissingError, _phases, find_interpreter, solve_with_parosol
from _residual import check_answer

PRINTED = [
    (0.0, "Parameters:"),
    (0.1, "HDF5 ImageReader:"),
    (0.5, "Preconditioning done"),
    (0.9, "It:   0\tPrec rel res: 1"),
    (2.5, "It:   1\tPrec rel res: 1e-7"),
    (2.8, "### Timing, averages [s]"),
    (2.8, "#  Nr of It: 1"),
    (2.8, "#  Solving:  2.0"),
]


def test_phases_leave_reading_and_writing_apart():
    found = _phases(PRINTED)

    assert found["setup_s"] == pytest.approx(0.4)
    assert found["solve_s"] == pytest.approx(2.0)
    assert found["overall_s"] == pytest.approx(2.4)
    assert (found["read_s"], found["write_s"]) == (pytest.approx(0.1), pytest.approx(0.3))
    assert found["iterations"] == 1


def test_stamps_that_came_late_are_refused():
    late = [(stamp if stamp < 2.5 else stamp + 3.0, line) for stamp, line in PRINTED]

    with pytest.raises(SystemExit, match=r"own clock 2\.00 s"):
        _phases(late)


def test_run_that_stopped_early_says_where():
    with pytest.raises(SystemExit, match="did not print 'Preconditioning done'"):
        _phases(PRINTED[:2])


def test_missing_peer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("_parosol.FOLDER", tmp_path / "parosol")

    with pytest.raises(PeerMissingError, match="not installed"):
        find_interpreter(install=False)


def test_peer_solves_the_model_that_it_was_given(tmp_path):
    try:
        find_interpreter(install=False)
    except PeerMissingError as error:
        pytest.skip(str(error))
    model = heterogeneous_block(10)
    model.save(tmp_path / "model.npz")

    record = solve_with_parosol(tmp_path / "model.npz", tmp_path / "u.npy", rtol=1e-6, ranks=1, limit_s=60.0)

    found = check_answer(model, np.load(tmp_path / "u.npy"))
    assert found["residual"] < 1e-6
    assert found["held_error_mm"] < 1e-15  # it writes 1e-16 for zero
    assert record["iterations"] > 0
