"""Tests refinement rounds through a store: scores by round, continued after a kill, no leaks."""

import pytest

from data_pipeline.execution.oracles import is_exact
from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.harness import row_seed
from semcoder_jax.evaluation.refine import humaneval_task
from semcoder_jax.evaluation.refine_harness import ask_rounds, run_refinement
from semcoder_jax.evaluation.results import Answer
from semcoder_jax.evaluation.store import GenerationStore, StoredRows, read_store
from semcoder_jax.inference.generate import Generation, SamplingParams
from tests.support.marked_problems import HIDDEN, REFERENCE, humaneval_row

PARAMS = SamplingParams(max_new_tokens=100)
PARAMS_SAMPLED = SamplingParams(max_new_tokens=100, temperature=0.5)
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


class Guessing(Answering):
    """Answers each first prompt anew: x + 1, x + 2, x * 2 for t1; t0 is right at once."""

    def say(self, prompt, seed):
        return body("x * 2") if seed == self.right else body(f"x + {1 + len(self.prompts)}")


def test_resampling_asks_the_first_prompt_until_the_visible_tests_pass(tmp_path, sandbox):
    benchmark = Doubling()
    benchmark.refine_tasks = benchmark.refine_tasks[1:2]
    source = Guessing()
    source.right = row_seed("t1 round 2", 0)

    def turns(source):
        with GenerationStore(tmp_path / "g.jsonl", {}) as store:
            return ask_rounds(
                benchmark, source, PARAMS_SAMPLED, store, sandbox, rounds=9, strategy="resample",
                progress=None,
            ).turns  # fmt: skip

    found = turns(source)
    assert source.prompts == [benchmark.refine_tasks[0].prompt] * 3  # rounds 0, 1 and 2
    assert source.stops == [("\n```",)] * 3
    assert [turn.code for turn in found[:3]] == [body("x + 2"), body("x + 3"), body("x * 2")]
    assert {turn.code for turn in found[2:]} == {body("x * 2")} and len(found) == 10
    assert [bool(turn.prompt) for turn in found] == [True] * 3 + [False] * 7
    assert turns(None) == found  # every answer has a row of its own


class Stubborn(Answering):
    """Repairs nothing: every answer holds the same wrong program."""

    def say(self, prompt, seed):
        return f"[Refined]\n```python\n{body('x + 1')}```\n" if "x + 1" in prompt else body("x + 1")


@pytest.mark.parametrize(("temperature", "asked"), [(0.0, 2), (0.7, 4)])
def test_a_repeated_repair_is_asked_anew_only_at_a_temperature(
    tmp_path, sandbox, temperature, asked
):
    benchmark, source = Doubling(), Stubborn()
    benchmark.refine_tasks = benchmark.refine_tasks[:1]
    params = SamplingParams(max_new_tokens=100, temperature=temperature)
    with GenerationStore(tmp_path / "g.jsonl", {}) as store:
        ask_rounds(benchmark, source, params, store, sandbox, rounds=3, progress=None)
    assert len(source.prompts) == asked
