"""Evaluation of one benchmark in two steps: generate responses, then score them.

    result = generate(benchmark, source, params, store, ...)       # needs a model or a full store
    run = score_generations(benchmark, result.responses, sandbox)  # needs no model

A benchmark may also read responses from a file (`read_generations`). Every benchmark in
`semcoder_jax.evaluation.benchmarks` implements the protocol `Benchmark`.
"""

import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.generators import GenerationSource, Question, ask
from semcoder_jax.evaluation.reasoning import with_claims
from semcoder_jax.evaluation.results import Answer, EvaluationRun, Reference, scores
from semcoder_jax.evaluation.store import GenerationStore
from semcoder_jax.inference.generate import SamplingParams

MODES = ("compat", "fixed")


@dataclasses.dataclass(frozen=True)
class Response:
    """A model's response to one task, to be judged in `mode`; `text` is None if it is missing.

    Two fields are for responses from other programs' files: `whole` is prompt and response as
    one text, if the file has both; `is_answer` says that `text` is only the extracted answer.
    """

    task: str
    sample: int
    variant: str
    mode: str
    text: str | None
    finish_reason: str = ""
    whole: str | None = None
    is_answer: bool = False


class Benchmark(Protocol):
    """Provides tasks, renders their prompts and judges the answers.

    name: identifier in configs and files, such as "cruxeval_output".
    variants: supported prompt variants, such as ("monologue", "direct").
    modes: the supported members of MODES.
    stop: strings that end a generation.
    references: title of a score ("CRUXEval-O") -> published figures.

    Optional methods:
      `read_generations(path, *, variants, modes, samples) -> (Sequence[Response], notes)`: reads a
        file of generations in the format of the benchmark's authors. Returns at least one
        Response for every question, with text None if the file has none. Raises a UserError.
      `notes_on(answers) -> Sequence[str]`: findings over all answers, one line each.
      `run_of(answer) -> (program, call) | None`: returns the run that the monologue in
        `answer.text` describes, or None. The harness verifies every step against that run.
    """

    name: str
    variants: tuple[str, ...]
    modes: tuple[str, ...]
    stop: tuple[str, ...]
    references: Mapping[str, Sequence[Reference]]

    @property
    def task_ids(self) -> Sequence[str]: ...

    def prompt(self, task_id: str, variant: str, mode: str) -> str: ...

    def judge(self, responses: Iterable[Response], sandbox: Sandbox | None) -> Iterator[Answer]:
        """Yields at least one answer for each response, in order (two for HumanEval)."""
        ...


def questions(
    benchmark: Benchmark, variants: Sequence[str], modes: Sequence[str], samples: int
) -> list[tuple[Response, Question]]:
    """Lists all questions to ask. Modes with byte-identical prompts share a question."""
    return [
        (
            Response(task, sample, variant, mode, None),
            Question(task, sample, benchmark.prompt(task, variant, mode), row_seed(task, sample)),
        )
        for variant in variants
        for mode in modes
        for task in benchmark.task_ids
        for sample in range(samples)
    ]


def row_seed(task: str, sample: int) -> int:
    """Returns the random seed of a generation; it depends on the task and the sample only."""
    return zlib.crc32(f"{task}#{sample}".encode()) & 0x7FFFFFFF


@dataclasses.dataclass(frozen=True)
class GenerationResult:
    """Responses in the order of `questions`, and the throughput of those generated in this call."""

    responses: tuple[Response, ...]
    tokens_per_second: float | None


def generate(
    benchmark: Benchmark,
    source: GenerationSource | None,
    params: SamplingParams,
    store: GenerationStore,
    *,
    variants: Sequence[str],
    modes: Sequence[str] = MODES,
    samples: int = 1,
    progress: str | None = "generating",
) -> GenerationResult:
    """Generates the responses that the store lacks.

    Without a source, missing responses keep the text None.
    """
    params = dataclasses.replace(params, stop=tuple(dict.fromkeys((*params.stop, *benchmark.stop))))
    wanted = questions(benchmark, variants, modes, samples)
    asked = ask([question for _, question in wanted], source, params, store, progress=progress)
    responses = []
    for blank, question in wanted:
        if found := asked.generations.get(question.key):
            blank = dataclasses.replace(blank, text=found.text, finish_reason=found.finish_reason)
        responses.append(blank)
    speed = asked.new_tokens / asked.seconds if asked.new_tokens else None
    return GenerationResult(tuple(responses), speed)


def responses_from_rows(
    benchmark: Benchmark,
    rows: Mapping[str, Mapping[str, Any]],
    *,
    variants: Sequence[str],
    modes: Sequence[str],
    samples: int,
) -> tuple[tuple[Response, ...], tuple[str, ...]]:
    """Returns (responses, notes) for the benchmark's questions from the rows of a store."""
    responses, used = [], set()
    for blank, question in questions(benchmark, variants, modes, samples):
        row = rows.get(question.key)
        if row is not None:
            used.add(question.key)
            blank = dataclasses.replace(blank, text=row["text"], finish_reason=row["finish_reason"])
        responses.append(blank)
    notes = []
    if missing := sum(one.text is None for one in responses):
        notes.append(
            f"{missing:,} of {len(responses):,} questions have no generation: wrong answers"
        )
    if unused := len(rows.keys() - used):
        notes.append(f"{unused:,} of {len(rows):,} generations answer none of these questions")
    return tuple(responses), tuple(notes)


def score_generations(
    benchmark: Benchmark,
    responses: Sequence[Response],
    sandbox: Sandbox | None = None,
    *,
    model: str,
    identity: Mapping[str, Any],
    ks: Sequence[int] = (1,),
    notes: Sequence[str] = (),
    tokens_per_second: float | None = None,
    progress: str | None = "judging",
) -> EvaluationRun:
    """Judges every response and computes the scores; a missing response is a wrong answer."""
    bar = tqdm(total=len(responses), desc=progress, unit="answer", disable=progress is None)
    answers: list[Answer] = []

    def with_progress() -> Iterator[Response]:
        for one in responses:
            yield one
            bar.update()

    with bar:
        answers.extend(benchmark.judge(with_progress(), sandbox))
    if (run_of := getattr(benchmark, "run_of", None)) is not None:
        runs = [run_of(answer) for answer in answers]
        answers = with_claims(answers, runs, sandbox, progress=progress and "verifying")
    if (notes_on := getattr(benchmark, "notes_on", None)) is not None:
        notes = (*notes, *notes_on(answers))
    return EvaluationRun(
        name=benchmark.name,
        model=model,
        identity=dict(identity),
        answers=tuple(answers),
        scores=scores(answers, ks),
        references={name: tuple(values) for name, values in benchmark.references.items()},
        notes=tuple(notes),
        tokens_per_second=tokens_per_second,
    )
