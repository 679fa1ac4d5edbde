"""From tasks to scores: prompts out, generations kept, answers judged; three steps, each alone.

    said = generate(benchmark, source, params, store, ...)   # a model, or a store without one
    said = read by the benchmark from somebody's file        # or that in its place
    run = judged(benchmark, said, sandbox, ...)              # no model

Every benchmark in `semcoder_jax.evaluation.benchmarks` has the form of `Benchmark`.
"""

import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.generators import Question, Source, ask
from semcoder_jax.evaluation.reasoning import with_claims
from semcoder_jax.evaluation.results import Answer, Reference, Run, scores
from semcoder_jax.evaluation.store import GenerationStore
from semcoder_jax.inference.generate import SamplingParams

MODES = ("compat", "fixed")


@dataclasses.dataclass(frozen=True)
class Said:
    """A generation to be judged in `mode`; `text` is None where nothing was said.

    Of files made elsewhere: `whole` is prompt and text as they were, where the file has both;
    `is_answer` says that `text` is the answer alone, taken out of what was said.
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
    """Tasks, how they are asked, and how answers are judged.

    name: as configs and files spell it, such as "cruxeval_output".
    variants: the ways to ask that it knows, such as ("monologue", "direct").
    modes: those of MODES that mean something for it.
    stop: strings at which a generation has said all it needs to.
    references: title of a score ("CRUXEval-O") -> published figures.

    It may also have
      `read_generations(path, *, variants, modes, samples) -> (Sequence[Said], notes)`: files made
        elsewhere, in whatever forms its makers use; one Said for every question at least, with text
        None where the file has none. Raises a UserError.
      `run_of(answer) -> (program, call) | None`: the run that the monologue in `answer.text`
        tells, None where it tells none. The flow holds every step against it.
    """

    name: str
    variants: tuple[str, ...]
    modes: tuple[str, ...]
    stop: tuple[str, ...]
    references: Mapping[str, Sequence[Reference]]

    @property
    def task_ids(self) -> Sequence[str]: ...

    def prompt(self, task_id: str, variant: str, mode: str) -> str: ...

    def judge(self, said: Iterable[Said], sandbox: Sandbox | None) -> Iterator[Answer]:
        """One answer or more (HumanEval and HumanEval+) for each, in order; never fewer."""
        ...


def questions(
    benchmark: Benchmark, variants: Sequence[str], modes: Sequence[str], samples: int
) -> list[tuple[Said, Question]]:
    """Everything that is to be asked. Modes that ask in the same bytes share their question."""
    return [
        (
            Said(task, sample, variant, mode, None),
            Question(task, sample, benchmark.prompt(task, variant, mode), row_seed(task, sample)),
        )
        for variant in variants
        for mode in modes
        for task in benchmark.task_ids
        for sample in range(samples)
    ]


def row_seed(task: str, sample: int) -> int:
    """Of the random stream of a generation: the same whatever else is asked beside it."""
    return zlib.crc32(f"{task}#{sample}".encode()) & 0x7FFFFFFF


@dataclasses.dataclass(frozen=True)
class Generated:
    """What was said, in the order of `questions`; tokens a second of what was made now."""

    said: tuple[Said, ...]
    tokens_per_second: float | None


def generate(
    benchmark: Benchmark,
    source: Source | None,
    params: SamplingParams,
    store: GenerationStore,
    *,
    variants: Sequence[str],
    modes: Sequence[str] = MODES,
    samples: int = 1,
    progress: str | None = "generating",
) -> Generated:
    """Ask what the store does not hold yet. Without a source the rest stays unsaid."""
    params = dataclasses.replace(params, stop=tuple(dict.fromkeys((*params.stop, *benchmark.stop))))
    wanted = questions(benchmark, variants, modes, samples)
    asked = ask([question for _, question in wanted], source, params, store, progress=progress)
    said = []
    for blank, question in wanted:
        if found := asked.generations.get(question.key):
            blank = dataclasses.replace(blank, text=found.text, finish_reason=found.finish_reason)
        said.append(blank)
    speed = asked.new_tokens / asked.seconds if asked.new_tokens else None
    return Generated(tuple(said), speed)


def from_rows(
    benchmark: Benchmark,
    rows: Mapping[str, Mapping[str, Any]],
    *,
    variants: Sequence[str],
    modes: Sequence[str],
    samples: int,
) -> tuple[tuple[Said, ...], tuple[str, ...]]:
    """(what was said, notes): answers to the benchmark's questions in the rows of a store."""
    said, used = [], set()
    for blank, question in questions(benchmark, variants, modes, samples):
        row = rows.get(question.key)
        if row is not None:
            used.add(question.key)
            blank = dataclasses.replace(blank, text=row["text"], finish_reason=row["finish_reason"])
        said.append(blank)
    notes = []
    if unsaid := sum(one.text is None for one in said):
        notes.append(f"{unsaid:,} of {len(said):,} questions have no generation: wrong answers")
    if unused := len(rows.keys() - used):
        notes.append(f"{unused:,} of {len(rows):,} generations answer none of these questions")
    return tuple(said), tuple(notes)


def judged(
    benchmark: Benchmark,
    said: Sequence[Said],
    sandbox: Sandbox | None = None,
    *,
    model: str,
    identity: Mapping[str, Any],
    ks: Sequence[int] = (1,),
    notes: Sequence[str] = (),
    tokens_per_second: float | None = None,
    progress: str | None = "judging",
) -> Run:
    """Judge every generation; what is unsaid counts as a wrong answer."""
    bar = tqdm(total=len(said), desc=progress, unit="answer", disable=progress is None)
    answers: list[Answer] = []

    def counted() -> Iterator[Said]:
        for one in said:
            yield one
            bar.update()

    with bar:
        answers.extend(benchmark.judge(counted(), sandbox))
    if (run_of := getattr(benchmark, "run_of", None)) is not None:
        told = [run_of(answer) for answer in answers]
        answers = with_claims(answers, told, sandbox, progress=progress and "verifying")
    return Run(
        name=benchmark.name,
        model=model,
        identity=dict(identity),
        answers=tuple(answers),
        scores=scores(answers, ks),
        references={name: tuple(values) for name, values in benchmark.references.items()},
        notes=tuple(notes),
        tokens_per_second=tokens_per_second,
    )
