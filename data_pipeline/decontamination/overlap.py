"""Finds near-duplicates within a corpus and overlap with benchmarks.

Compares programs in the normal form of `fingerprints`, as a whole and function by function: by
hash, and by the Jaccard similarity of 5-token windows, with candidates from MinHash (Broder 1997;
datasketch). Compares questions by runs of ten words. Each decision concerns one pair of items, so
results do not depend on the order of items or the number of workers.
"""

import ast
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_pipeline.decontamination.benchmark_tasks import read_tasks
from data_pipeline.errors import UserError
from data_pipeline.seeds.seed import Seed
from data_pipeline.source.fingerprints import (
    function_fingerprint,
    normalize_loosely,
    tree_digest,
)

NEAR = 0.7  # Jaccard similarity from which programs are near-duplicates
WINDOW = 5  # tokens
RUN = 10  # consecutive words; two authors do not write the same ten by chance
MIN_FUNCTION = 20  # tokens; shorter functions are not compared on their own
MIN_QUESTION = 6  # words; shorter questions are not compared
BANDS, ROWS = 32, 4  # MinHash parameters: finds 99.98 % of pairs at 0.7, 91 % at 0.5

REASONS = ("exact", "normalized", "near", "text")


@dataclass(frozen=True)
class Item:
    """Holds a program and a text (either may be "") to compare.

    `id` is unique; of two duplicates the one with the smaller id stays.
    """

    id: str
    code: str = ""
    text: str = ""


@dataclass(frozen=True)
class Removal:
    """Gives the reason for removing an item.

    Args:
      id: the item's id.
      reason: "exact", "normalized", "near" (code) or "text".
      matched: id of the benchmark task ("HumanEval/3") or other item that it duplicates.
      similarity: 1.0 for "exact" and "normalized", the Jaccard similarity for "near", and for
        "text" the share of the item's words that occur in the question.
    """

    id: str
    reason: str
    matched: str
    similarity: float


def item_of(seed: Seed) -> Item:
    """Converts a seed for comparison; of two with the same id the smaller origin stays."""
    return Item(f"{seed.id} {seed.origin}", seed.code, seed.nl)


def strongest_removal(removals: Iterable[Removal]) -> Removal | None:
    """Returns the removal with the strongest reason, independent of their order; None for none."""
    return min(
        removals,
        key=lambda r: (REASONS.index(r.reason), -r.similarity, r.matched),
        default=None,
    )


# ---- one program ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fragment:
    """Holds the fingerprints and window hashes of a program or of one of its functions."""

    tokens: int
    strict: str
    loose: str
    windows: frozenset[int]


_TOKEN = re.compile(
    r"[^\W\d]\w*|\d[\w.]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[-+*/%&|^<>=!:]=|\*\*|//|<<|>>"
    r"|->|\S"
)
_OURS = re.compile(r"(v|f|C)\d*")


@lru_cache(maxsize=4096)
def _fragments(code: str) -> tuple[_Fragment, ...]:
    """Returns the whole program, then its functions of MIN_FUNCTION tokens or more."""
    if not code.strip():
        return ()
    try:
        tree = ast.parse(code)
        whole = _fragment(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Not valid Python 3, so only its tokens can be compared.
        tokens = _TOKEN.findall(code)
        digest = hashlib.sha256(" ".join(tokens).encode("utf-8", "replace")).hexdigest()
        return (_Fragment(len(tokens), digest, digest, _windows(tokens)),)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if len(tree.body) == 1 and functions:
        return (whole,)
    parts = (_fragment(ast.unparse(function)) for function in functions)
    return (whole, *(part for part in parts if part.tokens >= MIN_FUNCTION))


def _fragment(code: str) -> _Fragment:
    tree = normalize_loosely(code)
    loose = tree_digest(tree)
    tokens = _TOKEN.findall(ast.unparse(tree))
    return _Fragment(len(tokens), function_fingerprint(code), loose, _windows(tokens))


def _windows(tokens: Sequence[str]) -> frozenset[int]:
    """Returns hashes of all runs of WINDOW tokens.

    Names are numbered separately in each window, so an extra variable at the beginning does not
    change the rest.
    """
    found = set()
    ours = [_OURS.fullmatch(token) is not None for token in tokens]
    for start in range(max(len(tokens) - WINDOW + 1, 1)):
        names: dict[str, str] = {}
        window = [
            names.setdefault(token, f"{token[0]}{len(names)}") if own else token
            for token, own in zip(
                tokens[start : start + WINDOW], ours[start : start + WINDOW], strict=True
            )
        ]
        text = "\0".join(window).encode("utf-8", "replace")
        found.add(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big"))
    return frozenset(found)


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0


@lru_cache(maxsize=4096)
def _bands(windows: frozenset[int]) -> tuple[bytes, ...]:
    """Returns MinHash bands; similarity s gives a common band with probability 1 - (1 - s^4)^32."""
    from datasketch import MinHash  # slow to import

    minhash = MinHash(num_perm=BANDS * ROWS, seed=1)
    minhash.update_batch([window.to_bytes(8, "big") for window in sorted(windows)])
    values = minhash.hashvalues
    return tuple(values[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS))


# ---- benchmarks -------------------------------------------------------------------------------


class BenchmarkIndex:
    """Indexes the tasks of benchmarks for lookup. Picklable."""

    def __init__(self, tasks: Iterable[Item]):
        self._exact: dict[str, str] = {}
        self._strict: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        self._banded: dict[tuple[int, bytes], list[int]] = defaultdict(list)
        self._windows: list[tuple[str, frozenset[int]]] = []
        self._runs: dict[tuple[str, ...], str] = {}
        self._questions: dict[tuple[str, ...], str] = {}
        for task in sorted(tasks, key=lambda task: task.id):
            self._add(task)
        self.tasks = len({name for name, _ in self._windows} | set(self._runs.values()))

    @classmethod
    def from_files(cls, paths: Iterable[str | Path]) -> "BenchmarkIndex":
        """Reads HumanEval, MBPP, CRUXEval, LiveCodeBench (and EvalPlus) files, or folders of them.

        Raises BenchmarkFileError as `benchmark_tasks.read_tasks` does.
        """
        return cls(Item(task.id, task.code, task.text) for task in read_tasks(paths))

    def _add(self, task: Item) -> None:
        if task.code.strip():
            self._exact.setdefault(task.code.strip(), task.id)
        for fragment in _fragments(task.code):
            self._strict.setdefault(fragment.strict, task.id)
            self._loose.setdefault(fragment.loose, task.id)
            number = len(self._windows)
            self._windows.append((task.id, fragment.windows))
            for band in enumerate(_bands(fragment.windows)):
                self._banded[band].append(number)
        words = _words(task.text)
        for run in _runs(words):
            self._runs.setdefault(run, task.id)
        if MIN_QUESTION <= len(words) < RUN:
            self._questions.setdefault(tuple(words), task.id)

    def overlap(self, item: Item) -> Removal | None:
        """Returns the strongest overlap of an item with a task, or None."""
        return strongest_removal(self._overlaps(item))

    def _overlaps(self, item: Item) -> Iterator[Removal]:
        known = self._exact.get(item.code.strip())
        if known is not None:
            yield Removal(item.id, "exact", known, 1.0)
            return
        for fragment in _fragments(item.code):
            known = self._strict.get(fragment.strict) or self._loose.get(fragment.loose)
            if known is not None:
                yield Removal(item.id, "normalized", known, 1.0)
                continue
            bands = enumerate(_bands(fragment.windows))
            for number in {n for band in bands for n in self._banded.get(band, ())}:
                task, windows = self._windows[number]
                similarity = _jaccard(fragment.windows, windows)
                if similarity >= NEAR:
                    yield Removal(item.id, "near", task, round(similarity, 4))
        yield from self._text_overlaps(item)

    def _text_overlaps(self, item: Item) -> Iterator[Removal]:
        words = _words(item.text)
        covered: dict[str, set[int]] = defaultdict(set)
        for start, run in enumerate(_runs(words)):
            if run in self._runs:
                covered[self._runs[run]].update(range(start, start + RUN))
        for size in range(MIN_QUESTION, RUN):
            for start in range(len(words) - size + 1):
                task = self._questions.get(tuple(words[start : start + size]))
                if task is not None:
                    covered[task].update(range(start, start + size))
        for task, places in covered.items():
            yield Removal(item.id, "text", task, round(len(places) / len(words), 4))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1))


# ---- within a corpus ----------------------------------------------------------------------------


def block_keys(item: Item) -> Sequence[str]:
    """Returns the keys under which an item is grouped with possible duplicates.

    Duplicates share a key (near-duplicates almost surely, see BANDS). Group items by key, call
    `find_repeats_in_group` on each group, then `strongest_removal` on the results of each item.
    """
    fragments = _fragments(item.code)
    if not fragments:
        return ()
    whole = fragments[0]
    bands = [
        f"band {number} {hashlib.blake2b(band, digest_size=8).hexdigest()}"
        for number, band in enumerate(_bands(whole.windows))
    ]
    return (f"strict {whole.strict}", f"loose {whole.loose}", *bands)


def find_repeats_in_group(group: Iterable[Item]) -> Sequence[Removal]:
    """Finds the items of a group whose whole program duplicates one with a smaller id.

    An item is removed even if the smaller duplicate is itself removed, so in a chain of
    near-duplicates only the smallest id is certain to stay.
    """
    removals: list[Removal] = []
    exact: dict[str, str] = {}
    strict: dict[str, str] = {}
    loose: dict[str, str] = {}
    earlier: list[tuple[str, frozenset[int]]] = []
    for item in sorted(group, key=lambda item: item.id):
        fragments = _fragments(item.code)
        if not fragments:
            continue
        whole, text = fragments[0], item.code.strip()
        known = exact.setdefault(text, item.id)
        alike = strict.setdefault(whole.strict, item.id)
        loosely = loose.setdefault(whole.loose, item.id)
        if known != item.id:
            removals.append(Removal(item.id, "exact", known, 1.0))
        elif min(alike, loosely) != item.id:
            removals.append(Removal(item.id, "normalized", min(alike, loosely), 1.0))
        else:
            found = [
                Removal(item.id, "near", other, round(similarity, 4))
                for other, windows in earlier
                if (similarity := _jaccard(whole.windows, windows)) >= NEAR
            ]
            removals += filter(None, [strongest_removal(found)])
            earlier.append((item.id, whole.windows))
    return removals


def find_repeats(items: Iterable[Item]) -> Sequence[Removal]:
    """Finds duplicates in a whole corpus; returns one removal per item, sorted by id."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for key in block_keys(item):
            groups[key].append(item)
    found: dict[str, list[Removal]] = defaultdict(list)
    for group in groups.values():
        if len(group) > 1:
            for removal in find_repeats_in_group(group):
                found[removal.id].append(removal)
    return [strongest_removal(found[name]) for name in sorted(found)]  # type: ignore[misc]


def count_reasons(removals: Iterable[Removal]) -> Counter[str]:
    """Counts removals by reason, in the order of REASONS."""
    return Counter(sorted((r.reason for r in removals), key=REASONS.index))


# ---- rows --------------------------------------------------------------------------------------


class DecontaminationError(UserError):
    """Reports a row that cannot be read; one line: where, what was expected."""


_BLOCKS = re.compile(r"```(?:python)?\n(.*?)```|PYTHON\]\n(.*?)\[/PYTHON\]", re.DOTALL)


def item_of_row(row: Mapping[str, Any], where: str) -> Item:
    """Converts a row of seeds (`code`, `nl`) or of PyX and PyX-R.

    The programs of PyX rows are taken from Markdown fences or [PYTHON] blocks. Raises
    DecontaminationError if the row has none of the fields.
    """
    fields = ("code", "nl", "fwd_mnl", "bwd_mnl", "fault", "response")
    texts = {name: row[name] for name in fields if isinstance(row.get(name), str)}
    if not texts:
        raise DecontaminationError(f"{where}: expected one of the fields {', '.join(fields)}")
    code = texts.get("code", "")
    if not code:
        prose = "\n".join(texts.get(name, "") for name in fields[2:])
        blocks = ["".join(found) for found in _BLOCKS.findall(prose)]
        programs = [_without_question(block) for block in blocks]
        code = max(programs, key=len, default="")
    return Item(f"{row.get('id', '')} {where}".strip(), code, texts.get("nl", ""))


def _without_question(block: str) -> str:
    """Returns a block's program without the open assertion (`assert f(1) == ??`)."""
    lines = [line for line in block.split("\n") if not re.match(r"\s*assert .*\?\?", line)]
    return "\n".join(lines).strip()
