"""Provides a compiler for the planner that needs no libtpu, and the record of a small run."""

import sys
import textwrap
from pathlib import Path

import pytest

from semcoder_jax.planner.cache import PlanCache
from semcoder_jax.planner.compiled_step import CompiledStep
from semcoder_jax.planner.compiler import Compiler


def record(**changes) -> dict:
    base = {
        "model": {
            "vocab_size": 64,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_layers": 2,
            "num_heads": 2,
        },
        "mesh": {"fsdp": -1},
        "data": {
            "source": "jsonl",
            "train": "-",
            "tokenizer": "-",
            "sequence_length": 8,
            "global_batch_size": 32,
        },
        "train": {"num_steps": 100, "accumulation_steps": 2},
    }
    for name, value in changes.items():
        section, _, field = name.partition("__")
        base.setdefault(section, {})[field] = value
    return base


FITS = CompiledStep(
    fits=True,
    peak_bytes=10 * 2**30,
    needed_bytes=None,
    usable_bytes=int(15.75 * 2**30),
    argument_bytes=2**30,
    trained_parameters=6_740_512_768,
    executed_flops=5.7e16,
    collectives=(
        {
            "kind": "all-gather",
            "dtype": "bfloat16",
            "shape": (200, 1_000_000),
            "bytes": 400_000_000,
            "group": 16,
            "slices": 1,
            "loops": (16, 32),
            "count": 2,
        },
    ),
    least_exchanged_bytes=320e9,
    seconds=90.0,
)


class Answers(Compiler):
    """A compiler that needs no libtpu: its process runs `program` instead of the planner's."""

    def __init__(self, folder: Path, program: str):
        script = folder / "program.py"
        script.write_text(textwrap.dedent(program))
        self._libtpu = folder / "site" / "libtpu-1.2.3.dist-info"
        self._libtpu.mkdir(parents=True, exist_ok=True)
        (self._libtpu / "METADATA").write_text("Name: libtpu\nVersion: 1.2.3\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEMCODER_LIBTPU", str(self._libtpu.parent))
            super().__init__(PlanCache(folder / "plans"), (sys.executable, str(script)))


ECHO = f"""
    import json, sys
    asked = 0
    for line in sys.stdin:
        request, asked = json.loads(line), asked + 1
        step = {FITS.to_record()!r} | {{"seconds": asked}}
        print(json.dumps({{"answer": step}}), flush=True)
"""
