"""Tests the bounds of the levels under a tracer of our own."""

import ast
import random
from itertools import islice

import pytest

from data_pipeline.toy.levels import LEVELS, MAX_LINES, MAX_VALUE, draw_run
from tests.support.own_tracer import own_states


def _draw(level, number):
    rng = random.Random(11)
    return list(islice((run for _ in range(20_000) if (run := draw_run(level, rng))), number))


RUNS = {name: _draw(level, 60) for name, level in LEVELS.items()}


def _own_steps(run):
    return len(own_states(run.program, run.call)[0])


def _own_turns(run):
    """Counts loop turns by a counter put into each loop's body."""
    tree = ast.parse(run.program)
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            node.body.insert(0, ast.parse("turns.append(0)").body[0])
    scope = {"turns": []}
    exec(compile(ast.fix_missing_locations(tree), "<counted>", "exec"), scope)
    eval(run.call, scope)
    return len(scope["turns"])


def _nesting(run):
    """Returns the largest number of loops and branches around a statement."""

    def depth(node):
        inside = max(map(depth, ast.iter_child_nodes(node)), default=0)
        return inside + isinstance(node, ast.For | ast.If)

    return depth(ast.parse(run.program))


def test_a_level_has_enough_runs():
    assert {name: len(runs) for name, runs in RUNS.items()} == dict.fromkeys(LEVELS, 60)


@pytest.mark.parametrize("name", LEVELS)
def test_values_and_programs_stay_small(name):
    for run in RUNS[name]:
        lines, result = own_states(run.program, run.call)
        values = [result, *(value for _, _, new in lines for value in new.values())]
        assert all(type(value) is int and 0 <= value <= MAX_VALUE for value in values)
        assert run.program.count("\n") < MAX_LINES
        assert run.result == repr(result)


def test_easy_runs_go_straight_and_medium_ones_do_not_nest():
    assert {_nesting(run) for run in RUNS["easy"]} == {0}
    assert {_nesting(run) for run in RUNS["medium"]} == {1}
    assert {_nesting(run) for run in RUNS["hard"]} == {2}


def test_hard_runs_are_longer_than_all_others():
    trained = [run for name in ("easy", "medium") for run in RUNS[name]]
    assert min(map(_own_steps, RUNS["hard"])) > max(map(_own_steps, trained))
    assert min(map(_own_turns, RUNS["hard"])) > max(map(_own_turns, trained))
    assert not LEVELS["hard"].is_trained and LEVELS["easy"].is_trained


@pytest.mark.parametrize("name", LEVELS)
def test_steps_and_turns_keep_the_bounds_of_the_level(name):
    level = LEVELS[name]
    for run in RUNS[name]:
        assert level.steps[0] <= _own_steps(run) <= level.steps[1]
        assert level.turns[0] <= _own_turns(run) <= level.turns[1]
