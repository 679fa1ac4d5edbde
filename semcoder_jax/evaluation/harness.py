"""Evaluation of one benchmark in two steps: generate responses, then score them.

    result = generate(benchmark, source, params, store, ...)       # needs a model or a full store
    run = score_generations(benchmark, result.responses, sandbox)  # needs no model

A benchmark may also read responses from a file (`read_generations`). Every benchmark in
`semcoder_jax.evaluation.benchmarks` implements the protocol `Benchmark`.
"""

import contextlib
import dataclasses
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from data_pipeline.execution.service import Sandbox
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.generators import REFUSED, GenerationSource, Question, ask
from semcoder_jax.evaluation.judging import Judging
from semcoder_jax.evaluation.reasoning import with_claims
from semcoder_jax.evaluation.response import Response
from semcoder_jax.evaluation.results import Answer, EvaluationRun, Reference, scores
from semcoder_jax.evaluation.store import GenerationStore
from semcoder_jax.inference.generate import Generation, SamplingParams

MODES = ("compat", "fixed")


class GenerationsError(UserError):
    """Raised if a file of generations answers none of the benchmark's questions."""


class Benchmark(Protocol):
    """Provides tasks, renders their prompts and judges the answers.

    name: identifier in configs and files, such as "cruxeval_output".
    variants: supported prompt variants, such as ("monologue", "direct").
    modes: the supported members of MODES.
    stop: strings that end a generation.
    references: title of a score ("CRUXEval-O") -> published figures.

    Optional methods:
      `read_generations(path, *, variants, modes) -> (Sequence[Response], notes)`: reads a
        file of generations in the format of the benchmark's authors. Returns at least one
        Response for every question, with text None if the file has none. Raises a UserError.
      `notes_on(answers) -> Sequence[str]`: findings over all answers, one line each.
      `judging(sandbox)`: a context whose `Judging` judges responses while others are generated.
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
    on_response: Callable[[Response], object] = lambda response: None,
) -> GenerationResult:
    """Generates the responses that the store lacks.

    Without a source, missing responses keep the text None. `on_response` is called with each
    response as it ends, those of the store first.
    """
    params = dataclasses.replace(params, stop=tuple(dict.fromkeys((*params.stop, *benchmark.stop))))
    wanted = questions(benchmark, variants, modes, samples)
    blanks: dict[str, list[Response]] = {}
    for blank, question in wanted:
        blanks.setdefault(question.key, []).append(blank)

    def tell(key: str, generation: Generation) -> None:
        for blank in blanks[key]:
            on_response(_filled(blank, generation))

    asked = ask(
        [question for _, question in wanted],
        source,
        params,
        store,
        progress=progress,
        on_answer=tell,
    )
    responses = tuple(
        _filled(blank, asked.generations.get(question.key)) for blank, question in wanted
    )
    speed = asked.new_tokens / asked.seconds if asked.new_tokens else None
    return GenerationResult(responses, speed)


def _filled(blank: Response, generation: Generation | None) -> Response:
    if generation is None:
        return blank
    return dataclasses.replace(blank, text=generation.text, finish_reason=generation.finish_reason)


def responses_from_rows(
    benchmark: Benchmark,
    rows: Mapping[str, Mapping[str, Any]],
    *,
    variants: Sequence[str],
    modes: Sequence[str],
    where: str | Path = "the store",
) -> tuple[tuple[Response, ...], tuple[str, ...]]:
    """Returns (responses, notes) for the benchmark's questions from the rows of a store.

    The store's rows decide the number of samples. Raises GenerationsError, which names `where`,
    if no row answers a question.
    """
    responses, used = [], set()
    samples = 1 + max((row.get("sample", 0) for row in rows.values()), default=0)
    asked = questions(benchmark, variants, modes, samples)
    if not any(question.key in rows for _, question in asked):
        raise GenerationsError(
            f"{where}: none of its {len(rows):,} generations answers a question of "
            f"{benchmark.name}; expected ids (task, sample, digest of the prompt) "
            f"{list_ids(question.key for _, question in asked)}"
        )
    for blank, question in asked:
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
    judging: Judging | None = None,
    progress: str | None = "judging",
) -> EvaluationRun:
    """Judges every response and computes the scores; a missing response is a wrong answer.

    `judging` may hold responses that are being judged already.
    """
    with contextlib.ExitStack() as stack:
        judging = judging or stack.enter_context(open_judging(benchmark, sandbox))
        answers = judge_all(benchmark, responses, sandbox, judging=judging, progress=progress)
        if judging is not None:
            notes = (*notes, *judging.notes())
    notes = (*notes, *refusal_notes([response.finish_reason for response in responses]))
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


def refusal_notes(finish_reasons: Sequence[str]) -> list[str]:
    """Returns a line that counts refused prompts, for these finish reasons; none without such."""
    refused = finish_reasons.count(REFUSED)
    if not refused:
        return []
    return [
        f"{refused:,} of {len(finish_reasons):,} prompts were refused (too long, or rejected by "
        "the server): wrong answers, which are kept"
    ]


def open_judging(
    benchmark: Benchmark, sandbox: Sandbox | None
) -> contextlib.AbstractContextManager[Judging | None]:
    """Opens the benchmark's `judging`; None for a benchmark that judges in this thread."""
    opened = getattr(benchmark, "judging", None)
    return contextlib.nullcontext() if opened is None else opened(sandbox)


def judge_all(
    benchmark: Benchmark,
    responses: Sequence[Response],
    sandbox: Sandbox | None,
    *,
    judging: Judging | None = None,
    progress: str | None = "judging",
) -> list[Answer]:
    """Returns the answers to all responses, in order; `judging`: see `score_generations`."""
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=len(responses), desc=progress, unit="answer", disable=progress is None)
        )
        judging = judging or stack.enter_context(open_judging(benchmark, sandbox))
        if judging is None:
            return list(benchmark.judge(_counted(responses, bar), sandbox))
        lock = threading.Lock()

        def count(_: object) -> None:
            with lock:
                bar.update()

        futures = [judging.submit(response) for response in responses]
        for future in futures:
            future.add_done_callback(count)
        return [answer for future in futures for answer in future.result()]


def _counted(responses: Iterable[Response], bar: tqdm) -> Iterator[Response]:
    for response in responses:
        yield response
        bar.update()


def list_ids(ids: Iterable[str]) -> str:
    """Formats ids for an error: the first two, the last, and how many there are."""
    ids = list(dict.fromkeys(ids))
    shown = ids if len(ids) <= 3 else [*ids[:2], "…", ids[-1]]
    return f"{', '.join(shown)} ({len(ids):,} in all)"
