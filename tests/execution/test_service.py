"""Tests the execution service: its results and limits, and that verdicts are made outside."""

import ast
import gzip
import json
import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from data_pipeline.execution import oracles
from data_pipeline.execution.job import CallJob
from data_pipeline.execution.outcomes import BadInput, Died, Limit, Raised, Result, Value
from data_pipeline.execution.service import (
    Limits,
    Sandbox,
    Setup,
    TraceLimits,
    call_job,
    expression_job,
    function_job,
    stdin_job,
    test_job,
)
from data_pipeline.tracing import trace_call
from tests.support.sandboxes import LIMITS, children_since, open_sandbox

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.sandbox


# ---- what a run comes to


def test_modes(sandbox):
    program = "def f(a, *b, k=0, **c):\n    print('said')\n    return [a, b, k, c]\n"
    result = sandbox.call(program, "f(1, *[2, 3], k=float('nan'), **{'z': {1}})")
    assert result.stdout == "said\n" and result.tier == sandbox.tier
    assert result.outcome.tree == ["l", 1, ["t", 2, 3], ["f", "nan"], ["d", "z", ["s", 1]]]
    assert 0 < result.cpu_seconds < 0.5 and result.peak_bytes > 1 << 20

    result = sandbox.run(function_job(program, "f", [b"x"], kwargs={"k": -0.0}))
    assert oracles.is_exact(result, [[b"x"], (), -0.0, {}])

    result = sandbox.run(expression_job("def f(x): return x + 1", "[f(k) for k in range(3)]"))
    assert oracles.is_exact(result, [1, 2, 3])

    script = "import sys\nn = int(input())\nprint(sum(map(int, sys.stdin.read().split())) * n)\n"
    result = sandbox.run(stdin_job(script, "2\n1 2 3\n4\n"))
    assert (result.kind, result.stdout) == ("value", "20\n")
    result = sandbox.run(stdin_job("import sys\nprint('out')\nsys.exit(3)\n"))
    assert result.outcome == Raised("SystemExit", "3", 3) and result.stdout == "out\n"
    result = sandbox.run(stdin_job("if __name__ == '__main__':\n    print('main')\n    exit()\n"))
    assert (result.kind, result.stdout) == ("value", "main\n")

    method = "class Solution:\n    def go(self, x):\n        return -x\n"
    assert oracles.is_exact(sandbox.call(method, "Solution().go(4)"), -4)


def test_exceptions_say_type_message_and_line(sandbox):
    program = "def g(x):\n    return {}[x]\n\ndef f(x):\n    return g(x)\n"
    assert sandbox.call(program, "f('k')").outcome == Raised("KeyError", "'k'", 2)
    program = "class Odd(Exception):\n    pass\n\ndef f(x):\n    raise Odd('so', x)\n"
    assert sandbox.call(program, "f(1)").outcome == Raised("Odd", "('so', 1)", 5)
    assert sandbox.call("x = 1\ny = x / 0\n", "f(1)").outcome.line == 2


def test_limits_say_which(sandbox):
    spin = "def f(x):\n    while True:\n        pass\n"
    result = sandbox.call(spin, "f(1)")
    assert result.outcome == Limit("cpu", "0.5 s") and 0.45 < result.cpu_seconds < 1.0
    memory = sandbox.call(
        "def f(x):\n    return len('x' * x)\n", "f(10 ** 9)".replace("10 ** 9", "10000000000")
    )
    assert memory.outcome == Limit("memory")
    fits = sandbox.call("def f(x):\n    return len('x' * x)\n", "f(100000000)")
    assert oracles.is_exact(fits, 10**8) and fits.peak_bytes > 10**8
    output = sandbox.call("def f(x):\n    print('y' * x)\n", "f(10000000)")
    assert isinstance(output.outcome, Limit) and output.outcome.kind == "output"
    waits = sandbox.call("import signal\ndef f(x):\n    signal.pause()\n", "f(1)")
    assert waits.outcome == Limit("wall", "2 s") and waits.cpu_seconds < 0.2


@pytest.mark.parametrize(
    ("program", "call", "reason", "line"),
    [
        ("def f(x):\n    return x +\n", "f(1)", "syntax", 2),
        ("def f(x):\n\treturn 1\n        return 2\n", "f(1)", "syntax", 3),
        ("def f(x):\n    return x\n", "f(1", "syntax", None),
        ("def f(x):\n    return x\n", "f", "syntax", None),
        ("def f(x):\n    return x\n", "1 + 1", "syntax", None),
        ("def f(x):\n    return x\n", "g(1)", "entry", None),
        ("f = 3\n", "f(1)", "entry", None),
        ("def f(x):\n    return x\n", "f(y)", "literal", None),
        ("def f(x):\n    return x\n", "f(f(1))", "literal", None),
        ("def f(x):\n    return x\n", "f(__import__('os').getpid())", "literal", None),
        ("def f(x):\n    return x\n", "f()", "arity", None),
        ("def f(x):\n    return x\n", "f(1, 2)", "arity", None),
        ("def f(x):\n    return x\n", "f(1, z=2)", "arity", None),
        ("def f(x):\n    return x\n", "f(x=1, **{'x': 2})", "syntax", None),
    ],
)
def test_bad_input_is_told_apart(best, program, call, reason, line):
    outcome = best.call(program, call).outcome
    assert isinstance(outcome, BadInput) and (outcome.reason, outcome.line) == (reason, line)


def test_failures_of_the_program_are_no_bad_input(best):
    program = "def g(a):\n    return a\n\ndef f(x):\n    return g()\n"
    outcome = best.call(program, "f(1)").outcome
    assert isinstance(outcome, Raised) and (outcome.type, outcome.line) == ("TypeError", 5)
    outcome = best.call("def f(x):\n    exec('1 +')\n", "f(1)").outcome
    assert isinstance(outcome, Raised) and outcome.type == "SyntaxError"
    outcome = best.call("def f(x):\n    return undefined\n", "f(1)").outcome
    assert isinstance(outcome, Raised) and outcome.type == "NameError"


def test_tests_run_apart_from_the_program(sandbox):
    program = (
        "def helper(x):\n"
        "    return x - 1\n"
        "\n"
        "def f(x):\n"
        "    if x < 0:\n"
        "        raise ValueError('low')\n"
        "    return [helper(x)]\n"
    )
    passing = """
def check(candidate):
    assert candidate(3) == [2]
    assert f(1) == [0] and helper(1) == 0
    try:
        candidate(-1)
    except ValueError as error:
        assert str(error) == "low"
    else:
        assert False
"""
    assert sandbox.run(test_job(program, passing, "f")).outcome == Value(None)
    failing = sandbox.run(test_job(program, "assert f(3) == [2]\nassert f(4) == [4]\n", "f"))
    assert failing.outcome == Raised("AssertionError", "", 2)
    missing = sandbox.run(test_job("def g(): pass", "assert f()", "f")).outcome
    assert isinstance(missing, BadInput) and missing.reason == "entry"
    broken = sandbox.run(test_job("def f(:", "assert f()", "f")).outcome
    assert isinstance(broken, BadInput) and (broken.reason, broken.line) == ("syntax", 1)
    spinning = sandbox.run(test_job("def f():\n    while True: pass\n", "assert f()", "f"))
    assert spinning.outcome == Limit("cpu", "0.5 s")
    dead = sandbox.run(test_job("import os\ndef f(): os._exit(0)\n", "f()", "f")).outcome
    assert isinstance(dead, Died)


def test_tests_that_need_more_than_values(best):
    program = """
import sys
LIMIT = [3, 4]
class Node:
    def __init__(self, n):
        self.n = n
def make(n):
    return Node(n)
def size(node):
    return sys.getsizeof(node) > 0
"""
    uses = "assert size(1) and sys.maxsize > 0 and LIMIT == [3, 4]\n"
    assert best.run(test_job(program, uses)).outcome == Value(None)
    for body in ("assert make(3).n == 3\n", "n = make(1)\nn.left = 2\n", "size(make(1))\n"):
        outcome = best.run(test_job(program, body)).outcome
        assert isinstance(outcome, BadInput) and outcome.reason == "literal", body
    # The program's own mistake with an attribute is not bad input.
    outcome = best.run(test_job("def f(x):\n    return x.nothing\n", "f(1)\n")).outcome
    assert isinstance(outcome, Raised) and outcome.type == "AttributeError"


def test_humaneval_solutions_pass_and_empty_ones_do_not(best, shared_data):
    with gzip.open(shared_data / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) == 164
    solved = [
        test_job(row["prompt"] + row["canonical_solution"], row["test"], row["entry_point"])
        for row in rows
    ]
    empty = [
        test_job(row["prompt"] + "    pass\n", row["test"], row["entry_point"]) for row in rows
    ]
    with Sandbox(tier=best.tier, limits=Limits(cpu_seconds=5.0)) as roomy:
        results = list(roomy.map(solved))
        assert [r["task_id"] for r, x in zip(rows, results, strict=True) if x.kind != "value"] == []
        assert {result.kind for result in roomy.map(empty)} == {"exception"}


def test_cruxeval_outputs_are_the_official_ones(best, shared_data):
    with open(shared_data / "cruxeval" / "data" / "cruxeval.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    jobs = [expression_job(row["code"], f"f({row['input']})") for row in rows]
    for row, result in zip(rows, best.map(jobs), strict=True):
        assert oracles.is_equal(result, ast.literal_eval(row["output"])), (row["id"], result)


def test_traces_from_the_sandbox_are_those_of_this_process(best):
    program = (
        "def f(n):\n"
        "    out = []\n"
        "    for i in range(n):\n"
        "        if i % 2: out.append({i: (i,)})\n"
        "    return out\n"
    )
    job = call_job(program, "f(4)", trace=TraceLimits())
    assert best.run(job).trace == trace_call(program, "f(4)")
    failing = best.run(call_job(program, "f('x')", trace=TraceLimits()))
    assert failing.outcome.type == failing.trace.raised.type == "TypeError"
    assert failing.outcome.line == failing.trace.raised.line == 3
    short = best.run(call_job(program, "f(4000)", trace=TraceLimits(max_lines=100)))
    assert short.trace.truncated and short.kind == "value"


# ---- determinism


def test_time_random_hash_and_locale_are_fixed(sandbox):
    program = """
import datetime, locale, os, random, secrets, time, uuid
def f():
    start = time.perf_counter()
    time.sleep(3600)
    return [
        time.time(), str(datetime.datetime.now()), str(datetime.date.today()), time.strftime("%Y"),
        random.random(), random.Random().random(), random.SystemRandom().random(),
        os.urandom(4), secrets.token_hex(4), str(uuid.uuid4()), str(uuid.uuid1()),
        [c for c in {"a", "b", "c", "d", "e"}], hash("text"), locale.getlocale(), time.tzname,
        time.perf_counter() - start, isinstance(datetime.datetime(2000, 1, 1), datetime.datetime),
    ]
"""
    first = sandbox.call(program, "f()")
    assert first.kind == "value", first
    told = first.outcome.python()
    assert told[1].startswith("2023-11-14 23:13:20") and told[2] == "2023-11-14"
    assert told[3] == "2023" and 3600 < told[15] < 3601 and told[16] is True
    with Sandbox(tier=sandbox.tier, workers=1, limits=LIMITS) as another:
        assert another.call(program, "f()").outcome == first.outcome
    assert sandbox.run(call_job(program, "f()", twice=True)).deterministic is True


def test_nondeterminism_is_reported(best):
    twice = call_job("def f():\n    return id(object()) + id([])\n", "f()", twice=True)
    assert best.run(twice).deterministic is False
    shown = "class A: pass\ndef f():\n    print([A() for _ in range(3)])\n"
    assert best.run(call_job(shown, "f()", twice=True)).deterministic is False
    plain = call_job("def f():\n    return sorted({'b', 'a'})\n", "f()", twice=True)
    assert best.run(plain).deterministic is True
    assert best.run(call_job("def f(): return 1", "f()")).deterministic is None


def _burn(stop) -> None:
    while not stop.is_set():
        sum(range(10_000))


def test_verdicts_do_not_depend_on_load(best):
    """Beside six busy processes, the same runs pass the limit and the same runs stay within it."""
    spin = "def f(x):\n    while True:\n        pass\n"
    fits = "def f(n):\n    while n:\n        n -= 1\n    return 'done'\n"
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    burners = [context.Process(target=_burn, args=(stop,)) for _ in range(6)]
    for burner in burners:
        burner.start()
    try:
        jobs = [call_job(spin, "f(1)"), call_job(fits, "f(3000000)")] * 2
        results = list(best.map(jobs))
    finally:
        stop.set()
        for burner in burners:
            burner.join()
    for spun, fitted in zip(results[::2], results[1::2], strict=True):
        assert spun.outcome == Limit("cpu", "0.5 s"), spun
        assert oracles.is_exact(fitted, "done"), fitted


# ---- many runs


def test_map_keeps_order_and_isolates(best):
    program = (
        "import builtins\n"
        "seen = []\n"
        "def f(k):\n"
        "    seen.append(k)\n"
        "    builtins.mark = getattr(builtins, 'mark', 0) + 1\n"
        "    return [k, len(seen), builtins.mark]\n"
    )
    results = best.map(call_job(program, f"f({k})") for k in range(40))
    assert [result.outcome.tree for result in results] == [["l", k, 1, 1] for k in range(40)]


def test_runs_survive_each_other(best):
    good = "def f(k):\n    print(k)\n    return k * k\n"
    bad = {
        3: "import os\ndef f(k):\n    os._exit(1)\n",
        7: "def f(k):\n    while True: pass\n",
        11: "def f(k):\n    return bytearray(1 << 40)\n",
        12: "import builtins\ndef f(k):\n    builtins.print = builtins.len = None\n",
        20: "def f(:\n",
    }
    jobs = [call_job(bad.get(k, good), f"f({k})") for k in range(40)]
    results = list(best.map(jobs))
    assert len(results) == 40
    for k, result in enumerate(results):
        if k not in bad:
            assert oracles.is_exact(result, k * k) and result.stdout == f"{k}\n", (k, result)
    assert isinstance(results[3].outcome, Died)
    assert results[7].outcome == Limit("cpu", "0.5 s")
    assert results[11].outcome == Limit("memory")
    assert isinstance(results[20].outcome, BadInput)


def test_killed_worker_costs_one_retry(best):
    program = "def f(k):\n    n = 200000\n    while n:\n        n -= 1\n    return k\n"
    jobs = [call_job(program, f"f({k})") for k in range(30)]
    results = []
    earlier = set(psutil.Process().children())
    with open_sandbox(tier=best.tier, workers=2, limits=LIMITS) as sandbox:
        for number, result in enumerate(sandbox.map(jobs)):
            results.append(result)
            if number == 3:  # a worker's outermost process; the service runs the sample again
                children_since(earlier)[0].send_signal(signal.SIGKILL)
    assert all(oracles.is_exact(result, k) for k, result in enumerate(results))


def test_threads_only_in_their_profile(best):
    program = (
        "import threading\n"
        "def f():\n"
        "    out = []\n"
        "    t = threading.Thread(target=out.append, args=(1,))\n"
        "    t.start(); t.join()\n"
        "    return out\n"
    )
    assert best.call(program, "f()").kind == "exception"
    with Sandbox(tier=best.tier, workers=1, limits=LIMITS, setup=Setup(threads=True)) as threaded:
        assert oracles.is_exact(threaded.call(program, "f()"), [1])
        fork = threaded.call("import os\ndef f():\n    return os.fork()\n", "f()")
        assert fork.kind == "exception"


def test_event_loops_run_on_the_fixed_clock(best):
    program = """
import asyncio, time
async def work(name, seconds, done):
    await asyncio.sleep(seconds)
    done.append(name)
    return seconds
async def main():
    done = []
    slept = await asyncio.gather(work("slow", 50, done), work("fast", 5, done))
    return done, slept
def f():
    start = time.monotonic()
    told = asyncio.run(main())
    return told, 50 <= time.monotonic() - start < 51
"""
    assert oracles.is_exact(best.call(program, "f()"), ((["fast", "slow"], [50, 5]), True))


def test_packages_are_read_only_guests(best, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "guest.py").write_text("import sys\nvalue = 7\n")
    setup = Setup(packages=(str(tmp_path),), preload=("guest",))
    with Sandbox(tier=best.tier, workers=1, limits=LIMITS, setup=setup) as sandbox:
        assert oracles.is_exact(sandbox.call("import guest\ndef f(): return guest.value", "f()"), 7)
        write = f"def f():\n    open({str(tmp_path / 'guest.py')!r}, 'a').write('x')\n"
        assert sandbox.call(write, "f()").outcome.type in ("PermissionError", "OSError")


def test_oversized_input_is_refused(best):
    outcome = best.call("x = 1\n" * 2_000_000, "f(1)").outcome
    assert isinstance(outcome, BadInput)


def test_job_is_plain_data():
    assert call_job("p", "f(1)") == CallJob("p", "f(1)")


def test_a_traced_run_can_be_stopped_by_its_steps(sandbox):
    program = "def f(n):\n    i = 0\n    while i < n:\n        i += 1\n    return i\n"
    limits = TraceLimits(max_lines=100, ends_run=True, tells_ended=True)
    jobs = [call_job(program, f"f({n})", trace=limits) for n in (3, 10**9, 4)]
    short, endless, after = sandbox.map(jobs)
    assert (short.outcome, after.outcome) == (Value(3), Value(4))
    assert endless.outcome == Limit("steps", "more than 100 steps")
    assert endless.trace.truncated == "more than 100 steps"
    assert (endless.trace.result, endless.trace.raised) == (None, None)
    assert {event.kind for event in endless.trace.events} == {"call", "line"}
    values = [int(e.changed["i"]) for e in endless.trace.events if "i" in e.changed]
    assert values == list(range(len(values)))
    assert 30 <= len(values) <= 50  # two lines and a marker a turn


@pytest.mark.parametrize(
    ("walls", "pools"),
    [
        (["value"], ["pool"]),
        (["late", "value"], ["pool", "repeated"]),
        (["late", "idle"], ["pool", "repeated"]),
        (["late", "late", "value"], ["pool", "repeated", "overtime"]),
    ],
)
def test_a_late_run_is_repeated_for_one_wall_limit_and_only_work_gets_more(
    walls, pools, monkeypatch
):
    """Who waits without computing never reaches the worker that grants more time."""
    asked, outcomes = [], iter(walls)
    late = Result(Limit("wall", "3 s"), tier="A", cpu_seconds=1.0)
    results = {
        "value": Result(Value(1), tier="A"),
        "late": late,
        "idle": replace(late, cpu_seconds=0.001),
    }
    with Sandbox(workers=1, limits=Limits(wall_seconds=3.0)) as sandbox:
        names = {
            id(getattr(sandbox, f"_{name}")): name for name in ("pool", "repeated", "overtime")
        }

        def ask(pool, job, perturb, stretches=0):
            asked.append((names[id(pool)], stretches))
            return results[next(outcomes)]

        monkeypatch.setattr(sandbox, "_ask", ask)
        assert sandbox.run(call_job("def f(): return 1", "f()")) == results[walls[-1]]
    assert [pool for pool, _ in asked] == pools
    assert [stretches for pool, stretches in asked if pool != "overtime"] == [0] * (
        len(pools) - ("overtime" in pools)
    )
