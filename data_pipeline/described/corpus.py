"""Writes a corpus of described functions: how to write them, and how to repair faulty variants.

A training function gives a record of kind `nl` (description and visible tests to program), and
some give one of kind `fault` by the builder's own operators and proofs (`data_pipeline.faults`).
Held-out functions, by the fingerprint of their structure, give problems with hidden tests too.
"""

import ast
import contextlib
import functools
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.described.functions import (
    DescribedFunction,
    random_call,
    random_function,
    shown_run,
)
from data_pipeline.described.words import WORDS
from data_pipeline.execution.guest.values import encode
from data_pipeline.execution.job import CallJob
from data_pipeline.execution.outcomes import BadInput, Result, Value
from data_pipeline.execution.service import Sandbox, TraceLimits
from data_pipeline.faults import Fault, faults, faults_of
from data_pipeline.faults.mutant import Mutant
from data_pipeline.faults.samples import OPERATOR, extract_program
from data_pipeline.files import as_path, write_json, write_rows
from data_pipeline.pyx.prompts import code_field, training_prompt
from data_pipeline.pyx.records import PyXRecord, Record, write_jsonl
from data_pipeline.seeds import Seed
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.source.fingerprints import FINGERPRINT, function_fingerprint
from data_pipeline.terminal.progress import open_bar
from data_pipeline.testcases import Case
from data_pipeline.toy.drawing import Quota, draw_chunks
from data_pipeline.toy.vocabulary import train_tokenizer
from data_pipeline.tracing import Trace, trace_call

VISIBLE, HIDDEN = 2, 10
_CALLS = 30  # calls drawn for a function at most
_RESULTS = 3  # different results that a function has at least
_CHUNK = 20  # functions of one random stream; fixed, because it affects the result of a seed
_FORMAT = 1


@dataclass(frozen=True)
class DescribedCorpus:
    """Holds the paths of a built corpus.

    train, heldout: rows of PyX and PyX-R; heldout_faults: faults of the problems' functions, which
      a model can be asked to repair
    functions: the training functions, rows {"id", "description", "program", "calls"}
    problems:  held-out functions, rows as in the benchmark `heldout_code`
    """

    train: Path
    heldout: Path
    functions: Path
    problems: Path
    tokenizer: Path

    @property
    def files(self) -> list[Path]:
        """Returns all of it; the tokenizer is a folder."""
        return [self.train, self.heldout, self.functions, self.problems, self.tokenizer]


def described_corpus_at(folder: str | Path) -> DescribedCorpus:
    """Names the files of a corpus in `folder`."""
    names = ("train.jsonl", "heldout.jsonl", "functions.jsonl", "problems.jsonl", "tokenizer")
    return DescribedCorpus(*(as_path(folder) / name for name in names))


@dataclass(frozen=True)
class Example:
    """Holds a function, its runs on the visible tests, and calls of its hidden tests."""

    fingerprint: str
    function: DescribedFunction
    runs: tuple[Trace, ...]
    hidden: tuple[str, ...]

    @property
    def tests(self) -> str:
        return "\n".join(f"assert {run.call} == {run.result}" for run in self.runs)

    @property
    def problem(self) -> str:
        """Returns the task as a debugger sees it, as self-refinement states it."""
        return f"{self.function.description}\n{self.tests}"

    def seed(self) -> Seed:
        id, calls = self.fingerprint[:12], tuple(run.call for run in self.runs)
        return Seed(id, "f", self.function.code, self.problem, calls, (), "described.py:1")

    def cases(self) -> list[Case]:
        return [Case(run.call, run.result or "", run) for run in self.runs]

    def record(self) -> PyXRecord:
        field = code_field(self.function.description, self.tests)
        response = f"```python\n{self.function.code}\n```"
        return PyXRecord(f"nl_{self.fingerprint[:12]}", field, "", "", response)


class TrustedRuns:
    """Runs the jobs of `faults` in this process; only for variants of programs of this family.

    They have no loops and call only what the family's programs call, so they end and do no harm.
    """

    def run_calls(
        self, program: str, calls: Sequence[str], trace: TraceLimits | None = None
    ) -> list[Result]:
        return [self.run(CallJob(program, call)) for call in calls]

    def twin(self, number: int) -> "TrustedRuns":
        return self

    def run(self, job: CallJob) -> Result:
        try:
            trace = trace_call(job.program, job.call)
        except CallError as error:
            return Result(BadInput("syntax", str(error)))
        if trace.raised is not None:
            return Result(trace.raised, trace=trace)
        return Result(Value(encode(ast.literal_eval(trace.result or "None"))), trace=trace)


def write_described_corpus(
    folder: str | Path,
    *,
    functions: int,
    problems: int,
    fault_share: float = 0.6,
    faults_each: int = 1,
    heldout_share: float = 0.05,
    vocabulary_words: int = 1200,
    seed: int = 0,
    workers: int = 2,
    progress: bool = True,
) -> DescribedCorpus:
    """Writes a corpus with `functions` training functions and `problems` held-out ones.

    `fault_share` of the training functions give up to `faults_each` faults. The same arguments
    give the same files for any number of `workers`; a complete corpus of them is reused.
    """
    folder, corpus = as_path(folder), described_corpus_at(folder)
    recipe = {
        "format": _FORMAT, "function_fingerprint": FINGERPRINT, "functions": functions,
        "problems": problems, "fault_share": fault_share, "faults_each": faults_each,
        "heldout_share": heldout_share, "vocabulary_words": vocabulary_words, "seed": seed,
    }  # fmt: skip
    stamp = folder / "corpus.json"
    is_whole = stamp.exists() and all(path.exists() for path in corpus.files)
    if is_whole and json.loads(stamp.read_text()) == recipe:
        return corpus
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)

    draw = functools.partial(_draw_chunk, seed, heldout_share, fault_share, faults_each)
    train, heldout, rows, asked = [], [], [], []
    for example, found in _distinct(draw, functions, problems, heldout_share, workers, progress):
        records: list[Record] = [example.record(), *(fault.record() for fault in found)]
        if _is_heldout(example.fingerprint, heldout_share):
            heldout += records
            asked.append(_problem_row(example))
        else:
            train += records
            rows.append(_function_row(example))
    write_jsonl(corpus.train, train)
    write_jsonl(corpus.heldout, heldout)
    write_rows(corpus.functions, rows)
    write_rows(corpus.problems, asked)
    texts = itertools.chain.from_iterable((training_prompt(row), row.response) for row in train)
    train_tokenizer(texts, vocabulary_words, words=WORDS).save_pretrained(corpus.tokenizer)
    write_json(stamp, recipe)  # last: it marks the corpus as complete
    return corpus


def faults_of_samples(
    row: Mapping[str, Any], samples: Sequence[str], sandbox: Sandbox, *, limit: int
) -> tuple[Fault, ...]:
    """Returns faults of a model's own wrong programs for a training function.

    row: of `DescribedCorpus.functions`; samples: answers with a program each. They run in the
    sandbox; those that pass the visible tests, and those that are no slip of the right program but
    another one, are left out.
    """
    function = DescribedFunction(row["program"], row["description"], ())
    runs = tuple(trace_call(function.code, call) for call in row["calls"])
    example = Example(row["id"], function, runs, ())
    variants = list(_programs(samples, example.seed()))
    draw = random.Random(f"own:{example.fingerprint}")
    return faults_of(
        example.seed(), example.cases(), variants, sandbox, random=draw, limit=limit
    ).kept


def _programs(samples: Sequence[str], seed: Seed) -> Iterator[Mutant]:
    seen = {seed.code.strip()}
    for text in samples:
        try:
            program = extract_program(text, seed)
        except ValueError:
            continue
        if program.strip() not in seen:
            seen.add(program.strip())
            yield Mutant(OPERATOR, program)


# ==== Drawing


def _distinct(
    draw, functions: int, problems: int, heldout_share: float, workers: int, progress: bool
) -> Iterator[tuple[Example, Sequence[Fault]]]:
    """Yields distinct examples in the order of the chunks, as many of each side as wanted."""
    quota = Quota({False: functions, True: problems})
    bar = open_bar(functions + problems, "described functions", "function", shown=progress)
    with bar, contextlib.closing(draw_chunks(draw, workers)) as chunks:
        for example, found in itertools.chain.from_iterable(chunks):
            side = _is_heldout(example.fingerprint, heldout_share)
            if not quota.takes(example.fingerprint, side):
                continue
            bar.update()
            yield example, found
            if quota.is_met:
                return


def _draw_chunk(
    seed: int, heldout_share: float, fault_share: float, faults_each: int, number: int
) -> list[tuple[Example, tuple[Fault, ...]]]:
    rng = random.Random(f"{seed}/{number}")
    found = []
    for _ in range(_CHUNK):
        function = random_function(rng)
        example = _drawn_example(function, rng)
        if example is not None:
            is_asked = _is_heldout(example.fingerprint, heldout_share)
            wants = is_asked or int(example.fingerprint[8:16], 16) < fault_share * 2**32
            found.append((example, _mutated(example, faults_each) if wants else ()))
    return found


def _drawn_example(function: DescribedFunction, rng: random.Random) -> Example | None:
    """Draws tests; None if too few runs suit the family, or too few of their results differ."""
    calls = dict.fromkeys(random_call(function, rng) for _ in range(_CALLS))
    traces = (shown_run(function.code, call) for call in calls)
    runs = list(itertools.islice(filter(None, traces), VISIBLE + HIDDEN))
    if len(runs) < VISIBLE + HIDDEN or len({run.result for run in runs}) < _RESULTS:
        return None
    hidden = tuple(run.call for run in runs[VISIBLE:])
    return Example(function_fingerprint(function.code), function, tuple(runs[:VISIBLE]), hidden)


def _mutated(example: Example, limit: int) -> tuple[Fault, ...]:
    return faults(example.seed(), example.cases(), TrustedRuns(), limit=limit).kept  # type: ignore[arg-type]


def _is_heldout(fingerprint: str, share: float) -> bool:
    return int(fingerprint[:8], 16) < share * 2**32


# ==== Rows


def _function_row(example: Example) -> dict[str, Any]:
    row = {"id": example.fingerprint[:12], "description": example.function.description}
    calls = [run.call for run in example.runs]
    return row | {"program": example.function.code, "calls": calls, "tests": example.tests}


def _problem_row(example: Example) -> dict[str, Any]:
    return {
        "id": example.fingerprint[:12],
        "prompt": f'"""{example.problem}\n"""',
        "entry": "f",
        "program": example.function.code,
        "visible": [_arguments(run.call) for run in example.runs],
        "hidden": [_arguments(call) for call in example.hidden],
    }


def _arguments(call: str) -> list[Any]:
    parsed = parse_call(call)
    return [*parsed.args, *parsed.kwargs.values()]
