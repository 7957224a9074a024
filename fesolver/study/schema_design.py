"""Tables of a study file that say what is varied, at which points, and where the cases run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from fesolver.study.tables_base import Finite, Flag, Positive, Table

__all__ = ["ClusterTable", "CorrelationTable", "DesignTable", "FactorTable", "LevelTable"]


class LevelTable(Table):
    """One named level of a factor, and the keys it sets."""

    name: str
    set: dict[str, Any]


class FactorTable(Table):
    """What one factor sets, and which values it takes.

    It sets one `key` or several (`key` a list) of the study to its value, or whatever `derive` makes of it, or the keys
    of its named `levels`. Values come from a list, from `low` to `high` (`n` of them, or any between), or from a
    distribution with its parameters and source; `low` and `high` cut a distribution.
    """

    key: str | tuple[str, ...] | None = None
    derive: str | None = None
    values: tuple[Any, ...] | None = None
    levels: tuple[LevelTable, ...] | None = None
    low: Finite | None = None
    high: Finite | None = None
    n: Annotated[int, Field(ge=2)] | None = None
    spacing: Literal["linear", "log"] = "linear"
    distribution: Literal["normal", "lognormal", "uniform", "triangular", "beta"] | None = None
    mean: Finite | None = None
    sd: Positive | None = None
    mode: Finite | None = None
    alpha: Positive | None = None
    beta: Positive | None = None
    base: Any = None
    label: str = ""
    source: str = ""


class CorrelationTable(Table):
    """Rank correlation of two factors."""

    between: tuple[str, str]
    value: Annotated[float, Field(ge=-1.0, le=1.0)]


class DesignTable(Table):
    """At which points the factors are tried."""

    kind: Literal["grid", "one_at_a_time", "latin_hypercube", "sobol", "csv", "morris", "saltelli"] = "grid"
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    file: Path | None = None
    correlations: tuple[CorrelationTable, ...] = ()
    second_order: Flag = False


class ClusterTable(Table):
    """Workers of a batch system, started through dask-jobqueue; no part of what a result depends on."""

    kind: Literal["slurm", "pbs", "lsf"]
    jobs: Annotated[int, Field(ge=1)] = 1
    cores: Annotated[int, Field(ge=1)] = 1
    memory_gb: Positive = 4.0
    walltime: str = "01:00:00"
    queue: str | None = None
    account: str | None = None
    extra_directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
