"""One case as the engine sees it: a task that goes out to a worker, and the row that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["Evaluator", "Row", "Task"]


@dataclass(frozen=True)
class Task:
    """One case to be computed.

    Parameters
    ----------
    digest : str
        Hex hash of everything its result depends on: two tasks with one digest have one result.
    case : str
        Its id in this run, `00012-1a2b3c4d`: position in the design and the beginning of the digest.
    index : int
        Position in the design, from 0.
    keys : mapping of str to number or str
        Factors and their values, as the table shows them.
    payload : mapping
        What the evaluator needs to compute it; plain values that can be pickled.
    groups : tuple of str
        What it shares with other tasks, coarsest first (mesh, intact model): a worker that has seen a group keeps
        what belongs to it. No result may depend on who computed what before.
    """

    digest: str
    case: str
    index: int
    keys: Mapping[str, Any]
    payload: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """What became of a task.

    Parameters
    ----------
    digest : str
        Of the task.
    status : {"done", "failed"}
    values : mapping of str to float
        Outcomes by column name (`treated/L1-L2/nucleus_pressure_mpa`), in the order of the table; the same bits whoever
        computed them.
    error : str
        Why it failed; empty otherwise.
    facts : mapping
        What may differ from run to run: seconds by stage, what was reused, warnings. Plain JSON values.
    """

    digest: str
    status: Literal["done", "failed"]
    values: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Evaluator(Protocol):
    """Computes tasks in one process, and may remember what tasks share."""

    def __call__(self, task: Task) -> Row:
        """The row of a task; a `FesolverError` becomes a failed row, any other exception is a defect."""
        ...
