"""Which task a free worker takes next, so that what tasks share is built as seldom as possible."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Sequence

from fesolver.study.engine.task import Task

__all__ = ["WaitingTasks", "next_task"]

Groups = tuple[str, ...]


class WaitingTasks:
    """Tasks that nobody has yet, sorted into the tree that their groups make.

    Parameters
    ----------
    tasks : sequence of Task
        In the order of the design; a task is known by its position here.

    Notes
    -----
    Every group keeps its largest children on top of a heap, so that a choice costs the logarithm of the number of
    groups, not their number: 10^5 tasks may have 10^5 groups. Sizes in a heap are brought up to date when they come
    to the top; they only fall, except in `put_back`, which adds a new entry.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._groups = [task.groups for task in tasks]
        self._root = _Group(0)
        for number, groups in enumerate(self._groups):
            path = self._path(groups, make=True)
            for group in path:
                group.count += 1
            path[-1].waiting.append(number)
        self._root.build_heaps()

    def __len__(self) -> int:
        return self._root.count

    def take(self, own: Groups | None, others: Iterable[Groups]) -> int:
        """Position of the task to compute next, which is no longer waiting; see `next_task`."""
        number = next_task(self, own, others)
        path = self._path(self._groups[number])
        for group in path:
            group.count -= 1
        path[-1].waiting.popleft()
        return number

    def put_back(self, number: int) -> None:
        """Have a task wait again, before the others of its group."""
        path = self._path(self._groups[number])
        for group in path:
            group.count += 1
        for above, group in itertools.pairwise(path):
            heapq.heappush(above.heap, group.entry())
        path[-1].waiting.appendleft(number)

    def _path(self, groups: Groups, *, make: bool = False) -> list[_Group]:
        """The tree's groups from the root down to those of one task."""
        path = [self._root]
        for name in groups:
            children = path[-1].children
            if make and name not in children:
                children[name] = _Group(len(children), name)
            path.append(children[name])
        return path


class _Group:
    """A node of the tree: tasks that end here, and groups below."""

    __slots__ = ("children", "count", "heap", "name", "order", "waiting")

    def __init__(self, order: int, name: str = "") -> None:
        self.order, self.name, self.count = order, name, 0
        self.waiting: deque[int] = deque()
        self.children: dict[str, _Group] = {}
        self.heap: list[tuple[int, int, str]] = []

    def entry(self) -> tuple[int, int, str]:
        """Largest first; of equal ones that which appears first in the design."""
        return (-self.count, self.order, self.name)

    def build_heaps(self) -> None:
        """Heaps of this group and all below."""
        self.heap = [child.entry() for child in self.children.values()]
        heapq.heapify(self.heap)
        for child in self.children.values():
            child.build_heaps()

    def choose(self, taken: set[str]) -> _Group:
        """The largest group below that is not in `taken`, else the largest."""
        passed: list[tuple[int, int, str]] = []
        chosen = None
        while self.heap and chosen is None:
            entry = heapq.heappop(self.heap)
            child = self.children[entry[2]]
            if entry != child.entry():
                if child.count and child.entry() > entry:  # smaller by now; a larger one has its own entry
                    heapq.heappush(self.heap, child.entry())
            elif child.count and entry not in passed:
                passed.append(entry)
                if child.name not in taken:
                    chosen = child
        for entry in passed:
            heapq.heappush(self.heap, entry)
        return chosen if chosen is not None else self.children[passed[0][2]]


def next_task(waiting: WaitingTasks, own: Groups | None, others: Iterable[Groups]) -> int:
    """The task that a free worker should compute next.

    Parameters
    ----------
    waiting : WaitingTasks
        At least one.
    own : tuple of str or None
        Groups of the task the worker had last; None where it had none.
    others : iterable of tuple of str
        Groups of the tasks that other workers have now.

    Returns
    -------
    int
        Position of the task. Of the waiting tasks, those that share most groups with the worker's last, counted from
        the coarsest; among them the largest group that no other worker is in, else the largest, group by group down
        to the finest; there the first.

    Notes
    -----
    Nothing but the time of a run depends on it.

    Examples
    --------
    >>> tasks = [Task(str(i), str(i), i, {}, groups=(mesh,)) for i, mesh in enumerate("aabbb")]
    >>> next_task(WaitingTasks(tasks), None, [])
    2
    >>> next_task(WaitingTasks(tasks), None, [("b",)])
    0
    >>> next_task(WaitingTasks(tasks), ("a",), [("a",)])
    0
    """
    group, depth = waiting._root, 0
    for name in own or ():
        child = group.children.get(name)
        if child is None or not child.count:
            break
        group, depth = child, depth + 1
    prefix = tuple(own or ())[:depth]
    elsewhere = [groups for groups in others if groups[:depth] == prefix]
    while not group.waiting:
        group = group.choose({groups[depth] for groups in elsewhere if len(groups) > depth})
        elsewhere = [groups for groups in elsewhere if len(groups) > depth and groups[depth] == group.name]
        depth += 1
    return group.waiting[0]
