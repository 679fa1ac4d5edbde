"""Holds each sample apart from all others: nothing left in memory, no state, no test, no signal."""

import signal
import threading
import time

import pytest

from data_pipeline.execution import tiers
from data_pipeline.execution.guest.worker import MAX_THREADS
from data_pipeline.execution.outcomes import Raised, Value
from data_pipeline.execution.service import (
    Limits,
    Sandbox,
    Setup,
    TraceLimits,
    call_job,
    stdin_job,
    test_job,
)
from tests.support.another_user import run_as_another_user
from tests.support.dirty_programs import PAIRS, Pair
from tests.support.leaks import MARK, SCANNER, make_secret, planting_jobs
from tests.support.sandboxes import open_sandbox

pytestmark = pytest.mark.sandbox
LIMITS = Limits(cpu_seconds=5.0, wall_seconds=20.0, memory_bytes=512 << 20)


@pytest.fixture(scope="module", params=["A", "B"])
def single(request):
    """A sandbox of one worker, so that every sample comes from the same process."""
    with open_sandbox(tier=request.param, workers=1, limits=LIMITS) as made:
        yield made


# ---- what is left in memory


def plant(sandbox: Sandbox) -> frozenset[str]:
    text, digits = make_secret()
    kinds = {result.kind for result in sandbox.map(planting_jobs(text))}
    assert kinds == {"value", "exception", "died"}
    return digits


def scan(sandbox: Sandbox, rounds: int, **options) -> None:
    planted = plant(sandbox)
    for result in sandbox.map(call_job(SCANNER, "look(1)", **options) for _ in range(rounds)):
        assert result.kind == "value" and result.tries == 1, result
        found, readable = result.outcome.python()
        assert readable > 100  # blocks of 64 KiB: the interpreter and all it has allocated
        assert not planted & set(found)
        assert found == []


def test_the_scanner_finds_what_is_there(single):
    """Without this, the tests below could pass by not looking."""
    text, digits = make_secret()
    found, _ = single.call(SCANNER, f"look({text!r})").outcome.python()
    assert text.removeprefix(MARK) in digits & set(found)


def test_a_sample_finds_nothing_of_earlier_ones(single):
    scan(single, 25)
    scan(single, 2, trace=TraceLimits(max_lines=20))
    result = single.run(stdin_job(f"{SCANNER}\nprint(look())\n"))
    assert result.kind == "value" and result.stdout.startswith("[[], ")


@pytest.mark.slow
def test_a_thousand_samples_find_nothing(single):
    for _ in range(10):
        scan(single, 50)


def test_the_programs_process_never_holds_the_test(single):
    text, _ = make_secret()
    test = (
        f"expected = {text!r}\n"
        "def check(candidate):\n"
        "    found, readable = candidate(1)\n"
        "    assert readable > 100\n"
        "    assert found == []\n"
        "    assert expected[-64:] in candidate(expected)[0]\n"
    )
    assert single.run(test_job(SCANNER, test, "look")).outcome == Value(None)


# ---- what is left in the interpreter


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name.replace(" ", "-"))
def test_a_sample_leaves_the_interpreter_as_it_was(single, pair: Pair):
    alone = single.call(pair.probe, "f()")
    assert alone.kind == "value"
    dirty, after = single.map([call_job(pair.dirty, "f()"), call_job(pair.probe, "f()")])
    assert dirty.kind in ("value", "died", "exception")
    assert (after.outcome, after.stdout) == (alone.outcome, alone.stdout)


# ---- tests and their programs

ENDING = ("StopIteration", "StopAsyncIteration", "GeneratorExit", "SystemExit", "KeyboardInterrupt")
BODIES = (
    "assert all(map(candidate, [1, 2, 3]))\n",
    "for value in map(candidate, [1, 2]):\n    assert value == 5\n",
    "assert list(map(candidate, [1, 2])) == []\n",
    "assert not any(map(candidate, [1, 2]))\n",
    "for x in filter(candidate, [1]):\n    assert False\n",
    "assert sum(map(candidate, [1])) == 0\n",
    "class Rows:\n    def __iter__(self): return self\n"
    "    def __next__(self): return candidate(1)\nassert list(Rows()) == []\n",
    "try:\n    candidate(1)\nexcept BaseException:\n    pass\n",
    "assert list(iter(lambda: candidate(1), 5)) == []\n",
)


@pytest.mark.parametrize("name", ENDING)
def test_an_exception_of_the_program_cannot_end_a_test_early(single, name):
    program = f"def f(x):\n    raise {name}\n"
    jobs = [test_job(program, body, "f") for body in BODIES]
    for body, result in zip(BODIES, single.map(jobs), strict=True):
        assert isinstance(result.outcome, Raised) and result.outcome.type == name, body
    sub = f"class {name}({name}):\n    pass\n" + program
    assert single.run(test_job(sub, BODIES[0], "f")).kind == "exception"
    late = f"def f(x):\n    if x > 1:\n        raise {name}\n    return 1\n"
    assert single.run(test_job(late, BODIES[0], "f")).kind == "exception"


def test_a_dead_program_fails_a_test_that_catches_everything(single):
    body = "try:\n    candidate(1)\nexcept BaseException:\n    pass\n"
    for death in ("os._exit(0)", "os.kill(os.getpid(), 9)", "os.closerange(0, 64)"):
        assert single.run(test_job(f"import os\ndef f(x): {death}\n", body, "f")).kind == "died"


def test_a_program_cannot_replace_the_builtins_of_a_test(single):
    program = "def all(x):\n    return True\nabs = any = all\ndef f(x):\n    return 0\n"
    assert single.run(test_job(program, "assert all([f(1) == 5])", "f")).kind == "exception"
    assert single.run(test_job(program, "assert abs(f(1) - 5) < 1", "f")).kind == "exception"
    named = "def sum(a, b):\n    return a + b\n"
    assert single.run(test_job(named, "assert sum(2, 3) == 5", "sum")).outcome == Value(None)


# ---- time and workers


def test_a_repeated_run_keeps_no_other_waiting():
    """The sample waits and computes a little in each wall limit, so it gets nine of them."""
    limits = Limits(cpu_seconds=1.0, wall_seconds=0.4)
    nibbling = (
        "import select\n"
        "def f():\n"
        "    while True:\n"
        "        for _ in range(20_000): pass\n"
        "        select.select([], [], [], 0.02)\n"
    )
    quick, longest = "def f(x):\n    return x\n", 0.0
    with open_sandbox(workers=1, limits=limits) as sandbox:
        sandbox.call(quick, "f(0)")
        nibbler = threading.Thread(target=sandbox.call, args=(nibbling, "f()"))
        nibbler.start()
        while nibbler.is_alive():
            started = time.monotonic()
            assert sandbox.call(quick, "f(1)").outcome == Value(1)
            longest = max(longest, time.monotonic() - started)
    assert longest < 4 * limits.wall_seconds  # the first run has the only worker for one of them


def test_an_interrupted_call_leaves_no_report_behind(single):
    """Its worker would give the report of the interrupted run to the next one."""

    def interrupt(*unused):
        raise KeyboardInterrupt

    waiting = "import select\ndef f():\n    select.select([], [], [], 0.5)\n    return 'first'\n"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            single.call(waiting, "f()")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for number in range(3):
        result = single.call("def f(x):\n    return x\n", f"f({number})")
        assert (result.outcome, result.tries) == (Value(number), 1)


def test_callers_threads_may_end_before_their_worker(single):
    """The kernel kills a worker with the thread that started it, so one thread starts them all."""
    results = []
    program = "import os\ndef f():\n    return os.getppid()\n"
    with open_sandbox(tier=single.tier, workers=1, limits=LIMITS) as sandbox:
        for _ in range(30):
            caller = threading.Thread(target=lambda: results.append(sandbox.call(program, "f()")))
            caller.start()
            caller.join()
    assert {result.tries for result in results} == {1}
    assert len({result.outcome for result in results}) == 1


# Starts threads until one is refused, and keeps them while its neighbours start some.
GREEDY = """
import threading, select
threading.stack_size(1 << 16)
def f():
    started = 0
    try:
        for _ in range(1000):
            threading.Thread(target=select.select, args=([], [], [], 3), daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    select.select([], [], [], 0.7)
    return started
"""
# Has 100 threads at a time, and more than a sample may have at a time one after another.
MODEST = """
import threading
threading.stack_size(1 << 16)
def f():
    out = []
    for _ in range(3):
        hold = threading.Event()
        threads = [threading.Thread(target=hold.wait) for _ in range(100)]
        for thread in threads: thread.start()
        hold.set()
        for thread in threads: thread.join()
        out.append(len(threads))
    return sum(out)
"""
BESIDE_A_GREEDY_ONE = """
import sys, threading, time
from data_pipeline.execution.service import Limits, Sandbox, Setup, call_job
def outcomes(tier, greedy, modest):
    limits = Limits(cpu_seconds=2.0, wall_seconds=10.0, memory_bytes=1 << 30)
    with Sandbox(tier=tier, workers=2, limits=limits, setup=Setup(threads=True)) as sandbox:
        list(sandbox.map(call_job(modest, "f()") for _ in range(4)))  # starts both workers
        found = []
        thread = threading.Thread(target=lambda: found.append(sandbox.call(greedy, "f()")))
        thread.start()
        time.sleep(0.2)
        beside = [sandbox.call(modest, "f()").outcome for _ in range(3)]
        thread.join()
    return {str(one) for one in beside}, str(found[0].outcome)
"""


def test_threads_of_one_sample_do_not_starve_another(single):
    namespace: dict = {}
    exec(BESIDE_A_GREEDY_ONE, namespace)
    beside, greedy = namespace["outcomes"](single.tier, GREEDY, MODEST)
    assert (beside, greedy) == ({str(Value(300))}, str(Value(MAX_THREADS)))


def test_threads_of_one_sample_do_not_starve_another_of_the_same_uid():
    """Without root all workers share a uid, whose processes the kernel counts as one number."""
    code = BESIDE_A_GREEDY_ONE + "print(outcomes(*sys.argv[1:]))"
    done = run_as_another_user(code, "B", GREEDY, MODEST)
    if "SandboxUnavailable" in done.stderr:
        pytest.skip("no tier B for another uid here")
    expected = ({str(Value(300))}, str(Value(MAX_THREADS)))
    assert done.stdout.strip() == repr(expected), done.stderr


def test_a_kernel_that_reports_no_threads_limits_those_of_the_uid(monkeypatch):
    sources = dict(tiers._sources())
    name = "data_pipeline.execution.guest.thread_limit"
    without = sources[name].replace(
        '"x86_64": 317, "aarch64": 277', '"x86_64": 999, "aarch64": 999'
    )
    assert without != sources[name]
    monkeypatch.setattr(tiers, "_sources", lambda: sources | {name: without})
    setup = Setup(threads=True)
    with open_sandbox(tier="B", workers=1, limits=LIMITS, setup=setup) as sandbox:
        outcome = sandbox.call(GREEDY, "f()").outcome
        assert 50 <= outcome.python() < 1000
        assert sandbox.call(MODEST, "f()").outcome == Value(300)
