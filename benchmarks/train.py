"""Compares our training step with transformers + torch: tokens/s, peak memory, cost of padding.

    python benchmarks/train.py --directory=DIR              # CPU, some 8 minutes on two cores
    python benchmarks/train.py --directory=DIR --quick      # does it run? two minutes, no figures
    python benchmarks/train.py --directory=DIR --accelerator --size=1.3b|6.7b [--rows=8]

transformers creates the model once in DIR: DeepSeek's shape with random weights; each side loads it
with its own code. An update is forward, backward, clipping at norm 1 and AdamW. Both sides start
from the same weights and use the same batches; the losses of the first updates are printed side by
side. transformers runs LlamaForCausalLM with SDPA and fused AdamW, eager and under torch.compile.
Each side has its own process; all are warmed up before the first timing. Then they take turns, one
update each, while the others wait. Times are the best and the median of all turns.

Full rows: every position is a token and a target. FLOP/s is model FLOPs
(semcoder_jax/model/flops.py), equal for all sides, over time. The machine's rate of matrix products
is printed next to it.

PyX's lengths: records with the lengths of a built PyX (log-normal by kind, with the measured median
and 99th percentile of prompt and response), cut at 2,048 tokens as upstream does. On CPU all
lengths are then divided by 2,048 / the row's length. We pack rows by a plan over many records;
torch gets upstream's microbatches of 16, padded to the longest in each. Useful tokens are those of
records. The torch side computes padding, as upstream does; its loss excludes it.

Peak memory is the process's largest resident set during its updates (on an accelerator, of device
memory), including weights, moments and libraries.

--accelerator uses bfloat16 compute with float32 weights and moments (autocast in torch), rows of
2,048, and recomputes layers in the backward pass on both sides. Sides run one after another,
because two do not fit. With --sides=jax alone the weights are made on the device, without torch.
MFU is relative to the device's dense bfloat16 peak. --size=tiny tests the benchmark on any machine.
"""

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.models import (
    deepseek_shaped,
    has_weights,
    open_directory,
    save_config,
    save_random_llama,
    save_tokenizer,
)
from benchmarks.rounds import describe_cpu
from data_pipeline.tokens.packing import TokenTable, lay_out, plan_packs

SIDES = {"jax": "semcoder_jax", "eager": "torch, eager", "compiled": "torch, compiled"}
UPSTREAM_LENGTH = 2048
MICROBATCH = 16  # upstream's records per device (finetune_refine.sh)
POOL = 512  # records that a plan packs
PAUSE = 0.3  # seconds, so that the previous side's threads are idle
# Tokens of prompt and response in a built PyX: share of records, median, 99th percentile.
KINDS = {
    "nl": (0.04, 250, 900),
    "forward": (0.41, 735, 2549),
    "backward": (0.39, 548, 1849),
    "refine": (0.16, 935, 2193),
}
PROMPT_SHARE = 0.4
Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class TrainingWork:
    """The sizes of the work.

    An update has `rows` rows of `length` tokens. The losses of `losses` updates are compared; then
    `warm_up` updates run untimed and `turns` timed. With PyX's lengths there are `batches`
    different batches, each run in `rounds` rounds.
    """

    model: dict
    rows: int
    length: int
    losses: int = 4
    warm_up: int = 1
    turns: int = 5
    batches: int = 3
    rounds: int = 2
    microbatch: int = MICROBATCH

    def full_batches(self) -> list[Batch]:
        """Returns one batch per update whose loss is compared; timed updates use the last."""
        rng = np.random.default_rng(0)
        batches = []
        for _ in range(self.losses):
            ids = rng.integers(10, self.model["vocab_size"], (self.rows, self.length + 1))
            batches.append(_whole_rows(ids.astype(np.int32)))
        return batches

    def packed_batches(self) -> list[Batch]:
        """Packs PyX's records into full rows, as many per batch as an update of full rows has."""
        table = self._records()
        packs = plan_packs(table.lengths_R - 1, self.length, window=POOL)
        order = np.random.default_rng(1).permutation(len(packs))
        packs = packs.reorder(order)
        return [
            lay_out(table, [packs[i * self.rows + row] for row in range(self.rows)], self.length)
            for i in range(self.batches)
        ]

    def padded_batches(self) -> list[Batch]:
        """Returns microbatches of records of the same pool, each padded to its longest record.

        Selects them at even distances from the emptiest to the fullest.
        """
        table = self._records()
        order = np.random.default_rng(1).permutation(len(table))
        groups = order[: len(order) // self.microbatch * self.microbatch]
        groups = groups.reshape(-1, self.microbatch)
        lengths = (table.lengths_R - 1)[groups]
        by_fill = groups[np.argsort(lengths.mean(1) / lengths.max(1))]
        places = ((np.arange(self.batches) + 0.5) / self.batches * len(groups)).astype(int)
        return [
            lay_out(
                table, [np.array([r]) for r in records], int(table.lengths_R[records].max()) - 1
            )
            for records in by_fill[places]
        ]

    def _records(self) -> TokenTable:
        rng = np.random.default_rng(2)
        lengths_R = pyx_lengths(POOL, rng) * self.length // UPSTREAM_LENGTH
        lengths_R = np.maximum(lengths_R, 8)
        return TokenTable(
            rng.integers(10, self.model["vocab_size"], lengths_R.sum()).astype(np.int32),
            np.concatenate([[0], np.cumsum(lengths_R)]),
            (PROMPT_SHARE * lengths_R).astype(np.int32),
            np.zeros(POOL, bool),
            np.ones(POOL, np.int32),
        )


def pyx_lengths(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws the token counts of records of all kinds, shuffled, int64."""
    shares = np.array([share for share, _, _ in KINDS.values()])
    counts = rng.multinomial(count, shares / shares.sum())
    lengths = []
    for (_, median, percentile_99), number in zip(KINDS.values(), counts, strict=True):
        sigma = np.log(percentile_99 / median) / 2.326
        lengths.append(np.exp(rng.normal(np.log(median), sigma, number)))
    lengths = rng.permutation(np.concatenate(lengths)).astype(np.int64)
    return np.minimum(lengths, UPSTREAM_LENGTH)


def _whole_rows(ids: np.ndarray) -> Batch:
    """Returns rows of one record each, where every position is a target."""
    rows, length = ids.shape[0], ids.shape[1] - 1
    ones = np.ones((rows, length), np.int32)
    return {
        "tokens": ids[:, :-1],
        "targets": ids[:, 1:],
        "loss_mask": ones.astype(bool),
        "segment_ids": ones,
        "positions": np.tile(np.arange(length, dtype=np.int32), (rows, 1)),
        "kinds": ones,
    }


SMALL = deepseek_shaped(512, 1376, 8, 8)
TINY = deepseek_shaped(64, 128, 2, 2, 512)
SIZES = {
    "small": SMALL,
    "tiny": TINY,
    "1.3b": deepseek_shaped(2048, 5504, 24, 16),
    "6.7b": deepseek_shaped(4096, 11008, 32, 32),
}
ROWS = {"tiny": 2, "1.3b": 8, "6.7b": 4}  # rows per update on an accelerator


def main() -> None:
    flags = _flags()
    sides = flags.sides.split(",")
    if unknown := set(sides) - set(SIDES):
        raise SystemExit(f"error: --sides: {sorted(unknown)[0]!r}, expected some of {list(SIDES)}")
    size, work = work_of(flags)
    directory = Path(flags.directory) / size
    if flags.side:
        from benchmarks.train_sides import serve

        serve(flags.side, directory, work, flags.accelerator)
        return
    open_directory(Path(flags.directory))
    if not has_weights(directory):
        if flags.accelerator and sides == ["jax"]:
            save_config(directory, work.model)
        else:
            save_random_llama(directory, work.model, bfloat16=flags.accelerator)
    if has_weights(directory) and not (directory / "tokenizer.json").exists():
        save_tokenizer(directory, work.model["vocab_size"])
    if flags.accelerator:
        results = {}
        for name in sides:
            results |= measure([name], work)
    else:
        results = measure(sides, work)
    rate = None if flags.accelerator else matmul_rate()
    if flags.json:
        print(json.dumps({"matmul": rate, "sides": results}))
    else:
        print_tables(size, work, results, rate)


def work_of(flags: argparse.Namespace) -> tuple[str, TrainingWork]:
    if flags.accelerator:
        size = flags.size
        rows = flags.rows or ROWS[size]
        work = TrainingWork(
            SIZES[size], rows, UPSTREAM_LENGTH, warm_up=2, turns=10, microbatch=rows
        )
        if size == "tiny":
            work = dataclasses.replace(work, length=128, turns=2, batches=1, rounds=1)
        return size, work
    if flags.quick:
        return "tiny", TrainingWork(TINY, rows=2, length=64, losses=2, turns=1, batches=1, rounds=1)
    return "small", TrainingWork(SMALL, rows=flags.rows or 4, length=512)


# ==== Turns


class Side:
    """The process of a side; it handles one request at a time (see train_sides.serve)."""

    def __init__(self, name: str):
        command = [sys.executable, __file__, *sys.argv[1:], f"--side={name}"]
        self._name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, do: str, **arguments):
        """Sends a request and returns the answer; skips other output of the side's libraries."""
        started = time.monotonic()
        print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("answer "):
                took = time.monotonic() - started
                note = f"[{SIDES[self._name]}: {do} {arguments or ''} {took:.0f} s]"
                print(note, file=sys.stderr, flush=True)
                return json.loads(line.removeprefix("answer "))
        raise SystemExit(f"error: side {self._name} ended with {self._process.wait()}")

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def measure(names: list[str], work: TrainingWork) -> dict[str, dict]:
    """Measures all sides in turns; returns the figures by side.

    With full rows: `losses`, `seconds` of updates and `peak` bytes. With PyX's lengths:
    `ragged_seconds` (by round, over all batches), `useful` tokens, `positions` and `ragged_peak`.
    """
    sides = {name: Side(name) for name in names}
    results = {name: {"losses": side.ask("losses")} for name, side in sides.items()}
    for name, side in sides.items():
        for _ in range(work.warm_up):
            side.ask("update", kind="full", number=-1)
        side.ask("forget_peak")
        results[name]["seconds"] = []
    for _, (name, side) in itertools.product(range(work.turns), sides.items()):
        time.sleep(PAUSE)
        results[name]["seconds"].append(side.ask("update", kind="full", number=-1))
    for name, side in sides.items():
        results[name]["peak"] = side.ask("peak")
        results[name] |= side.ask("ragged_sizes")
        for number in range(work.batches):  # compiles each new length
            side.ask("update", kind="ragged", number=number)
        side.ask("forget_peak")
        results[name]["ragged_seconds"] = [0.0] * work.rounds
    for turn, number in itertools.product(range(work.rounds), range(work.batches)):
        for name, side in sides.items():
            time.sleep(PAUSE)
            seconds = side.ask("update", kind="ragged", number=number)
            results[name]["ragged_seconds"][turn] += seconds
    for name, side in sides.items():
        results[name]["ragged_peak"] = side.ask("peak")
        side.end()
    return results


def matmul_rate() -> float:
    """Measures FLOP/s of float32 products of large matrices."""
    size = 2048
    a, b = (np.random.default_rng(i).random((size, size), np.float32) for i in range(2))
    seconds = []
    for _ in range(10):
        started = time.monotonic()
        np.matmul(a, b)
        seconds.append(time.monotonic() - started)
    return 2 * size**3 / min(seconds)


# ==== Tables


def print_tables(
    size: str, work: TrainingWork, results: dict[str, dict], rate: float | None
) -> None:
    tokens = work.rows * work.length
    names = list(results)
    print(f"\n{size}: updates of {work.rows} rows of {work.length:,} tokens")
    print(f"{describe_cpu()}, load average {os.getloadavg()[0]:.1f} at the end")
    print(f"losses of the first {work.losses} updates")
    for name in names:
        losses = "  ".join(f"{loss:.5f}" for loss in results[name]["losses"])
        print(f"  {SIDES[name]:<18}{losses}")
    if "jax" in results and len(names) > 1:
        ours = np.array(results["jax"]["losses"])
        theirs = [results[name]["losses"] for name in names if name != "jax"]
        difference = np.abs(np.array(theirs) / ours - 1).max()
        print(f"  greatest difference {difference:.1e} of the loss")

    print(f"\n{'full rows':<20}{'tokens/s':>10}{'median':>9}{'GFLOP/s':>10}{'peak, GB':>10}")
    speeds, useful = {}, {}
    for name in names:
        row = results[name]
        speeds[name] = tokens / min(row["seconds"])
        median = tokens / statistics.median(row["seconds"])
        reached = row["flops"] / min(row["seconds"])
        mfu = f"  MFU {reached / row['peak_flops']:.1%}" if row["peak_flops"] else ""
        print(
            f"{SIDES[name]:<20}{speeds[name]:>10,.0f}{median:>9,.0f}{reached / 1e9:>10,.1f}"
            f"{row['peak'] / 1e9:>10.2f}{mfu}"
        )
    _print_ratio(speeds, "tokens/s")
    if rate:
        print(f"products of matrices alone: {rate / 1e9:.1f} GFLOP/s")

    print(f"\n{'PyX lengths':<20}{'useful/s':>10}{'median':>9}{'fill':>10}{'peak, GB':>10}")
    for name in names:
        row = results[name]
        useful[name] = row["useful"] / min(row["ragged_seconds"])
        median = row["useful"] / statistics.median(row["ragged_seconds"])
        print(
            f"{SIDES[name]:<20}{useful[name]:>10,.0f}{median:>9,.0f}"
            f"{row['useful'] / row['positions']:>10.1%}{row['ragged_peak'] / 1e9:>10.2f}"
        )
    _print_ratio(useful, "useful tokens/s")


def _print_ratio(speeds: dict[str, float], unit: str) -> None:
    others = {name: speed for name, speed in speeds.items() if name != "jax"}
    if "jax" in speeds and others:
        best = max(others, key=others.get)
        ratio = speeds["jax"] / others[best]
        print(f"semcoder_jax beside the better of torch's ({best}): {ratio:.2f}× {unit}")


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--directory", required=True, help="folder of the models; made if missing")
    parser.add_argument("--quick", action="store_true", help="sizes that only show that it runs")
    parser.add_argument("--accelerator", action="store_true")
    parser.add_argument("--size", default="1.3b", choices=list(ROWS), help="with --accelerator")
    parser.add_argument("--rows", type=int, help="of an update")
    parser.add_argument("--sides", default=",".join(SIDES), help="some of them, comma-separated")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
