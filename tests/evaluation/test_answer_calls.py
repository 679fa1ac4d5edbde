"""Tests which answers count as a call of the problem's function; expected by hand.

The accepted ones are also run by plain Python: what the sandbox returns must be the same.
"""

import json

import pytest

from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.benchmarks.answer_calls import is_scorable_call
from semcoder_jax.evaluation.benchmarks.cruxeval import (
    CruxEval,
    CruxEvalProblem,
    input_job,
    read_problems,
)
from semcoder_jax.evaluation.harness import Response

PROGRAM = """
import os
from collections import Counter
TABLE = ["a", "b"]
class Point:
    zero = 0
    def __init__(self, x):
        self.x = x
    def double(self):
        return 2 * self.x
def g(x):
    return x
def f(x=None, *rest, **more):
    return repr((x, rest, more, TABLE))
"""
ACCEPTED = [
    "f()",
    "f(3)",
    "f( [1, 2], key=3)",
    "f(''.join(['A'] * 20))",
    "f('a' + '\\n')",
    'f("a" * 33 + "\\n")',
    "f(TABLE[:], 3)",
    "f(range(100, 120))",
    "f(dict(a=1, **{'b': 2}))",
    "f('b-c'.split('-'))",
    "f('$78'.upper())",
    "f([x * 2 for x in range(3) if x])",
    "f({k: v for k, v in zip('ab', [1, 2])})",
    "f(*[1, 2], **{'c': -1})",
    "f(sorted('cba'), max(1, 2), len(TABLE))",
    "f(g(f(1)))",
    "f(1 if True else 2)",
    "f([3, 1].pop())",
    "f('{}-{:>3}'.format(1, 2), f'{3!r}')",
    "f(Point(4).double(), Point.zero)",
    "f(1 == 2 or 3)",
    "f([y for x in [[1], [2]] for y in x])",
    "f(float('inf'), complex(1, 2), frozenset([1]))",
]
REFUSED = [
    "",
    "f",
    "3",
    "g(3)",
    "f(3)(4)",
    "f(3).x",
    "f(3) or True",
    "not f(3)",
    "[f(3)][0]",
    "(lambda *a: 'cba')(f(3))",
    "__builtins__.str('cba')",
    "__builtins__.eval('\"cba\"')",
    "__name__.join(['a'])",
    "str('cba')",
    "(f := g)(3)",
    "f((f := 3))",
    "f(lambda: 3)",
    "f(eval('3'))",
    "f(exec('TABLE.clear()'))",
    "f(__import__('os'))",
    "f(os.getcwd())",
    "f(Counter('ab'))",  # an imported name: only what the program binds itself
    "f(open('/etc/passwd'))",
    "f(globals())",
    "f(getattr(3, 'real'))",
    "f(type(3))",
    "f(print(3))",
    "f(().__class__)",
    "f(''.__class__.__mro__)",
    "f(g.__globals__)",
    "f((x for x in [1]).gi_frame)",
    "f(g.func_globals)",
    "f([0 for TABLE[0] in ['z']])",
    "f([0 for Point.zero in ['z']])",
    "f(TABLE.clear())",
    "f([t.append(1) for t in [TABLE]])",
    "f(dict.update(TABLE, {1: 2}))",
    "f([*map(dict.clear, [TABLE])])",
    "f([dict][0].clear(TABLE))",
    "f(max([dict]).update(TABLE, a=1))",
    "f('{0.__globals__}'.format(g))",
    "f('{0[x]}'.format(g))",
    "f('{0.gi_frame}'.format_map({}))",
    "f(x)",
    "f(__x__)",
    "f([__b for __b in [1]])",
    "f([x async for x in g(3)])",
    "f((yield))",
    "f(await g(3))",
    "f(3); g(4)",
    "f(3) == 4",
    "f(x for x in __builtins__)",
    "f(" * 3000,
    "f(" + "(" * 150 + "3" + ")" * 150 + ".__class__)",
]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as made:
        yield made


@pytest.mark.parametrize("answer", ACCEPTED)
def test_calls_with_expressions_are_scorable_and_run_as_in_python(sandbox, answer):
    assert is_scorable_call(answer, "f", PROGRAM)
    namespace = {}
    exec(PROGRAM, namespace)
    result = sandbox.run(input_job(PROGRAM, answer))
    assert result.outcome.python() == eval(answer, namespace)


@pytest.mark.parametrize("answer", REFUSED)
def test_other_answers_are_refused(answer):
    assert not is_scorable_call(answer, "f", PROGRAM)


def test_a_lambda_counts_where_the_authors_own_input_has_one():
    like = "f(lambda x: x + 1)"
    assert is_scorable_call("f(lambda y, z=2: y * len(TABLE))", "f", PROGRAM, like=like)
    assert not is_scorable_call("f(lambda y: y.__class__)", "f", PROGRAM, like=like)
    assert not is_scorable_call("f(lambda y=eval('3'): y)", "f", PROGRAM, like=like)


def test_methods_are_called_by_their_path():
    program = "class C:\n    def f(self, x):\n        return x\n"
    assert is_scorable_call("C().f([1] * 2)", "C().f", program)
    assert not is_scorable_call("C.f(1)", "C().f", program)
    assert not is_scorable_call("C(3).f(1)", "C().f", program)


def test_references_of_cruxeval_that_are_no_literals(shared_data, sandbox):
    """The references whose inputs are expressions, two of them with a lambda, and plain ones."""
    wanted = (152, 239, 258, 344, 364, 378, 459, 522, 694, 720, 760, 770, 0, 1)
    problems = read_problems(shared_data / "cruxeval/data/cruxeval.jsonl")
    some = [problem for problem in problems if problem.id in {f"sample_{n}" for n in wanted}]
    benchmark = CruxEval(some, "input")
    said = [
        Response(one.id, 0, "direct", mode, one.call, is_answer=True)
        for one in some
        for mode in ("compat", "fixed")
    ]
    outcomes = {(a.task, a.mode): a.outcome for a in benchmark.judge(said, sandbox)}
    assert len(outcomes) == 2 * len(wanted) and set(outcomes.values()) == {"right"}


def test_lies_about_an_input_score_nothing(shared_data, sandbox):
    """Each lie evaluates to the wanted output and calls nothing that the problem asks about."""
    lines = (shared_data / "cruxeval/data/cruxeval.jsonl").read_text().splitlines()[:20]
    problems = [
        CruxEvalProblem(row["id"], row["code"], row["input"], row["output"], "f")
        for row in map(json.loads, lines)
    ]
    said = []
    for one in problems:
        lies = (
            one.output,
            f"(f and {one.output})",
            f"__builtins__.eval({one.output!r})",
            f"[f, {one.output}][1]",
            f"(lambda *a: {one.output})(f)",
            f"max([f({one.input})], key=lambda x: 0)[0]",
        )
        for n, lie in enumerate(lies):
            said.append(Response(one.id, n, "direct", "fixed", lie, is_answer=True))
    assert not any(answer.right for answer in CruxEval(problems, "input").judge(said, sandbox))
