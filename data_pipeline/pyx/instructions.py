"""Reads instruction data (requests for code in words) from JSONL, in the release's prompt form.

A row has `instruction` or `problem`, and `response` or `solution`. Other fields are ignored, so
public sets (Evol-Instruct's `instruction`, OSS-Instruct's `problem`) need no conversion. A problem
is preceded by upstream's sentence for problems (src/prompts.py); both are then put into the
template of code generation, as upstream trains them.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data_pipeline.files import as_path
from data_pipeline.pyx.records import RecordError, abbreviate, check_text, json_lines

REQUEST_FIELDS = ("instruction", "problem")
ANSWER_FIELDS = ("response", "solution")

_PROBLEM_SENTENCE = "Write a solution to the following coding problem:\n"


@dataclass(frozen=True)
class InstructionRecord:
    """Holds a request in words and its answer. Raises RecordError if a field breaks the schema."""

    id: str
    instruction: str
    response: str

    def __post_init__(self) -> None:
        for field in ("id", "instruction", "response"):
            check_text(field, getattr(self, field))

    @property
    def kind(self) -> str:
        """Returns "instruction"."""
        return "instruction"

    @property
    def prompt_field(self) -> str:
        """Returns `instruction`."""
        return self.instruction


def is_instruction_row(row: Any) -> bool:
    """Tells whether a decoded JSON row is instruction data rather than PyX."""
    return isinstance(row, Mapping) and any(field in row for field in REQUEST_FIELDS)


def parse_instruction(row: Any, where: str) -> InstructionRecord:
    """Converts a decoded JSON row; `where` ("file:line") opens the message of a RecordError."""
    try:
        if not isinstance(row, Mapping):
            raise RecordError(f"expected a JSON object; got {abbreviate(row)}")
        request, answer = _one_of(row, REQUEST_FIELDS), _one_of(row, ANSWER_FIELDS)
        check_text(request, row[request])
        check_text(answer, row[answer])
        opening = _PROBLEM_SENTENCE if request == "problem" else ""
        instruction, response = opening + row[request], row[answer]
        return InstructionRecord(_content_id(instruction, response), instruction, response)
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def read_instructions(path: str | os.PathLike) -> Iterator[InstructionRecord]:
    """Reads the records of a .jsonl or .jsonl.gz file. Raises RecordError at a bad line."""
    for where, row in json_lines(as_path(path)):
        yield parse_instruction(row, where)


def _one_of(row: Mapping, fields: tuple[str, ...]) -> str:
    present = [field for field in fields if row.get(field) is not None]
    if len(present) != 1:
        found = " and ".join(present) or "none"
        raise RecordError(f"fields {', '.join(fields)}: expected exactly one; got {found}")
    return present[0]


def _content_id(instruction: str, response: str) -> str:
    """Returns "instruction_" and 64 bits of the SHA-256 of the content."""
    content = json.dumps([instruction, response]).encode()
    return f"instruction_{hashlib.sha256(content).hexdigest()[:16]}"
