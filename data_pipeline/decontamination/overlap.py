"""Near-duplicates within a corpus and overlap with benchmarks: what is removed, and why.

Programs are compared in the normal form of `fingerprints`, as a whole and function by function: by
hash, and by the Jaccard similarity of 5-token windows, for which MinHash (Broder 1997; datasketch)
finds the candidates. Questions are compared by runs of ten words. Every decision is made on a pair,
so that it depends on no order of arrival and no number of workers.
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
RUN = 10  # words in a row that no two authors write by chance
MIN_FUNCTION = 20  # tokens of a function that is compared on its own
MIN_QUESTION = 6  # words of a question that is looked for as a whole
BANDS, ROWS = 32, 4  # of the MinHash: finds 99.98 % of pairs at 0.7, 91 % at 0.5

REASONS = ("exact", "normalized", "near", "text")


@dataclass(frozen=True)
class Item:
    """What is compared. id: unique, the smaller of two repeats is kept; code: a program, or "";
    text: in words, or ""."""

    id: str
    code: str = ""
    text: str = ""


@dataclass(frozen=True)
class Removal:
    """Why an item goes.

    reason:     "exact", "normalized", "near" (code) or "text"
    matched:    id of what it repeats: a benchmark's task ("HumanEval/3") or another item
    similarity: 1.0 for "exact" and "normalized", the Jaccard similarity for "near", and for "text"
                the share of the item's words that stand in the question
    """

    id: str
    reason: str
    matched: str
    similarity: float


def item_of(seed: Seed) -> Item:
    """A seed for comparison; where two have the same id, that of the smaller origin is kept."""
    return Item(f"{seed.id} {seed.origin}", seed.code, seed.nl)


def worst(removals: Iterable[Removal]) -> Removal | None:
    """The plainest reason of several, always the same whatever their order."""
    return min(
        removals,
        key=lambda r: (REASONS.index(r.reason), -r.similarity, r.matched),
        default=None,
    )


# ---- one program ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fragment:
    """A program, or a function of one. strict, loose: fingerprints; windows: hashes."""

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
    """The whole program first, then its functions that are long enough; () for no program."""
    if not code.strip():
        return ()
    try:
        tree = ast.parse(code)
        whole = _fragment(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # No Python of today: its words in their order are all there is.
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
    """Hashes of all runs of WINDOW tokens, names numbered anew in each: a variable more or less at
    the beginning does not make the rest another program."""
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
    """The bands of the MinHash; fragments of similarity s share one with 1 - (1 - s^4)^32."""
    from datasketch import MinHash  # heavy: only where something is compared

    minhash = MinHash(num_perm=BANDS * ROWS, seed=1)
    minhash.update_batch([window.to_bytes(8, "big") for window in sorted(windows)])
    values = minhash.hashvalues
    return tuple(values[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS))


# ---- benchmarks -------------------------------------------------------------------------------


class BenchmarkIndex:
    """The tasks of benchmarks, ready to be looked up. Picklable."""

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

        Raises BenchmarkError, see `benchmark_tasks.read_tasks`.
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
        """The plainest overlap of an item with a task, None if there is none."""
        return worst(self._overlaps(item))

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
        yield from self._shared_words(item)

    def _shared_words(self, item: Item) -> Iterator[Removal]:
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
    """Items that repeat one another share a key (near ones almost surely, see BANDS): group by it,
    then ask `repeats_in` of each group, then `worst` of what an item got from its groups."""
    fragments = _fragments(item.code)
    if not fragments:
        return ()
    whole = fragments[0]
    bands = [
        f"band {number} {hashlib.blake2b(band, digest_size=8).hexdigest()}"
        for number, band in enumerate(_bands(whole.windows))
    ]
    return (f"strict {whole.strict}", f"loose {whole.loose}", *bands)


def repeats_in(group: Iterable[Item]) -> Sequence[Removal]:
    """Of items that share a key, those whose whole program repeats one with a smaller id.

    Of a chain of neighbours only the smallest id is sure to stay: an item goes if any smaller one
    is like it, whether that one stays or not.
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
            removals += filter(None, [worst(found)])
            earlier.append((item.id, whole.windows))
    return removals


def repeats(items: Iterable[Item]) -> Sequence[Removal]:
    """The whole corpus at once: one removal per removed item, sorted by id."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for key in block_keys(item):
            groups[key].append(item)
    found: dict[str, list[Removal]] = defaultdict(list)
    for group in groups.values():
        if len(group) > 1:
            for removal in repeats_in(group):
                found[removal.id].append(removal)
    return [worst(found[name]) for name in sorted(found)]  # type: ignore[misc]


def counts(removals: Iterable[Removal]) -> Counter[str]:
    """Removals by reason, in the order of REASONS."""
    return Counter(sorted((r.reason for r in removals), key=REASONS.index))


# ---- rows --------------------------------------------------------------------------------------


class DecontaminationError(UserError):
    """Rows that cannot be read. The message is one line: where, what was expected."""


_BLOCKS = re.compile(r"```(?:python)?\n(.*?)```|PYTHON\]\n(.*?)\[/PYTHON\]", re.DOTALL)


def item_of_row(row: Mapping[str, Any], where: str) -> Item:
    """A row of seeds (`code`, `nl`) or of PyX and PyX-R (`nl`, `fwd_mnl`, `bwd_mnl`, `fault`,
    `response`), whose programs stand in fences or [PYTHON] blocks. Raises DecontaminationError."""
    fields = ("code", "nl", "fwd_mnl", "bwd_mnl", "fault", "response")
    texts = {name: row[name] for name in fields if isinstance(row.get(name), str)}
    if not texts:
        raise DecontaminationError(f"{where}: expected a field {', '.join(fields)}")
    code = texts.get("code", "")
    if not code:
        told = "\n".join(texts.get(name, "") for name in fields[2:])
        blocks = ["".join(found) for found in _BLOCKS.findall(told)]
        programs = [_without_question(block) for block in blocks]
        code = max(programs, key=len, default="")
    return Item(f"{row.get('id', '')} {where}".strip(), code, texts.get("nl", ""))


def _without_question(block: str) -> str:
    """A block's program: the assertion that asks (`assert f(1) == ??`) is none of it."""
    lines = [line for line in block.split("\n") if not re.match(r"\s*assert .*\?\?", line)]
    return "\n".join(lines).strip()
