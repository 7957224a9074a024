"""What can be said of a plan before anything is computed: tables of its cases, and results it has no case for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from fesolver.errors import InputError
from fesolver.study.design.plan import MAX_CASES, StudyPlan
from fesolver.study.engine.dataset import read_statuses
from fesolver.study.model import check_tables
from fesolver.study.result_folder import check_owner
from fesolver.study.tasks import study_tasks

__all__ = ["check_cases", "left_over_note", "left_over_of", "n_left_over"]


def check_cases(plan: StudyPlan) -> None:
    """Check the tables of a case with every listed value.

    Raises
    ------
    InputError
        If they cannot be; values of the case are named where they are what differs from the first.
    """
    first = plan.case(0)
    check_tables(first.config)
    for case in plan.one_of_each():
        try:
            check_tables(case.config)
        except InputError as error:
            changed = [f"{name} = {value!r}" for name, value in case.keys.items() if value != first.keys[name]]
            place = ", ".join([*([error.where] if error.where else []), f"in the case of {' and '.join(changed)}"])
            raise InputError(error.what, where=place if changed else error.where, fix=error.fix) from error


def n_left_over(there: Mapping[str, str], wanted: Collection[str]) -> int:
    """Number of results, status by digest, that no case of a study has the digest of."""
    return len(there.keys() - set(wanted))


def left_over_note(count: int, out: Path) -> str:
    """That results are kept which the table does not show; empty where there are none."""
    if not count:
        return ""
    what, belong, are = ("result", "belongs", "it is") if count == 1 else ("results", "belong", "they are")
    return (
        f"{count} {what} in {out / 'results'} {belong} to no case of the study as it is now (other values, inputs, "
        f"outcomes or version): {are} kept, and not in the table"
    )


def left_over_of(plan: StudyPlan, out: Path) -> str:
    """`left_over_note` of a result folder that a plan would be run into; nothing is changed there."""
    if len(plan) > MAX_CASES:  # too many to be hashed for a remark
        return ""
    with suppress(InputError):  # another study's, or damaged: for a run to say
        if check_owner(out, plan.config):
            wanted = {task.digest for task in study_tasks(plan)}
            return left_over_note(n_left_over(read_statuses(out / "results"), wanted), out)
    return ""
