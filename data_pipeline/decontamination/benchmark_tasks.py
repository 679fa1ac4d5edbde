"""The tasks of code benchmarks as programs and texts, from the files they are published in.

Read by their fields, whatever the file is called: HumanEval and EvalPlus (`prompt`,
`canonical_solution`), MBPP (`text`, `code`), its sanitized form and MBPP+ (`prompt`, `code`),
CRUXEval (`code`, `input`, `output`), LiveCodeBench's code generation (`question_content`,
`starter_code`), test prediction (`question_content`, `test`) and execution (`code`,
`function_name`).
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.files import parse_json, read_decompressed, read_numbered_lines

_SUFFIXES = (".jsonl", ".jsonl.gz", ".json")


class BenchmarkError(UserError):
    """Not a benchmark's file. The message is one line: what, where, what was expected."""


class _NotJson(BenchmarkError):
    """A file that is not JSON; in a folder it is passed by."""


@dataclass(frozen=True)
class Task:
    """One task. code: a program of its solution, or ""; text: the question in words, or ""."""

    id: str
    code: str
    text: str


def read_tasks(paths: Iterable[str | Path]) -> Sequence[Task]:
    """All tasks of files, and of the .jsonl, .jsonl.gz and .json files in folders (and below).

    In a folder, files whose first row is no benchmark's are passed by; a file named itself must be
    one. Raises BenchmarkError.
    """
    tasks: list[Task] = []
    for path in map(Path, paths):
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if f.name.endswith(_SUFFIXES))
            found = [task for file in files for task in _tasks(file, lenient=True)]
            if not found:
                raise BenchmarkError(f"{path}: expected a benchmark's .jsonl, .jsonl.gz or .json")
            tasks += found
        else:
            tasks += _tasks(path, lenient=False)
    return tasks


def _tasks(path: Path, lenient: bool) -> Iterator[Task]:
    name = path.name.split(".")[0]
    for number, (where, row) in enumerate(_rows(path, lenient), start=1):
        task = _task(row, name, number) if isinstance(row, Mapping) else None
        if task is None:
            if lenient and number == 1:
                return
            raise BenchmarkError(
                f"{where}: expected a row of HumanEval, MBPP, CRUXEval or LiveCodeBench"
            )
        yield task


def _rows(path: Path, lenient: bool) -> Iterator[tuple[str, Any]]:
    try:
        if path.suffix == ".json":
            yield from _listed_rows(path, lenient)
            return
        for number, line in read_numbered_lines(path, raises=BenchmarkError):
            yield f"{path}:{number}", parse_json(line, f"{path}:{number}", raises=_NotJson)
    except _NotJson:
        if not lenient:
            raise


def _listed_rows(path: Path, lenient: bool) -> Iterator[tuple[str, Any]]:
    content = read_decompressed(path, raises=BenchmarkError)
    rows = parse_json(content, str(path), raises=_NotJson, expected="a list of rows")
    if isinstance(rows, list):
        yield from ((f"{path}: row {n}", row) for n, row in enumerate(rows, start=1))
    elif not lenient:
        raise BenchmarkError(f"{path}: expected a list of rows")


def _task(row: Mapping[str, Any], file: str, number: int) -> Task | None:
    def text(field: str) -> str:
        value = row.get(field)
        return value if isinstance(value, str) else ""

    own = row.get("task_id", row.get("question_id", row.get("id")))
    identity = str(own) if own is not None else str(number)
    if "/" not in identity:  # as published: "HumanEval/0", but 2, "sample_0", "abc301_a"
        identity = f"{file}/{identity}"
    if "question_id" in row and row.get("id") is not None:
        identity = f"{identity}#{row['id']}"
    if text("canonical_solution") or ("prompt" in row and "entry_point" in row):
        prompt = text("prompt")
        solution = text("canonical_solution")
        code = prompt + solution if _parses(prompt + solution) else solution
        return Task(identity, code, _prompt_words(prompt))
    if text("question_content"):
        return Task(identity, text("starter_code"), text("question_content"))
    if text("code"):
        return Task(identity, text("code").replace("\r\n", "\n"), text("text") or text("prompt"))
    return None


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


_EXAMPLE = re.compile(r"^\s*(?:>>>|assert\b)")


def _prompt_words(prompt: str) -> str:
    """The last docstring of a prompt, which is the question; without its examples."""
    found = re.findall(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', prompt, re.DOTALL)
    if not found:
        return ""
    lines: list[str] = []
    for line in "".join(found[-1]).split("\n"):
        if _EXAMPLE.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()
