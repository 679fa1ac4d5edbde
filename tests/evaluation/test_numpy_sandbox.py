"""Tests programs that import numpy: the verdicts are EvalPlus's rules applied by numpy itself."""

import numpy as np
import pytest

from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation import numpy_sandbox
from semcoder_jax.evaluation.benchmarks.evalplus import EvalPlus, EvalPlusTask
from semcoder_jax.evaluation.harness import score_generations
from semcoder_jax.evaluation.numpy_sandbox import imported_packages
from semcoder_jax.evaluation.response import Response

CASES = [  # (expected, what the program returns)
    ("3", "np.int64(3)"),
    ("3", "np.int64(4)"),
    ("True", "np.bool_(True)"),
    ("0.5", "np.float64(0.5)"),
    ("0.3", "np.float64(0.1) + np.float64(0.2)"),
    ("[0.3, 1.0]", "[np.float64(0.1) + np.float64(0.2), np.float64(1)]"),
    ("[1, 2]", "np.array([1, 2])"),
    ("[1, 2]", "np.array([1, 2]).tolist()"),
    ("[1, 2]", "list(np.array([1, 2]))"),
    ("[3]", "np.array([3])"),
    ("3", "np.array([3])"),
    ("[[3]]", "np.array(3)"),
    ("[4]", "np.array([3])"),
    ("(1, 'a')", "(np.int32(1), np.str_('a'))"),
    ("{1: 2}", "{np.int64(1): np.int64(2)}"),
    ("'a'", "np.str_('a')"),
    ("None", "np.float64(1)"),
]


def evalplus_passes(expected, returned):
    """EvalPlus 0.3.1's comparison, with numpy."""
    right, out = eval(expected), eval(returned)
    try:
        exact = out == right
        is_floats = isinstance(right, float) or (
            isinstance(right, list) and all(isinstance(i, float) for i in right)
        )
        if not exact and is_floats:
            same = type(out) is type(right) and (
                not isinstance(right, list) or len(out) == len(right)
            )
            return bool(same and np.allclose(out, right, rtol=1e-7, atol=1e-6))
        return bool(exact)
    except ValueError:
        return False


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMCODER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def tasks():
    return [
        EvalPlusTask(f"T/{n}", "def f(x):\n", "f", f"    return {expected}\n", ([1],), (), 0.0)
        for n, (expected, _) in enumerate(CASES)
    ]


def programs():
    return [
        Response(
            f"T/{n}",
            0,
            "code",
            "compat",
            f"import numpy as np\ndef f(x):\n    return {text}",
            is_answer=True,
        )
        for n, (_, text) in enumerate(CASES)
    ]


def test_verdicts_are_those_of_evalplus(sandbox):
    run = score_generations(
        EvalPlus(tasks(), "humaneval"), programs(), sandbox, model="m", identity={}, progress=None
    )
    found = [answer.right for answer in run.answers if answer.benchmark == "HumanEval"]
    expected = [evalplus_passes(*case) for case in CASES]
    assert dict(zip(CASES, found, strict=True)) == dict(zip(CASES, expected, strict=True))
    assert run.notes == (
        f"{len(CASES)} samples import numpy: the sandbox has {np.__version__} for them",
    )


def test_what_the_sandbox_lacks_is_counted(sandbox, monkeypatch):
    def fails(cache):
        raise OSError("no numpy here")

    monkeypatch.setattr(numpy_sandbox, "_copy_numpy", fails)
    said = [*programs()[:2], Response("T/2", 0, "code", "compat", "import pandas", is_answer=True)]
    benchmark = EvalPlus(tasks(), "humaneval")
    run = score_generations(benchmark, said, sandbox, model="m", identity={}, progress=None)
    assert not any(answer.right for answer in run.answers)
    assert run.notes == (
        "3 samples import modules that the sandbox lacks: numpy, pandas (numpy: no numpy here)",
    )


def test_imports_are_found_wherever_they_stand():
    code = "import os, numpy.linalg as l\ndef f():\n    from pandas.core import x\nfrom . import y"
    assert imported_packages(code) == {"numpy", "pandas"}
    assert imported_packages("print('import numpy')") == frozenset()
    assert imported_packages("import numpy as") == frozenset()
