"""Selects rows of LiveCodeBench's files by contest date."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semcoder_jax.evaluation.benchmarks.data import DataError, Home, field, read_rows

HUB = "https://huggingface.co/datasets/livecodebench"


def rows_in_window(
    sources: Sequence[str | Path | Home], start_date: str | None, end_date: str | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields (file:line, row) for each contest from `start_date` to `end_date`, both included.

    Raises DataError for a malformed date, or if no row is left.
    """
    first = _date("config.start_date", start_date or "0001-01-01")
    last = _date("config.end_date", end_date or "9999-12-31")
    if first > last:
        raise DataError(f"config.start_date={start_date}: lies behind config.end_date={end_date}")
    found = 0
    for source in sources:
        for where, row in read_rows(source).rows:
            date = _date(f"{where}: field 'contest_date'", field(where, row, "contest_date"))
            if first <= date <= last:
                found += 1
                yield where, row
    if not found:
        raise DataError(f"no problem from {first} to {last}: see config.start_date and end_date")


def _date(where: str, text: str) -> datetime.date:
    try:
        return datetime.datetime.fromisoformat(text).date()
    except ValueError as error:
        raise DataError(f"{where}: {text!r}: expected a date such as 2024-01-31") from error
