"""What every pool keeps of a run: the tasks that are open, the workers they cost, and what workers have logged."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fesolver.study.engine.affinity import WaitingTasks
from fesolver.study.engine.task import Row, Task

__all__ = ["Job", "RelayedLog"]


class Job:
    """What is open of one `run`."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks
        self.waiting = WaitingTasks(tasks)
        self.deaths: Counter[int] = Counter()
        self.n_open = len(tasks)

    def close(self, position: int, row: Row) -> Row:
        """The row of a task, with the workers it cost."""
        self.n_open -= 1
        deaths = self.deaths[position]
        return replace(row, facts={**row.facts, "lost_workers": deaths}) if deaths else row


class RelayedLog:
    """Logs here what workers have logged; a warning that several give, once."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str]] = set()

    def __call__(self, level: int, name: str, text: str) -> None:
        """Log one record: its level, logger and text."""
        if level >= logging.WARNING:
            if (name, text) in self._warned:
                return
            self._warned.add((name, text))
        logging.getLogger(name).log(level, "%s", text)
