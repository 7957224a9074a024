"""The Parquet dataset of rows: a folder of parts, each written whole or not at all, merged as they get many."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fesolver.errors import InputError
from fesolver.study.engine.frames import make_frame
from fesolver.study.engine.part_files import (
    OnDamage,
    every_part,
    read_part,
    remove_temporaries,
    sync_folder,
    write_part,
)
from fesolver.study.engine.parts import DamagedPartError, Record, encode_part, make_record
from fesolver.study.engine.task import Row, Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "read_statuses", "read_table"]

MANY = 32  # parts of one size class; more are merged
LARGE = 16_000_000  # bytes; a part of this size stays as it is
MERGE = 32_000_000  # bytes merged at once, which bounds the memory it takes

_log = logging.getLogger("fesolver")


class _Place(NamedTuple):
    """Which row of which part stands for a digest."""

    status: str
    serial: int
    part: str


class _Size(NamedTuple):
    """How large a part is."""

    rows: int
    bytes: int


class Dataset:
    """Rows of a study on disk, and the one process that adds to them.

    Rows are told apart by their digest. Of several rows of one digest the first done one counts; of failed ones the
    last. Nothing is made, written or removed before the first `add`, except that damaged parts are set aside when met.

    Parameters
    ----------
    folder : Path
        Folder of the parts; made when needed. `lock.folder_lock` keeps other runs away from it.
    study : str, optional
        Name of the study, written into every part.

    Notes
    -----
    A part is written to a hidden temporary file, brought to the disk, and renamed. Parts fall into classes by their
    rows (up to 32, up to 1024, ...); more than 32 of a class are merged, so a row is written about log32(n) times. The
    merged part is there before the old ones go: a kill in between leaves copies, which count once.
    """

    def __init__(self, folder: Path, *, study: str = "") -> None:
        self.folder = Path(folder)
        self.study = study
        self._places: dict[str, _Place] | None = None
        self._sizes: dict[str, _Size] = {}
        self._small: dict[str, list[Record]] = {}  # rows of parts written here that will be merged soon
        self._next_serial = 0
        self._is_open = False
        self._merges = True

    def digests(self) -> dict[str, str]:
        """Status by digest of the rows that are there."""
        return {digest: place.status for digest, place in self._index().items()}

    def table(self, order: Sequence[Task] | None = None) -> pd.DataFrame:
        """Rows as a table: see `read_table`."""
        return make_frame(_winners(_every_record(self.folder, self._set_aside)), order)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Facts by digest (seconds, what was reused) of the rows that are there."""
        winners = _winners(_every_record(self.folder, self._set_aside))
        return {digest: json.loads(record.facts) for digest, record in winners.items()}

    def add(self, rows: Sequence[tuple[Task, Row]]) -> None:
        """Write rows as one new part; when it returns, they outlive a kill.

        Parameters
        ----------
        rows : sequence of (Task, Row)
            Finished rows, each with its task.

        Raises
        ------
        InputError
            If the disk is full or the folder cannot be written; what was there stays.
        """
        if not rows:
            return
        places = self._index()
        records = [make_record(task, row, self._next_serial + k) for k, (task, row) in enumerate(rows)]
        data = encode_part(records, self.study)
        try:
            self._open()
            name = write_part(self.folder, data, after=self._sizes)
        except OSError as error:
            raise InputError(
                f"cannot write {len(rows)} finished {'row' if len(rows) == 1 else 'rows'}: {error.strerror or error}",
                where=str(self.folder),
                fix="make room there, or allow writing, and run again: rows written before are kept",
            ) from None
        self._next_serial += len(rows)
        self._take_in(name, records, len(data), places)
        if len(records) <= MANY:
            self._small[name] = records
        self.compact()

    def compact(self) -> None:
        """Clear what killed runs left, and merge parts of one size class where there are more than 32 of them.

        `add` does it too; a run that finds nothing missing calls it for the sake of the folder.
        """
        self._index()
        if self.folder.is_dir():
            with suppress(OSError):
                self._open()
        while self._merges and (names := self._too_many()):
            try:
                self._merge(names)
            except OSError as error:
                self._merges = False
                _log.warning("parts in %s are not merged: %s", self.folder, error.strerror or error)

    def _index(self) -> dict[str, _Place]:
        """Which row stands for each digest; read from disk the first time."""
        if self._places is None:
            self._places, self._sizes, self._small = {}, {}, {}
            for name, n_bytes, records in every_part(self.folder, self._set_aside):
                self._take_in(name, records, n_bytes, self._places)
        return self._places

    def _take_in(self, name: str, records: list[Record], n_bytes: int, places: dict[str, _Place]) -> None:
        """Note what a part holds."""
        self._sizes[name] = _Size(len(records), n_bytes)
        for record in records:
            place = _Place(record.status, record.serial, name)
            if record.digest not in places or _counts_before(place, places[record.digest]):
                places[record.digest] = place
            self._next_serial = max(self._next_serial, record.serial + 1)

    def _open(self) -> None:
        """Make the folder, and clear what killed runs were writing."""
        if not self._is_open:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_temporaries(self.folder)
            self._is_open = True

    def _too_many(self) -> list[str]:
        """Parts to be merged next, or none."""
        classes: dict[int, list[str]] = {}
        for name, size in self._sizes.items():
            if size.bytes < LARGE:
                classes.setdefault(_size_class(size.rows), []).append(name)
        for _, names in sorted(classes.items()):
            if len(names) > MANY:
                total, chosen = 0, []
                for name in sorted(names):
                    total += self._sizes[name].bytes
                    if total > MERGE:
                        break
                    chosen.append(name)
                return chosen
        return []

    def _merge(self, names: list[str]) -> None:
        """Replace parts by one that holds those of their rows that count."""
        records = [r for name in names for r in self._owned(name)]
        if self._places is None:  # a part turned out damaged: what is there has to be read anew
            self._index()
            return
        if records:
            records.sort(key=lambda r: r.serial)
            data = encode_part(records, self.study)
            merged = write_part(self.folder, data, after=self._sizes)
            sync_folder(self.folder)  # the merged part's name is on the disk before the old ones go
            for record in records:
                self._places[record.digest] = self._places[record.digest]._replace(part=merged)
            self._sizes[merged] = _Size(len(records), len(data))
        for name in names:
            self._sizes.pop(name)
            self._small.pop(name, None)
            with suppress(OSError):  # a copy that stays does no harm
                (self.folder / name).unlink()

    def _owned(self, name: str) -> list[Record]:
        """Rows of a part that stand for their digest; none, and the index dropped, where it cannot be read."""
        records = self._small.get(name)
        if records is None:
            found = read_part(self.folder / name, self._set_aside)
            if found is None:
                self._places = None
                return []
            records = found[1]
        places = self._places or {}
        return [r for r in records if (p := places.get(r.digest)) and p.part == name and p.serial == r.serial]

    def _set_aside(self, path: Path, error: DamagedPartError) -> None:
        """Rename a damaged part, hidden from tools that read every Parquet file of a folder."""
        aside = path.with_name(f"_{path.name}.corrupt")
        with suppress(OSError):
            path.rename(aside)
        _log.warning("%s is damaged (%s): set aside as %s; its rows are missing", path, error, aside.name)


def read_table(folder: Path, order: Sequence[Task] | None = None) -> pd.DataFrame:
    """Table of a dataset, also while a run adds to it; changes nothing.

    Parameters
    ----------
    folder : Path
        Folder of the parts; one that does not exist holds no rows.
    order : sequence of Task, optional
        Rows of the table; ids and factors are the tasks'. By default every row there is, by its place in the design.

    Returns
    -------
    DataFrame
        `case, status, error`, factors, outcomes; columns in order of first use. Status and outcomes are NaN where there
        is no row yet, outcomes also where it failed. A factor or outcome whose name is taken already is shown as
        `factor:NAME`, `outcome:NAME`. The same rows give the same bits, whatever order and parts they came in.

    Raises
    ------
    InputError
        If a newer version wrote the dataset, or it cannot be read.
    """
    return make_frame(_winners(_every_record(Path(folder), _pass_over)), order)


def read_statuses(folder: Path) -> dict[str, str]:
    """Status by digest of the rows of a dataset, also while a run adds to it; changes nothing.

    Raises
    ------
    InputError
        If a newer version wrote the dataset, or it cannot be read.
    """
    winners = _winners(_every_record(Path(folder), _pass_over))
    return {digest: record.status for digest, record in winners.items()}


def _pass_over(path: Path, error: DamagedPartError) -> None:
    """Say that a part is damaged, and leave it to the run to set it aside."""
    _log.warning("%s is damaged (%s): its rows are missing", path, error)


def _winners(records: Iterable[Record]) -> dict[str, Record]:
    """The row of each digest that counts."""
    winners: dict[str, Record] = {}
    for record in records:
        if record.digest not in winners or _counts_before(record, winners[record.digest]):
            winners[record.digest] = record
    return winners


def _counts_before(new: Record | _Place, old: Record | _Place) -> bool:
    """Whether `new` counts instead of `old`: done before failed; the first of done, the last of failed."""
    if new.status != old.status:
        return new.status == "done"
    return new.serial < old.serial if new.status == "done" else new.serial > old.serial


def _every_record(folder: Path, on_damage: OnDamage) -> Iterator[Record]:
    """Rows of all parts."""
    for _, _, records in every_part(folder, on_damage):
        yield from records


def _size_class(rows: int) -> int:
    """0 for up to 32 rows, 1 for up to 1024, and so on."""
    size = 0
    while rows > MANY ** (size + 1):
        size += 1
    return size
