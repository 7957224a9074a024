"""What changed between two result sets, and because of which inputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fesolver.errors import InputError
from fesolver.study.explain.input_differences import InputDifference, input_differences
from fesolver.study.explain.outcome_differences import OutcomeDifference, compared_columns, outcome_differences
from fesolver.study.explain.result_set import CaseEntry, ResultSet, read_result_set

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CaseMatch", "Comparison", "compare_results", "comparison_lines", "comparison_tables"]

MatchedBy = Literal["digest", "values", "position"]

_MOST_LINES = 12
_WIDEST = 48


@dataclass(frozen=True)
class CaseMatch:
    """One case that both result sets have.

    Parameters
    ----------
    a, b : str
        Its ids.
    by : {"digest", "values", "position"}
        All that its numbers depend on is the same; its factors have the same values; both sets have one case.
    status_a, status_b : str
        `done`, `failed`, or empty: not run yet.
    """

    a: str
    b: str
    by: MatchedBy
    status_a: str
    status_b: str


@dataclass(frozen=True)
class Comparison:
    """Two result sets beside each other.

    Parameters
    ----------
    a, b : Path
        The folders.
    rtol : float
        Relative differences up to this are called within.
    inputs : tuple of InputDifference
    matches : tuple of CaseMatch
    only_a, only_b : tuple of str
        Ids of the cases that the other set has not.
    outcomes : tuple of OutcomeDifference
        Of the matched cases; outcomes that both sets have.
    outcomes_only_a, outcomes_only_b : tuple of str
        Columns that the other set has not.
    because : str
        Why the numbers moved, as far as the inputs tell.
    """

    a: Path
    b: Path
    rtol: float
    inputs: tuple[InputDifference, ...]
    matches: tuple[CaseMatch, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    outcomes: tuple[OutcomeDifference, ...]
    outcomes_only_a: tuple[str, ...]
    outcomes_only_b: tuple[str, ...]
    because: str

    @property
    def n_identical(self) -> int:
        """Numbers that are the same bits."""
        return sum(o.n_identical for o in self.outcomes)

    @property
    def n_within(self) -> int:
        """Numbers that differ by the tolerance at most."""
        return sum(o.n_within for o in self.outcomes)

    @property
    def n_beyond(self) -> int:
        """Numbers that differ by more."""
        return sum(o.n_beyond for o in self.outcomes)


def compare_results(a: str | Path, b: str | Path, rtol: float = 1e-6) -> Comparison:
    """Compare two result folders: inputs, cases, outcomes.

    Parameters
    ----------
    a, b : path
        Folders that `fesolver run` has written: studies or single cases, of this version or an older one.
    rtol : float
        Relative differences up to this are called within.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If one is no result folder or of a newer schema, or the two share no case or no outcome.

    Notes
    -----
    Cases are matched by the hash of all that they depend on; the rest by the values of the factors that both studies
    have, where these single a case out in both; where both have one case, the two are taken for each other.
    """
    if not rtol >= 0.0:
        raise InputError(f"rtol = {rtol}", where="rtol", fix="give 0 or more")
    one, other = read_result_set(Path(a)), read_result_set(Path(b))
    pairs = list(_pairs(one.cases, other.cases))
    if not pairs:
        raise InputError(
            f"{a} ({len(one.cases)} cases) and {b} ({len(other.cases)}) have no case in common",
            fix="compare studies with a factor in common, or single cases",
        )
    rows_a = one.table.iloc[[i for i, _, _ in pairs]].reset_index(drop=True)
    rows_b = other.table.iloc[[j for _, j, _ in pairs]].reset_index(drop=True)
    outcomes = outcome_differences(rows_a, rows_b, [one.cases[i].case for i, _, _ in pairs], rtol)
    if not outcomes:
        raise InputError(f"{a} and {b} share no outcome", fix="keep the same output.outcomes in both")
    matches = tuple(
        CaseMatch(one.cases[i].case, other.cases[j].case, by, _status(one, i), _status(other, j)) for i, j, by in pairs
    )
    inputs = input_differences(one, other)
    taken_a, taken_b = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
    return Comparison(
        one.folder, other.folder, rtol, inputs, matches,
        tuple(c.case for i, c in enumerate(one.cases) if i not in taken_a),
        tuple(c.case for j, c in enumerate(other.cases) if j not in taken_b),
        outcomes, *_columns_apart(one, other), _because(inputs, matches, outcomes),
    )  # fmt: skip


def _columns_apart(a: ResultSet, b: ResultSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Outcomes that only one set has."""
    one, other = compared_columns(a.table), compared_columns(b.table)
    return tuple(n for n in one if n not in set(other)), tuple(n for n in other if n not in set(one))


def _pairs(a: tuple[CaseEntry, ...], b: tuple[CaseEntry, ...]) -> Iterator[tuple[int, int, MatchedBy]]:
    """Places of matched cases, and by what; in the order of the first set within each kind."""
    by_digest = {entry.digest: j for j, entry in enumerate(b) if entry.digest}
    same = {i: by_digest[entry.digest] for i, entry in enumerate(a) if entry.digest in by_digest}
    yield from ((i, j, "digest") for i, j in same.items())
    left_a = [i for i in range(len(a)) if i not in same]
    left_b = [j for j in range(len(b)) if j not in set(same.values())]
    names = [name for name in (a[0].keys if a else {}) if b and name in b[0].keys]
    if names:
        at_a, at_b = (_by_values(entries, places, names) for entries, places in ((a, left_a), (b, left_b)))
        yield from ((i, at_b[values], "values") for values, i in at_a.items() if values in at_b)
    elif len(a) == len(b) == 1 and left_a and left_b:
        yield 0, 0, "position"


def _by_values(entries: tuple[CaseEntry, ...], places: list[int], names: list[str]) -> dict[str, int]:
    """Places by the values of factors, where these occur once."""
    texts = {i: json.dumps([_number(entries[i].keys.get(name)) for name in names]) for i in places}
    counts = Counter(texts.values())
    return {text: i for i, text in texts.items() if counts[text] == 1}


def _number(value: Any) -> Any:
    """1 and 1.0 are one value."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _status(given: ResultSet, row: int) -> str:
    """`done`, `failed` or empty."""
    value = given.table["status"].iloc[row] if "status" in given.table else ""
    return value if isinstance(value, str) else ""


def _because(
    inputs: tuple[InputDifference, ...], matches: tuple[CaseMatch, ...], outcomes: tuple[OutcomeDifference, ...]
) -> str:
    """Why numbers moved, as far as the inputs tell."""
    if not any(o.n_within or o.n_beyond for o in outcomes):
        return "no number moved: all are the same bits"
    causes = [d for d in inputs if d.is_cause] if any(m.by != "digest" for m in matches) else []
    if len(causes) == 1:
        (d,) = causes
        return f"because of {d.key}: {_short(d.a)} -> {_short(d.b)}"
    if causes:
        return f"because of one or more of {len(causes)} inputs: {', '.join(d.key for d in causes)}"
    versions = [f"{d.key} {_short(d.a)} -> {_short(d.b)}" for d in inputs if d.kind in ("version", "commit")]
    is_noise = not any(o.n_beyond for o in outcomes)
    if versions:
        noise = ", or numerical noise" if is_noise else ""
        return f"no input of these cases differs: because of a version ({', '.join(versions)}){noise}"
    cause = "numerical noise" if is_noise else "another machine, or what the record does not hold"
    return f"no input of these cases and no version differs: {cause}"


def comparison_lines(comparison: Comparison) -> list[str]:
    """A comparison as lines of text: inputs, cases, numbers, the outcomes that moved most, and why."""
    c = comparison
    lines = [f"A  {c.a}", f"B  {c.b}", "", f"inputs that differ: {len(c.inputs) or 'none'}"]
    for d in c.inputs:
        note = "" if d.is_cause or d.kind in ("version", "commit") else "  (moves no case that both have)"
        lines.append(f"  {d.key}: {_short(d.a)} -> {_short(d.b)}{note}")
    by = Counter(m.by for m in c.matches)
    names: dict[MatchedBy, str] = {
        "digest": "by all they depend on",
        "values": "by factor values",
        "position": "as the only ones",
    }
    how = ", ".join(f"{by[kind]} {text}" for kind, text in names.items() if by[kind])
    lines += ["", f"cases: {len(c.matches)} in both ({how}), {len(c.only_a)} only in A, {len(c.only_b)} only in B"]
    other = [m for m in c.matches if m.status_a != m.status_b]
    lines += [f"  {m.a}: {m.status_a or 'not run'} in A, {m.status_b or 'not run'} in B" for m in other[:_MOST_LINES]]
    total = c.n_identical + c.n_within + c.n_beyond
    lines.append(
        f"numbers: {total} in both, {c.n_identical} the same bits, {c.n_within} within {c.rtol:g}, {c.n_beyond} beyond"
    )
    for of, names_only in (("A", c.outcomes_only_a), ("B", c.outcomes_only_b)):
        if names_only:
            more = ", ..." if len(names_only) > 3 else ""
            lines.append(f"outcomes only in {of}: {len(names_only)} ({', '.join(names_only[:3])}{more})")
    moved = sorted((o for o in c.outcomes if o.n_beyond), key=lambda o: -o.largest_relative)
    if moved:
        lines += ["", f"{'difference':>11}  {'A':>13}  {'B':>13}  outcome (case), largest of {len(moved)} first"]
    lines += [
        f"{o.largest_relative:>11.3g}  {o.a:>13.6g}  {o.b:>13.6g}  {o.state}/{o.level}/{o.quantity} ({o.case})"
        for o in moved[:_MOST_LINES]
    ]
    return [*lines, "", c.because]


def comparison_tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """A comparison as tables for CSV files: `inputs`, `cases`, `outcomes`, with full precision."""
    import pandas as pd

    c = comparison
    cases = [asdict(m) for m in c.matches]
    cases += [{"a": case, "b": "", "by": "", "status_a": "", "status_b": ""} for case in c.only_a]
    cases += [{"a": "", "b": case, "by": "", "status_a": "", "status_b": ""} for case in c.only_b]
    inputs = pd.DataFrame([asdict(d) for d in c.inputs], columns=list(InputDifference.__dataclass_fields__))
    return {
        "inputs": inputs,
        "cases": pd.DataFrame(cases),
        "outcomes": pd.DataFrame([asdict(o) for o in c.outcomes]),
    }


def _short(text: str) -> str:
    """A value that fits on a line."""
    if not text:
        return "none"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."
