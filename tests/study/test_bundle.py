"""A study in a zip: what is in it, that it runs again elsewhere, and that nothing in it leads out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK
from typer.testing import CliRunner

from fesolver.cli import app
from fesolver.errors import InputError
from fesolver.imaging.io import write_volume
from fesolver.imaging.phantom import synthetic_segment
from fesolver.imaging.volume import Volume
from fesolver.study.bundle import open_bundle, write_bundle
from fesolver.study.bundle_places import Places
from fesolver.study.bundle_texts import readme_text, slurm_text
from fesolver.study.config import config_hash, load_study, study_from_dict
from fesolver.study.design.plan import plan_study
from fesolver.study.engine.parts import decode_part, encode_part
from fesolver.study.input_hashes import input_hashes
from fesolver.study.runner import run_study
from fesolver.study.tasks import study_tasks
from fesolver.study.toml_text import toml_text

STUDY = """
schema = 1
name = "scanned"
description = "from {place}"

[input]
kind = "ct"
ct = "scans/ct.nii.gz"
labels = "scans/labels.mhd"
label_table = {{"22" = "L3"}}

[calibration]
method = "calibrated"
density_kind = "rho_qct"

[segment]
levels = ["L3"]
spacing_mm = 4.0

[load]
top = "fixed"

[output]
fields = "none"

[factors.bone]
key = "bone.density_scale"
values = [0.9, 1.0]

[cluster]
kind = "slurm"
cores = 4
memory_gb = 8.0
queue = "short"
prologue = ["module load python", "source {place}/venv/bin/activate"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A study of a CT and of labels with a header of their own, run into `out`; its scans are links."""
    place = tmp_path_factory.mktemp("place")
    segment = synthetic_segment(levels=("L3",), t_score=-3.0, voxel_mm=3.0)
    (place / "store").mkdir()
    (place / "scans").mkdir()
    write_volume(segment.density, place / "store" / "ct.nii.gz")
    write_volume(Volume(segment.labels.values, segment.labels.affine), place / "labels.mha")
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(place / "labels.mha")), str(place / "scans" / "labels.mhd"))
    (place / "scans" / "ct.nii.gz").symlink_to(place / "store" / "ct.nii.gz")
    (place / "study.toml").write_text(
        STUDY.format(place=place).replace('"22"', f'"{next(iter(segment.labels.names))}"')
    )
    run_study(load_study(place / "study.toml"), place / "out", threads=1, workers=1)
    return place


@pytest.fixture(scope="module")
def zipped(made) -> Path:
    write_bundle(made / "out", made / "scanned.zip")
    return made / "scanned.zip"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_an_unpacked_bundle_has_nothing_left_to_compute_and_the_same_tables(made, zipped, tmp_path, monkeypatch):
    study = open_bundle(zipped, tmp_path / "elsewhere")
    before = [(made / "out" / name).read_bytes() for name in ("summary.csv",)]
    monkeypatch.chdir(study.parent)

    # `fesolver run study.toml` looks in results/study.
    summary = run_study(load_study("study.toml"), Path("results") / study.stem, threads=1, workers=1)

    assert (summary.n_total, summary.n_reused, summary.n_failed) == (2, 2, 0)
    run = json.loads(Path("results/study/run.json").read_text())
    assert run["computed"] == {"done": 0, "failed": 0, "kept": 2, "workers_lost": 0}
    assert [Path("results/study/summary.csv").read_bytes()] == before


def test_digests_depend_on_what_inputs_hold_and_not_on_where_they_lie(made, tmp_path):
    def digests(place):
        config = load_study(place / "study.toml")
        plan = plan_study(config)
        ids = [case.id for case in plan.cases]
        return [task.digest for task in study_tasks(plan)], ids, config_hash(config, files=input_hashes(config))

    shutil.copytree(made / "scans", tmp_path / "scans")
    shutil.copy(made / "study.toml", tmp_path)
    assert digests(tmp_path) == digests(made)

    # The header names the file that holds the voxels: other voxels are another study.
    data = next(path for path in (tmp_path / "scans").iterdir() if path.suffix in (".raw", ".zraw"))
    data.write_bytes(data.read_bytes() + b"\0")
    assert not set(digests(tmp_path)[0]) & set(digests(made)[0])


def test_the_same_folder_gives_the_same_bytes(made, zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = write_bundle(made / "out")

    assert found.path == Path("out.zip")
    assert found.path.read_bytes() == zipped.read_bytes()
    with zipfile.ZipFile(zipped) as archive:
        names = archive.namelist()
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names[:-1] == sorted(names[:-1])
    assert (found.n_files, found.n_inputs, found.n_cases) == (len(names), 3, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["out.zip"]


def test_inputs_lie_under_their_hash_and_name_as_files(made, zipped):
    held = members(zipped)
    ct = (made / "store" / "ct.nii.gz").read_bytes()
    name = f"inputs/{hashlib.sha256(ct).hexdigest()[:16]}/ct.nii.gz"

    assert held[name] == ct
    assert tomllib.loads(held["study.toml"].decode())["input"]["ct"] == name
    folders = {Path(name).parent for name in held if "labels." in name}
    assert len(folders) == 1  # header and data stay together


def test_the_manifest_knows_size_and_hash_of_every_other_file(zipped):
    held = members(zipped)
    manifest = json.loads(held.pop("manifest.json"))

    assert manifest["schema"] == 1
    found = {entry["path"]: (entry["size"], entry["sha256"]) for entry in manifest["files"]}
    assert found == {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in held.items()}


def test_no_place_of_this_machine_is_left_in_a_bundle(made, zipped):
    places = [str(made), str(Path.home()), str(Path.cwd())]
    for name, data in members(zipped).items():
        if not name.startswith("inputs/"):
            assert not [place for place in places if place.encode() in data], name
    prologue = tomllib.loads(members(zipped)["study.toml"].decode())["cluster"]["prologue"]
    assert prologue == ["module load python"]


def test_errors_and_facts_of_rows_lose_their_places_and_numbers_keep_their_bits(made, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    before = {}
    for part in (tmp_path / "out" / "results").glob("*.parquet"):
        records = decode_part(part.read_bytes(), "part")
        before |= {record.digest: record for record in records}
        told = [replace(r, error=f"cannot read {made}/scans/ct.nii.gz, nor /data/of/me/x.nii") for r in records]
        part.write_bytes(encode_part(told, "scanned"))

    write_bundle(tmp_path / "out", tmp_path / "x.zip")

    parts = [data for name, data in members(tmp_path / "x.zip").items() if name.endswith(".parquet")]
    after = {record.digest: record for data in parts for record in decode_part(data, "part")}
    assert after.keys() == before.keys()
    for digest, record in after.items():
        first, _, last = record.error.partition(", nor ")
        assert (first.split("/")[0], last) == ("cannot read inputs", ".../x.nii")
        assert (record.names, record.values.tobytes()) == (before[digest].names, before[digest].values.tobytes())


def test_results_of_inputs_that_changed_are_not_bundled(made, tmp_path):
    shutil.copytree(made, tmp_path / "place", symlinks=True)
    record = tmp_path / "place" / "out" / "study.json"
    record.write_text(record.read_text().replace(str(made), str(tmp_path / "place")))
    scan = tmp_path / "place" / "scans" / "ct.nii.gz"
    held = scan.read_bytes()
    write_bundle(tmp_path / "place" / "out", tmp_path / "good.zip")
    scan.unlink()

    with pytest.raises(InputError, match="not there any more"):
        write_bundle(tmp_path / "place" / "out", tmp_path / "x.zip")
    scan.write_bytes(held + b"\0")
    with pytest.raises(InputError, match="is not what the results were computed from"):
        write_bundle(tmp_path / "place" / "out", tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_links_out_of_the_result_folder_and_zips_that_exist_are_refused(made, zipped, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    (tmp_path / "out" / "summary.csv").unlink()
    (tmp_path / "out" / "summary.csv").symlink_to(made / "study.toml")
    with pytest.raises(InputError, match="link out of the result folder"):
        write_bundle(tmp_path / "out", tmp_path / "x.zip")
    with pytest.raises(InputError, match="exists"):
        write_bundle(made / "out", zipped)
    with pytest.raises(InputError, match="holds no study"):
        write_bundle(made / "scans", tmp_path / "x.zip")


def test_fields_are_packed_only_when_asked_for(made, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    case = next((tmp_path / "out" / "cases").iterdir())
    (case / "fields.vtu").write_text("<VTKFile/>")
    (tmp_path / "out" / "notes.txt").write_text("mine")

    write_bundle(tmp_path / "out", tmp_path / "without.zip")
    write_bundle(tmp_path / "out", tmp_path / "with.zip", with_fields=True)

    more = set(members(tmp_path / "with.zip")) ^ set(members(tmp_path / "without.zip"))
    assert more == {f"results/study/cases/{case.name}/fields.vtu"}


def test_a_text_that_results_depend_on_may_not_name_a_place(tmp_path):
    tables = {
        "name": "named", "input": {"kind": "ct", "ct": "a.nii", "labels": "b.nii"}, "segment": {"levels": ["L3"]},
        "calibration": {"method": "calibrated", "source": "see /home/me/notes.txt"},
    }  # fmt: skip
    config = study_from_dict(tables, base=tmp_path).model_dump(mode="json", by_alias=True)
    for name in ("a.nii", "b.nii"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "study.json").write_text(json.dumps({"schema": 1, "name": "named", "config": config, "cases": []}))

    with pytest.raises(InputError, match="names a place of this machine"):
        write_bundle(tmp_path, tmp_path / "x.zip")


def rewritten(path: Path, into: Path, change) -> Path:
    """A zip with other members: `change` maps name and data to a list of (ZipInfo or name, data)."""
    with zipfile.ZipFile(into, "w") as archive:
        for name, data in members(path).items():
            for info, content in change(name, data):
                archive.writestr(info, content)
    return into


@pytest.mark.parametrize(
    "name", ["../escaped.txt", "/tmp/escaped.txt", "a/../../escaped.txt", "C:escaped.txt", "a\\..\\..\\escaped.txt"]
)
def test_members_that_would_leave_the_folder_are_refused(zipped, tmp_path, name):
    def change(member, data):
        if member != "manifest.json":
            return [(member, data)]
        manifest = json.loads(data)
        manifest["files"].append({"path": name, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()})
        return [(name, b"x"), (member, json.dumps(manifest))]

    bad = rewritten(zipped, tmp_path / "bad.zip", change)
    with pytest.raises(InputError, match="would leave the folder"):
        open_bundle(bad, tmp_path / "into" / "deep")
    assert not list(tmp_path.rglob("*escaped*"))
    assert not (tmp_path / "into" / "deep").exists()


def test_changed_missing_added_doubled_and_linked_members_are_refused(zipped, tmp_path):
    link = zipfile.ZipInfo("README.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    cases = {
        "'study.toml' is not what the manifest says": lambda n, d: [(n, d[:-1] + b" " if n == "study.toml" else d)],
        "'slurm.sh' is not what the manifest says": lambda n, d: [(n, d + b" " if n == "slurm.sh" else d)],
        "is missing": lambda n, d: [] if n == "slurm.sh" else [(n, d)],
        "is not in its manifest": lambda n, d: [(n, d), ("more.txt", b"")] if n == "slurm.sh" else [(n, d)],
        "twice": lambda n, d: [(n, d), ("Slurm.sh", b"")] if n == "slurm.sh" else [(n, d)],
        "no plain file": lambda n, d: [(link, b"/etc/passwd")] if n == "README.txt" else [(n, d)],
        "no bundle of fesolver": lambda n, d: [] if n == "manifest.json" else [(n, d)],
        "schema 2": lambda n, d: [(n, d.replace(b'"schema": 1', b'"schema": 2') if n == "manifest.json" else d)],
    }
    for message, change in cases.items():
        bad = rewritten(zipped, tmp_path / "bad.zip", change)
        with pytest.raises(InputError, match=message):
            open_bundle(bad, tmp_path / "into")
        assert os.listdir(tmp_path) == ["bad.zip"]
    (tmp_path / "bad.zip").write_bytes(zipped.read_bytes()[:-300])
    with pytest.raises(InputError, match="no whole zip"):
        open_bundle(tmp_path / "bad.zip", tmp_path / "into")


def test_texts_keep_units_and_addresses_of_pages_and_lose_paths_and_machines(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "node17.cluster.example")
    places = Places({"/data/ct.nii": "inputs/ab/ct.nii"}, (("/home/me", "~"),))

    assert places.text("/data/ct.nii") == "inputs/ab/ct.nii"
    assert places.text("file /data/ct.nii: no") == "file inputs/ab/ct.nii: no"
    assert places.text("/home/me/study.toml: [input]") == "~/study.toml: [input]"
    assert places.text('File "/opt/x/y.py", line 3') == 'File ".../y.py", line 3'
    assert places.text(r"C:\Users\me\ct.nii is gone") == ".../ct.nii is gone"
    assert places.text("worker tcp://10.0.0.1:80 of node17") == "worker (address) of (machine)"
    for kept in ("N/mm and mg/cm3", "treated/L1-L2/x", "https://doi.org/10.1/x", "and/or", "5 / 3 / 2", "/mm"):
        assert places.text(kept) == kept


def test_toml_reads_back_as_it_was_written():
    tables = {
        "a": 1, "text": 'quotes " back\\slash\nline\x7f é', "flag": True, "tiny": 1e-08, "huge": 1e300,
        "third": 1 / 3, "whole": 2.0, "list": [1, 2.5, "x", [True]], "empty": [],
        "table": {"x": {"y.z": {"k": 1}}, "n": 2, "e": {}},
        "factors": {"f": {"levels": [{"name": "a b", "set": {"m.n": 1.0}}, {"name": "c", "set": {}}]}, "g": {"v": [1]}},
    }  # fmt: skip
    found = tomllib.loads(toml_text(tables))

    assert found == tables
    assert [type(found[key]) for key in ("a", "whole", "flag")] == [int, float, bool]
    with pytest.raises(InputError, match="TOML has no value"):
        toml_text({"t": {"x": None}})


def test_the_readme_lists_inputs_only_where_there_are_some():
    with_some, without = (readme_text({"name": "x"}, {}, 3, n, with_fields=False) for n in (2, 0))

    assert "its paths lead into inputs/\n  inputs/          every file it reads" in with_some
    assert "with its inputs and its results; cases: 3." in with_some
    assert "input" not in without
    assert "  study.toml       the study, every default written out, which reads no other file\n  results/" in without


def test_the_batch_script_follows_the_cluster_table_or_says_what_to_fill_in():
    table = {"kind": "slurm", "cores": 6, "memory_gb": 1.5, "walltime": "02:00:00", "account": "bones"}
    lines = slurm_text({"name": "x", "cluster": table}).splitlines()

    for option in ("cpus-per-task=6", "mem=1536M", "time=02:00:00", "account=bones", "job-name=x"):
        assert f"#SBATCH --{option}" in lines
    assert lines[0] == "#!/bin/sh"
    assert lines[-1] == "fesolver run study.toml"
    assert "FILL_IN" in slurm_text({"name": "x", "cluster": None})


def test_the_commands_bundle_and_compare_say_what_they_made(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    packed = runner.invoke(app, ["bundle", str(made / "out"), "--out", "x.zip"])
    same = runner.invoke(app, ["compare", str(made / "out"), str(made / "out"), "--out", "same.csv"])
    again = runner.invoke(app, ["bundle", str(made / "out"), "--out", "x.zip"])

    assert packed.exit_code == 0, packed.output
    assert "x.zip: " in packed.stdout
    assert "2 cases, 3 input files" in packed.stdout
    assert same.exit_code == 0, same.output
    assert "no number moved" in same.stdout
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["same.csv", "same_cases.csv", "same_inputs.csv"]
    assert again.exit_code == 2
    assert runner.invoke(app, ["compare", str(made), str(made)]).exit_code == 2
