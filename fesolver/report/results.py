"""A result folder, read back: what `fesolver.study` wrote, as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.report.quantities import main_outcomes
from fesolver.study.schema import SCHEMA

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA", "CaseFields", "CaseResult", "Results", "read_results"]

FLOOR_STATES = ("floor_solver", "floor_spacing")
"""Rows of the summary that hold numerical floors."""


@dataclass(frozen=True, eq=False)
class CaseFields:
    """Cell and point fields of one case, with region names in place of array numbers.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm, segment frame.
    cells : (n_cells, k) ndarray of int64
        Cells of one kind, VTK order: the corners come first.
    point_data, cell_data : mapping of str to ndarray
        Arrays by name (`displacement_intact`, `stress_treated`, ...).
    regions : mapping of str to (n_cells,) ndarray
        Volume fraction of each region in every cell.
    """

    points: NDArray[np.float64]
    cells: NDArray[np.int64]
    point_data: Mapping[str, NDArray[np.float64]]
    cell_data: Mapping[str, NDArray[np.float64]]
    regions: Mapping[str, NDArray[np.float64]]

    def fraction(self, part: str = "", kind: str = "") -> NDArray[np.float64]:
        """Summed fraction of the regions of one part (`L1`) or one kind (`cement`), or both, (n_cells,)."""
        out = np.zeros(len(self.cells))
        for name, values in self.regions.items():
            owner, _, what = name.partition("/")
            if part in ("", owner) and kind in ("", what):
                out += values
        return out

    @property
    def parts(self) -> tuple[str, ...]:
        """Vertebrae and discs, in the order of their regions."""
        return tuple(dict.fromkeys(name.partition("/")[0] for name in self.regions))


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One case of a run.

    Parameters
    ----------
    id : str
        Name of its folder under `cases/`.
    keys : mapping of str to object
        Swept keys and their values in this case.
    status : str
        `done` or `failed`.
    error : str
        Why it failed; empty otherwise.
    folder : Path
        `cases/<id>`.
    record : mapping
        Content of `case.json`; empty where the case wrote none.
    """

    id: str
    keys: Mapping[str, Any]
    status: str
    error: str
    folder: Path
    record: Mapping[str, Any]

    @property
    def is_done(self) -> bool:
        """Whether the case has results."""
        return self.status == "done"

    @property
    def title(self) -> str:
        """The swept keys in words, or the id where nothing is swept."""
        return ", ".join(f"{key} = {value}" for key, value in self.keys.items()) or self.id

    def read_fields(self) -> CaseFields | None:
        """Fields of the case, or None where it wrote none.

        Raises
        ------
        InputError
            If the file is there and cannot be read.
        """
        path = self.folder / "fields.vtu"
        if not path.is_file():
            return None
        import meshio

        try:
            mesh = meshio.read(path)
        except Exception as error:  # meshio raises whatever its XML or zlib layer raised
            raise InputError(
                f"the fields cannot be read: {error}", where=str(path), fix="run the case again"
            ) from error
        solids = {element.meshio_name for element in ELEMENTS.values()}
        kinds = [block.type for block in mesh.cells]
        # A mesh has cells of one kind; lines or facets beside them are for other programs.
        kind = next((kind for kind in kinds if kind in solids), None)
        if kind is None:
            return None
        blocks = [index for index, other in enumerate(kinds) if other == kind]
        names = _read_json(self.folder / "fields.json") if (self.folder / "fields.json").is_file() else {}
        data = {name: np.concatenate([values[index] for index in blocks]) for name, values in mesh.cell_data.items()}
        return CaseFields(
            points=np.asarray(mesh.points, np.float64),
            cells=np.concatenate([mesh.cells[index].data for index in blocks]).astype(np.int64),
            point_data={name: np.asarray(values, np.float64) for name, values in mesh.point_data.items()},
            cell_data={name: np.asarray(values, np.float64) for name, values in data.items() if name not in names},
            regions={names[name]: np.asarray(values, np.float64) for name, values in data.items() if name in names},
        )


@dataclass(frozen=True, eq=False)
class Results:
    """A whole run.

    Parameters
    ----------
    folder : Path
        The result folder.
    run : mapping
        Content of `run.json`.
    cases : tuple of CaseResult
        In the order of the run.
    """

    folder: Path
    run: Mapping[str, Any]
    cases: tuple[CaseResult, ...]

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.run.get("name") or self.folder.name)

    @property
    def swept_keys(self) -> tuple[str, ...]:
        """Keys that differ between cases."""
        return tuple(dict.fromkeys(key for case in self.cases for key in case.keys))

    @property
    def done(self) -> tuple[CaseResult, ...]:
        """Cases that have results."""
        return tuple(case for case in self.cases if case.is_done)

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """Cases that have none."""
        return tuple(case for case in self.cases if not case.is_done)

    @property
    def nominal(self) -> CaseResult | None:
        """The done case whose swept keys are closest to the study's own values; the first of several."""
        done = [case for case in self.done if case.record] or self.done
        if not done:
            return None
        config = self.run.get("config") or {}
        return min(done, key=lambda case: sum(_off_base(config, key, value) for key, value in case.keys.items()))

    @cached_property
    def summary(self) -> pd.DataFrame:
        """`summary.csv`: one row per case, state and level."""
        return _read_table(self.folder / "summary.csv", ("case", "state", "level"))

    @cached_property
    def changes(self) -> pd.DataFrame:
        """`changes.csv`: one row per case, level and quantity; empty where nothing was treated."""
        columns = (
            *("case", "level", "quantity", "intact", "treated", "change", "change_percent"),
            *("floor_solver", "floor_spacing", "is_resolved"),
        )
        table = _read_table(self.folder / "changes.csv", columns)
        table = _without_round_off(table)
        return table.assign(is_resolved=table["is_resolved"].astype(str).str.lower().isin(["true", "1", "1.0"]))

    def case_changes(self, case: CaseResult) -> pd.DataFrame:
        """Changes of one case."""
        return self.changes[self.changes["case"] == case.id]

    def case_summary(self, case: CaseResult) -> pd.DataFrame:
        """Values of the states of one case, without the rows of changes and floors."""
        table = self.summary
        return table[(table["case"] == case.id) & ~table["state"].isin(["change", *FLOOR_STATES])]

    @cached_property
    def quantities(self) -> tuple[str, ...]:
        """Columns of the summary that hold outcomes."""
        return tuple(c for c in self.summary.columns if c not in {"case", "state", "level", *self.swept_keys})

    def main_outcomes(self, quantities: Iterable[str]) -> tuple[str, ...]:
        """The main ones among some quantities, as the load of the nominal case makes them."""
        return main_outcomes(quantities, self.nominal.record.get("load") if self.nominal else None)

    def levels(self, case: CaseResult) -> tuple[str, ...]:
        """Vertebral levels of a case, cranial first."""
        return tuple(case.record.get("levels") or ())

    def treated_level(self, case: CaseResult) -> str | None:
        """The augmented level, or None where nothing is treated."""
        treated = case.record.get("treated")
        return str(treated) if treated else None


def read_results(folder: Path | str) -> Results:
    """Read a result folder.

    Parameters
    ----------
    folder : path
        The folder that holds `run.json`.

    Returns
    -------
    Results
        Tables are read when first asked for; fields case by case.

    Raises
    ------
    InputError
        If there is no run in the folder, or a newer version wrote it.
    """
    folder = Path(folder)
    path = folder / "run.json"
    if not path.is_file():
        raise InputError("this folder holds no run", where=str(path), fix="give the folder written by `fesolver run`")
    run = _read_json(path)
    schema = run.get("schema", 0)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise InputError(
            f"the results have schema {schema}, this version reads up to {SCHEMA}",
            where=str(path),
            fix="use the fesolver version that wrote them, or a newer one",
        )
    return Results(folder=folder, run=run, cases=tuple(_read_case(folder, entry) for entry in run.get("cases", ())))


def _read_case(folder: Path, entry: Mapping[str, Any]) -> CaseResult:
    """One entry of `run.json` with its `case.json`."""
    case_folder = folder / "cases" / str(entry["id"])
    path = case_folder / "case.json"
    return CaseResult(
        id=str(entry["id"]),
        keys=dict(entry.get("keys") or {}),
        status=str(entry.get("status") or "failed"),
        error=str(entry.get("error") or ""),
        folder=case_folder,
        record=_read_json(path) if path.is_file() else {},
    )


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object, with the file named if it is broken."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a JSON file: {error}", where=str(path), fix="run the study again") from error
    if not isinstance(content, dict):
        raise InputError("not a JSON object", where=str(path), fix="run the study again")
    return content


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV file with at least the given columns; an empty table where there is no file."""
    import pandas as pd

    if not path.is_file() or path.stat().st_size == 0:
        return pd.DataFrame(columns=list(columns))
    # Only an empty field is a hole: "NA" is a name.
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"case": str, "level": str})
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"column {', '.join(missing)} is missing", where=str(path), fix="run the study again")
    return table


def _without_round_off(changes: pd.DataFrame) -> pd.DataFrame:
    """Changes in which a number that is only round-off beside the quantity's largest is zero.

    The endplate on a pad cannot bulge: its 1e-17 mm would otherwise be reported as a change of hundreds of percent.
    """
    if changes.empty:
        return changes
    size = changes[["intact", "treated"]].astype(float).abs().max(axis=1)
    largest = size.groupby([changes["case"], changes["quantity"]]).transform("max")
    is_noise = (size < 1e-9 * largest) & (largest > 0.0)
    out = changes.copy()
    out.loc[is_noise, ["intact", "treated", "change"]] = 0.0
    out.loc[is_noise, "change_percent"] = np.nan
    return out


def _off_base(config: Mapping[str, Any], name: str, value: Any) -> float:
    """How far a value of a factor or swept key lies from that of the study: 0 for the same, 1 to 2 for numbers, 3."""
    factor = (config.get("factors") or {}).get(name)
    key = name if factor is None else factor.get("key")
    node: Any = config
    for part in key.split(".") if isinstance(key, str) else ("",):
        node = node.get(part) if isinstance(node, Mapping) else None
    if node == value:
        return 0.0
    if isinstance(node, int | float) and isinstance(value, int | float):
        return 1.0 + abs(value - node) / (abs(value) + abs(node))
    return 3.0
