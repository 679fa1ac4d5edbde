"""Runs small random programs and makes held-out problems from them."""

import json
import random
from pathlib import Path

from data_pipeline.toy.corpus import random_program
from data_pipeline.tracing import Trace, trace_call


def random_runs(count: int, seed: int = 0) -> list[Trace]:
    """Yields runs of small random functions that return a value."""
    rng, runs = random.Random(seed), []
    while len(runs) < count:
        program = random_program(rng)
        trace = trace_call(program.code, program.call)
        if trace.raised is None:
            runs.append(trace)
    return runs


def write_problems(path: Path, count: int = 6) -> Path:
    """Writes a problems file like the toy corpus."""
    rows = [
        {"id": f"p{i}", "program": run.program, "call": run.call, "output": run.result}
        for i, run in enumerate(random_runs(count, seed=3))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
