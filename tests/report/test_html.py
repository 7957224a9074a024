"""The report as a reader finds it."""

import re

import numpy as np
import pandas as pd
import pytest

from fesolver.report.answer import answer_lines, main_answers
from fesolver.report.html import write_report
from fesolver.report.results import read_results


def body_of(out) -> str:
    return write_report(out).read_text(encoding="utf-8")


def test_the_answer_comes_first_and_beside_its_floor(make_results):
    text = body_of(make_results(fields=False))

    assert re.findall(r"<h2>(.*?)</h2>", text)[0] == "Answer"
    assert "× 1.0040" in text
    assert "change +0.40 %, numerical floor ±0.10 %" in text
    assert "not for the diagnosis" in text.lower()


def test_what_is_within_its_floor_is_called_not_resolved(make_results):
    text = body_of(make_results(fields=False))
    row = re.search(r"<tr[^>]*>(?:(?!</tr>).)*Vertebra stiffness(?:(?!</tr>).)*T12.*?</tr>", text, re.S).group()

    assert "not resolved" in row


def test_assumptions_stand_beside_every_result(make_results):
    text = body_of(make_results(fields=False))

    for anchor in ("answer", "changes", "strength", "bands"):
        part = re.search(rf'<section id="{anchor}">.*?</section>', text, re.S).group()
        assert "calibration is assumed" in part


def test_isolated_strength_is_printed_with_what_it_cannot_see(make_results):
    assert "blind to load transfer" in body_of(make_results(fields=False))


@pytest.mark.parametrize("arguments", [{}, {"failed": 1}, {"treated": False}, {"slopes": (0.8, 1.0), "failed": 1}])
def test_no_string_of_the_run_becomes_markup(make_results, arguments):
    text = body_of(make_results(fields=False, name='<script>alert("x")</script>', **arguments))

    assert "<script" not in text
    assert "<removed>" not in text
    assert "<30 ml>" not in text


def test_the_file_loads_nothing_from_anywhere(make_results):
    text = body_of(make_results())

    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "default-src 'none'" in text


def test_a_run_without_treatment_says_so_and_shows_its_values(make_results):
    text = body_of(make_results(treated=False, fields=False))

    assert "Nothing was treated" in text
    assert "Changes per level" not in text
    assert "9400" in text


def test_a_run_of_failures_names_the_reason(make_results):
    text = body_of(make_results(failed=1))

    assert "L1: no room for &lt;30 ml&gt;" in text
    assert "no answer" in text


def test_an_unresolved_share_of_the_shell_is_said(make_results):
    assert "share of the shell is not resolved" in body_of(make_results(fields=False))


def test_bands_outside_carry_their_hypothesis_and_standing(make_results):
    text = body_of(make_results(fields=False))

    assert "0 of 1 values lie inside" in text
    assert "without them 1.31" in text
    assert "trial model" in text


def test_the_answer_of_a_sweep_carries_its_spread(make_results):
    answers = main_answers(read_results(make_results(slopes=(0.8, 1.0, 1.2), fields=False)))

    upper = next(answer for answer in answers if answer.level == "T12")
    assert upper.change_percent == pytest.approx(0.4)
    assert (upper.lowest_percent, upper.highest_percent) == pytest.approx((0.32, 0.48))
    assert upper.ratio == pytest.approx(1.004)


def test_the_terminal_gets_answer_assumption_and_warning(make_results):
    lines = answer_lines(read_results(make_results(fields=False)))

    assert lines[0] == "factor of risk (yielded volume) at T12: 0.3100 → 0.3112, ratio 1.0040 (+0.40 %, floor ±0.10 %)"
    assert any(line.startswith("assumed:") for line in lines)
    assert "Research software" in lines[-1]


def test_an_answer_without_a_spacing_floor_claims_no_more_than_the_solver_knows(make_results):
    out = make_results(fields=False)
    changes = pd.read_csv(out / "changes.csv")
    changes["floor_spacing"] = np.nan
    changes.to_csv(out / "changes.csv", index=False)

    assert "solver floor" in answer_lines(read_results(out))[0]
    assert "its spacing floor is unknown" in body_of(out)
