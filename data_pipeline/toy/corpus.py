"""Generates small random Python functions and the quickstart's corpus about them.

A function takes one to three arguments (integers, strings of `a`-`c`, lists of small
integers), runs a few assignments with at most one branch and one loop, and returns a value. The
family is bounded so that a model of under a million parameters can learn it in minutes: integers
are at most MAX_INTEGER, strings and lists hold at most three items. Everything else (arithmetic,
slicing, list and string methods, loops, branches) is ordinary Python, and every value in the
corpus comes from running it.
"""

import ast
import contextlib
import dataclasses
import functools
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.errors import UserError
from data_pipeline.files import write_json, write_rows
from data_pipeline.monologue.inline import direct_answer, inline_monologue
from data_pipeline.pyx.prompts import forward_field, training_prompt
from data_pipeline.pyx.records import PyXRecord, write_jsonl
from data_pipeline.source.fingerprints import FINGERPRINT, function_fingerprint
from data_pipeline.terminal.progress import open_bar
from data_pipeline.toy.drawing import Quota, draw_chunks
from data_pipeline.toy.vocabulary import train_tokenizer
from data_pipeline.tracing import Trace, trace_call

MAX_INTEGER = 15
MAX_ITEMS = 3
LETTERS = "abc"
MAX_LIST_ITEM = 3

INTEGER, STRING, LIST = "integer", "string", "list"
_NAMES = {INTEGER: ("a", "b", "c", "d", "n"), STRING: ("s", "t"), LIST: ("xs", "ys")}


MAX_STEPS = 12
_CHUNK = 500  # functions per random seed; fixed, because it affects the result of a seed
_FORMAT = 3  # raise when the family, the narrator or the files change, to rebuild older corpora


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Holds the paths of a built corpus.

    Args:
      train, heldout: forward rows in upstream's JSONL schema, of disjoint sets of functions.
      problems: held-out functions for evaluation, rows {"id", "program", "call", "output"}.
      tokenizer: a Hugging Face tokenizer with the words of `train` (see vocabulary).
      functions: number of distinct functions.
    """

    train: Path
    heldout: Path
    problems: Path
    tokenizer: Path
    functions: int


class CorpusError(UserError):
    """Reports options from which no corpus can be built."""


@dataclasses.dataclass(frozen=True)
class ToyProgram:
    """Holds the source of one function `f` and a call of it with keyword arguments."""

    code: str
    call: str


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """Holds a program that ran within the family's bounds, and the content of its rows."""

    fingerprint: str
    program: ToyProgram
    output: str
    monologue: str
    answer: str
    monologue_field: str
    direct_field: str


def build(
    output_dir: str | Path,
    *,
    functions: int = 24_000,
    heldout_share: float = 0.04,
    direct_share: float = 0.25,
    vocabulary_words: int = 1000,
    seed: int = 0,
    workers: int = 2,
    progress: bool = True,
) -> Corpus:
    """Writes a corpus of forward monologues about `functions` distinct functions.

    Each function gives one monologue row; a share `direct_share` of them gives a second row that
    asks for the answer without a monologue. A hash of the function's structure, without variable
    names, decides whether it is held out, so the split is the same in every corpus. The same
    arguments give the same files for any number of `workers`. An existing corpus with these
    arguments is reused; an unfinished one is built again.

    Raises CorpusError for arguments out of range, DrawingError for more functions than there are.
    """
    if functions < 1 or not 0 < heldout_share < 1 or not 0 <= direct_share <= 1 or workers < 1:
        raise CorpusError(
            f"functions={functions} and workers={workers} must be positive, heldout_share="
            f"{heldout_share} inside (0, 1) and direct_share={direct_share} inside [0, 1]"
        )
    folder = Path(output_dir)
    corpus = Corpus(
        train=folder / "train.jsonl",
        heldout=folder / "heldout.jsonl",
        problems=folder / "problems.jsonl",
        tokenizer=folder / "tokenizer",
        functions=functions,
    )
    recipe = {
        "format": _FORMAT,
        "function_fingerprint": FINGERPRINT,
        "functions": functions,
        "heldout_share": heldout_share,
        "direct_share": direct_share,
        "vocabulary_words": vocabulary_words,
        "seed": seed,
    }
    stamp = folder / "corpus.json"
    files = (corpus.train, corpus.heldout, corpus.problems, corpus.tokenizer)
    is_whole = stamp.exists() and all(path.exists() for path in files)
    if is_whole and json.loads(stamp.read_text()) == recipe:
        return corpus
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)

    train, heldout, problems = [], [], []
    for candidate in _distinct(functions, seed, workers, progress):
        is_heldout = int(candidate.fingerprint[:8], 16) < heldout_share * 2**32
        is_direct = int(candidate.fingerprint[8:16], 16) < direct_share * 2**32
        rows = heldout if is_heldout else train
        name = candidate.fingerprint[:12]
        rows.append(_row(f"fwd_mnl_{name}_ipt0", candidate.monologue_field, candidate.monologue))
        if is_direct:
            rows.append(_row(f"fwd_dir_{name}_ipt0", candidate.direct_field, candidate.answer))
        if is_heldout:
            problem = {"id": name, "program": candidate.program.code}
            problems.append(problem | {"call": candidate.program.call, "output": candidate.output})
    write_jsonl(corpus.train, train)
    write_jsonl(corpus.heldout, heldout)
    write_rows(corpus.problems, problems)
    texts = itertools.chain.from_iterable((training_prompt(row), row.response) for row in train)
    train_tokenizer(texts, vocabulary_words).save_pretrained(corpus.tokenizer)
    write_json(stamp, recipe)  # last: it marks the corpus as complete
    return corpus


def _row(identity: str, field: str, response: str) -> PyXRecord:
    return PyXRecord(id=identity, nl="", fwd_mnl=field, bwd_mnl="", response=response)


def _distinct(functions: int, seed: int, workers: int, progress: bool) -> Iterator[_Candidate]:
    """Yields the first `functions` distinct candidates, in the order of the chunks."""
    draw, quota = functools.partial(_draw_chunk, seed), Quota({None: functions})
    bar = open_bar(functions, "programs", "function", shown=progress)
    with bar, contextlib.closing(draw_chunks(draw, workers)) as chunks:
        for candidate in itertools.chain.from_iterable(chunks):
            if not quota.takes(candidate.fingerprint):
                continue
            bar.update()
            yield candidate
            if quota.is_met:
                return


def _draw_chunk(seed: int, number: int) -> list[_Candidate]:
    rng = random.Random(f"{seed}/{number}")
    candidates = (_candidate(random_program(rng)) for _ in range(_CHUNK))
    return [candidate for candidate in candidates if candidate is not None]


def _candidate(program: ToyProgram) -> _Candidate | None:
    """Runs and narrates a program; None if it raises or leaves the family's bounds."""
    if not _returns_in_bounds(program):  # a third of those to refuse, at a tenth of the price
        return None
    trace = trace_call(program.code, program.call)
    if not _belongs(trace):
        return None
    return _Candidate(
        fingerprint=function_fingerprint(program.code),
        program=program,
        output=trace.result,
        monologue=inline_monologue(trace),
        answer=direct_answer(trace),
        monologue_field=forward_field(program.code, program.call),
        direct_field=forward_field(program.code, program.call, answer_mode="direct"),
    )


def _returns_in_bounds(program: ToyProgram) -> bool:
    """Tells, by a run that records nothing, whether the call returns a value of the family."""
    names: dict[str, object] = {}
    exec(program.code, names)  # written here, with loops that end
    try:
        return in_bounds(eval(program.call, names))
    except Exception:
        return False


def _belongs(trace: Trace) -> bool:
    if trace.raised is not None:
        return False
    if sum(event.kind == "line" for event in trace.events) > MAX_STEPS:
        return False
    texts = {text for event in trace.events for text in event.changed.values()}
    return all(_text_in_bounds(text) for text in texts | {trace.result})


@functools.lru_cache(maxsize=4096)  # most are small numbers
def _text_in_bounds(text: str) -> bool:
    return in_bounds(ast.literal_eval(text))


def random_program(rng: random.Random) -> ToyProgram:
    """Generates a program of the family; its values may leave the bounds (see `in_bounds`)."""
    return _FunctionWriter(rng).write()


def in_bounds(value: object) -> bool:
    """Tells whether a value from a run belongs to the family."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return 0 <= value <= MAX_INTEGER
    if isinstance(value, str):
        return len(value) <= MAX_ITEMS and set(value) <= set(LETTERS)
    if isinstance(value, list):
        return len(value) <= MAX_ITEMS and all(
            type(item) is int and 0 <= item <= MAX_LIST_ITEM for item in value
        )
    return False


class _FunctionWriter:
    """Writes one function line by line, tracking the variables and their types."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.types: dict[str, str] = {}
        self.lines: list[str] = []
        self.last_assigned = ""

    def write(self) -> ToyProgram:
        rng = self.rng
        kinds = rng.choices((INTEGER, STRING, LIST), weights=(5, 2, 2), k=rng.randint(1, 3))
        for kind in kinds:
            free = [name for name in _NAMES[kind][:4] if name not in self.types]
            if free:
                self.types[free[0]] = kind
        arguments = dict(self.types)
        blocks = ["assign"] * rng.randint(2, 4)
        if rng.random() < 0.7:
            blocks.insert(rng.randint(0, len(blocks)), "branch")
        if rng.random() < 0.4:
            blocks.insert(rng.randint(0, len(blocks)), "loop")
        for block in blocks:
            getattr(self, f"_{block}")("    ")
        self._return()
        signature = ", ".join(arguments)
        code = "\n".join([f"def f({signature}):", *self.lines])
        values = ", ".join(f"{name}={self._literal(kind)}" for name, kind in arguments.items())
        return ToyProgram(code, f"f({values})")

    def _literal(self, kind: str) -> str:
        rng = self.rng
        if kind == INTEGER:
            return str(rng.randint(0, 9))
        size = rng.choices((1, 2, 3), weights=(1, 3, 3))[0]
        if kind == STRING:
            return repr("".join(rng.choices(LETTERS, k=size)))
        return repr(rng.choices(range(MAX_LIST_ITEM + 1), k=size))

    def _some(self, kind: str) -> str | None:
        """Chooses an existing variable of a kind, the latest one with double probability."""
        names = [name for name, known in self.types.items() if known == kind]
        if not names:
            return None
        if self.last_assigned in names and self.rng.random() < 0.5:
            return self.last_assigned
        return self.rng.choice(names)

    def _assign(self, indent: str) -> None:
        choices = [self._integer_statement] * 3
        if self._some(STRING):
            choices += [self._string_statement] * 3
        if self._some(LIST):
            choices += [self._list_statement] * 3
        self.rng.choice(choices)(indent)

    def _set(self, indent: str, kind: str, expression: str) -> None:
        name = self.rng.choice(_NAMES[kind])
        if indent != "    " and name not in self.types:  # a new variable must exist on every path
            name = self._some(kind) or name
        new = name not in self.types
        self.lines.append(f"{indent}{name} = {expression}")
        if not new or indent == "    ":
            self.types[name] = kind
        self.last_assigned = name

    def _integer_statement(self, indent: str) -> None:
        rng = self.rng
        first, second = self._some(INTEGER), self._some(INTEGER)
        if first is None:
            self._measure(indent)
            return
        operator = rng.choice("++--*%")
        if operator == "%":
            expression = f"{first} % {rng.randint(2, 5)}"
        elif rng.random() < 0.5 or first == second:
            limit = 3 if operator == "*" else 9
            expression = f"{first} {operator} {rng.randint(1 if operator != '*' else 2, limit)}"
        else:
            expression = f"{first} {operator} {second}"
        self._set(indent, INTEGER, expression)

    def _measure(self, indent: str) -> None:
        """Assigns an integer computed from a string or a list."""
        text, items = self._some(STRING), self._some(LIST)
        choices = []
        if text:
            choices += [f"len({text})"]
        if items:
            choices += [f"len({items})", f"sum({items})", f"max({items})", f"{items}[0]"]
            choices += [f"{items}[-1]"]
        self._set(indent, INTEGER, self.rng.choice(choices))

    def _string_statement(self, indent: str) -> None:
        text, other = self._some(STRING), self._some(STRING)
        letter = repr(self.rng.choice(LETTERS))
        if self.rng.random() < 0.35:
            self._measure(indent)
            return
        expressions = (
            f"{text} + {letter}",
            f"{letter} + {text}",
            f"{text} + {other}",
            f"{text}[::-1]",
            f"{text}[0]",
        )
        self._set(indent, STRING, self.rng.choice(expressions))

    def _list_statement(self, indent: str) -> None:
        items = self._some(LIST)
        number = self._some(INTEGER)
        draw = self.rng.random()
        if draw < 0.45:
            self._measure(indent)
        elif draw < 0.65:
            literal = self.rng.randint(0, MAX_LIST_ITEM)
            item = number if number and self.rng.random() < 0.5 else literal
            self.lines.append(f"{indent}{items}.append({item})")
            self.last_assigned = items
        else:
            expressions = (f"sorted({items})", f"{items}[::-1]")
            self._set(indent, LIST, self.rng.choice(expressions))

    def _condition(self) -> str:
        rng = self.rng
        candidates = []
        number = self._some(INTEGER)
        if number:
            candidates += [f"{number} {rng.choice('<>')} {rng.choice((3, 5, 7))}"] * 2
            candidates += [f"{number} % 2 == {rng.randint(0, 1)}"]
        text, items = self._some(STRING), self._some(LIST)
        if text:
            candidates += [f"len({text}) > {rng.randint(1, 2)}"]
        if items:
            candidates += [f"len({items}) > {rng.randint(1, 2)}"]
        return rng.choice(candidates)

    def _branch(self, indent: str) -> None:
        self.lines.append(f"{indent}if {self._condition()}:")
        known = dict(self.types)
        self._assign(indent + "    ")
        if self.rng.random() < 0.5:
            self.lines.append(f"{indent}else:")
            self._assign(indent + "    ")
        self.types = {name: kind for name, kind in self.types.items() if name in known}

    def _loop(self, indent: str) -> None:
        rng = self.rng
        text, items, number = self._some(STRING), self._some(LIST), self._some(INTEGER)
        inner = indent + "    "
        loops = ["range"]
        loops += ["string"] * 2 if text else []
        loops += ["list"] * 2 if items else []
        loop = rng.choice(loops)
        if number is None:
            number = "n"
            self.lines.append(f"{indent}n = {rng.randint(0, 3)}")
            self.types["n"] = INTEGER
        if loop == "range":
            self.lines.append(f"{indent}for i in range({rng.randint(2, 3)}):")
            step = rng.choice(("i", str(rng.randint(1, 3))))
            self.lines.append(f"{inner}{number} = {number} {rng.choice('+++-*')} {step}")
            self.last_assigned = number
        elif loop == "list":
            self.lines.append(f"{indent}for x in {items}:")
            self.lines.append(f"{inner}{number} = {number} {rng.choice('+++-')} x")
            self.last_assigned = number
        else:
            self.lines.append(f"{indent}for ch in {text}:")
            body = [f"{number} = {number} + {rng.randint(1, 3)}"]
            other = [name for name, kind in self.types.items() if kind == STRING and name != text]
            if other:
                body += [f"{other[0]} = ch + {other[0]}", f"{other[0]} = ch"]
            chosen = rng.choice(body)
            self.lines.append(inner + chosen)
            self.last_assigned = chosen.split(" ", 1)[0]

    def _return(self) -> None:
        if self.rng.random() < 0.1:
            self.lines.append(f"    return {self._condition()}")
            return
        last = self.last_assigned if self.last_assigned in self.types else None
        result = last if last and self.rng.random() < 0.9 else self.rng.choice(list(self.types))
        self.lines.append(f"    return {result}")
