"""Tests the order and the independence of judging with a benchmark whose runs are scripted."""

import dataclasses
import threading
import time

import pytest

from semcoder_jax.evaluation.judging import Judging, JudgingMixin
from semcoder_jax.evaluation.response import Response
from semcoder_jax.evaluation.results import Answer

PATIENCE = 30.0


@dataclasses.dataclass
class Wait:
    """A job that waits for an event."""

    gate: threading.Event
    program = ""


class Idle:
    """A sandbox that runs jobs of Wait."""

    workers = 1

    def run(self, job):
        assert job.gate.wait(PATIENCE)


class Scripted(JudgingMixin):
    """Judges by the text: the name of an event to wait for, "error", or anything else."""

    def __init__(self):
        self.begun, self.gates = [], {}

    def cost(self, response):
        return float(response.sample)

    def judge_one(self, response, judging):
        self.begun.append(response.task)
        if response.text in self.gates:
            judging.run(Wait(self.gates[response.text]))
        if response.text == "error":
            raise ValueError(response.task)
        outcome = judging.once(response.text, lambda: self.find(response))
        return (answer(response, outcome), answer(response, outcome))

    def find(self, response):
        return f"found by {response.task}"


def answer(response, outcome):
    return Answer(
        response.task, response.sample, "B", "v", response.mode, outcome, None, "", "", "", "", ""
    )


def response(task, text="x", cost=0):
    return Response(task, cost, "v", "fixed", text)


def test_answers_come_in_order_though_later_ones_are_judged_first():
    benchmark = Scripted()
    benchmark.gates["slow"] = threading.Event()
    with Judging(benchmark, Idle()) as judging:
        first = judging.submit(response("a", "slow"))
        others = [judging.submit(response(task)) for task in "bcd"]
        for other in others:  # no barrier: they do not wait for the first
            other.result(PATIENCE)
        assert not first.done()
        benchmark.gates["slow"].set()
        found = [[a.task for a in answers] for answers in judging.map(map(response, "bcd"))]
    assert found == [["b", "b"], ["c", "c"], ["d", "d"]]
    assert sorted(benchmark.begun) == list("abcd")  # the same response again is judged once


def test_the_longest_waiting_response_begins_first():
    benchmark = Scripted()
    benchmark.gates["gate"] = threading.Event()
    with Judging(benchmark, Idle()) as judging:
        for task in ("one", "two"):  # both threads are busy
            judging.submit(response(task, "gate"))
        while len(benchmark.begun) < 2:
            time.sleep(0.01)
        waiting = [judging.submit(response(f"cost {n}", f"{n}", n)) for n in (1, 5, 3, 5)]
        benchmark.gates["gate"].set()
        for one in waiting:
            one.result(PATIENCE)
    order = [int(task.split()[1]) for task in benchmark.begun[2:]]
    assert order[0] == 5 and order[-1] in (1, 3) and sorted(order) == [1, 3, 5]


def test_equal_answers_run_once_even_at_the_same_time():
    benchmark = Scripted()
    entered = []

    def find(one):
        entered.append(one.task)
        time.sleep(0.05)
        return "found"

    benchmark.find = find
    answers = list(benchmark.judge([response(f"t{n}") for n in range(8)], Idle()))
    assert len(entered) == 1 and {a.outcome for a in answers} == {"found"}
    assert [a.task for a in answers] == [f"t{n}" for n in range(8) for _ in range(2)]


def test_an_error_reaches_the_caller_and_ends_the_threads():
    before = threading.active_count()
    with pytest.raises(ValueError, match="b"):
        list(Scripted().judge([response("a"), response("b", "error"), response("c")], Idle()))
    assert threading.active_count() == before


def test_leaving_early_drops_what_waits():
    benchmark = Scripted()
    benchmark.gates["gate"] = threading.Event()
    with Judging(benchmark, Idle()) as judging:
        for n in range(20):
            judging.submit(response(f"t{n}", "gate"))
        threading.Timer(0.05, benchmark.gates["gate"].set).start()
    assert len(benchmark.begun) < 20


def test_one_thread_works_at_a_time_outside_the_sandbox():
    """Parsing in several threads at once fails in CPython 3.11."""

    class Watched(Scripted):
        inside = most = 0

        def judge_one(self, response, judging):
            for _ in range(20):
                self.inside += 1
                self.most = max(self.most, self.inside)
                time.sleep(0.0005)
                self.inside -= 1
                judging.run(Wait(None))
            return (answer(response, "right"),)

    class Slow(Idle):
        workers, running, together = 4, 0, 0

        def run(self, job):
            self.running += 1
            time.sleep(0.002)
            self.together = max(self.together, self.running)
            self.running -= 1

    benchmark, sandbox = Watched(), Slow()
    assert len(list(benchmark.judge([response(f"t{n}") for n in range(12)], sandbox))) == 12
    assert benchmark.most == 1 and sandbox.together > 1
