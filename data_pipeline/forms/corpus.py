"""Writes the data of a study of forms: the same functions and calls, told in every form."""

import contextlib
import dataclasses
import functools
import itertools
import json
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.files import partial_folder, replace_folder, write_json, write_rows
from data_pipeline.forms import FORMS, Form
from data_pipeline.forms.words import WORDS
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import PyXRecord, write_jsonl
from data_pipeline.source.fingerprints import FINGERPRINT, function_fingerprint
from data_pipeline.terminal.progress import open_bar
from data_pipeline.toy.drawing import Quota, draw_chunks
from data_pipeline.toy.levels import LEVELS, Level, count_steps, count_turns, draw_run
from data_pipeline.toy.vocabulary import train_tokenizer
from data_pipeline.tracing import Trace

STAMP = "corpus.json"
HELDOUT_SHARE = 0.1
"""Share of the functions of trained levels that are never trained on, in any corpus."""

_MAX_WORDS = 1000
_ATTEMPTS = 150  # functions that a chunk tries per level; fixed, because it affects the result
_UNTRAINED_EVERY = 3
_FORMAT = 1  # raise when the family, a form or the files change, to rebuild older corpora


class StudyCorpusError(UserError):
    """Reports options from which no corpus can be built, or a folder that is not one."""


@dataclasses.dataclass(frozen=True)
class StudyCorpus:
    """Holds the paths of a built corpus.

    Args:
      folder: the folder of all files.
      train: form -> PyX records of the training functions, in the same order for each form.
      problems: level -> held-out functions, rows {"id", "program", "call", "output", "level",
        "steps", "turns"}; no function is in `train`, renamed or not.
      tokenizer: a Hugging Face tokenizer with the words of all forms; None for real functions,
        which a model's own tokenizer reads.
      functions: number of training functions.
    """

    folder: Path
    train: Mapping[str, Path]
    problems: Mapping[str, Path]
    tokenizer: Path | None
    functions: int


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """Holds one function: its problem row, and if it is trained on, its record in each form."""

    fingerprint: str
    problem: Mapping[str, Any]
    is_heldout: bool
    records: Mapping[str, PyXRecord]


def write_study_corpus(
    folder: str | Path,
    *,
    functions: int,
    heldout: int,
    levels: Sequence[str] = tuple(LEVELS),
    forms: Sequence[str] = tuple(FORMS),
    seed: int = 0,
    workers: int = 2,
    progress: bool = True,
) -> StudyCorpus:
    """Writes training records of `functions` functions in each form, and problems of each level.

    The trained levels among `levels` share the functions equally; each level gets `heldout`
    problems. A hash of a function's structure decides whether it is held out, so the split is the
    same for every seed. The same arguments give the same files for any number of `workers`. An
    existing corpus with these arguments is reused; an unfinished one is never taken for one.

    Raises StudyCorpusError for arguments out of range, and if `folder` holds other files.
    """
    _check_options(functions, heldout, levels, forms, workers)
    recipe = {
        "format": _FORMAT,
        "function_fingerprint": FINGERPRINT,
        "functions": functions,
        "heldout": heldout,
        "levels": list(levels),
        "forms": list(forms),
        "seed": seed,
    }
    trained = [name for name in levels if LEVELS[name].is_trained]
    wanted = dict(zip(trained, _shares(functions, len(trained)), strict=True))
    draw = functools.partial(_draw_chunk, seed, tuple(levels), tuple(forms))
    corpus = corpus_at(Path(folder), forms, levels, functions)
    if not is_built(corpus, recipe):
        check_folder(corpus.folder)
        with contextlib.closing(draw_chunks(draw, workers)) as chunks:
            drawn = itertools.chain.from_iterable(chunks)
            train, problems = _select(drawn, wanted, dict.fromkeys(levels, heldout), progress)
        rows = {name: [one.records[name] for one in train] for name in forms}
        write_corpus(corpus, recipe, rows, problems)
    return corpus


def _check_options(
    functions: int, heldout: int, levels: Sequence[str], forms: Sequence[str], workers: int
) -> None:
    for name, given, known in (("levels", levels, LEVELS), ("forms", forms, FORMS)):
        if not given or len(set(given)) < len(given) or not set(given) <= set(known):
            raise StudyCorpusError(f"{name}: expected distinct ones of {', '.join(known)}; got "
                                   f"{', '.join(map(str, given)) or 'none'}")  # fmt: skip
    trained = [name for name in levels if LEVELS[name].is_trained]
    if not trained:
        raise StudyCorpusError(f"levels: none of {', '.join(levels)} may be trained on")
    if functions < len(trained) or heldout < 1 or workers < 1:
        raise StudyCorpusError(
            f"functions={functions} must be at least {len(trained)}, heldout={heldout} and "
            f"workers={workers} positive"
        )


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]


def corpus_at(
    folder: Path,
    forms: Iterable[str],
    levels: Iterable[str],
    functions: int,
    *,
    with_tokenizer: bool = True,
) -> StudyCorpus:
    """Names the files of a corpus in `folder`."""
    return StudyCorpus(
        folder=folder,
        train={name: folder / "train" / f"{name}.jsonl" for name in forms},
        problems={name: folder / "problems" / f"{name}.jsonl" for name in levels},
        tokenizer=folder / "tokenizer" if with_tokenizer else None,
        functions=functions,
    )


# ---- drawing


def _draw_chunk(
    seed: int, levels: Sequence[str], forms: Sequence[str], number: int
) -> list[_Drawn]:
    """Draws the functions of one chunk, level by level; untrained levels need few."""
    found = []
    for level in (LEVELS[name] for name in levels):
        if level.is_trained or number % _UNTRAINED_EVERY == 0:
            rng = random.Random(f"{seed}/{level.name}/{number}")
            runs = (draw_run(level, rng) for _ in range(_ATTEMPTS))
            found += [_tell(run, level, [FORMS[form] for form in forms]) for run in runs if run]
    return found


def _tell(trace: Trace, level: Level, forms: Sequence[Form]) -> _Drawn:
    fingerprint = function_fingerprint(trace.program)
    is_heldout = not level.is_trained or int(fingerprint[:8], 16) < HELDOUT_SHARE * 2**32
    id = fingerprint[:12]
    problem = problem_row(id, trace, level.name)
    told = () if is_heldout else forms
    records = {form.name: form.record(f"{form.name}_{id}_ipt0", trace) for form in told}
    return _Drawn(fingerprint, problem, is_heldout, records)


def problem_row(id: str, trace: Trace, level: str) -> dict[str, Any]:
    """Returns the question about a run, with its length."""
    return {
        "id": id,
        "program": trace.program,
        "call": trace.call,
        "output": trace.result,
        "level": level,
        "steps": count_steps(trace),
        "turns": count_turns(trace),
    }


def _select(
    drawn: Iterable[_Drawn],
    functions: Mapping[str, int],
    heldout: Mapping[str, int],
    progress: bool,
) -> tuple[list[_Drawn], dict[str, list[Mapping[str, Any]]]]:
    """Takes distinct functions until each level has its training functions and problems."""
    wanted = {(name, False): number for name, number in functions.items()}
    wanted |= {(name, True): number for name, number in heldout.items()}
    quota = Quota(wanted)
    bar = open_bar(sum(wanted.values()), "programs", "function", shown=progress)
    train: list[_Drawn] = []
    problems: dict[str, list[Mapping[str, Any]]] = {name: [] for name in heldout}
    with bar:
        for one in drawn:
            if not quota.takes(one.fingerprint, (one.problem["level"], one.is_heldout)):
                continue
            if one.is_heldout:
                problems[one.problem["level"]].append(one.problem)
            else:
                train.append(one)
            bar.update()
            if quota.is_met:
                break
    return train, problems


# ---- files


def is_built(corpus: StudyCorpus, recipe: Mapping[str, Any]) -> bool:
    """Tells whether all files of a corpus of this recipe are there."""
    files = [*corpus.train.values(), *corpus.problems.values(), corpus.tokenizer or corpus.folder]
    try:
        stamp = json.loads((corpus.folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return stamp == recipe and all(path.exists() for path in files)


def check_folder(folder: Path) -> None:
    """Raises StudyCorpusError if a folder holds files that are no corpus."""
    if folder.exists() and not _may_replace(folder):
        raise StudyCorpusError(f"{folder}: holds other files than a corpus; name a new folder")


def _may_replace(folder: Path) -> bool:
    return folder.is_dir() and ((folder / STAMP).exists() or not any(folder.iterdir()))


def write_corpus(
    corpus: StudyCorpus,
    recipe: Mapping[str, Any],
    rows: Mapping[str, Sequence[PyXRecord]],
    problems: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Writes all files of a corpus beside its folder, then puts the folder in place."""
    partial = partial_folder(corpus.folder)
    shutil.rmtree(partial, ignore_errors=True)
    for name, path in corpus.train.items():
        write_jsonl(partial / path.relative_to(corpus.folder), rows[name])
    for name, path in corpus.problems.items():
        write_rows(partial / path.relative_to(corpus.folder), problems[name])
    if corpus.tokenizer is not None:
        texts = (text for records in rows.values() for row in records for text in _texts(row))
        tokenizer = train_tokenizer(texts, _MAX_WORDS, words=WORDS)
        tokenizer.save_pretrained(partial / corpus.tokenizer.name)
    write_json(partial / STAMP, recipe)
    replace_folder(partial, corpus.folder, is_ours=_may_replace)


def _texts(row: PyXRecord) -> Iterator[str]:
    yield training_prompt(row)
    yield row.response
