"""Reads the tasks of code benchmarks from the files in which they are published.

Recognizes a benchmark by its fields, not by the file name: HumanEval and EvalPlus (`prompt`,
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
from data_pipeline.files import local_copy, parse_json, read_decompressed, read_numbered_lines

_LONGEST_LINE = 4 << 30  # hidden tests of a contest's problem take up to hundreds of MB
_SUFFIXES = (".jsonl", ".jsonl.gz", ".json")


class BenchmarkFileError(UserError):
    """Reports a file that is not a benchmark; one line: where, what was expected."""


class _NotJson(BenchmarkFileError):
    """Reports a file that is not JSON; such files are skipped in a folder."""


@dataclass(frozen=True)
class BenchmarkTask:
    """Holds one task: the program of its solution and the question in words; either may be ""."""

    id: str
    code: str
    text: str


def read_tasks(paths: Iterable[str | Path]) -> Sequence[BenchmarkTask]:
    """Reads all tasks of files, and of the visible .jsonl, .jsonl.gz and .json files below folders.

    Skips files in folders whose first row is not from a benchmark. Raises BenchmarkFileError if
    a file that `paths` names is not a benchmark, or a folder holds none.
    """
    tasks: list[BenchmarkTask] = []
    for path in map(local_copy, paths):
        if path.is_dir():
            files = sorted(f for f in visible_files(path) if f.name.endswith(_SUFFIXES))
            found = [task for file in files for task in _tasks(file, lenient=True)]
            if not found:
                raise BenchmarkFileError(
                    f"{path}: expected a benchmark's .jsonl, .jsonl.gz or .json"
                )
            tasks += found
        else:
            tasks += _tasks(path, lenient=False)
    return tasks


def visible_files(folder: Path) -> Iterator[Path]:
    """Yields the files below a folder without hidden ones, such as a build's work."""
    for path in folder.rglob("*"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _tasks(path: Path, lenient: bool) -> Iterator[BenchmarkTask]:
    name = path.name.split(".")[0]
    for number, (where, row) in enumerate(_rows(path, lenient), start=1):
        task = _task(row, name, number) if isinstance(row, Mapping) else None
        if task is None:
            if lenient and number == 1:
                return
            raise BenchmarkFileError(
                f"{where}: expected a row of HumanEval, MBPP, CRUXEval or LiveCodeBench"
            )
        yield task


def _rows(path: Path, lenient: bool) -> Iterator[tuple[str, Any]]:
    try:
        if path.suffix == ".json":
            yield from _rows_of_list(path, lenient)
            return
        for number, line in read_numbered_lines(
            path, raises=BenchmarkFileError, longest=_LONGEST_LINE
        ):
            yield f"{path}:{number}", parse_json(line, f"{path}:{number}", raises=_NotJson)
    except _NotJson:
        if not lenient:
            raise


def _rows_of_list(path: Path, lenient: bool) -> Iterator[tuple[str, Any]]:
    content = read_decompressed(path, raises=BenchmarkFileError)
    rows = parse_json(content, str(path), raises=_NotJson, expected="a list of rows")
    if isinstance(rows, list):
        yield from ((f"{path}: row {n}", row) for n, row in enumerate(rows, start=1))
    elif not lenient:
        raise BenchmarkFileError(f"{path}: expected a list of rows")


def _task(row: Mapping[str, Any], file: str, number: int) -> BenchmarkTask | None:
    def text(field: str) -> str:
        value = row.get(field)
        return value if isinstance(value, str) else ""

    own = row.get("task_id", row.get("question_id", row.get("id")))
    identity = str(own) if own is not None else str(number)
    if "/" not in identity:  # published ids are "HumanEval/0", but also 2, "sample_0", "abc301_a"
        identity = f"{file}/{identity}"
    if "question_id" in row and row.get("id") is not None:
        identity = f"{identity}#{row['id']}"
    if text("canonical_solution") or ("prompt" in row and "entry_point" in row):
        prompt = text("prompt")
        solution = text("canonical_solution")
        code = prompt + solution if _parses(prompt + solution) else solution
        return BenchmarkTask(identity, code, _prompt_words(prompt))
    if text("question_content"):
        return BenchmarkTask(identity, text("starter_code"), text("question_content"))
    if text("code"):
        return BenchmarkTask(
            identity, text("code").replace("\r\n", "\n"), text("text") or text("prompt")
        )
    return None


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


_EXAMPLE = re.compile(r"^\s*(?:>>>|assert\b)")


def _prompt_words(prompt: str) -> str:
    """Returns the last docstring of a prompt, which is the question, without its examples."""
    found = re.findall(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', prompt, re.DOTALL)
    if not found:
        return ""
    lines: list[str] = []
    for line in "".join(found[-1]).split("\n"):
        if _EXAMPLE.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()
