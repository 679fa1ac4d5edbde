"""Compares verdicts with EvalPlus's own on right, wrong, slow and odd solutions.

Uses one task in eight and every task with its own oracle. A difference must be a false pass of
EvalPlus that is listed here with its reason.
"""

import gzip
import json
from collections import Counter

import pytest

from data_pipeline.execution.service import Sandbox, SandboxUnavailable
from tests.support import evalplus_peer

FILES = {
    "humaneval": "humanevalplus/HumanEvalPlus.jsonl.gz",
    "mbpp": "mbppplus/MbppPlus.jsonl.gz",
}
SPECIAL = {  # tasks that EvalPlus compares in a way of their own, or with a tolerance
    "humaneval": {2, 4, 32},
    "mbpp": {2, 7, 82, 85, 98, 111, 140, 164, 232, 249, 295, 558, 579, 581, 769},
}
STRIDE = {"humaneval": 8, "mbpp": 16}
# Kinds that pass in EvalPlus and are wrong: the first asks an object of the program whether it is
# the answer, the second reads the answer out of EvalPlus's own frame.
FALSE_PASSES = {"equals everything", "walks the frames"}
# The task whose every solution, the reference too, fails in EvalPlus 0.3.1: its oracle for roots of
# a polynomial goes on to the next input before it counts the one that passed.
FALSE_FAILS = {"HumanEval/32"}


def chosen(shared_data, family: str) -> list[dict]:
    with gzip.open(shared_data / FILES[family], "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        row
        for index, row in enumerate(rows)
        if index % STRIDE[family] == 0 or int(row["task_id"].split("/")[1]) in SPECIAL[family]
    ]


@pytest.mark.slow
@pytest.mark.exclusive  # EvalPlus judges by wall time
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", ["humaneval", "mbpp"])
def test_verdicts_are_evalplus_own(evalplus_python, shared_data, tmp_path, family):
    from semcoder_jax.evaluation.benchmarks.evalplus import EvalPlus, read_tasks

    rows = chosen(shared_data, family)
    samples = [sample for row in rows for sample in evalplus_peer.samples(row)]
    peer = evalplus_peer.verdicts(family, rows, samples, tmp_path)
    benchmark = EvalPlus(
        read_tasks(family, tmp_path / f"{family}.jsonl"), family, cache=tmp_path / "cache"
    )
    try:
        with Sandbox() as sandbox:
            ours = benchmark.verdicts([(s.task, s.program) for s in samples], sandbox)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    differing = []
    for sample, told in zip(samples, peer, strict=True):
        base, plus = ours[sample.task, sample.program]
        if (base.right, plus.right) != told:
            is_false_pass = sample.kind in FALSE_PASSES and not base.right
            is_false_fail = sample.task in FALSE_FAILS and told == (False, False)
            if not is_false_pass and not is_false_fail:
                differing.append((sample.task, sample.kind, told, base, plus))
    assert not differing, f"{len(differing)} of {len(samples)}: {differing[:5]}"
    # The comparison means something: every sort occurs, and both verdicts do.
    kinds = Counter(sample.kind for sample in samples)
    assert kinds["mutant"] >= len(rows) and set(kinds) >= FALSE_PASSES
    passed = sum(plus for _, plus in peer)
    assert len(rows) <= passed <= len(samples) - len(rows)
    references = {
        sample.task: (ours[sample.task, sample.program][1].right, told[1])
        for sample, told in zip(samples, peer, strict=True)
        if sample.kind == "reference"
    }
    assert all(right for right, _ in references.values())
    assert {task for task, (_, passed) in references.items() if not passed} == {
        row["task_id"] for row in rows if row["task_id"] in FALSE_FAILS
    }


TEXTS = {  # what a model may write after "def f(x):" and its docstring
    "body": "    return g(x) + 1\n\ndef g(x):\n    return x\n",
    "prose behind": "    return x\n\nThis function returns its argument.\n",
    "test behind": "    return x\n\nassert f(1) == 1\nprint(f(2))\n",
    "main behind": "    return x\n\nif __name__ == '__main__':\n    print(f(1))\n",
    "twice": "    return 1\n\ndef f(x):\n    return 2\n",
    "no return": "    print(x)\n\ndef g(x):\n    return f(x)\n",
    "imports": "    return math.floor(x)\n\nimport math\nfrom os import path\n",
    "constant": "    return LIMIT + x\n\nLIMIT = 3\nOTHER = 4\n",
    "class": "    return A(x).y\n\nclass A:\n    def __init__(self, y):\n        self.y = y\n",
    "cut off": "    if x:\n        return [1, 2\n",
    "nothing": "",
    "unreached": "    return x\n\ndef other():\n    return 1\n",
    "decorated": "    return x\n\n@staticmethod\ndef g(x):\n    return x\n",
}


@pytest.mark.slow
def test_programs_are_sanitized_as_evalplus_does(evalplus_python):
    from semcoder_jax.evaluation.benchmarks.solutions import sanitize

    programs = {name: f'def f(x):\n    """Doc."""\n{text}' for name, text in TEXTS.items()}
    ours = {name: sanitize(program, "f").strip() for name, program in programs.items()}
    assert ours == dict(zip(programs, evalplus_peer.sanitized(programs.values(), "f"), strict=True))
