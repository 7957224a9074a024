"""One case of a study, computed in whatever process asks for it, with what earlier cases have left there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fesolver.errors import FesolverError
from fesolver.study.case import run_case
from fesolver.study.config import StudyConfig
from fesolver.study.engine.task import Row, Task
from fesolver.study.inputs import StudyData, read_data
from fesolver.study.progress import ProgressReporter, SilentProgress
from fesolver.study.reuse import Reuse
from fesolver.study.roots import root_study
from fesolver.study.rows import case_values
from fesolver.study.stages import Stages
from fesolver.study.store import write_case

__all__ = ["Reader", "StudyEvaluator"]


class Reader:
    """Reads the input once for all cases that share it; keeps the last two."""

    def __init__(self) -> None:
        self._data: OrderedDict[tuple[str, ...], StudyData] = OrderedDict()

    def read(self, config: StudyConfig, stages: Stages) -> StudyData:
        """Data of a configuration, from memory where input, calibration and density change are the same."""
        key = tuple(
            "" if table is None else table.model_dump_json()
            for table in (config.input, config.calibration, config.bone, config.segment, config.treatment)
        )
        if key not in self._data:
            with stages("read", "read and check the input"):
                data = read_data(config)
            while len(self._data) > 1:
                self._data.popitem(last=False)
            self._data[key] = data
        self._data.move_to_end(key)
        return self._data[key]


class StudyEvaluator:
    """Computes tasks of a study; one for each process.

    Parameters
    ----------
    folder : Path or None
        Result folder, for what is kept of a case beside its row; None keeps nothing.
    base : StudyConfig or None
        The study with nothing varied, from which intact states begin; None lets every case begin at rest.
    threads : int, optional
        For the solver.
    progress : ProgressReporter, optional
        Told of stages.

    Attributes
    ----------
    error : FesolverError or None
        Of the last task, where it failed.

    Notes
    -----
    The payload of a task holds `config` (StudyConfig), `with_record` and `with_fields`.
    """

    def __init__(
        self,
        folder: Path | None,
        base: StudyConfig | None = None,
        threads: int | None = None,
        progress: ProgressReporter | None = None,
    ) -> None:
        self._folder, self._base, self._threads = folder, base, threads
        self._progress = progress or SilentProgress()
        self._reader = Reader()
        self._reuse = Reuse(None if base is None else self._root)
        self.error: FesolverError | None = None

    def __call__(self, task: Task) -> Row:
        """The row of a task; a `FesolverError` becomes a failed one."""
        stages, self.error = Stages(self._progress), None
        self._reuse.used.clear()
        try:
            values, facts = self._compute(task, stages)
        except FesolverError as error:
            self.error = error
            return Row(task.digest, "failed", error=str(error), facts={"seconds": stages.seconds})
        return Row(task.digest, "done", values, facts=facts)

    def _compute(self, task: Task, stages: Stages) -> tuple[dict[str, float], dict[str, Any]]:
        """Numbers of a case, and what is said of how they came about."""
        config: StudyConfig = task.payload["config"]
        with_record, with_fields = bool(task.payload.get("with_record")), bool(task.payload.get("with_fields"))
        data = self._reader.read(config, stages)
        is_kept = self._folder is not None and (with_record or with_fields)
        result = run_case(
            config, data, stages=stages, threads=self._threads, reuse=self._reuse, with_record=with_record
        )
        if is_kept:
            assert self._folder is not None
            with stages("write"):
                write_case(
                    self._folder / "cases" / task.case, task.case, task.keys, result,
                    with_record=with_record, with_fields=with_fields,
                )  # fmt: skip
        facts = {
            "seconds": stages.seconds,
            "reused": list(self._reuse.used),
            "unknowns": sum(int(str(solve["n_dof"])) for solve in result.pair.solves if self._is_own(solve)),
            "warnings": [note for note in result.record["notes"] if note.startswith("warning")],
        }
        return case_values(result), facts

    def _is_own(self, solve: Mapping[str, object]) -> bool:
        """Whether a solve was made for the case at hand."""
        return "intact solution" not in self._reuse.used or not str(solve["name"]).startswith("intact")

    def _root(self, config: StudyConfig) -> tuple[StudyConfig, StudyData] | None:
        """What the intact states of a study begin from, with its data."""
        assert self._base is not None
        root = root_study(self._base, config)
        return None if root is None else (root, self._reader.read(root, Stages()))
