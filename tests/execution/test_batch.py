"""Calls that share a process give what each gives alone, whatever ran before them."""

import fractions
import keyword

import pytest

from data_pipeline.execution.guest.surroundings import Surroundings
from data_pipeline.execution.service import Limits, TraceLimits, call_job
from tests.support.sandboxes import open_sandbox

LIMITS = Limits(cpu_seconds=0.3, memory_bytes=128 << 20, output_bytes=1 << 12)
TRACE = TraceLimits(max_lines=400, ends_run=True)


@pytest.fixture(scope="module")
def sandbox():
    with open_sandbox(workers=1, limits=LIMITS) as made:
        yield made


@pytest.fixture
def runs(sandbox, monkeypatch):
    """The requests that went to a process of their own."""
    found = []
    run = sandbox._pool.run
    monkeypatch.setattr(sandbox._pool, "run", lambda one: (found.append(one), run(one))[1])
    return found


def check(sandbox, program: str, arguments, trace: TraceLimits | None = None) -> list:
    calls = [f"f({one})" for one in arguments]
    alone = [sandbox.run(call_job(program, call, trace=trace)) for call in calls]
    together = sandbox.run_calls(program, calls, trace)
    seen = [[(r.outcome, r.stdout, r.trace) for r in results] for results in (together, alone)]
    assert seen[0] == seen[1]
    return together


PLAIN = "seen = []\ndef f(n):\n    seen.append(n)\n    return seen, 10 // (n - 3)\n"


@pytest.mark.sandbox
@pytest.mark.parametrize("trace", [None, TRACE])
def test_plain_calls_share_one_process(sandbox, runs, trace):
    results = check(sandbox, PLAIN, range(12), trace)
    assert [r.outcome.python() for r in results if r.kind == "value"][4] == ([5], 5)
    assert results[3].outcome.type == "ZeroDivisionError"
    assert len(runs) == 12 + 1


CHANGES = {
    "a list of a module": "import keyword\ndef f(n):\n    keyword.kwlist.append(n)\n"
    "    return len(keyword.kwlist)\n",
    "a variable of a module": "import string as s\ndef f(n):\n    s.digits += str(n)\n"
    "    return s.digits\n",
    "a module imported inside": "def f(n):\n    import html.entities as e\n"
    "    e.name2codepoint[n] = n\n    return len(e.name2codepoint)\n",
    "a class of a module": "from fractions import Fraction\ndef f(n):\n"
    "    Fraction.n = getattr(Fraction, 'n', 0) + 1\n    return Fraction.n\n",
    "an attribute of a function": "from textwrap import dedent\ndef f(n):\n"
    "    dedent.n = getattr(dedent, 'n', 0) + 1\n    return dedent.n\n",
    "the context of decimals": "from decimal import *\ndef f(n):\n    getcontext().prec += n\n"
    "    return str(Decimal(1) / 3)\n",
    "the context of new contexts": "from decimal import *\ndef f(n):\n"
    "    DefaultContext.prec += n\n    setcontext(DefaultContext)\n"
    "    return str(Decimal(1) / 3)\n",
    "the interpreter": "import sys\ndef f(n):\n    sys.n = getattr(sys, 'n', 0) + n\n"
    "    return sys.n\n",
    "the builtins": "import builtins\ndef f(n):\n    old = len([n])\n"
    "    builtins.len = lambda x: n\n    return old\n",
    "the random numbers": "import random\ndef f(n):\n    return random.random()\n",
    "the clock": "import time\ndef f(n):\n    return time.time()\n",
    "the recursion limit": "import sys\ndef f(n):\n    sys.setrecursionlimit(900 - n)\n"
    "    return sys.getrecursionlimit()\n",
    "a registry of a class": "from numbers import Number\ndef f(n):\n"
    "    old = isinstance('', Number)\n    Number.register(str)\n    return old\n",
    "a class of no module": "def f(n):\n    kinds = ().__class__.__base__.__subclasses__()\n"
    "    [kind] = [one for one in kinds if one.__name__ == 'Quitter']\n"
    "    kind.n = getattr(kind, 'n', 0) + 1\n    return kind.n\n",
    "a registry by its name": "import numbers\ndef f(n):\n"
    "    old = isinstance('', numbers.Number)\n"
    "    getattr(numbers.Number, 'register')(str)\n    return old\n",
    "a cache of a module": "import re\ndef f(n):\n    re.compile(f'a{n}')\n"
    "    return len(re._cache)\n",
    "an open generator": "def f(n):\n    def g():\n        try:\n            yield\n"
    "        finally:\n            print('closed')\n    it = g()\n    next(it)\n"
    "    it = [it]\n    it.append(it)\n    return n\n",
}


@pytest.mark.sandbox
@pytest.mark.parametrize("program", CHANGES.values(), ids=CHANGES)
def test_a_call_finds_nothing_that_others_changed(sandbox, program):
    check(sandbox, program, [1, 2, 3])


FAILURES = {
    "prints": "def f(n):\n    if n % 3 == 1:\n        print('x' * n)\n    return n\n",
    "prints too much": "def f(n):\n    print('x' * 1500 * n)\n    return n\n",
    "never ends": "def f(n):\n    while n == 2:\n        pass\n    return n\n",
    "takes all memory": "def f(n):\n    return len([0] * 10 ** (9 * (n == 2)))\n",
    "is killed": "import os\ndef f(n):\n    if n == 2:\n        os.abort()\n    return n\n",
    "leaves": "import os\ndef f(n):\n    if n == 2:\n        os._exit(3)\n    return n\n",
    "exits": "def f(n):\n    if n == 2:\n        raise SystemExit(n)\n    return n\n",
    "recurses": "def f(n):\n    return n + f(n + 1)\n",
    "does not parse": "def f(n) return n\n",
    "fails when it is loaded": "1 / 0\ndef f(n):\n    return n\n",
    "has another name": "def g(n):\n    return n\n",
}


@pytest.mark.sandbox
@pytest.mark.parametrize("program", FAILURES.values(), ids=FAILURES)
def test_a_call_that_fails_is_judged_alone(sandbox, program):
    check(sandbox, program, range(5))


@pytest.mark.sandbox
def test_forged_answers_stand_for_nobody_elses_call(sandbox):
    program = (
        'import os\ndef f(n):\n    data = b\'{"outcome": ["value", 7]}\'\n'
        "    for _ in range(20):\n        os.write(40, len(data).to_bytes(4, 'big') + data)\n"
        "    os._exit(0)\n"
    )
    results = sandbox.run_calls(program, ["f(1)", "f(2)"])
    assert len(results) == 2
    assert sandbox.call("def f(n):\n    return n\n", "f(1)").outcome.python() == 1


def test_surroundings_are_the_modules_that_a_program_names(monkeypatch):
    one = Surroundings("import keyword, re\nfrom fractions import Fraction\n")
    nothing = Surroundings("def f(n):\n    return n\n")
    assert one.are_unchanged()
    monkeypatch.setattr(keyword, "kwlist", [*keyword.kwlist])
    assert not one.are_unchanged() and nothing.are_unchanged()
    monkeypatch.undo()
    assert one.are_unchanged()
    monkeypatch.setattr(fractions.Fraction, "more", 1, raising=False)
    assert not one.are_unchanged()
