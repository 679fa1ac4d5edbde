"""Instruction data beside PyX: JSONL rows that ask for code in words, in the release's prompt form.

A row has `instruction` or `problem`, and `response` or `solution`; every other field is passed
over, so that public sets (Evol-Instruct's `instruction`, OSS-Instruct's `problem`) are read as they
are. A problem is asked with upstream's sentence for problems (src/prompts.py); both are then put
into the template of code generation, as upstream trains them.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.pyx.records import RecordError, check_text, json_lines, shown

ASKED = ("instruction", "problem")
ANSWERED = ("response", "solution")

_PROBLEM_SENTENCE = "Write a solution to the following coding problem:\n"


@dataclass(frozen=True)
class InstructionRecord:
    """One request in words and its answer. Raises RecordError when a field breaks the schema."""

    id: str
    instruction: str
    response: str

    def __post_init__(self) -> None:
        for field in ("id", "instruction", "response"):
            check_text(field, getattr(self, field))

    @property
    def kind(self) -> str:
        """Always "instruction"."""
        return "instruction"

    @property
    def prompt_field(self) -> str:
        """The text of `instruction`."""
        return self.instruction


def is_instruction_row(row: Any) -> bool:
    """Whether a decoded JSON row is one of instruction data, and not of PyX."""
    return isinstance(row, Mapping) and any(field in row for field in ASKED)


def parse_instruction(row: Any, where: str) -> InstructionRecord:
    """A decoded JSON row as a record; `where` ("file:line") opens the message of a RecordError."""
    try:
        if not isinstance(row, Mapping):
            raise RecordError(f"expected a JSON object; got {shown(row)}")
        asked, answered = _one_of(row, ASKED), _one_of(row, ANSWERED)
        check_text(asked, row[asked])
        check_text(answered, row[answered])
        opening = _PROBLEM_SENTENCE if asked == "problem" else ""
        instruction, response = opening + row[asked], row[answered]
        return InstructionRecord(_derived_id(instruction, response), instruction, response)
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def read_instructions(path: str | os.PathLike) -> Iterator[InstructionRecord]:
    """The records of a .jsonl or .jsonl.gz file, in order. Raises RecordError at a bad line."""
    for where, row in json_lines(Path(path)):
        yield parse_instruction(row, where)


def _one_of(row: Mapping, fields: tuple[str, ...]) -> str:
    present = [field for field in fields if row.get(field) is not None]
    if len(present) != 1:
        found = " and ".join(present) or "none"
        raise RecordError(f"fields {', '.join(fields)}: expected exactly one; got {found}")
    return present[0]


def _derived_id(instruction: str, response: str) -> str:
    """ "instruction_" and 64 bits of the SHA-256 of the content."""
    content = json.dumps([instruction, response]).encode()
    return f"instruction_{hashlib.sha256(content).hexdigest()[:16]}"
