"""Tests that what the forms state is true of runs under a tracer of our own."""

import json
import random
import re
from collections import Counter
from itertools import islice

import pytest

from data_pipeline.forms import FORMS
from data_pipeline.toy.levels import LEVELS, draw_run
from tests.support.own_tracer import own_states

_STATE = re.compile(r"\[STATE-(\d+)\] (\{.*?\}) \[/STATE-\1\]")
_NUMBERED = re.compile(r"\((\d+)\) ([^()]*?;)(?= \(| \.\.\.|$)")


def _runs(level):
    rng = random.Random(4)
    drawn = (draw_run(LEVELS[level], rng) for _ in range(10_000))
    return list(islice((run for run in drawn if run), 40))


def _changes(lines):
    """Returns (line, changed variables) of the executed lines that changed some."""
    changes = [
        (line, {name: v for name, v in new.items() if name not in old or old[name] != v})
        for line, old, new in lines
    ]
    return [(line, changed) for line, changed in changes if changed]


def _check_states(told, changes):
    """Checks numbered states, of which at most three a line stay."""
    assert all(changes[index] == state for index, state in told.items())
    by_line = Counter(line for line, _ in changes)
    assert len(told) == sum(min(number, 3) for number in by_line.values())


@pytest.mark.parametrize("level", LEVELS)
def test_scratchpads_hold_the_states_of_the_run(level):
    found = 0
    for run in _runs(level):
        lines, _ = own_states(run.program, run.call)
        text = FORMS["scratchpad"].response(run).split("\n[/SCRATCHPAD]")[0]
        told = {
            int(match[1]): (number, json.loads(match[2]))
            for number, line in enumerate(text.split("\n"), 1)
            for match in _STATE.finditer(line)
        }
        _check_states(told, _changes(lines))
        found += len(told)
    assert found > 50


@pytest.mark.parametrize("level", LEVELS)
def test_numbered_traces_hold_the_states_of_the_run(level):
    found = 0
    for run in _runs(level):
        lines, result = own_states(run.program, run.call)
        text = FORMS["next_trace"].response(run).split("\n[/TRACE]")[0]
        told = {
            int(match[1]): (number, match[2])
            for number, line in enumerate(text.split("\n"), 1)
            for match in _NUMBERED.finditer(line)
        }
        changes = _changes(lines)
        assert told.pop(len(changes) + 1) == (lines[-1][0], f"return {result};")
        assert told.pop(0) == (1, " ".join(f"{k}={v};" for k, v in lines[0][1].items()))
        states = {
            index - 1: (line, {name: int(v) for name, v in re.findall(r"(\w)=(\d+)", state)})
            for index, (line, state) in told.items()
        }
        _check_states(states, changes)
        found += len(states)
    assert found > 50


# ---- backward monologues


def _values(text):
    return {name: int(value) for name, value in re.findall(r"\b([a-z])=(\d+)", text)}


def _plain(code):
    return re.sub(r"\b([a-z])=\d+", r"\1", code)


def _is_only_way(expression, name, given, value):
    ways = [n for n in range(-99, 100) if eval(expression, {}, {**given, name: n}) == value]
    return len(ways) == 1


class _Run:
    """Reads a run backwards; each step must find its line before those of earlier steps."""

    def __init__(self, run):
        self.source = [line.strip() for line in run.program.split("\n")]
        lines, self.result = own_states(run.program, run.call)
        self.arguments = _values(run.call)
        self.rest = lines[::-1]
        self.kinds = Counter()

    def find(self, line, holds):
        """Goes to the latest execution of a line of which `holds(before, after)` is true."""
        at = next(
            i
            for i, (number, old, new) in enumerate(self.rest)
            if self.source[number - 1] == line and holds(old, new)
        )
        self.rest = self.rest[at:]

    def enter(self, header, name, value):
        """Goes to the end of the latest turn in which the loop's variable has a value."""
        at = next(
            i
            for i, (number, _, new) in enumerate(self.rest)
            if self.source[number - 1] == header and new.get(name) == value
        )
        later = [i for i in range(at) if self.source[self.rest[i][0] - 1] == header]
        self.rest = self.rest[max(later, default=-1) + 1 :]

    def check(self, step):
        if free := re.fullmatch(r"([a-z]) is free: one way is (.*)", step):
            self.kinds["free"] += 1
            assert _values(free[2]) == {free[1]: self.arguments[free[1]]}
        elif way := re.fullmatch(r"one way is that (.*) is (True|False)", step):
            self.kinds["path"] += 1
            at = next(old for n, old, _ in self.rest if self.source[n - 1] == f"if {way[1]}:")
            assert str(eval(way[1], {}, at)) == way[2]
        elif turn := re.fullmatch(r"iteration (\d+) of (range\(\d\)) gives ([a-z])=(\d+)", step):
            self.kinds["turn"] += 1
            assert int(turn[1]) == int(turn[4]) + 1
            self.enter(f"for {turn[3]} in {turn[2]}:", turn[3], int(turn[4]))
        else:
            self._check_expression(step)

    def _check_expression(self, step):
        fact, joint, deduced = re.fullmatch(r"(.*?)(?:(, so |: one way is )(.*))?", step).groups()
        head, tail = fact.rsplit(" is ", 1)
        if head.startswith("return "):
            code, line, truth = head.removeprefix("return "), "return {}", self.result
            assert tail == str(self.result)
        elif tail in ("True", "False"):
            code, line, truth = head, "if {}:", tail == "True"
        else:
            name, value = head.split("=")
            code, line, truth = tail, f"{name} = {{}}", int(value)
        given = _values(code) | _values(deduced or "")
        assert eval(_plain(code), {}, given) == truth
        stated = _values(head) if "=" in line else {}
        self.find(
            line.format(_plain(code)),
            lambda old, new: given.items() <= old.items() and stated.items() <= new.items(),
        )
        self.kinds[joint] += 1
        if joint == ", so ":
            [name] = _values(deduced)
            assert _is_only_way(_plain(code), name, _values(code), truth)


@pytest.mark.parametrize("level", LEVELS)
def test_backward_steps_are_true_of_the_run_and_so_means_the_only_way(level):
    kinds = Counter()
    for run in _runs(level):
        response = FORMS["backward_monologue"].response(run)
        deduction = response.split("### Reverse Deduction\n")[1].split("\n\n")[0]
        reader = _Run(run)
        for number, step in enumerate(deduction.split("\n"), 1):
            assert step.startswith(f"{number}. ") and step.endswith(".")
            reader.check(step.removeprefix(f"{number}. ").removesuffix("."))
        witness = response.split("One such input is ")[1].split(".\n")[0]
        assert f"f({witness})" == run.call
        kinds += reader.kinds
    assert min(kinds[", so "], kinds[": one way is "], kinds["free"]) > 3
    assert level == "easy" or min(kinds["path"], kinds["turn"]) > 3
