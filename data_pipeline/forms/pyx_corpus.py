"""Writes the data of a study of forms from a PyX dataset: real functions, told in every form."""

import bisect
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.forms import REAL_FORMS, NarrationError
from data_pipeline.forms.corpus import (
    StudyCorpus,
    StudyCorpusError,
    check_folder,
    corpus_at,
    is_built,
    problem_row,
    write_corpus,
)
from data_pipeline.monologue.speech import RefutedClaim
from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.pyx.record_text import RefutedRecordError, split_block
from data_pipeline.pyx.records import PyXRecord, read_jsonl
from data_pipeline.source.fingerprints import FINGERPRINT, function_fingerprint
from data_pipeline.source.literals import is_literal
from data_pipeline.terminal.progress import open_bar
from data_pipeline.tracing import Trace

LEVEL_NAMES = ("easy", "medium", "hard")
_LABEL = re.compile(r" # \[L(\d+)\]$")
_LIMITS = TraceLimits(max_lines=2000, max_characters=2000)
_FORMAT = 1  # raise when the forms or the files change, to rebuild older corpora

_Told = tuple[Mapping[str, Any], Mapping[str, PyXRecord]]  # problem row, form -> record


def write_study_corpus_from_pyx(
    folder: str | Path,
    *,
    train: str | Path,
    heldout: str | Path,
    functions: int,
    problems: int,
    forms: Sequence[str] = tuple(REAL_FORMS),
    workers: int = 2,
    progress: bool = True,
) -> StudyCorpus:
    """Writes the files of `write_study_corpus`, without a tokenizer, from JSONL files of PyX.

    Takes the runs of forward records that all forms can tell: at most `functions` of them from
    `train`, one per program, and `problems` for each level from `heldout`, whose programs must not
    be in `train`. Levels are terciles of the executed lines of the held-out runs. Which runs are
    taken depends on a hash of their programs. Programs run in the sandbox.

    Raises StudyCorpusError for arguments out of range, if `folder` holds other files or if no run
    can be told; RecordError for a bad file; SandboxUnavailable.
    """
    if functions < 1 or problems < 1 or not forms or not set(forms) <= set(REAL_FORMS):
        raise StudyCorpusError(
            f"functions={functions} and problems={problems} must be positive, forms some of "
            f"{', '.join(REAL_FORMS)}; got {', '.join(forms) or 'none'}"
        )
    recipe = {
        "format": _FORMAT,
        "function_fingerprint": FINGERPRINT,
        "sources": [_digest(Path(path)) for path in (train, heldout)],
        "functions": functions,
        "problems": problems,
        "forms": list(forms),
    }
    corpus = corpus_at(Path(folder), forms, LEVEL_NAMES, functions, with_tokenizer=False)
    if is_built(corpus, recipe):
        return corpus
    check_folder(corpus.folder)
    asked = _runs(heldout)
    taught = {name: run for name, run in _runs(train).items() if name not in asked}
    with Sandbox(workers=workers) as sandbox:
        told = _tell_runs(taught, forms, functions, sandbox, "train" if progress else None)
        questions = _tell_runs(
            asked, forms, 3 * problems, sandbox, "held out" if progress else None
        )
    if not told or len(questions) < len(LEVEL_NAMES):
        raise StudyCorpusError(f"{train}, {heldout}: too few runs that every form can tell")
    rows = {name: [records[name] for _, records in told] for name in forms}
    write_corpus(corpus, recipe, rows, _by_level([problem for problem, _ in questions]))
    return corpus


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StudyCorpusError(f"{path}: cannot read the file: {error.strerror}") from None


def _runs(path: str | Path) -> dict[str, tuple[str, str]]:
    """Returns fingerprint -> (program, call), one run a program, in the order of fingerprints."""
    found: dict[str, tuple[str, str]] = {}
    for record in read_jsonl(path):
        if record.kind != "fwd_mnl":
            continue
        try:
            block, question = split_block(record.prompt_field)
            program = _without_labels(block)
            fingerprint = function_fingerprint(program)
        except (RefutedRecordError, SyntaxError, ValueError):
            continue
        call = question.removeprefix("assert ").removesuffix(" == ??")
        found.setdefault(fingerprint, (program, call))
    return dict(sorted(found.items()))


def _without_labels(block: str) -> str:
    """Returns the program of a labelled block (see `prompts.label_lines`)."""
    lines = block.split("\n")
    for index, line in enumerate(lines):
        label = _LABEL.search(line)
        if label and int(label[1]) == index + FIRST_LABEL:
            lines[index] = line[: label.start()]
    return "\n".join(lines)


def _tell_runs(
    runs: Mapping[str, tuple[str, str]],
    forms: Sequence[str],
    most: int,
    sandbox: Sandbox,
    title: str | None,
) -> list[_Told]:
    """Tells the first `most` runs that every form can tell."""
    bar = open_bar(min(most, len(runs)), title or "", "run", shown=title is not None)
    found = []
    with bar:
        for told in islice(_told(runs, forms, sandbox), most):
            found.append(told)
            bar.update()
    return found


def _told(
    runs: Mapping[str, tuple[str, str]], forms: Sequence[str], sandbox: Sandbox
) -> Iterator[_Told]:
    jobs = (call_job(program, call, trace=_LIMITS) for program, call in runs.values())
    for fingerprint, result in zip(runs, sandbox.map(jobs), strict=True):
        if result.trace is not None and is_literal(result.trace.result or ""):
            told = _tell(fingerprint[:12], result.trace, forms)
            if told is not None:
                yield told


def _tell(id: str, trace: Trace, forms: Sequence[str]) -> _Told | None:
    try:
        records = {name: REAL_FORMS[name].record(f"{name}_{id}_ipt0", trace) for name in forms}
    except (NarrationError, RefutedClaim):
        return None
    return problem_row(id, trace, ""), records


def _by_level(problems: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Splits problems at the terciles of their steps; equal steps are of one level."""
    steps = sorted(problem["steps"] for problem in problems)
    bounds = [steps[len(steps) * part // len(LEVEL_NAMES)] for part in (1, 2)]
    levels: dict[str, list[Mapping[str, Any]]] = {name: [] for name in LEVEL_NAMES}
    for problem in problems:
        name = LEVEL_NAMES[bisect.bisect_right(bounds, problem["steps"])]
        levels[name].append({**problem, "level": name})
    return levels
