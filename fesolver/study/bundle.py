"""A study in one zip: inputs, configuration, results, versions; it runs again elsewhere."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesolver.errors import FesolverError, InputError
from fesolver.study.bundle_places import InputCopy, Places, copy_of, map_paths
from fesolver.study.bundle_texts import readme_text, slurm_text, versions_text
from fesolver.study.bundle_zip import Content, open_bundle, write_zip
from fesolver.study.config import study_from_dict
from fesolver.study.design.plan import plan_study
from fesolver.study.engine.parts import DamagedPartError, decode_part, encode_part
from fesolver.study.input_files import file_hash
from fesolver.study.keys import NOT_OF_THE_MODEL, idle_keys
from fesolver.study.provenance import versions
from fesolver.study.schema import SCHEMA, StudyConfig
from fesolver.study.tasks import study_tasks
from fesolver.study.toml_text import toml_text

__all__ = ["Bundle", "open_bundle", "write_bundle"]

RESULTS = "results/study"
"""Where `fesolver run study.toml` looks for its results."""


@dataclass(frozen=True)
class Bundle:
    """What was written.

    Parameters
    ----------
    path : Path
        The zip.
    n_files : int
        In it, the manifest included.
    n_bytes : int
        Size of the zip.
    n_inputs : int
        Input files in it.
    n_cases : int
    """

    path: Path
    n_files: int
    n_bytes: int
    n_inputs: int
    n_cases: int


def write_bundle(folder: str | Path, out: str | Path | None = None, *, with_fields: bool = False) -> Bundle:
    """Pack a result folder and the inputs of its study into a zip that runs again elsewhere.

    Parameters
    ----------
    folder : path
        Result folder of `fesolver run`, finished or not.
    out : path, optional
        The zip, which must not exist; by default the folder's name with `.zip`, here.
    with_fields : bool
        Pack fields of cases too, which are large.

    Returns
    -------
    Bundle

    Raises
    ------
    InputError
        If the folder holds no results or links that lead out of it, an input is gone or has changed since the run, or
        the study names a folder of this machine in a text that its results depend on.

    Notes
    -----
    The same folder gives the same bytes. Paths in it are relative, and no folder or name of this machine is left in its
    texts; links are stored as the files they lead to. Queue, account and start-up lines of `[cluster]` are kept where
    they name no folder.
    """
    folder = Path(folder)
    record = _record(folder / "study.json")
    target = Path(f"{folder.resolve().name}.zip") if out is None else Path(out)
    if target.exists():
        raise InputError(f"{target} exists", where="--out", fix="remove it, or give another name with --out")
    config = StudyConfig.model_validate(record["config"])
    copies = _input_copies(config, record)
    places = Places.of({str(copy.source): copy.place for copy in copies}, folder)
    shared = _shared_tables(config, places)
    run = _record(folder / "run.json") if (folder / "run.json").is_file() else {}
    made_with = dict(record.get("versions") or {})
    n_inputs, n_cases = sum(len(copy.members) for copy in copies), len(record.get("cases", ()))
    texts = {
        "study.toml": _study_text(config, shared),
        "versions.txt": versions_text(made_with, run.get("git_commit")),
        "slurm.sh": slurm_text(shared),
        "README.txt": readme_text(shared, made_with, n_cases, n_inputs, with_fields=with_fields),
    }
    contents: dict[str, Content] = {name: text.encode() for name, text in texts.items()}
    contents |= {name: path for copy in copies for name, path in copy.members}
    for name, content in _result_files(folder, places, shared, with_fields=with_fields):
        contents[f"{RESULTS}/{name}"] = content
    n_bytes = write_zip(target, contents, {"schema": SCHEMA, "name": config.name})
    return Bundle(target, len(contents) + 1, n_bytes, n_inputs, n_cases)


def _input_copies(config: StudyConfig, record: Mapping[str, Any]) -> list[InputCopy]:
    """Every file the study reads, and what stands for it; the results must be of these files."""
    sources: set[str] = set()

    def noted(path: str) -> str:
        sources.add(path)
        return path

    map_paths(config.model_dump(mode="json", by_alias=True), noted)
    copies = [copy_of(Path(source)) for source in sorted(sources)]
    for entry in record.get("inputs", ()):
        path = Path(entry["path"])
        if not path.exists() or file_hash(path) != entry["sha256"]:
            state = "is not what the results were computed from" if path.exists() else "is not there any more"
            raise InputError(f"the input {path} {state}", where=str(path), fix="run the study again, or put it back")
    if (record.get("versions") or {}).get("fesolver") == versions()["fesolver"]:
        now = [task.digest for task in study_tasks(plan_study(config, yes=True))]
        if now != [case["digest"] for case in record.get("cases", ())]:
            raise InputError(
                "the results were made from other inputs, or by another state of the program, or are not all there",
                where="study.json",
                fix="run the study again into this folder: it computes what is missing",
            )
    return copies


def _shared_tables(config: StudyConfig, places: Places) -> dict[str, Any]:
    """The study's tables with the bundle's paths and without places of this machine."""
    tables = config.model_dump(mode="json", by_alias=True)
    map_paths(tables, lambda path: places.inputs[path])
    shared: dict[str, Any] = places.plain(tables)
    for key in tables:
        if key not in NOT_OF_THE_MODEL:
            _require_same(tables[key], shared[key], key)
    for name, factor in tables["factors"].items():
        for key in factor.keys() - {"label", "source"}:
            _require_same(factor[key], shared["factors"][name][key], f"factors.{name}.{key}")
    cluster = shared.get("cluster")
    if cluster:
        for key in ("extra_directives", "prologue"):
            pairs = zip(tables["cluster"][key], cluster[key], strict=True)
            cluster[key] = [new for old, new in pairs if old == new]
    return shared


def _require_same(before: Any, after: Any, where: str) -> None:
    """Refuse a text of the model that names a place of this machine: without it, results would be another study's."""
    if isinstance(before, Mapping):
        for key in before:
            _require_same(before[key], after.get(key), f"{where}.{key}")
    elif isinstance(before, list | tuple):
        for one, other in zip(before, after, strict=True):
            _require_same(one, other, where)
    elif before != after:
        raise InputError(
            f"{before!r} names a place of this machine, and the results depend on this text", where=where,
            fix="say it without the path in the study file, and run it again: what has not changed is kept",
        )  # fmt: skip


def _study_text(config: StudyConfig, shared: Mapping[str, Any]) -> str:
    """The study as TOML; it is read back, and must be the same study."""
    expected = deepcopy(dict(shared))
    idle = idle_keys(config.mesh_kind)
    expected["segment"] = {key: value for key, value in expected["segment"].items() if key not in idle}
    tables = {key: value for key, value in _given(expected).items() if value != {}}
    text = f"# Written by fesolver; paths are relative to this file.\n{toml_text(tables)}"
    base = Path("/bundle") if os.sep == "/" else Path("C:/bundle")
    map_paths(expected, lambda path: str((base / path).absolute()))
    found = study_from_dict(tomllib.loads(text), source="study.toml", base=base)
    again = found.model_dump(mode="json", by_alias=True, exclude={"segment": idle})
    if json.dumps(again) != json.dumps(expected):
        raise FesolverError(
            "the study cannot be written as TOML that reads back the same", fix="report it with its file"
        )
    return text


def _given(node: Any) -> Any:
    """Tables without what is not given; what levels of factors set stays as it is."""
    if isinstance(node, Mapping):
        return {k: v if k == "set" else _given(v) for k, v in node.items() if v is not None}
    return [_given(item) for item in node] if isinstance(node, list | tuple) else node


def _result_files(
    folder: Path, places: Places, shared: Mapping[str, Any], *, with_fields: bool
) -> Iterator[tuple[str, Content]]:
    """Name in the result folder and content of everything that is packed."""
    names = ["study.json", "run.json", "summary.csv", "changes.csv", "results/*.parquet", "cases/*/case.json"]
    if with_fields:
        names += ["cases/*/fields.vtu", "cases/*/fields.json", "cases/*/connections.csv"]
    root = folder.resolve()
    for pattern in names:
        for path in sorted(folder.glob(pattern)):
            if not path.resolve().is_relative_to(root):
                raise InputError(
                    f"{path} is a link out of the result folder", where=str(path), fix="put the file itself there"
                )
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
                yield path.relative_to(folder).as_posix(), _shared_file(path, places, shared)


def _shared_file(path: Path, places: Places, shared: Mapping[str, Any]) -> Content:
    """A file as it is, or what it says without places of this machine where it names some."""
    if path.suffix == ".json":
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = places.plain(found)
        if path.name in ("study.json", "run.json"):
            changed["config"] = dict(shared)
        return path if changed == found else (json.dumps(changed, indent=1, allow_nan=True) + "\n").encode()
    if path.suffix == ".csv":
        text = path.read_text(encoding="utf-8")
        changed_text = places.text(text)
        return path if changed_text == text else changed_text.encode()
    return _shared_part(path, places, str(shared["name"])) if path.suffix == ".parquet" else path


def _shared_part(path: Path, places: Places, study: str) -> Content:
    """Rows of a part, their errors, facts and factors without places of this machine."""
    from dataclasses import replace

    try:
        records = decode_part(path.read_bytes(), str(path))
    except DamagedPartError as error:
        raise InputError(
            f"{path.name} is damaged: {error}", where=str(path), fix="run the study again: what is lost is redone"
        ) from None
    changed = [
        replace(
            record, error=places.text(record.error), keys=places.plain(record.keys),
            facts=json.dumps(places.plain(json.loads(record.facts))),
        )
        for record in records
    ]  # fmt: skip
    is_same = all(
        (a.error, a.keys, json.loads(a.facts)) == (b.error, b.keys, json.loads(b.facts))
        for a, b in zip(records, changed, strict=True)
    )
    return path if is_same else bytes(encode_part(changed, study))


def _record(path: Path) -> dict[str, Any]:
    """A JSON record of a run."""
    if not path.is_file():
        raise InputError(
            f"{path.parent} holds no {path.name}", where=str(path.parent),
            fix="give a folder that `fesolver run` has written; an older one can be run into again with --overwrite",
        )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(found.get("schema", SCHEMA))
    except (ValueError, TypeError, AttributeError):
        raise InputError(
            f"{path.name} is damaged", where=str(path), fix="run the study again into this folder"
        ) from None
    if version > SCHEMA:
        raise InputError(
            f"{path.name} has schema {version}; this version knows {SCHEMA}", where=str(path), fix="update fesolver"
        )
    return found
