"""Which task a free worker takes: against a slow rule written as it is worded, and as a simulation of a whole run."""

from __future__ import annotations

from engine_toys import make_tasks
from hypothesis import given
from hypothesis import strategies as st

from fesolver.study.engine.affinity import WaitingTasks, next_task
from fesolver.study.engine.task import Task

names = st.sampled_from("ab")
paths = st.lists(names, max_size=3).map(tuple)


def slow_next_task(all_groups, waiting, own, others):
    """The rule of `next_task`, word by word, over every waiting task."""

    def shared(groups):
        count = 0
        for mine, theirs in zip(own or (), groups, strict=False):
            if mine != theirs:
                break
            count += 1
        return count

    depth = max(shared(all_groups[number]) for number in waiting)
    choice = [number for number in waiting if shared(all_groups[number]) == depth]
    while not any(len(all_groups[number]) == depth for number in choice):
        sizes: dict[tuple, int] = {}
        for number in choice:
            prefix = all_groups[number][: depth + 1]
            sizes[prefix] = sizes.get(prefix, 0) + 1
        first_use = [groups[: depth + 1] for groups in all_groups]
        worked = {groups[: depth + 1] for groups in others}
        best = min(sizes, key=lambda prefix: (prefix in worked, -sizes[prefix], first_use.index(prefix)))
        choice = [number for number in choice if all_groups[number][: depth + 1] == best]
        depth += 1
    return next(number for number in choice if len(all_groups[number]) == depth)


@given(st.lists(paths, min_size=1, max_size=12), st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=30))
def test_choice_follows_the_rule_through_a_whole_run(all_groups, turns):
    """Three workers take turns; now and then one dies and what it had waits again, before the others of its group."""
    tasks = [Task(str(i), str(i), i, {}, groups=groups) for i, groups in enumerate(all_groups)]
    waiting = WaitingTasks(tasks)
    queue = list(range(len(tasks)))
    had: dict[int, int] = {}
    for worker, dies in turns:
        if dies and worker in had:
            waiting.put_back(had[worker])
            queue.insert(0, had.pop(worker))
        if not queue:
            break
        own = all_groups[had[worker]] if worker in had else None
        others = [all_groups[number] for other, number in had.items() if other != worker]
        # Within one group the slow rule takes the first in the queue, where a task put back stands before the others.
        expected = slow_next_task(all_groups, queue, own, others)

        assert next_task(waiting, own, others) == expected
        assert waiting.take(own, others) == expected

        queue.remove(expected)
        had[worker] = expected
        assert len(waiting) == len(queue)


def test_two_workers_share_four_groups_with_few_changes():
    """Ten tasks in each of four groups, workers in turn: each takes two groups whole."""
    tasks = make_tasks(40, groups=[("a",), ("b",), ("c",), ("d",)])
    waiting = WaitingTasks(tasks)
    last: list[tuple[str, ...] | None] = [None, None]
    changes = [0, 0]
    for turn in range(40):
        me = turn % 2
        other = last[1 - me]
        groups = tasks[waiting.take(last[me], [other] if other else [])].groups
        changes[me] += groups != last[me]
        last[me] = groups
    assert changes == [2, 2]


def test_coarse_group_is_kept_when_the_fine_one_is_used_up():
    """The mesh is what costs: a worker stays on it, though a larger group waits on another mesh."""
    tasks = make_tasks(6, groups=[("m1", "i1"), ("m2", "i2"), ("m2", "i2"), ("m2", "i2"), ("m1", "i3"), ("m2", "i4")])

    assert next_task(WaitingTasks(tasks), ("m1", "i9"), []) == 0
    assert next_task(WaitingTasks(tasks[1:]), ("m1", "i1"), [("m1", "i3")]) == 3  # helps there rather than leave
    assert next_task(WaitingTasks(tasks), None, []) == 1  # the largest of the largest
