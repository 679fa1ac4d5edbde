"""Provides runs to test narrators and the verifier: one read by hand, and CRUXEval's."""

import json
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.source.calls import CallError
from data_pipeline.tracing import Trace, trace_call

PROGRAM = '''\
def outer(items, limit=3):
    """Sum what the helper makes of the items. Stops early."""
    total = 0

    def clip(x):
        return min(x, limit)

    for item in items:
        try:
            total += clip(int(item))
        except ValueError:
            total -= 1
            continue
        if total > 7:
            break
    return total
'''


def cruxeval_traces(shared_data: Path, count: int = 800, start: int = 0) -> Iterator[Trace]:
    path = shared_data / "cruxeval/data/cruxeval.jsonl"
    for line in path.read_text().splitlines()[start : start + count]:
        row = json.loads(line)
        try:
            yield trace_call(row["code"], f"f({row['input']})")
        except CallError:  # seven inputs are no literals
            continue
