"""Tests refinement rounds through a store: scores by round, continued after a kill, no leaks."""

import pytest

from data_pipeline.execution.oracles import is_exact
from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.harness import row_seed
from semcoder_jax.evaluation.refine import humaneval_task
from semcoder_jax.evaluation.refine_harness import run_refinement
from semcoder_jax.evaluation.results import Answer
from semcoder_jax.evaluation.store import GenerationStore, StoredRows, read_store
from semcoder_jax.inference.generate import Generation, SamplingParams
from tests.support.marked_problems import HIDDEN, REFERENCE, humaneval_row

PARAMS = SamplingParams(max_new_tokens=100)
STEP = "1. [L6] x=2 + 1 gives y=3.\n"  # true of x + 1; of any other body it is wrong


class Doubling:
    """A benchmark of one function under three names; hidden test: double(7) == 14."""

    name, modes, stop, references = "doubling", ("fixed",), ("\n```",), {}

    def __init__(self):
        rows = [humaneval_row() | {"task_id": f"t{i}"} for i in range(3)]
        rows[2] |= {"prompt": 'def double(x):\n    """ Twice. """\n'}  # shows no test
        self.refine_tasks = [humaneval_task(row) for row in rows]

    def solution(self, said):
        return said.text or None

    def judge_solutions(self, solutions, sandbox):
        for said, program in solutions:
            right = program is not None and is_exact(sandbox.call(program, "double(7)"), 14)
            yield Answer(
                said.task, said.sample, "Doubling", said.variant, said.mode,
                "right" if right else "wrong", program, "", "", "", said.text, said.finish_reason,
            )  # fmt: skip


def body(text):
    return f"def double(x):\n    y = {text}\n    return y\n"


class Answering:
    """t0: right at once; t1: wrong, explained truly and repaired wrongly, then, explained wrongly,
    repaired; t2: wrong, and nothing shows it."""

    name, identity = "scripted", {}

    def __init__(self, limit=None):
        self.prompts, self.limit, self.stops = [], limit, []

    def stream(self, prompts, params, *, row_seeds, progress):
        for i, prompt in enumerate(prompts):
            if len(self.prompts) == self.limit:
                raise KeyboardInterrupt
            self.prompts.append(prompt)
            self.stops.append(params.stop)
            yield i, Generation(self.say(prompt, row_seeds[i]), (), "stop")

    def say(self, prompt, seed):
        if "x + 1" in prompt:
            return f"{STEP}[Refined]\n```python\n{body('x * x * x')}```\n"
        if "x * x * x" in prompt:
            return f"{STEP}[Refined]\n```python\n{body('x + x')}```\n"
        return None


class First(Answering):
    def __init__(self, seeds, limit=None):
        super().__init__(limit)
        self.first = seeds

    def say(self, prompt, seed):
        return super().say(prompt, seed) or self.first[seed]


def seeds():
    return {
        row_seed("t0", 0): body("2 * x"),
        row_seed("t1", 0): body("x + 1"),
        row_seed("t2", 0): body("x + 9"),
    }


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def run(source, path, sandbox, rounds=3):
    with GenerationStore(path, {"model": "scripted"}) as store:
        return run_refinement(
            Doubling(), source, PARAMS, store, sandbox, name="doubling_refine", rounds=rounds,
            model="scripted", identity={}, progress=None,
        )  # fmt: skip


def test_scores_by_round_with_the_explanations_verified(tmp_path, sandbox):
    source = First(seeds())
    found = run(source, tmp_path / "g.jsonl", sandbox)
    assert [(s.variant, s.right, s.samples) for s in found.scores] == [
        ("round 0", 1, 3), ("round 1", 1, 3), ("round 2", 2, 3), ("round 3", 2, 3),
    ]  # fmt: skip
    assert len(source.prompts) == 3 + 1 + 1  # only what fails a visible test is asked again
    assert source.stops == [("\n```",)] * 3 + [("[/Refined]",)] * 2
    assert found.scores[0].reasoning is None
    first, second = (score.reasoning for score in found.scores[1:3])
    assert (first.monologues, first.sound, first.right_by_wrong) == (1, 1, 0)
    assert (second.monologues, second.sound, second.right_by_wrong) == (1, 0, 1)
    assert found.notes == ("1 of 3 problems show no test: asked once",)
    repair = next(a for a in found.answers if a.variant == "round 1" and a.task == "t1")
    assert "# double(2) returns 3" in repair.question and STEP in repair.text
    assert not any(mark in prompt for prompt in source.prompts for mark in (HIDDEN, REFERENCE))
    assert not any("double(7)" in prompt for prompt in source.prompts)


def test_a_killed_refinement_goes_on_in_its_round(tmp_path, sandbox):
    whole = run(First(seeds()), tmp_path / "whole.jsonl", sandbox)
    for limit in range(5):
        path = tmp_path / f"{limit}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            run(First(seeds(), limit), path, sandbox)
        rest = First(seeds())
        assert run(rest, path, sandbox).answers == whole.answers
        assert len(rest.prompts) == 5 - limit
    # All is there: judged again without anyone to ask, and without a store to write to.
    assert run(None, tmp_path / "whole.jsonl", sandbox).answers == whole.answers
    _, rows = read_store(tmp_path / "whole.jsonl")
    again = run_refinement(
        Doubling(), None, PARAMS, StoredRows(rows), sandbox, name="", rounds=3, model="",
        identity={}, progress=None,
    )  # fmt: skip
    assert again.answers == whole.answers


def test_without_generations_every_task_counts(tmp_path, sandbox):
    found = run(None, tmp_path / "empty.jsonl", sandbox, rounds=1)
    assert [(s.right, s.samples) for s in found.scores] == [(0, 3), (0, 3)]
