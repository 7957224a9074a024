"""What readers call factors: on axes, in sentences, in tables."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fesolver.report import study_report
from fesolver.report.factor_words import _DERIVED, _WORDS, FactorWords, factor_words, words_of_factors
from fesolver.report.figure_data import FigureFactor, set_factor_axis, wrapped
from fesolver.report.figures import _sweep
from fesolver.report.results import read_results
from fesolver.report.style import new_figure
from fesolver.study.design.derived import DERIVATIONS
from fesolver.study.design.factors import Factor
from fesolver.study.schema import StudyConfig


@pytest.mark.parametrize(
    ("factor", "axis", "sentence"),
    [
        (Factor("modulus", keys=("materials.cement_young_mpa",)), "Young's modulus of cement (MPa)", None),
        (Factor("volume", keys=("treatment.volume_ml",)), "Cement volume (ml)", "cement volume (ml)"),
        (Factor("t", derive="t_score"), "T-score", "T-score"),
        (Factor("shift", derive="density_shift_mg_cm3"), "Shift of bone density (mg/cm³)", None),
        ("segment.spacing_mm", "Cell spacing (mm)", "cell spacing (mm)"),
        # The study's own label and names stand as they are.
        (Factor("slope", derive="calibration_slope_percent", text="slope, %"), "slope, %", "slope, %"),
        (Factor("bone_law", level_names=("a", "b"), level_sets=({}, {})), "bone law", "bone law"),
        ("my_factor", "my_factor", "my_factor"),
        # What nobody has words for: words of the key.
        (Factor("x", keys=("disc.annulus_young_mpa",)), "Annulus young (MPa)", "annulus young (MPa)"),
    ],
)
def test_a_factor_is_called_as_in_a_paper(factor, axis, sentence):
    words = factor_words(factor)
    assert words.axis == axis
    assert words.label == (sentence or axis[:1].lower() * (axis[0] == "S") + axis[axis[0] == "S" :])


def test_values_have_their_unit_and_a_true_minus():
    assert FactorWords("cement volume", "ml").at(4.0) == "cement volume = 4 ml"
    assert FactorWords("T-score").at(-3.5) == "T-score = −3.5"
    assert FactorWords("place", "mm").at("left-side") == "place = left-side"


def test_two_factors_of_one_key_word_keep_their_names():
    found = words_of_factors([Factor("first", derive="t_score"), Factor("second", keys=("input.t_score",)), "c"])
    assert [words.axis for words in found.values()] == ["first", "second", "c"]


def test_every_key_and_derivation_with_words_is_there():
    assert set(_DERIVED) == set(DERIVATIONS)
    for key in _WORDS:
        fields = StudyConfig.model_fields
        for part in key.split("."):
            assert part in fields, key
            fields = _fields_below(fields[part].annotation)


def _fields_below(annotation: object) -> dict[str, typing.Any]:
    """Fields of all tables in a type."""
    own = dict(getattr(annotation, "model_fields", {}))
    for part in typing.get_args(annotation):
        own |= _fields_below(part)
    return own


def test_few_values_are_the_ticks_of_their_axis():
    axes = new_figure(3.0, 2.0).subplots()
    set_factor_axis(axes, FigureFactor("t", "T-score", "T-score", (-3.5, -2.5), is_number=True))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["−3.5", "−2.5"]
    close = FigureFactor("x", "X", "x", (1.0, 1.01, 2.0), is_number=True)
    axes = new_figure(3.0, 2.0).subplots()
    set_factor_axis(axes, close)
    assert not np.array_equal(axes.get_xticks(), close.values)


def test_a_unit_is_no_line_of_its_own():
    assert wrapped("Change of factor of risk (yielded volume) (%)", 41) == (
        "Change of factor of risk (yielded\nvolume) (%)"
    )


def test_where_figures_of_the_study_are_drawn_no_sweep_repeats_them(make_results, monkeypatch):
    results = read_results(make_results(slopes=(0.8, 1.0), fields=False))
    assert not study_report.has_study_figures(results)  # a folder of an older version
    monkeypatch.setattr(study_report, "has_study_figures", lambda results: True)
    assert list(_sweep(results)) == []
    monkeypatch.setattr(study_report, "has_study_figures", lambda results: False)
    assert [entry.kind for entry, _, _ in _sweep(results)] == ["sweep"]


def test_help_of_the_comparison_solves_nothing(monkeypatch, capsys):
    folder = Path(__file__).resolve().parents[2] / "studies" / "structured_vs_voxel"
    if not folder.is_dir():
        pytest.skip("studies are not beside the tests")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "compare", raising=False)  # other studies have scripts of that name
    before = set(sys.modules)
    import compare

    try:
        started = SimpleNamespace(n=0)
        monkeypatch.setattr(compare, "runs", lambda: iter([]))
        monkeypatch.setattr(compare, "write_readme", lambda *_: setattr(started, "n", 1))
        with pytest.raises(SystemExit) as stopped:
            compare.main(["--help"])
        assert (stopped.value.code, started.n) == (0, 0)
        assert "--report" in capsys.readouterr().out
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]
