"""What a run of many cases shows: a bar on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import re
import sys

import pytest
from engine_toys import make_tasks
from rich.console import Console

from fesolver.report.case_progress import LiveCases, PlainCases, TimeLeft, case_reporter
from fesolver.study.engine.task import Row, Task
from fesolver.study.progress import SilentCases

TASK = Task("1a2b3c4d" * 8, "00011-1a2b3c4d", 11, {"volume": 4.0, "density": 0.08123456789, "law": "morgan[1]"})


def show(reporter):
    """Three cases of 200, of which nine are there; the second fails."""
    reporter.start(200, 9)
    reporter.case(make_tasks(1)[0], Row("", "done", facts={"seconds_total": 0.004}), 1, 0)
    reporter.case(TASK, Row("", "failed", error="no convergence\n  to do: [relax]\n"), 1, 1)
    reporter.case(TASK, Row("", "done", facts={"seconds_total": 2.14}), 2, 1)
    reporter.finish()


def test_without_a_terminal_every_case_is_a_plain_line():
    stream = io.StringIO()
    show(PlainCases(stream))

    assert stream.getvalue().splitlines() == [
        "9 of 200 cases are there already",
        "[ 10/200] 00000-toy x=0.0: 4 ms",
        "[ 11/200] 00011-1a2b3c4d volume=4.0 density=0.0812346 law=morgan[1]: failed: no convergence",
        "[ 12/200] 00011-1a2b3c4d volume=4.0 density=0.0812346 law=morgan[1]: 2.1 s",
    ]


@pytest.mark.parametrize("no_color", [True, False])
def test_on_a_terminal_a_bar_tells_counts_seconds_time_left_and_workers(monkeypatch, no_color):
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    reporter = LiveCases("2 worker processes", Console(file=stream, force_terminal=True, width=160))
    reporter._progress.live.auto_refresh = False
    shown = []
    refresh = reporter._progress.update
    monkeypatch.setattr(
        reporter._progress, "update", lambda *a, **k: (refresh(*a, **k), shown.append(k), reporter._progress.refresh())
    )
    show(reporter)

    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "✗ 00011-1a2b3c4d volume=4.0 density=0.0812346 law=morgan[1] failed: no convergence" in text
    assert "12/200" in text
    assert re.search(r"1 failed, 0\.7\d? s a case, \S+ \S+ left, 2 worker processes|1 failed, 715 ms a case", text)
    assert [k["completed"] for k in shown] == [10, 11, 12]
    is_coloured = re.search(r"\x1b\[[0-9;]*3[0-7]m", stream.getvalue()) is not None
    assert is_coloured is not no_color


def test_time_left_follows_the_last_cases_only():
    """Ten slow cases, then a window's length of quick ones: what is left goes by the quick ones."""
    left = TimeLeft(window=4)
    left.start(0.0)
    assert left.seconds(100) is None
    for now in range(100, 1001, 100):
        left.case(float(now))
    assert left.seconds(3) == 300.0
    for step in range(1, 5):
        left.case(1000.0 + 2 * step)
    assert left.seconds(3) == 6.0


def test_the_reporter_fits_where_standard_error_goes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(case_reporter(quiet=True), SilentCases)
    assert isinstance(case_reporter(quiet=False), PlainCases)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(case_reporter(quiet=False, workers="1 process"), LiveCases)
    assert isinstance(case_reporter(quiet=True), SilentCases)


def test_silence_is_silent(capfd):
    show(SilentCases())
    assert capfd.readouterr() == ("", "")
