"""Wrong uses through the command: each ends with code 2, one message that says what to do, and nothing written."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from typer.testing import CliRunner

from fesolver.cli import app
from fesolver.imaging.io import write_volume
from fesolver.imaging.phantom import synthetic_segment
from fesolver.imaging.volume import Volume

SLOPE = 0.0008  # g/cm3 per HU, what the scan is made with and calibrated by
NUMBERS = {"L1": 31, "L2": 30}  # of TotalSegmentator


@pytest.fixture(autouse=True)
def own_logging():
    """The command sets the package's log level and adds a handler; what comes after must not notice."""
    log = logging.getLogger("fesolver")
    before, level = list(log.handlers), log.level
    yield
    log.handlers[:], log.level = before, level


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    """A folder with a small CT, its labels, and files that are wrong in one way each."""
    folder = tmp_path_factory.mktemp("scan")
    segment = synthetic_segment(levels=("L1", "L2"), t_score=-3.0, voxel_mm=2.0)
    affine = segment.density.affine
    hu = np.rint(segment.density.values / SLOPE).astype(np.int16)
    labels = sum(number * segment.labels.mask(level) for level, number in NUMBERS.items()).astype(np.uint8)
    away = affine.copy()
    away[:3, 3] += 500.0
    with_nan = hu.astype(np.float32)
    with_nan[5, 5, 5] = np.nan
    files = {
        "ct.nii.gz": hu,
        "labels.nii.gz": labels,
        "nan.nii.gz": with_nan,
        "nan.mha": with_nan,
        "slice.nii.gz": hu[:, :, :1],
        "air.nii.gz": np.full_like(hu, -1000),
        "zeros.nii.gz": np.zeros_like(hu),
        "real_ct.nii.gz": np.where(labels > 0, hu, -1000),
        "interpolated.nii.gz": np.where(labels > 0, labels + np.float32(0.25), np.float32(0)),
        "only_l1.nii.gz": np.where(labels == NUMBERS["L1"], labels, 0).astype(np.uint8),
    }
    for name, values in files.items():
        write_volume(Volume(values, affine), folder / name)
    write_volume(Volume(labels, away), folder / "away.nii.gz")
    (folder / "text.nii.gz").write_text("not an image")
    (folder / "empty.nii.gz").write_bytes(b"")
    (folder / "short.nii.gz").write_bytes((folder / "ct.nii.gz").read_bytes()[:3000])
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((20, 20), np.uint8)), str(folder / "picture.png"))
    SimpleITK.WriteImage(
        SimpleITK.JoinSeries([SimpleITK.ReadImage(str(folder / "ct.nii.gz"))] * 2), str(folder / "series.nii.gz")
    )
    (folder / "no_series").mkdir()
    return folder


def toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def study_text(scan: Path, change: dict[str, Any]) -> str:
    """A study of the scan that would run, with tables changed: None takes a key or a table out."""
    tables: dict[str, Any] = {
        "schema": 1,
        "name": "misuse",
        "input": {"kind": "ct", "ct": str(scan / "ct.nii.gz"), "labels": str(scan / "labels.nii.gz")},
        "calibration": {"method": "slope", "slope_g_cm3_per_hu": SLOPE, "assumed": True},
        "segment": {"levels": ["L1", "L2"], "spacing_mm": 3.0},
        "treatment": {"level": "L1", "volume_ml": 3.0},
    }
    for name, value in change.items():
        tables[name] = {**tables.get(name, {}), **value} if isinstance(value, dict) else value
    for key, value in tables["input"].items():
        if key != "kind" and isinstance(value, str) and "${" not in value:
            tables["input"][key] = str(scan / value)
    lines = []
    for name, value in tables.items():
        if isinstance(value, dict):
            value = {key: item for key, item in value.items() if item is not None}
        if value is not None:
            lines.append(f"{name} = {toml(value)}")
    return "\n".join(lines)


def refusal(arguments: list[str], cwd: Path) -> str:
    """The message of a run that must be refused, after the promises that hold for every refusal."""
    before = sorted(path.relative_to(cwd) for path in cwd.rglob("*"))

    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2, result.output
    assert result.stderr.count("error:") == 1
    for jargon in ("Traceback", "Input should", "pydantic", "sitk", "ValidationError", "NoneType"):
        assert jargon not in result.stderr
    assert "to do: " in result.stderr
    assert sorted(path.relative_to(cwd) for path in cwd.rglob("*")) == before
    return result.stderr


def input_(**keys: Any) -> dict[str, Any]:
    return {"input": keys}


MISUSES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "missing CT": (input_(ct="none.nii.gz"), ["no such image", "none.nii.gz"]),
    "missing labels": (input_(labels="none.nii.gz"), ["no such image", "none.nii.gz"]),
    "text named as an image": (input_(ct="text.nii.gz"), ["text.nii.gz", "content is not .nii.gz"]),
    "empty file": (input_(ct="empty.nii.gz"), ["empty.nii.gz"]),
    "half a file": (input_(ct="short.nii.gz"), ["short.nii.gz", "incomplete"]),
    "a picture": (input_(ct="picture.png"), ["picture.png", ".nrrd"]),
    "a folder without DICOM": (input_(ct="no_series"), ["no DICOM series", "no_series"]),
    "a time series": (input_(ct="series.nii.gz"), ["x 2 is not a volume"]),
    "a single slice": (input_(ct="slice.nii.gz"), ["single slice"]),
    "NaN in a NIfTI": (input_(ct="nan.nii.gz"), ["1 of", "NaN", "(5, 5, 5)", "mm"]),
    "NaN in a MetaImage": (input_(ct="nan.mha"), ["1 of", "NaN", "(5, 5, 5)", "mm"]),
    "air": (input_(ct="air.nii.gz"), ["-1000 HU", "L1", "L2"]),
    "an empty image": (input_(ct="zeros.nii.gz"), ["every voxel has 0 HU"]),
    "labels as CT": (input_(ct="labels.nii.gz"), ["every voxel has 31 HU", "label map"]),
    "CT as labels": (input_(labels="real_ct.nii.gz"), ["no labels", "the CT itself"]),
    "CT and labels exchanged": (input_(ct="labels.nii.gz", labels="real_ct.nii.gz"), ["no labels"]),
    "interpolated labels": (input_(labels="interpolated.nii.gz"), ["not whole numbers", "31.25"]),
    "labels without a number": (input_(labels="zeros.nii.gz"), ["no label in the file has a name"]),
    "labels of another patient": (input_(labels="away.nii.gz"), ["outside the CT", "L1"]),
    "a level not in the labels": (input_(labels="only_l1.nii.gz"), ["no voxel is labelled L2", "only_l1.nii.gz"]),
    "cement label elsewhere": (input_(cement_label="away.nii.gz"), ["cement", "lies in L1, L2", "away.nii.gz"]),
    "an unknown scheme": (input_(label_scheme="totalsegmentater"), ["totalsegmentater", "'verse'"]),
    "an unknown finding": (input_(accept_findings=["bogus"]), ["bogus", "contact"]),
    "an unknown kind of input": (input_(kind="mri"), ["input.kind", "mri", "'synthetic'"]),
    "an unknown key": ({"segment": {"spacing": 3.0}}, ["segment.spacing", "spacing_mm"]),
    "an unknown table": ({"sement": {"levels": []}}, ["sement", "segment"]),
    "an unknown unit": ({"load": {"force_kn": 0.5}}, ["load.force_kn", "force_n"]),
    "a negative force": ({"load": {"force_n": -500}}, ["load.force_n", "-500", "0 or more"]),
    "a force in quotes": ({"load": {"force_n": "500"}}, ["load.force_n", "'500'", "without quotes"]),
    "a force that is true": ({"load": {"force_n": True}}, ["load.force_n", "true", "number"]),
    "a force off the endplate": ({"load": {"offset_anterior_mm": 200.0}}, ["offset_anterior_mm", "200"]),
    "one level as a text": ({"segment": {"levels": "L1"}}, ["segment.levels", "list"]),
    "no level": ({"segment": {"levels": []}}, ["segment.levels"]),
    "cells too coarse for a disc": ({"segment": {"spacing_mm": 5.0}}, ["L1-L2", "two cells", "spacing_mm ="]),
    "cement outside bone": (
        {"treatment": {"approach": "point", "center_mm": [0, 60, 0]}},
        ["outside the trabecular bone of L1", "nearest at"],
    ),
    "cement that does not fit": ({"treatment": {"volume_ml": 80.0}}, ["80 ml", "at most 2"]),
    "a point without a place": ({"treatment": {"approach": "point"}}, ["needs center_mm"]),
    "a shell that leaves no bone": (
        {"segment": {"cortical_thickness_mm": 30.0, "endplate_thickness_mm": 30.0}},
        ["L1", "no trabecular bone"],
    ),
    "an uncalibrated CT": ({"calibration": None}, ["not calibrated", "phantom rods", "tissues", "assumed"]),
    "a generic slope as if measured": ({"calibration": {"assumed": False}}, ["measurement", "assumed = true"]),
    "a slope in mg": ({"calibration": {"slope_g_cm3_per_hu": 0.8}}, ["0.8", "0.0008"]),
    "HU as densities": (
        {"calibration": {"method": "calibrated", "slope_g_cm3_per_hu": None, "assumed": None}},
        ["no densities", "mg/cm3"],
    ),
    "a newer schema": ({"schema": 2}, ["schema", "newer", "update"]),
    "a schema that is no number": ({"schema": "1"}, ["schema = '1'", "write schema = 1"]),
    "an unknown law": ({"bone": {"law": "kopperdal"}}, ["kopperdal", "kopperdahl2002_power", "[bone]"]),
    "a law for another density": ({"bone": {"law": "morgan2003"}}, ["rho_app", "rho_qct", "les1994_qct_to_ash"]),
    "a disc that is not there": (
        {"disc": {"degeneration": {"L2-L3": "moderate"}}},
        ["L2-L3", "the discs are L1-L2"],
    ),
    "a grade that is not there": ({"disc": {"degeneration": {"L1-L2": "awful"}}}, ["awful", "moderate"]),
    "a sweep of a misspelt key": ({"sweep": {"treatment.volum_ml": [1.0]}}, ["volum_ml", "volume_ml"]),
    "a sweep of texts": ({"sweep": {"treatment.volume_ml": ["much"]}}, ["'much'", "number"]),
    "a sweep of one value": ({"sweep": {"treatment.volume_ml": 2.0}}, ["treatment.volume_ml", "list"]),
    "a sweep out of range": ({"sweep": {"treatment.volume_ml": [2.0, -1.0]}}, ["volume_ml", "-1"]),
    "a tolerance below round-off": ({"solver": {"rtol": 1e-30}}, ["solver.rtol", "1e-13"]),
    "no data folder": (input_(ct="${FESOLVER_DATA}/ct.nii.gz"), ["FESOLVER_DATA is not set", "TotalSegmentator"]),
}


@pytest.mark.parametrize("name", MISUSES)
def test_a_wrong_study_is_refused_with_what_to_do_and_nothing_written(name, scan, tmp_path, monkeypatch):
    change, words = MISUSES[name]
    monkeypatch.delenv("FESOLVER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(study_text(scan, change))

    message = refusal(["run", "study.toml", "--quiet", "--out", "deep/er/out"], tmp_path)

    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'schema = 1\nname = "a\n', ["not a TOML file", "line 2"]),
        (b"\x1f\x8b\x00\xff\xfe", ["not a TOML file", "UTF-8"]),
        (b"", ["'name' is missing", "2 more"]),
        (None, ["does not exist"]),
        ("folder", ["is a folder"]),
    ],
)
def test_a_file_that_is_no_study_is_refused(content, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content == "folder":
        (tmp_path / "study.toml").mkdir()
    elif content is not None:
        (tmp_path / "study.toml").write_bytes(content)

    message = refusal(["run", "study.toml"], tmp_path)

    for word in [*words, "study.toml"]:
        assert word in message


def test_check_refuses_as_run_does_and_draws_nothing(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(study_text(scan, {"treatment": {"volume_ml": 80.0}}))

    assert "80 ml" in refusal(["check", "study.toml"], tmp_path)


def test_a_picture_that_cannot_be_drawn_or_written_is_refused(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(study_text(scan, {}))
    (tmp_path / "file").write_text("")

    assert ".png" in refusal(["check", "study.toml", "--picture", "a.xyz"], tmp_path)
    assert "cannot write" in refusal(["check", "study.toml", "--picture", "file/a.png"], tmp_path)


def test_an_existing_result_and_a_foreign_folder_are_refused(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(study_text(scan, {}))
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "run.json").write_text("{}")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")

    assert "--overwrite" in refusal(["run", "study.toml", "--out", "result"], tmp_path)
    assert "another folder" in refusal(["run", "study.toml", "--out", "thesis", "--overwrite"], tmp_path)


def test_a_place_that_cannot_be_written_is_refused(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(study_text(scan, {}))
    (tmp_path / "file").write_text("")  # a file where a folder is needed: refused for root too

    assert "cannot write" in refusal(["run", "study.toml", "--quiet", "--out", "file/out"], tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_folder_and_keeps_the_older_result(number, code, scan, tmp_path):
    (tmp_path / "study.toml").write_text(study_text(scan, {"segment": {"spacing_mm": 1.0}}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text('{"older": true}')
    before = sorted(tmp_path.rglob("*"))
    # A process started in the background may have inherited that Ctrl-C is ignored.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "from fesolver.cli import main; main()"
    arguments = [sys.executable, "-c", program, *["run", "study.toml", "--out", "out", "--overwrite", "--threads", "1"]]
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 300  # kernels may have to be compiled first
        while not list(tmp_path.glob(".out.*.partial")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(process.pid, number)
        message = process.communicate(timeout=120)[1]
    finally:
        process.kill()

    assert process.returncode == code, message
    assert "Traceback" not in message
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "out" / "run.json").read_text() == '{"older": true}'
