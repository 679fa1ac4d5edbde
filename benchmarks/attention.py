"""Measures attention on CPU by blocks beside all scores: python benchmarks/attention.py

    [--rows=2048] [--batch=2] [--steps=6] [--rounds=1]

Trains the model of configs/pyx.py on random tokens whose records have PyX's measured lengths,
packed into rows; a step has rows x batch tokens. Each side (compute.attention = "xla", then
"blocks") runs in a process of its own, so that its peak of memory is its own; with --rounds the
sides take turns. Tokens/s are the median of the steps after two that compile. Measure on a quiet
machine; XLA_FLAGS=--xla_cpu_max_isa=AVX2 stands in for a CPU without AVX-512.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rounds import describe_machine

SIDES = ("xla", "blocks")
VOCABULARY = 4000
RECORDS = 512
PROMPT = 0.4  # share of a record


def main(argv: list[str] | None = None) -> None:
    flags = read_flags(argv)
    if flags.side:
        print(json.dumps(measure(flags)))
        return
    print(describe_machine(1, "figures are too low"))
    print(f"rows of {flags.rows}, {flags.batch} a step")
    print(f"{'attention':10}{'tokens/s':>10}{'CPU s/step':>12}{'peak GB':>9}")
    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(flags.rounds):
        for side in SIDES:
            found[side].append(measure_in_process(flags, side))
    for side, rows in found.items():
        best = max(rows, key=lambda row: row["tokens"])
        print(f"{side:10}{best['tokens']:>10,.0f}{best['cpu']:>12.2f}{best['peak'] / 1e9:>9.2f}")


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2048, help="positions of a row")
    parser.add_argument("--batch", type=int, default=2, help="rows of a step")
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def measure_in_process(flags: argparse.Namespace, side: str) -> dict[str, float]:
    sizes = [f"--{name}={getattr(flags, name)}" for name in ("rows", "batch", "steps")]
    command = [sys.executable, __file__, f"--side={side}", *sizes]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(flags: argparse.Namespace) -> dict[str, float]:
    """Trains one side; returns tokens/s, CPU seconds a step and the peak of memory in bytes."""
    import jax

    from benchmarks.train_sides import forget_host_peak, host_peak
    from semcoder_jax.config import parse_run
    from semcoder_jax.config.architecture import build_decoder_config
    from semcoder_jax.config_files import read_config
    from semcoder_jax.model import sharding
    from semcoder_jax.training.state import TrainSetup, create_state
    from semcoder_jax.training.step import make_train_step

    config = read_config("configs/pyx.py")
    config.compute.attention = flags.side
    config.data.sequence_length = flags.rows
    config.data.global_batch_size = flags.batch
    run = parse_run(config)
    decoder = build_decoder_config(run.model, vocab_size=VOCABULARY, sequence_length=flags.rows)
    mesh = sharding.make_mesh(run.mesh)
    setup = TrainSetup.of(run, decoder, 200 + flags.steps, mesh)  # as if of a longer run
    state, step = create_state(setup), make_train_step(setup, run.train)
    seconds: list[float] = []
    for number, batch in enumerate(packed_batches(flags.rows, flags.batch, 2 + flags.steps)):
        if number == 2:
            forget_host_peak()
            before = resource.getrusage(resource.RUSAGE_SELF)
        shards, started = sharding.put_batch(batch, mesh), time.monotonic()
        state, metrics = step(state, {}, shards)
        jax.block_until_ready((state, metrics))
        seconds.append(time.monotonic() - started)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "tokens": flags.rows * flags.batch / median(seconds[2:]),
        "cpu": used / flags.steps,
        "peak": host_peak(),
    }


def packed_batches(rows: int, batch: int, number: int) -> Iterator[dict]:
    """Yields batches of packed rows, the same ones for both sides."""
    import numpy as np

    from benchmarks.train import pyx_lengths
    from data_pipeline.tokens.packing import TokenTable, lay_out, plan_packs

    rng = np.random.default_rng(2)
    lengths = np.minimum(pyx_lengths(RECORDS, rng), rows + 1)
    table = TokenTable(
        rng.integers(10, VOCABULARY, lengths.sum()).astype(np.int32),
        np.concatenate([[0], np.cumsum(lengths)]),
        (PROMPT * lengths).astype(np.int32),
        np.zeros(RECORDS, bool),
        np.ones(RECORDS, np.int32),
    )
    packs = plan_packs(table.lengths_R - 1, rows, window=RECORDS)
    packs = packs.reorder(np.random.default_rng(1).permutation(len(packs)))
    for at in range(number):
        first = at * batch % (len(packs) - batch)
        yield lay_out(table, [packs[first + row] for row in range(batch)], rows)


if __name__ == "__main__":
    main()
