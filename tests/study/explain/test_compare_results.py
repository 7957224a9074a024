"""Two result folders beside each other: inputs, cases, outcomes, and why."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fesolver.errors import InputError
from fesolver.study.engine.dataset import Dataset
from fesolver.study.engine.task import Row, Task
from fesolver.study.explain.compare import compare_results, comparison_lines, comparison_tables

P = "L1-L2/nucleus_pressure_mpa"
CONFIG: dict[str, Any] = {
    "schema": 1,
    "name": "volumes",
    "bone": {"law": "kopperdahl2002_power", "convert": []},
    "treatment": {"level": "L1", "volume_ml": 6.0},
    "load": {"force_n": 500.0},
    "factors": {"volume": {"key": "treatment.volume_ml", "values": [2.0, 4.0], "source": "a choice"}},
}


def values(volume: float, *, scale: float = 1.0) -> dict[str, float]:
    """Outcomes of a case."""
    intact, treated = 0.5 * scale, (0.5 + 0.01 * volume) * scale
    return {
        f"intact/{P}": intact,
        f"treated/{P}": treated,
        f"change/{P}": treated - intact,
        f"floor_spacing/{P}": 1e-3 * scale,
        "intact/L1/cut_imbalance": 1e-9 * scale,
    }


def study(
    folder: Path,
    found: dict[float, dict[str, float] | None],
    *,
    config: dict[str, Any] = CONFIG,
    digest: str = "x",
    **record: Any,
) -> Path:
    """A result folder with one case for each volume; None: it failed."""
    pairs, cases = [], []
    for k, (volume, outcomes) in enumerate(found.items()):
        case, keys = f"{k:05d}-{digest}{volume:g}", {"volume": volume}
        task = Task(f"{digest}{volume:g}", case, k, keys)
        status = "failed" if outcomes is None else "done"
        pairs.append((task, Row(task.digest, status, outcomes or {}, "no" if outcomes is None else "")))
        cases.append({"digest": task.digest, "case": case, "keys": keys})
    folder.mkdir(parents=True)
    Dataset(folder / "results").add(pairs)
    given = {"schema": 1, "name": "volumes", "config": config, "inputs": [], "versions": {"numpy": "2.4.6"}}
    (folder / "study.json").write_text(json.dumps(given | {"cases": cases} | record), encoding="utf-8")
    return folder


def single(folder: Path, *, config: dict[str, Any], text: str, **record: Any) -> Path:
    """A folder of one case with a summary, and no dataset."""
    folder.mkdir(parents=True)
    given = {"schema": 1, "name": "one", "config": config, "cases": [{"id": "00000-aa", "keys": {}, "status": "done"}]}
    (folder / "run.json").write_text(json.dumps(given | record), encoding="utf-8")
    (folder / "summary.csv").write_text(text, encoding="utf-8")
    return folder


def changed(**tables: dict[str, Any]) -> dict[str, Any]:
    """The study with some keys set."""
    return CONFIG | {name: CONFIG.get(name, {}) | keys for name, keys in tables.items()}


def outcome(found: Any, state: str) -> Any:
    (one,) = [o for o in found.outcomes if o.state == state]
    return one


def test_the_same_results_are_the_same_bits(tmp_path):
    a = study(tmp_path / "a", {2.0: values(2.0), 4.0: values(4.0)})
    b = study(tmp_path / "b", {4.0: values(4.0), 2.0: values(2.0)})
    found = compare_results(a, b)
    assert [(m.a, m.b, m.by) for m in found.matches] == [
        ("00000-x2", "00001-x2", "digest"),
        ("00001-x4", "00000-x4", "digest"),
    ]
    assert (found.n_identical, found.n_within, found.n_beyond) == (6, 0, 0)  # floors and imbalance are not compared
    assert found.inputs == ()
    assert "same bits" in found.because


def test_the_one_input_that_differs_is_the_cause(tmp_path):
    a = study(tmp_path / "a", {2.0: values(2.0), 4.0: values(4.0)})
    b = study(
        tmp_path / "b",
        {2.0: values(2.0, scale=1.1), 4.0: values(4.0, scale=1.2)},
        config=changed(load={"force_n": 550.0}),
        digest="y",
    )
    found = compare_results(a, b)
    assert {m.by for m in found.matches} == {"values"}
    assert [(d.key, d.a, d.b, d.is_cause) for d in found.inputs] == [("load.force_n", "500.0", "550.0", True)]
    assert found.because == "because of load.force_n: 500.0 -> 550.0"
    worst = outcome(found, "treated")
    assert worst.case == "00001-x4"
    assert worst.largest_relative == pytest.approx(0.2 / 1.2, rel=1e-12)
    assert (worst.a, worst.b) == (values(4.0)[f"treated/{P}"], values(4.0, scale=1.2)[f"treated/{P}"])
    assert (worst.n_identical, worst.n_within, worst.n_beyond) == (0, 0, 2)
    text = "\n".join(comparison_lines(found))
    assert "load.force_n: 500.0 -> 550.0" in text
    assert f"treated/{P} (00001-x4)" in text
    assert text.endswith(found.because)


def test_a_change_is_measured_against_the_numbers_it_is_between(tmp_path):
    a = study(tmp_path / "a", {2.0: {f"intact/{P}": 100.0, f"treated/{P}": 100.001, f"change/{P}": 0.001}})
    b = study(tmp_path / "b", {2.0: {f"intact/{P}": 100.0, f"treated/{P}": 100.00101, f"change/{P}": 0.00101}})
    found = compare_results(a, b)
    assert outcome(found, "change").largest_relative == pytest.approx(1e-5 / 100.00101, rel=1e-9)  # not 1 in 100
    assert outcome(found, "change").n_within == 1
    assert outcome(found, "intact").n_identical == 1
    assert compare_results(a, b, rtol=1e-8).n_beyond == 2
    assert "numerical noise" in found.because
    assert "numerical noise" not in compare_results(a, b, rtol=1e-8).because


def test_several_inputs_are_listed_and_what_moves_no_common_case_is_not_blamed(tmp_path):
    a = study(tmp_path / "a", {2.0: values(2.0)})
    volume = CONFIG["factors"]["volume"] | {"values": [2.0, 6.0]}
    config = changed(
        load={"force_n": 550.0},
        bone={"law": "morgan2003", "convert": ["ash"]},
        treatment={"level": "L1", "volume_ml": 1.0},
        factors={"volume": volume},
        output={"fields": "none"},
    )
    b = study(tmp_path / "b", {2.0: values(2.0, scale=2.0), 6.0: values(6.0)}, config=config, digest="y")
    found = compare_results(a, b)
    by = {d.key: d.is_cause for d in found.inputs}
    assert by == {
        "bone.law": True,
        "bone.convert": True,
        "treatment.volume_ml": False,  # both leave it to the factor
        "load.force_n": True,
        "factors.volume.values": False,
        "output": False,
    }
    assert found.because == "because of one or more of 3 inputs: bone.law, bone.convert, load.force_n"
    assert found.only_b == ("00001-y6",)
    assert "moves no case that both have" in "\n".join(comparison_lines(found))


def test_cases_that_depend_on_the_same_blame_versions_not_keys_of_other_cases(tmp_path):
    a = study(tmp_path / "a", {2.0: values(2.0)}, versions={"numpy": "2.4.6", "scipy": "1.17.1"})
    config = changed(bone={"law": "morgan2003"})  # as where a factor's levels set the law
    b = study(
        tmp_path / "b",
        {2.0: values(2.0, scale=1 + 1e-9)},
        config=config,
        versions={"numpy": "2.4.7", "scipy": "1.17.1"},
    )
    found = compare_results(a, b)
    assert found.matches[0].by == "digest"
    assert "numpy 2.4.6 -> 2.4.7" in found.because
    assert "scipy" not in found.because
    assert "noise" in found.because


def test_a_file_is_its_content_wherever_it_lies(tmp_path):
    def given(place: str, digest: str) -> dict[str, Any]:
        return {
            "config": changed(input={"kind": "ct", "ct": f"{place}/ct.nii.gz", "labels": f"{place}/labels.nii.gz"}),
            "inputs": [
                {"path": f"{place}/ct.nii.gz", "sha256": digest * 32},
                {"path": f"{place}/labels.nii.gz", "sha256": "ff" * 32},
            ],
        }

    a = study(tmp_path / "a", {2.0: values(2.0)}, **given("/here", "ab"))
    b = study(tmp_path / "b", {2.0: values(2.0, scale=1.5)}, digest="y", **given("/there", "cd"))
    found = compare_results(a, b)
    assert [(d.kind, d.key) for d in found.inputs] == [("input file", "input.ct")]
    assert found.because == "because of input.ct: sha256 abababababab -> sha256 cdcdcdcdcdcd"
    moved = study(tmp_path / "c", {2.0: values(2.0)}, **given("/there", "ab"))
    assert compare_results(a, moved).inputs == ()


def test_a_table_that_only_one_has_is_one_input(tmp_path):
    bare = {key: table for key, table in CONFIG.items() if key != "treatment"} | {"treatment": None}
    a = study(tmp_path / "a", {2.0: values(2.0)})
    b = study(tmp_path / "b", {2.0: values(3.0)}, config=bare, digest="y")
    (difference,) = compare_results(a, b).inputs
    assert (difference.key, difference.b) == ("treatment", "")


def test_single_cases_are_taken_for_each_other_also_from_a_summary(tmp_path):
    head = "case,state,level,bone_volume_mm3,nucleus_pressure_mpa\n"
    first = (
        head + "00000-aa,intact,L1,100.0,\n00000-aa,intact,L1-L2,,0.1\n00000-aa,treated,L1-L2,,0.30000000000000004\n"
    )
    second = head + "00000-aa,intact,L1,100.0,\n00000-aa,intact,L1-L2,,0.1\n00000-aa,treated,L1-L2,,0.3\n"
    plain = {key: table for key, table in CONFIG.items() if key != "factors"}
    a = single(tmp_path / "a", config=plain, text=first)
    b = single(tmp_path / "b", config=plain | {"load": {"force_n": 500.1}}, text=second, git_commit="0123456789abcdef")
    found = compare_results(a, b)
    assert found.matches[0].by == "position"
    assert (found.n_identical, found.n_within, found.n_beyond) == (2, 1, 0)
    assert outcome(found, "treated").largest_relative == pytest.approx(math.ulp(0.3) / 0.3, rel=1e-9)
    assert [d.key for d in found.inputs] == ["load.force_n", "git_commit"]
    assert found.because.startswith("because of load.force_n")


def test_failed_and_missing_numbers_are_counted_apart(tmp_path):
    a = study(tmp_path / "a", {2.0: values(2.0), 4.0: values(4.0) | {"intact/L2/k_n_per_mm": 5.0}})
    b = study(tmp_path / "b", {2.0: values(2.0), 4.0: None})
    found = compare_results(a, b)
    assert (outcome(found, "treated").n_identical, outcome(found, "treated").n_only_a) == (1, 1)
    assert found.outcomes_only_a == ("intact/L2/k_n_per_mm",)
    text = "\n".join(comparison_lines(found))
    assert "00001-x4: done in A, failed in B" in text
    assert "outcomes only in A: 1 (intact/L2/k_n_per_mm)" in text


def test_round_off_beside_the_same_quantity_elsewhere_is_no_difference(tmp_path):
    a = study(tmp_path / "a", {2.0: {"intact/L1/bulge_mm": 1e-14, "intact/L2/bulge_mm": 0.3}})
    b = study(tmp_path / "b", {2.0: {"intact/L1/bulge_mm": -3e-15, "intact/L2/bulge_mm": 0.3}})
    found = compare_results(a, b)
    assert (found.n_identical, found.n_within, found.n_beyond) == (1, 1, 0)


def test_infinite_numbers_compare(tmp_path):
    a = study(tmp_path / "a", {2.0: {"intact/L1/r": math.inf}, 4.0: {"intact/L1/r": math.inf}})
    b = study(tmp_path / "b", {2.0: {"intact/L1/r": math.inf}, 4.0: {"intact/L1/r": 3.0}})
    found = compare_results(a, b)
    assert (found.n_identical, found.n_beyond) == (1, 1)
    assert found.outcomes[0].largest_relative == math.inf


def test_tables_hold_every_difference(tmp_path):
    a = study(tmp_path / "a", {2.0: values(2.0), 4.0: values(4.0)})
    b = study(tmp_path / "b", {2.0: values(2.0), 8.0: values(8.0)}, versions={"numpy": "2.5"})
    tables = comparison_tables(compare_results(a, b))
    assert tables["inputs"]["key"].tolist() == ["numpy"]
    assert tables["cases"][["a", "b"]].to_numpy().tolist() == [
        ["00000-x2", "00000-x2"],
        ["00001-x4", ""],
        ["", "00001-x8"],
    ]
    assert tables["outcomes"]["quantity"].tolist() == ["nucleus_pressure_mpa"] * 3
    same = comparison_tables(compare_results(a, a))
    assert list(same["inputs"].columns) == ["kind", "key", "a", "b", "is_cause"]


def test_mistakes_are_named(tmp_path):
    a = study(tmp_path / "a", {2.0: values(2.0), 3.0: values(3.0)})
    with pytest.raises(InputError, match="is no folder"):
        compare_results(a, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"neither study.json nor run.json"):
        compare_results(tmp_path / "empty", a)
    with pytest.raises(InputError, match="schema 2"):
        compare_results(a, study(tmp_path / "newer", {2.0: values(2.0)}, schema=2))
    with pytest.raises(InputError, match="no case in common"):
        compare_results(a, study(tmp_path / "others", {7.0: values(7.0)}, digest="y"))
    with pytest.raises(InputError, match="share no outcome"):
        compare_results(a, study(tmp_path / "kept", {2.0: {"intact/L1/k_n_per_mm": 1.0}}))
    with pytest.raises(InputError, match="rtol"):
        compare_results(a, a, rtol=-1.0)
    (a / "study.json").write_text('{"schema": 1, "cases": [', encoding="utf-8")
    with pytest.raises(InputError, match=r"study.json is damaged"):
        compare_results(a, a)
    (a / "study.json").write_text('{"schema": 1, "cases": [{"id": 3}]}', encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        compare_results(a, a)
