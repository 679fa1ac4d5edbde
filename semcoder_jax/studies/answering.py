"""Asks a model about held-out functions in one form of response, and judges its answers."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.execution.service import Sandbox
from data_pipeline.files import read_rows, write_rows
from data_pipeline.forms import Form
from data_pipeline.forms.form import ANSWER_OPENING
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import PyXRecord
from data_pipeline.source.calls import parse_value
from data_pipeline.source.literals import LiteralError, same_value
from data_pipeline.tracing import Trace
from semcoder_jax.evaluation.benchmarks import heldout, heldout_backward
from semcoder_jax.evaluation.generators import ModelSource, generate_in_order
from semcoder_jax.evaluation.harness import judge_all
from semcoder_jax.evaluation.reasoning import trace_runs
from semcoder_jax.evaluation.response import Response
from semcoder_jax.evaluation.results import RIGHT, WRONG
from semcoder_jax.inference.generate import Generation, SamplingParams
from semcoder_jax.loading import LoadedModel

PROBLEMS = "problems.jsonl"  # of all levels, in the benchmarks' format
_FIELDS = ("id", "program", "call", "output")


@dataclasses.dataclass(frozen=True)
class Problems:
    """Held-out functions: their rows by id, their runs by id, and the benchmark of the way back.

    A row is {"id", "program", "call", "output", "level", "steps", "turns"}.
    """

    rows: Mapping[str, Mapping[str, Any]]
    traces: Mapping[str, Trace]
    backward: heldout_backward.HeldoutBackward


def read_problems(paths: Sequence[Path], folder: Path, *, trusted: bool) -> Problems:
    """Reads the problems of all levels and runs each once; `trusted` as in heldout.read_problems.

    Writes them to `folder` in the benchmarks' own format. Raises a UserError for a bad row.
    """
    rows = {row["id"]: row for path in paths for _, row in read_rows(path)}
    joined = folder / PROBLEMS
    write_rows(joined, ({name: row[name] for name in _FIELDS} for row in rows.values()))
    traces = {each.id: each.trace for each in heldout.read_problems(joined, trusted=trusted)}
    backward = heldout_backward.HeldoutBackward(heldout_backward.read_problems(joined))
    return Problems(rows, traces, backward)


@dataclasses.dataclass(frozen=True)
class AskOptions:
    """How answers are sampled: greedily, `batch_size` together, at most `max_new_tokens` long."""

    batch_size: int
    max_new_tokens: int


def ask(
    model: LoadedModel, form: Form, problems: Problems, ids: Sequence[str], options: AskOptions
) -> list[dict[str, Any]]:
    """Returns a row for each problem in `ids`: the response, its verdict and its checked steps.

    A forward answer is right if it is the value that the call returns; a backward one if its call
    returns the given value.
    """
    generations = _generate(model, [_prompt(form, problems.rows[id]) for id in ids], options)
    judge = _judge_forward if form.task == "forward" else _judge_backward
    return [
        {
            "id": id,
            "level": problems.rows[id]["level"],
            "steps": problems.rows[id]["steps"],
            "right": verdict.outcome == RIGHT,
            "outcome": verdict.outcome,
            "tokens": len(generation.tokens),
            "finish_reason": generation.finish_reason,
            **_count_steps(form, verdict.run, generation.text),
            "response": generation.text,
        }
        for id, generation, verdict in zip(
            ids, generations, judge(form, problems, ids, generations), strict=True
        )
    ]


def _prompt(form: Form, row: Mapping[str, str]) -> str:
    field = form.prompt_field(row["program"], row["call"], row["output"])
    fields = dict.fromkeys(("fwd_mnl", "bwd_mnl"), "") | {form.kind: field}
    return training_prompt(PyXRecord(id=row["id"], nl="", response=row["output"], **fields))


def _generate(
    model: LoadedModel, prompts: Sequence[str], options: AskOptions
) -> Sequence[Generation]:
    """Returns greedy generations, which depend on the parameters alone: no speculation."""
    source = ModelSource(model, {}, name="study", batch_size=options.batch_size, speculation="off")
    params = SamplingParams(max_new_tokens=options.max_new_tokens, stop=(heldout.STOP,))
    return generate_in_order(source, prompts, params, row_seeds=range(len(prompts)))


@dataclasses.dataclass(frozen=True)
class _Verdict:
    """What becomes of an answer: its outcome, and the steps that its run confirms or contradicts.

    run: the program's run that the steps are held against; None if there is none.
    """

    outcome: str
    run: Trace | None


def _judge_forward(
    form: Form, problems: Problems, ids: Sequence[str], generations: Sequence[Generation]
) -> list[_Verdict]:
    """Compares values; the steps are held against the run of the question."""
    verdicts = []
    for id, generation in zip(ids, generations, strict=True):
        text = f"{form.opening}\n{generation.text}"
        answer = heldout.extract_answer(text, finished=generation.finish_reason == "stop")
        outcome = "no answer"
        if answer is not None:
            outcome = RIGHT if _is_right(answer, problems.rows[id]["output"]) else WRONG
        verdicts.append(_Verdict(outcome, problems.traces[id]))
    return verdicts


def _is_right(answer: str, output: str) -> bool:
    """Whether two literals have the same value and type."""
    try:
        return same_value(parse_value(answer), parse_value(output))
    except LiteralError:
        return False


def _judge_backward(
    form: Form, problems: Problems, ids: Sequence[str], generations: Sequence[Generation]
) -> list[_Verdict]:
    """Runs the calls; the steps are held against the run of the answer's own call."""
    variant = "direct" if form.opening == ANSWER_OPENING else "monologue"
    responses = [
        Response(id, 0, variant, "fixed", text=each.text, finish_reason=each.finish_reason)
        for id, each in zip(ids, generations, strict=True)
    ]
    with Sandbox() as sandbox:
        answers = judge_all(problems.backward, responses, sandbox, progress=None)
        runs = [problems.backward.run_of(answer) for answer in answers]
        traces = trace_runs([run for run in runs if run is not None], sandbox, progress=None)
    return [
        _Verdict(answer.outcome, traces.get(run) if run else None)
        for answer, run in zip(answers, runs, strict=True)
    ]


def _count_steps(form: Form, run: Trace | None, response: str) -> dict[str, int]:
    """Counts the steps that can be held against a run, and those that it contradicts."""
    if run is None:
        return {"checked": 0, "contradicted": 0}
    count = form.count_steps(run, response)
    return {"checked": count.judged, "contradicted": count.contradicted}
