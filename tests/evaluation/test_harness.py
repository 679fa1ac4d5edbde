"""Tests the evaluation of a small benchmark: shared generations, counts, verified monologues."""

from data_pipeline.execution.service import Sandbox
from data_pipeline.monologue.forward import forward_monologue
from data_pipeline.tracing import trace_call
from semcoder_jax.evaluation.benchmarks import cruxeval
from semcoder_jax.evaluation.generators import REFUSED, ModelSource
from semcoder_jax.evaluation.harness import (
    Response,
    generate,
    questions,
    responses_from_rows,
    row_seed,
    score_generations,
)
from semcoder_jax.evaluation.results import Answer
from semcoder_jax.evaluation.store import GenerationStore, read_store
from semcoder_jax.inference.generate import Generation, SamplingParams
from semcoder_jax.loading import load_model
from tests.support.tiny_checkpoint import write_checkpoint

PROGRAM = "def f(x):\n    y = x + 1\n    return y\n"
HANGS = "def f(x):\n    while True:\n        x = x + 1\n"
PARAMS = SamplingParams(max_new_tokens=8)


class Sums:
    """Two tasks; "compat" asks the first in other bytes and the second in the same."""

    name, variants, modes, stop, references = (
        "sums",
        ("monologue",),
        ("compat", "fixed"),
        ("!",),
        {},
    )
    task_ids = ("a", "b")

    def __init__(self, program=PROGRAM):
        self.program = program

    def prompt(self, task_id, variant, mode):
        return f"{task_id}'" if (task_id, mode) == ("a", "compat") else f"{task_id}"

    def judge(self, said, sandbox):
        for one in said:
            outcome = "missing" if one.text is None else "right" if "4" in one.text else "wrong"
            yield Answer(
                one.task, one.sample, "Sums", one.variant, one.mode, outcome, one.text, "", "", "",
                one.text or "", one.finish_reason,
            )  # fmt: skip

    def run_of(self, answer):
        return (self.program, "f(3)") if answer.text else None


class Scripted:
    name, identity = "scripted", {}

    def __init__(self, text="4"):
        self.asked, self.text = [], text

    def stream(self, prompts, params, *, row_seeds, progress):
        self.asked += list(zip(prompts, row_seeds, strict=True))
        assert params.stop == ("!",)
        for i in reversed(range(len(prompts))):
            yield i, Generation(self.text, (1, 2), "stop")


def generated(path, source, **options):
    with GenerationStore(path, {}) as store:
        return generate(
            Sums(), source, PARAMS, store, variants=("monologue",), progress=None, **options
        )


def test_modes_that_ask_in_the_same_bytes_share_a_generation(tmp_path):
    source = Scripted()
    found = generated(tmp_path / "g.jsonl", source, samples=2)
    assert sorted(prompt for prompt, _ in source.asked) == ["a", "a", "a'", "a'", "b", "b"]
    assert [(s.mode, s.task, s.sample) for s in found.responses] == [
        (mode, task, sample) for mode in ("compat", "fixed") for task in "ab" for sample in (0, 1)
    ]
    assert all(s.text == "4" and s.finish_reason == "stop" for s in found.responses)
    assert found.tokens_per_second > 0
    again = Scripted()
    assert generated(tmp_path / "g.jsonl", again, samples=2).responses == found.responses
    assert again.asked == []
    more = Scripted()
    generated(tmp_path / "g.jsonl", more, samples=3)
    assert {seed for _, seed in more.asked} == {row_seed("a", 2), row_seed("b", 2)}


def test_a_sample_has_the_same_random_stream_in_any_company():
    seeds = {q.seed for _, q in questions(Sums(), ("monologue",), ("fixed",), 50)}
    assert len(seeds) == 100
    assert questions(Sums(), ("monologue",), ("fixed",), 1)[1][1].seed == row_seed("b", 0)


def test_rows_of_a_file_that_fit_nothing_are_told(tmp_path):
    generated(tmp_path / "g.jsonl", Scripted(), samples=2, modes=("compat",))
    _, rows = read_store(tmp_path / "g.jsonl")
    asked = {"variants": ("monologue",), "modes": ("fixed",)}
    said, notes = responses_from_rows(Sums(), rows, **asked)
    # "a" was asked in other bytes; the rows have two samples of each
    assert [one.text for one in said] == [None, None, "4", "4"]
    assert notes == (
        "2 of 4 questions have no generation: wrong answers",
        "2 of 4 generations answer none of these questions",
    )


def test_every_monologue_is_held_against_its_run(tmp_path):
    trace = trace_call(PROGRAM, "f(3)")
    true = forward_monologue(trace)
    opening, steps = true.split("### Execution Simulation")
    false = f"{opening}### Execution Simulation{steps.replace('4', '5', 1)}"
    assert true != false
    with Sandbox(workers=1) as sandbox:
        for text, sound, kind in ((true, 1, {}), (false, 0, {"value": 1})):
            source = Scripted(text)
            said = generated(tmp_path / f"{sound}.jsonl", source, modes=("fixed",)).responses
            silent = [*said, *(s for s in generated(tmp_path / "no.jsonl", None).responses)]
            run = score_generations(
                Sums(), silent[:3], sandbox, model="m", identity={}, progress=None
            )
            reasoning = run.scores[0].reasoning
            assert reasoning.monologues == 2 and reasoning.sound == 2 * sound
            assert {k: n // 2 for k, n in reasoning.first_wrong.items()} == kind
            assert run.answers[2].claims is None and run.answers[2].outcome == "missing"
        hanging = score_generations(
            Sums(HANGS), said, sandbox, model="m", identity={}, progress=None
        )
        assert all(answer.claims is not None for answer in hanging.answers)


def test_what_cannot_be_asked_is_an_answer_that_says_nothing(tmp_path):
    """A prompt that fills the context is counted, and stops nobody."""
    model = load_model(write_checkpoint(tmp_path / "checkpoint", max_positions=64))
    source = ModelSource(model, {}, name="m", batch_size=4)
    prompts = ["a", "def f(x): " * 200, "b"]
    found = dict(source.stream(prompts, PARAMS, row_seeds=[1, 2, 3], progress=None))
    assert sorted(found) == [0, 1, 2]
    assert found[1] == Generation("", (), REFUSED)
    assert all(found[i].finish_reason != REFUSED for i in (0, 2))


def test_a_monologue_without_a_run_still_counts():
    """A backward one that found no call: it is one of the monologues, with nothing confirmed."""
    program = "def f(x):\n    return x\n"
    problem = cruxeval.CruxEvalProblem("sample_0", program, "3", "3", "f")
    said = [
        Response("sample_0", 0, "monologue", "fixed", text, "stop")
        for text in ("no idea", "[ANSWER]\nassert f(3) == 3\n", None)
    ]
    bare = [Response("sample_0", 0, "monologue", "fixed", "f(3)", is_answer=True)]
    benchmark = cruxeval.CruxEval([problem], "input")
    with Sandbox(workers=1) as sandbox:
        run = score_generations(benchmark, said, sandbox, model="m", identity={}, progress=None)
        answers = score_generations(benchmark, bare, sandbox, model="m", identity={}, progress=None)
    reasoning = run.scores[0].reasoning
    assert (reasoning.monologues, reasoning.sound, reasoning.unchecked) == (2, 0, 2)
    assert answers.scores[0].reasoning is None and answers.scores[0].right == 1
