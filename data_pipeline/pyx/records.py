"""Defines, validates, reads and writes PyX and PyX-R records in upstream's JSONL schema.

A PyX row has the fields `id, nl, fwd_mnl, bwd_mnl, response`, exactly one of the three in the
middle non-empty; a PyX-R row has `fault, response` (upstream: src/dataset.py; its PyX-R has no id).
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.files import as_path, parse_json, read_numbered_lines, write_rows

PYX_KINDS = ("nl", "fwd_mnl", "bwd_mnl")
KINDS = (*PYX_KINDS, "fault")
FIELDS = ("id", *KINDS, "response")

TRAINING_KINDS = ("nl", "forward", "backward", "refine", "instruction")
"""Names of the record kinds in training. The order is fixed: batches store 1 + the index."""

_TRAINING_KIND = dict(zip((*KINDS, "instruction"), TRAINING_KINDS, strict=True))


class RecordError(UserError):
    """Reports a row that is not PyX or PyX-R; one line: where, which field, what was expected."""


@dataclass(frozen=True)
class PyXRecord:
    """Holds one PyX training example. Exactly one of `nl`, `fwd_mnl`, `bwd_mnl` is non-empty.

    `id` has upstream's form, e.g. "fwd_mnl_108213_ipt9" (kind, seed, input number).
    Raises RecordError if a field breaks the schema.
    """

    id: str
    nl: str
    fwd_mnl: str
    bwd_mnl: str
    response: str

    def __post_init__(self) -> None:
        check_text("id", self.id)
        _check_one_instruction({kind: getattr(self, kind) for kind in PYX_KINDS})
        check_text("response", self.response)

    @property
    def kind(self) -> str:
        """Names the instruction that the record holds: "nl", "fwd_mnl" or "bwd_mnl"."""
        return next(kind for kind in PYX_KINDS if getattr(self, kind))

    @property
    def prompt_field(self) -> str:
        """Returns the text of the one non-empty instruction field."""
        return getattr(self, self.kind)


@dataclass(frozen=True)
class RefineRecord:
    """Holds one PyX-R training example: a buggy program with its failing test, and the repair.

    Raises RecordError if a field breaks the schema.
    """

    id: str
    fault: str
    response: str

    def __post_init__(self) -> None:
        check_text("id", self.id)
        _check_one_instruction({"fault": self.fault})
        check_text("response", self.response)

    @property
    def kind(self) -> str:
        """Returns "fault"."""
        return "fault"

    @property
    def prompt_field(self) -> str:
        """Returns `fault`."""
        return self.fault


Record = PyXRecord | RefineRecord


def make_record(id: str, kind: str, prompt_field: str, response: str) -> Record:
    """Makes a record of `kind` with `prompt_field` as its instruction. Raises RecordError."""
    if kind == "fault":
        return RefineRecord(id, prompt_field, response)
    if kind not in PYX_KINDS:
        raise RecordError(f"kind: expected one of {', '.join(KINDS)}; got {abbreviate(kind)}")
    return PyXRecord(
        id=id, response=response, **dict.fromkeys(PYX_KINDS, "") | {kind: prompt_field}
    )


def kind_number(kind: str) -> int:
    """Returns 1 + the index in TRAINING_KINDS of a record's `kind`; 0 stands for padding."""
    return 1 + TRAINING_KINDS.index(_TRAINING_KIND[kind])


def content_id(fault: str, response: str) -> str:
    """Returns the id for a PyX-R row without one: "fault_" + 64 bits of the content's SHA-256."""
    content = json.dumps([fault, response]).encode()
    return f"fault_{hashlib.sha256(content).hexdigest()[:16]}"


def parse_record(row: Any, where: str) -> Record:
    """Converts a decoded JSON row to a record.

    Absent and null instruction fields count as empty. Raises RecordError, whose message begins with
    `where` ("file:line").
    """
    try:
        return _record_of_row(row)
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def record_to_row(record: Record) -> dict[str, str]:
    """Converts a record to upstream's schema: five fields for PyX; `fault`, `response` for PyX-R.

    A PyX-R id is included only if it differs from `content_id`.
    """
    if isinstance(record, PyXRecord):
        return {name: getattr(record, name) for name in ("id", *PYX_KINDS, "response")}
    row = {"fault": record.fault, "response": record.response}
    if record.id != content_id(record.fault, record.response):
        row = {"id": record.id, **row}
    return row


def read_jsonl(path: str | os.PathLike) -> Iterator[Record]:
    """Reads the records of a .jsonl or .jsonl.gz file, in order; skips blank lines.

    Raises RecordError at the first bad line, or if the file cannot be read.
    """
    for where, row in json_lines(as_path(path)):
        yield parse_record(row, where)


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yields ("file:line", decoded row) of a .jsonl or .jsonl.gz file; skips blank lines.

    Raises RecordError if the file cannot be read, or at a line that is not JSON.
    """
    for number, line in read_numbered_lines(path, raises=RecordError):
        where = f"{path}:{number}"
        yield where, decode_line(line, where)


def write_jsonl(path: str | os.PathLike, records: Iterable[Record]) -> int:
    """Writes records as .jsonl (or .jsonl.gz) in upstream's schema; returns their number.

    Writes atomically and creates missing folders. The same records give the same bytes.
    Raises FileError.
    """
    rows = (record_to_row(record) for record in records)
    return write_rows(path, rows, ensure_ascii=False, durable=True)


# --- one row --------------------------------------------------------------------------------------


def _record_of_row(row: Any) -> Record:
    if not isinstance(row, Mapping):
        raise RecordError(f"expected a JSON object; got {abbreviate(row)}")
    for name in row:
        if name not in FIELDS:
            raise RecordError(f"field {abbreviate(name)}: unknown; expected {', '.join(FIELDS)}")
    instructions = {kind: "" if row.get(kind) is None else row[kind] for kind in KINDS}
    _check_one_instruction(instructions)
    if "response" not in row:
        raise RecordError("field 'response': missing; expected the text to learn")
    response = row["response"]
    if instructions["fault"]:
        check_text("response", response)
        record_id = row.get("id")
        fault = instructions["fault"]
        return RefineRecord(
            content_id(fault, response) if record_id is None else record_id, fault, response
        )
    if "id" not in row:
        raise RecordError("field 'id': missing; expected a non-empty string")
    return PyXRecord(
        row["id"], instructions["nl"], instructions["fwd_mnl"], instructions["bwd_mnl"], response
    )


def _check_one_instruction(text_by_kind: Mapping[str, Any]) -> None:
    """Raises RecordError unless exactly one instruction is non-empty and not only white space."""
    for kind, text in text_by_kind.items():
        if not isinstance(text, str):
            raise RecordError(f"field '{kind}': expected a string; got {abbreviate(text)}")
    present = [kind for kind, text in text_by_kind.items() if text]
    if len(present) != 1 and len(text_by_kind) > 1:
        raise RecordError(
            f"fields {', '.join(text_by_kind)}: expected exactly one that is not empty; "
            f"got {' and '.join(present) or 'none'}"
        )
    kind = present[0] if present else next(iter(text_by_kind))
    check_text(kind, text_by_kind[kind])


def check_text(field: str, text: Any) -> None:
    """Raises RecordError unless `text` is Unicode text with more than white space."""
    if not isinstance(text, str) or not text.strip():
        raise RecordError(f"field '{field}': expected a non-empty string; got {abbreviate(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(
            f"field '{field}': expected Unicode text; "
            f"character {error.start} is the lone surrogate {abbreviate(text[error.start])}"
        ) from None


def abbreviate(value: Any) -> str:
    """Returns a value as JSON on one line, cut to 60 characters."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- one file -------------------------------------------------------------------------------------


def decode_line(line: bytes, where: str) -> Any:
    """Parses a JSON line. Raises RecordError, also for a name that occurs twice."""
    return parse_json(line, where, raises=RecordError, object_of_pairs=_object_without_repeats)


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise RecordError(f"field {abbreviate(name)}: given more than once")
    return row
