"""Rejection sampling: a model's own answers become records if real runs confirm them.

Each prompt of the source is answered several times. An answer is kept if its value, call or program
is right, its form is the one that was asked, no step of its monologue is contradicted, and a
forward monologue tells as many different steps as its run executed lines. It becomes a record of
the same kind and prompt, whose id is that of its origin and "_own" with a number.

OUTPUT holds asked.jsonl (the options, then a row for each record asked, with the kept answers) and,
in the end, train.jsonl: the source's records and the new ones (answers of equal text once, none
that the source has). An interrupted run goes on behind the last row; an answer depends only on the
options and its record, never on the others.

Sources: Zelikman et al., STaR, arXiv 2203.14465; Yuan et al., Scaling Relationship on Learning
Mathematical Reasoning (rejection sampling), arXiv 2308.01825.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipeline.files import (
    AnyPath,
    append_row,
    as_path,
    hold_lock,
    make_folder,
    open_appended,
    read_rows,
    write_rows,
)
from data_pipeline.pyx import dataset as pyx
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.record_text import RefutedRecordError
from data_pipeline.pyx.records import Record, kind_number, make_record, read_jsonl, write_jsonl
from semcoder_jax.errors import UserError
from semcoder_jax.inference.detokenize import encode_prompt
from semcoder_jax.inference.generate import stream_requests
from semcoder_jax.inference.params import Generation, SamplingParams
from semcoder_jax.inference.request import Request
from semcoder_jax.loading import LoadedModel, check_model_directory, load_model
from semcoder_jax.reinforcement.judging import Judgement, SandboxJudge
from semcoder_jax.reinforcement.prompts import Prompt
from semcoder_jax.reinforcement.questions import hidden_tests, read_question
from semcoder_jax.reinforcement.rollouts import Rollout, make_rollout

ASKED, TRAIN, LOCK = "asked.jsonl", "train.jsonl", "running.lock"
_AT_ONCE = 64  # records between two writes
_TERMS = ("answer", "steps", "first_wrong_step", "format", "tests")


class ImproveError(UserError):
    """Raised for a source without prompts to ask, or an output of other options."""


@dataclasses.dataclass(frozen=True)
class ImproveOptions:
    """Holds what decides the new records: `samples` answers to each prompt, and how to sample."""

    checkpoint: str
    source: str
    samples: int = 4
    max_new_tokens: int = 512
    temperature: float = 1.0
    seed: int = 0
    max_records: int | None = None


@dataclasses.dataclass
class Improvement:
    """Counts a run's results so far, over all its sessions."""

    asked: int = 0
    answered: int = 0  # prompts with a confirmed answer
    confirmed: int = 0  # samples, those of equal text and the source's own answer included
    kept: int = 0
    sampled: int = 0

    def add(self, row: dict) -> None:
        self.asked += 1
        self.answered += row["confirmed"] > 0
        self.confirmed += row["confirmed"]
        self.kept += len(row["kept"])
        self.sampled += row["samples"]

    def __str__(self) -> str:
        return (
            f"{self.asked:,} prompts asked, {self.answered:,} with a confirmed answer; "
            f"{self.confirmed:,} of {self.sampled:,} samples confirmed, {self.kept:,} of them new"
        )


def improve(options: ImproveOptions, output: str | Path) -> Improvement:
    """Samples, judges and writes OUTPUT; goes on with what it holds.

    Raises ImproveError, or another UserError if model or source cannot be read.
    """
    folder = as_path(output)
    check_model_directory(options.checkpoint)
    records = read_source(options.source)
    tests = hidden_tests(records)
    wanted = [record for record in records if _is_asked(record, tests)][: options.max_records]
    if not wanted:
        raise ImproveError(f"{options.source}: no record asks for a monologue or a tested program")
    make_folder(folder)
    with hold_lock(folder / LOCK, wait=False):
        found, done = _read_asked(folder / ASKED, options)
        left = [(number, one) for number, one in enumerate(wanted) if one.id not in done]
        if left:
            model = load_model(options.checkpoint)
            weights = dict.fromkeys(_TERMS, 1.0)
            with (
                SandboxJudge(weights, options.max_new_tokens, tests) as judge,
                open_appended(folder / ASKED) as asked,
            ):
                for row in _ask_all(model, judge, left, options):
                    append_row(asked.fileno(), row, asked.path)
                    found.add(row)
        write_jsonl(folder / TRAIN, [*records, *_new_records(folder / ASKED, wanted)])
    return found


def read_source(source: str) -> list[Record]:
    """Returns the records of a JSONL file, or of the training split of a built dataset."""
    if as_path(source).is_dir():
        return list(iter(pyx.load(source, "train")))
    return list(read_jsonl(source))


# ==== What was asked before


def _read_asked(path: AnyPath, options: ImproveOptions) -> tuple[Improvement, set[str]]:
    """Returns the counts and the ids of the records that were asked; begins a new file if needed.

    Raises ImproveError if the file was made with other options.
    """
    given = dataclasses.asdict(options)
    rows = [row for _, row in read_rows(path, allow_cut_end=True)] if path.is_file() else []
    if not rows:
        write_rows(path, [{"options": given}])
        return Improvement(), set()
    before = rows[0].get("options")
    for name, value in given.items():
        if not isinstance(before, dict) or before.get(name) != value:
            was = before.get(name) if isinstance(before, dict) else None
            raise ImproveError(
                f"{path}: made with {name} {json.dumps(was)}, now {json.dumps(value)}: choose "
                "another --output or the same options"
            )
    write_rows(path, rows)  # without a row that a kill cut short
    found = Improvement()
    for row in rows[1:]:
        found.add(row)
    return found, {row["record"] for row in rows[1:]}


def _new_records(path: AnyPath, wanted: Sequence[Record]) -> Iterator[Record]:
    kept = {row["record"]: row["kept"] for _, row in read_rows(path) if "record" in row}
    for record in wanted:
        for number, text in enumerate(kept[record.id]):
            name = f"{record.id}_own{number}"
            yield make_record(name, record.kind, record.prompt_field, text)


def _is_asked(record: Record, tests) -> bool:
    try:
        question = read_question(record, tests)
    except RefutedRecordError:
        return False
    return question.asks_monologue or question.kind in ("code", "refine")


# ==== Sampling and judging


def _ask_all(
    model: LoadedModel,
    judge: SandboxJudge,
    records: Sequence[tuple[int, Record]],
    options: ImproveOptions,
) -> Iterator[dict]:
    """Yields a row for each record, in order."""
    with tqdm(total=len(records), desc="improve", unit="prompt", mininterval=1) as bar:
        for first in range(0, len(records), _AT_ONCE):
            part = records[first : first + _AT_ONCE]
            groups = _sample(model, part, options)
            asked = [record for _, record in part]
            for record, group, judged in zip(asked, groups, judge(asked, groups), strict=True):
                texts = _confirmed_texts(group, judged)
                yield {
                    "record": record.id,
                    "samples": len(group),
                    "confirmed": len(texts),
                    "kept": [text for text in dict.fromkeys(texts) if text != record.response],
                }
            bar.update(len(part))


def _sample(
    model: LoadedModel, records: Sequence[tuple[int, Record]], options: ImproveOptions
) -> list[list[Rollout]]:
    """Returns the answers to each record, none to a prompt that fills the model's context."""
    params = SamplingParams(
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        seed=options.seed,
    )
    prompts, requests = [], []
    for place, (number, record) in enumerate(records):
        tokens = encode_prompt(model.tokenizer, training_prompt(record))
        prompts.append(Prompt(record, kind_number(record.kind), np.array(tokens, np.int32)))
        if len(tokens) < model.config.max_positions:
            first = number * options.samples
            requests.append(Request(tokens, params, options.samples, place, first))
    found: list[dict[int, Generation]] = [{} for _ in records]
    for update in stream_requests(model, requests, speculation="off", progress=None):
        found[update.id][update.sample] = update.generation
    return [
        [make_rollout(prompt, group[sample], model.tokenizer) for sample in sorted(group)]
        for prompt, group in zip(prompts, found, strict=True)
    ]


def _confirmed_texts(group: Sequence[Rollout], judged: Sequence[Judgement]) -> list[str]:
    return [
        rollout.text
        for rollout, one in zip(group, judged, strict=True)
        if one.reward == 1.0 and one.first_wrong is None
    ]
