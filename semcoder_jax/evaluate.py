"""Does the model say what a program does? Held-out functions, with and without the monologue.

    python -m semcoder_jax.evaluate --config=configs/eval/heldout.py --checkpoint=DIR \\
        --workdir=DIR [--config.data=problems.jsonl] [--json=FILE]

A problem is a row {"id", "program", "call", "output"}: what does ``call`` return? Its program must
be trusted: the run that answers are held against is made in this process. A right answer is a
literal of the same value and type; an answer that is missing or malformed is a wrong one and
stays in the count. Beside the answers, every monologue's steps are verified.

Generations are kept in WORKDIR/generations.jsonl as they end; the same command goes on from them.
"""

import dataclasses
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from data_pipeline.literals import LiteralError, literal_end, parse_literal, same_value
from data_pipeline.prompts import PromptError, forward_prompt
from data_pipeline.tracing import Trace
from data_pipeline.verify import CONTRADICTED, Claim, VerifyError, marked, trace_of, verify_trace
from semcoder_jax.checkpoints import CheckpointError, Model, load_model
from semcoder_jax.command_line import CommandLineError, parse_arguments
from semcoder_jax.generations import GenerationStore, StoreError, checkpoint_identity
from semcoder_jax.hf import HFError
from semcoder_jax.report import percent, table
from semcoder_jax.sampling import Generation, SamplingError, SamplingParams, stream
from semcoder_jax.statistics import wilson_interval

ANSWER_MODES = ("monologue", "direct")
STOP = "[/ANSWER]"


class EvaluateError(ValueError):
    """Problems or a config that cannot be evaluated."""


# ==== Problems


@dataclasses.dataclass(frozen=True)
class Problem:
    """A program, a call of it, the value it returns (source text), and its run."""

    id: str
    program: str
    call: str
    output: str
    trace: Trace = dataclasses.field(repr=False)


def read_problems(path: str | Path, *, limit: int | None = None) -> list[Problem]:
    """The first ``limit`` problems of a JSONL file, each run once.

    Raises EvaluateError (file:line, field), also where a program does not give its output.
    """
    problems: dict[str, Problem] = {}
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise EvaluateError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(content.splitlines(), 1):
        if len(problems) == limit:
            break
        if line.strip():
            problem = _parse_problem(line, f"{path}:{number}")
            if problem.id in problems:
                raise EvaluateError(f"{path}:{number}: field 'id': {problem.id!r} is there twice")
            problems[problem.id] = problem
    if not problems:
        raise EvaluateError(f"{path}: no problems")
    return list(problems.values())


def _parse_problem(line: bytes, where: str) -> Problem:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EvaluateError(f"{where}: not JSON ({error})") from error
    fields = ("id", "program", "call", "output")
    if not isinstance(row, dict) or set(row) != set(fields):
        raise EvaluateError(f"{where}: expected an object with exactly {', '.join(fields)}")
    for field in fields:
        if not isinstance(row[field], str) or not row[field]:
            raise EvaluateError(f"{where}: field {field!r}: expected a non-empty string")
    try:
        trace = trace_of(row["program"], row["call"])
        expected = parse_literal(row["output"])
        real = None if trace.result is None else parse_literal(trace.result)
    except VerifyError as error:
        raise EvaluateError(f"{where}: field 'program' or 'call': {error}") from error
    except LiteralError as error:
        raise EvaluateError(f"{where}: field 'output': {error}") from error
    if trace.result is None or not same_value(expected, real):
        said = trace.result if trace.raised is None else f"raises {trace.raised}"
        raise EvaluateError(f"{where}: field 'output': {row['output']}, but the run gives {said}")
    return Problem(**row, trace=trace)


# ==== Scores


@dataclasses.dataclass(frozen=True)
class Judgement:
    """One generation held against its problem.

    Attributes:
      response: what followed the prompt, with the tag that the prompt had opened.
      answer: the predicted value's text, None where there is none to be read.
      right: the answer has the true value and type.
      claims: what the monologue says of the run (empty for a direct answer).
    """

    problem: Problem
    answer_mode: str
    response: str
    finish_reason: str
    answer: str | None
    right: bool
    claims: tuple[Claim, ...]

    @property
    def sound(self) -> bool:
        """A monologue that came to its end, with steps, none of them contradicted by the run."""
        steps = [claim for claim in self.claims if claim.kind != "answer"]
        has_flow = any(claim.kind == "flow" for claim in steps)
        ended = self.finish_reason == "stop"
        return ended and has_flow and not any(claim.verdict == CONTRADICTED for claim in steps)


@dataclasses.dataclass(frozen=True)
class Score:
    """Counts over all problems of one answer mode; ``sound`` is None for direct answers."""

    answer_mode: str
    total: int
    right: int
    without_answer: int
    sound: int | None

    @property
    def accuracy(self) -> float:
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.right, self.total)


@dataclasses.dataclass(frozen=True)
class Result:
    """All judgements, problem by problem, and what they add up to.

    ``tokens_per_second`` covers what was generated in this session; None where nothing was.
    """

    scores: tuple[Score, ...]
    judgements: tuple[Judgement, ...]
    tokens_per_second: float | None

    def score(self, answer_mode: str) -> Score:
        return next(score for score in self.scores if score.answer_mode == answer_mode)


def evaluate(
    model: Model,
    problems: Sequence[Problem],
    *,
    params: SamplingParams | None = None,
    answer_modes: Sequence[str] = ANSWER_MODES,
    batch_size: int = 128,
    store: GenerationStore | None = None,
    progress: str | None = "evaluating",
) -> Result:
    """Ask ``model`` for the output of every problem in each answer mode, and judge the answers.

    ``params`` defaults to greedy, at most 512 new tokens; rows end at [/ANSWER] in any case.
    Generations in ``store`` (ids "mode/problem") are taken from there, new ones put there.
    """
    params = params or SamplingParams(max_new_tokens=512)
    params = dataclasses.replace(params, stop=tuple(dict.fromkeys((*params.stop, STOP))))
    judgements: list[Judgement] = []
    num_tokens, seconds = 0, 0.0
    for mode in answer_modes:
        started = time.monotonic()
        label = None if progress is None else f"{progress} ({mode})"
        generations, new_tokens = _generate(model, problems, mode, params, batch_size, store, label)
        num_tokens += new_tokens
        seconds += time.monotonic() - started
        judgements += map(judge, problems, [mode] * len(problems), generations)
    return Result(
        scores=tuple(_score(mode, judgements) for mode in answer_modes),
        judgements=tuple(judgements),
        tokens_per_second=num_tokens / seconds if num_tokens else None,
    )


def _generate(
    model, problems, mode, params, batch_size, store, label
) -> tuple[list[Generation], int]:
    """Generations in the order of the problems, and how many tokens were generated now."""
    kept = {} if store is None else store.rows
    done: dict[int, Generation] = {}
    for i, problem in enumerate(problems):
        if row := kept.get(f"{mode}/{problem.id}"):
            done[i] = Generation(row["text"], (), row["finish_reason"])
    left = [i for i in range(len(problems)) if i not in done]
    prompts = [
        forward_prompt(problems[i].program, problems[i].call, answer_mode=mode) for i in left
    ]
    num_tokens = 0
    for j, generation in stream(
        model, prompts, params, batch_size=batch_size, row_seeds=left, progress=label
    ):
        done[left[j]] = generation
        num_tokens += len(generation.tokens)
        if store is not None:
            row = {"text": generation.text, "finish_reason": generation.finish_reason}
            store.append({"id": f"{mode}/{problems[left[j]].id}", **row})
    return [done[i] for i in range(len(problems))], num_tokens


def judge(problem: Problem, answer_mode: str, generation: Generation) -> Judgement:
    """Hold one generation against the run of its problem."""
    opening = "[MONOLOGUE]\n" if answer_mode == "monologue" else "[ANSWER]\n"
    response = opening + generation.text
    answer = extract_answer(response, finished=generation.finish_reason == "stop")
    return Judgement(
        problem=problem,
        answer_mode=answer_mode,
        response=response,
        finish_reason=generation.finish_reason,
        answer=answer,
        right=answer is not None and _is_right(answer, problem.output),
        claims=tuple(verify_trace(problem.trace, response)) if answer_mode == "monologue" else (),
    )


def extract_answer(response: str, *, finished: bool) -> str | None:
    """The text right of ``==`` between the last [ANSWER] and the [/ANSWER] behind it.

    Where the closing tag is missing, the answer of a ``finished`` response ends with it, and any
    other's is unknown. The ``==`` is the assertion's own, not one inside the call's arguments.
    """
    _, opened, answer = response.rpartition("[ANSWER]")
    answer, closed, _ = answer.partition(STOP)
    if not opened or not (closed or finished):
        return None
    answer = answer.strip().removeprefix("assert ")
    for match in re.finditer("==", answer):
        if _balanced(answer[: match.start()]):
            return answer[match.end() :].strip() or None
    return None


def _balanced(text: str) -> bool:
    """Whether all brackets and strings of ``text`` are closed: it is a call and no part of one."""
    start = text.find("(")
    if start < 0:
        return True
    end = literal_end(text, start)
    return end is not None and not text[end:].strip()


def _is_right(answer: str, output: str) -> bool:
    try:
        return same_value(parse_literal(answer), parse_literal(output))
    except LiteralError:
        return False


def _score(mode: str, judgements: Sequence[Judgement]) -> Score:
    own = [judgement for judgement in judgements if judgement.answer_mode == mode]
    return Score(
        answer_mode=mode,
        total=len(own),
        right=sum(judgement.right for judgement in own),
        without_answer=sum(judgement.answer is None for judgement in own),
        sound=sum(judgement.sound for judgement in own) if mode == "monologue" else None,
    )


# ==== For people and programs


def scores_table(result: Result) -> str:
    """One line an answer mode: accuracy with its interval, answers missing, sound monologues."""
    rows = []
    for score in result.scores:
        low, high = score.interval
        sound = "–" if score.sound is None else percent(score.sound / score.total)
        rows.append(
            (
                score.answer_mode,
                f"{score.right}/{score.total}",
                percent(score.accuracy),
                f"{100 * low:.1f}–{100 * high:.1f} %",
                score.without_answer,
                sound,
            )
        )
    headings = ("answer", "right", "accuracy", "95 % interval", "no answer", "no wrong step")
    return table(headings, rows)


def worked_example(result: Result) -> str:
    """The first monologue in full, each step marked: ✓ as the run, ✗ not, · cannot be checked.

    The first of the problems, right or wrong, so that nobody chooses it.
    """
    example = next(j for j in result.judgements if j.answer_mode == "monologue")
    problem = example.problem
    verdict = "right" if example.right else "wrong"
    return (
        f"{problem.program.rstrip()}\n\n{problem.call} returns {problem.output}; "
        f"the model says {example.answer or 'nothing'}: {verdict}\n\n"
        f"{marked(example.response.rstrip(), example.claims)}"
    )


def result_to_json(result: Result) -> dict[str, Any]:
    """Scores, and a row for every generation that was judged."""
    return {
        "scores": [
            {
                **dataclasses.asdict(score),
                "accuracy": score.accuracy,
                "interval": list(score.interval),
            }
            for score in result.scores
        ],
        "tokens_per_second": result.tokens_per_second,
        "answers": [
            {
                "id": judgement.problem.id,
                "answer_mode": judgement.answer_mode,
                "answer": judgement.answer,
                "output": judgement.problem.output,
                "right": judgement.right,
                "sound": judgement.sound if judgement.answer_mode == "monologue" else None,
                "finish_reason": judgement.finish_reason,
            }
            for judgement in result.judgements
        ],
    }


# ==== Command


USER_ERRORS = (
    CommandLineError,
    EvaluateError,
    StoreError,
    SamplingError,
    CheckpointError,
    HFError,
    PromptError,
)
REQUIRED_FLAGS = {
    "checkpoint": "HF directory or training workdir.",
    "workdir": "Directory of the generations.",
}
OPTIONAL_FLAGS = {"json": "File for the result."}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's mistake in one line, 130 interrupted."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    try:
        config, values = parse_arguments(argv, REQUIRED_FLAGS, OPTIONAL_FLAGS)
        result = _run(config, values["checkpoint"], values["workdir"], values["json"])
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what was generated", file=sys.stderr)
        return 130
    if any(score.answer_mode == "monologue" for score in result.scores):
        print(worked_example(result), end="\n\n")
    print(scores_table(result))
    if result.tokens_per_second:
        print(f"\n{result.tokens_per_second:,.0f} tokens/s")
    return 0


def _run(config: ConfigDict, checkpoint: str, workdir: str, json_file: str | None) -> Result:
    params, modes, batch_size, limit = _checked(config)
    data = Path(config.data or Path(checkpoint) / "corpus" / "problems.jsonl")
    problems = read_problems(data, limit=limit)
    if json_file is not None and not Path(json_file).absolute().parent.is_dir():
        raise EvaluateError(f"--json={json_file}: no such directory")
    model = load_model(checkpoint)
    run = {
        "checkpoint": checkpoint_identity(checkpoint),
        "problems": hashlib.sha256(data.read_bytes()).hexdigest(),
        "sampling": dataclasses.asdict(params),
    }
    with GenerationStore(Path(workdir) / "generations.jsonl", run) as store:
        result = evaluate(
            model, problems, params=params, answer_modes=modes, batch_size=batch_size, store=store
        )
    if json_file is not None:
        _write_whole(Path(json_file), result_to_json(result))
    return result


def _checked(config: ConfigDict) -> tuple[SamplingParams, tuple[str, ...], int, int | None]:
    modes = tuple(config.answer_modes)
    if not modes or set(modes) - set(ANSWER_MODES):
        raise EvaluateError(f"config.answer_modes={modes}: expected some of {ANSWER_MODES}")
    for field in ("batch_size", "max_problems"):
        value = config[field]
        if value is not None and value < 1:
            raise EvaluateError(f"config.{field}={value}: expected at least 1")
    try:
        params = SamplingParams(**config.sampling.to_dict())
    except TypeError as error:
        raise EvaluateError(f"config.sampling: {error}") from error
    return params, modes, config.batch_size, config.max_problems


def _write_whole(path: Path, content: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
