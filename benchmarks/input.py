"""Measures the speed and fill of training batches: python benchmarks/input.py

    [--records=8000] [--planned=500000] [--rows=32] [--length=2048] [--rounds=3] [--tokenizer=DIR]

Records have PyX's measured lengths (75 % monologues: median 650 tokens of prompt and response, 99th
percentile 2,300, longest 3,300; the rest median 250) and are cut at a row's length. Their text is
source code of the standard library, 40 % of it prompt. Each way makes the same kind of NumPy
batches for one epoch of shuffled records; the time starts when the data is opened.

- prepared: reads tokens from ArrayRecord by a plan (data_pipeline.tokens.tokenize, .batches);
- on the fly: tokenizes the same records first (data_pipeline.tokens.batches);
- padded: upstream's way: one record per row, microbatches of 16 shuffled records padded to the
  longest in each. It reads tokens from memory, so its speed is an upper bound.

A "full step" has rows x length positions, all of which the accelerator computes on. The tokenizer
is DeepSeekCoder's if --tokenizer or SEMCODER_SHARED_DATA gives its folder, else one made of the
text's words. Timings are the best of --rounds; the ways take turns.
"""

import argparse
import logging
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import grain
import numpy as np

from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import Record, make_record, write_jsonl
from data_pipeline.terminal.notices import logger
from data_pipeline.terminal.tables import format_percent, format_table
from data_pipeline.tokens.batches import Batch, InputConfig, TrainInput, tokenize_records
from data_pipeline.tokens.mixture import groups
from data_pipeline.tokens.pack_plan import WINDOW, Schedule
from data_pipeline.tokens.packing import TokenTable, lay_out, plan_packs
from data_pipeline.tokens.store import open_tokens
from data_pipeline.tokens.tokenize import prepare
from data_pipeline.toy.vocabulary import train_tokenizer

AIM = 500_000  # tokens/s on two cores, from prepared tokens
MICROBATCH = 16  # upstream's records per device (finetune_refine.sh)
GRAIN_BINS = 64


def main() -> None:
    args = _parser().parse_args()
    logger.setLevel(logging.ERROR)  # hides warnings about cut records
    rng = np.random.default_rng(0)
    text = _source_text()
    tokenizer, tokenizer_name = _tokenizer(args.tokenizer, text)
    records = _records(pyx_like_lengths(args.records, rng), text, tokenizer, rng)
    with tempfile.TemporaryDirectory() as folder:
        speeds = _speeds(records, tokenizer, Path(folder), args)
    print(f"{args.records:,} records, tokenizer: {tokenizer_name}; {os.cpu_count()} cores\n")
    print(speeds)
    print(f"\nFill of {args.records:,} records in rows of {args.length:,}:\n")
    print(_fills(args, rng))
    print(f"\nPlanning {args.planned:,} records of one epoch:\n")
    print(_planning(args, rng))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=8_000)
    parser.add_argument("--planned", type=int, default=500_000)
    parser.add_argument("--rows", type=int, default=32, help="rows of a batch")
    parser.add_argument("--length", type=int, default=2048, help="input tokens of a row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokenizer", default=None)
    return parser


# --- the records ----------------------------------------------------------------------------------


def pyx_like_lengths(records: int, rng: np.random.Generator) -> np.ndarray:
    """Draws the number of tokens (prompt and response) of each record, int64 [R]."""
    medians = np.where(rng.random(records) < 0.75, 650, 250)
    spread = np.log(2300 / 650) / 2.326  # of a log-normal distribution with that 99th percentile
    drawn = medians * np.exp(spread * rng.standard_normal(records))
    return np.clip(drawn, 30, 3300).astype(np.int64)


def _source_text() -> str:
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return "\n".join(path.read_text(errors="replace") for path in files)


def _tokenizer(path: str | None, text: str) -> tuple[Any, str]:
    shared = os.environ.get("SEMCODER_SHARED_DATA")
    if path or shared:
        from transformers import AutoTokenizer

        folder = path or f"{shared}/tokenizer"
        return AutoTokenizer.from_pretrained(folder), path or "DeepSeekCoder's"
    return train_tokenizer([text[:300_000]], 4000), "4,000 words of the text"


def _records(
    lengths: np.ndarray, text: str, tokenizer: Any, rng: np.random.Generator
) -> list[Record]:
    sample = text[:200_000]
    characters = len(sample) / _count(sample, tokenizer)
    kinds = rng.choice(["nl", "fwd_mnl", "bwd_mnl"], len(lengths))
    overhead = {kind: _overhead(kind, tokenizer) for kind in set(kinds)}
    records = []
    for number, (length, kind) in enumerate(zip(lengths.tolist(), kinds, strict=True)):
        size = max(20, int((length - overhead[kind]) * characters))
        start = int(rng.integers(0, len(text) - size))
        middle = start + max(1, int(0.4 * size))
        prompt, response = text[start:middle], text[middle : start + size]
        records.append(make_record(str(number), str(kind), f"x{prompt}", f"x{response}"))
    return records


def _overhead(kind: str, tokenizer: Any) -> int:
    """Counts the tokens of the template, BOS and EOS."""
    template = training_prompt(make_record("0", kind, "x", "x"))
    return _count(template, tokenizer) + 2


def _count(text: str, tokenizer: Any) -> int:
    return len(tokenizer([text], add_special_tokens=False, verbose=False)["input_ids"][0])


# --- speed ----------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Epoch:
    """The time and size of all batches of an epoch."""

    seconds: float
    useful: int  # tokens that are not padding
    places: int  # positions that the accelerator computes on, with padding

    @classmethod
    def measure(cls, make: Callable[[], Iterator[Batch]]) -> "Epoch":
        started, useful, places = time.perf_counter(), 0, 0
        for batch in make():
            useful += int((batch["segment_ids"] > 0).sum())
            places += batch["segment_ids"].size
        return cls(time.perf_counter() - started, useful, places)

    @property
    def fill(self) -> float:
        return self.useful / self.places


def _speeds(records: list[Record], tokenizer: Any, folder: Path, args: argparse.Namespace) -> str:
    write_jsonl(folder / "train.jsonl", records)
    tokenizer.save_pretrained(folder / "tokenizer")
    started = time.perf_counter()
    manifest = prepare([folder / "train.jsonl"], folder / "tokenizer", folder / "tokens")
    seconds = time.perf_counter() - started
    tokens = manifest["splits"]["train"]["tokens"]
    size = sum(path.stat().st_size for path in (folder / "tokens").glob("*.array_record"))
    options = {"sequence_length": args.length, "global_batch_size": args.rows}
    options |= {"seed": 0, "num_epochs": 1}
    table_in_memory = tokenize_records(records, tokenizer)
    ways = {
        "prepared": lambda: TrainInput(
            open_tokens({"pyx": folder / "tokens"}, "train"), InputConfig(**options)
        ).iterator(),
        "on the fly": lambda: TrainInput(records, InputConfig(**options), tokenizer).iterator(),
        "padded (upstream)": lambda: _padded_batches(table_in_memory, args.length),
    }
    best: dict[str, Epoch] = {}
    for _ in range(args.rounds):
        for name, make in ways.items():
            epoch = Epoch.measure(make)
            best[name] = min(best.get(name, epoch), epoch)
    step, padded_fill = args.rows * args.length, best["padded (upstream)"].fill
    rows = [
        (
            name,
            f"{epoch.useful / epoch.seconds:,.0f}",
            f"{epoch.useful / epoch.seconds / AIM:.2f}x",
            format_percent(epoch.fill),
            f"{epoch.fill * step:,.0f}",
            f"{epoch.fill / padded_fill:.2f}x",
        )
        for name, epoch in best.items()
    ]
    full_step = f"useful of a full step ({step:,})"
    headings = ("way", "tokens/s", f"of {AIM:,}", "fill", full_step, "to padded")
    return (
        f"{format_table(headings, rows)}\n\n"
        f"Prepared once in {seconds:.1f} s ({tokens / seconds:,.0f} tokens/s), "
        f"{size / tokens:.2f} bytes a token on disk; "
        f"memory while an epoch is read: {_memory(folder / 'tokens', options)}"
    )


def _padded_batches(source: TokenTable, length: int) -> Iterator[Batch]:
    """Yields microbatches padded as by upstream's collator, with our masks."""
    order = np.random.default_rng(0).permutation(len(source))
    for start in range(0, len(order), MICROBATCH):
        chosen = order[start : start + MICROBATCH]
        longest = min(length + 1, int(source.lengths_R[chosen].max()))
        yield lay_out(source, chosen[:, None], longest - 1, max_length=length + 1)


def _memory(folder: Path, options: dict) -> str:
    """Measures the memory that reading an epoch adds to a fresh process, without queued batches."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from data_pipeline.tokens.batches import InputConfig, TrainInput\n"
        "from data_pipeline.tokens.store import open_tokens\n"
        "def held():\n"
        "    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 2**20\n"
        "before = held()\n"
        f"source = open_tokens({{'pyx': Path({str(folder)!r})}}, 'train')\n"
        f"batches = TrainInput(source, InputConfig(**{options!r})).iterator()\n"
        "most = max(held() for batch in batches) - before\n"
        "print(f'{most:.0f} MiB, of {source.lengths_R.sum() * 4 / 2**20:.0f} MiB of tokens')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# --- fill and planning ----------------------------------------------------------------------------


def _fills(args: argparse.Namespace, rng: np.random.Generator) -> str:
    lengths = np.minimum(pyx_like_lengths(args.records, rng) - 1, args.length)
    microbatches = [lengths[n : n + MICROBATCH] for n in range(0, len(lengths), MICROBATCH)]
    padded = sum(len(part) * part.max() for part in microbatches)
    rows = [
        _fill_row(
            "one record a row, padded to the row", lengths, lambda: len(lengths) * args.length
        ),
        _fill_row(f"padded to the longest of {MICROBATCH} (upstream)", lengths, lambda: padded),
    ]
    packers = (
        grain.experimental.FirstFitPackIterDataset,
        grain.experimental.BestFitPackIterDataset,
    )
    for name, packer in zip(("first-fit", "best-fit"), packers, strict=True):
        label = f"grain, {name}, {GRAIN_BINS} bins"
        rows.append(
            _fill_row(label, lengths, lambda p=packer: _grain_rows(p, lengths, args.length))
        )
    for window in (1, 64, WINDOW, len(lengths)):
        label = f"ours, best-fit, windows of {window:,}" + (" (default)" * (window == WINDOW))
        rows.append(
            _fill_row(
                label,
                lengths,
                lambda w=window: len(plan_packs(lengths, args.length, w)) * args.length,
            )
        )
    return format_table(("policy", "fill", "records/s"), rows)


def _fill_row(label: str, lengths: np.ndarray, places: Callable[[], int]) -> tuple:
    started = time.perf_counter()
    fill = lengths.sum() / places()
    seconds = time.perf_counter() - started
    rate = f"{len(lengths) / seconds:,.0f}" if "padded" not in label else "–"
    return label, f"{100 * fill:.2f} %", rate


def _grain_rows(packer: Any, lengths: np.ndarray, length: int) -> int:
    """Counts the positions when grain packs the same records (it also lays out the tokens)."""
    records = grain.MapDataset.source(lengths.tolist()).map(
        lambda size: {"tokens": np.zeros(size, np.int32)}
    )
    packed = packer(
        records.to_iter_dataset(), length_struct={"tokens": length}, num_packing_bins=GRAIN_BINS
    )
    return sum(length for _ in packed)


def _planning(args: argparse.Namespace, rng: np.random.Generator) -> str:
    lengths = np.minimum(pyx_like_lengths(args.planned, rng) - 1, args.length)
    kinds = rng.integers(1, 6, args.planned)
    found = groups(
        np.arange(args.planned), np.zeros(args.planned, int), kinds, ("",), {"instruction": 0.5}
    )
    with tempfile.TemporaryDirectory() as folder:
        schedule = Schedule(found, lengths, args.length, seed=0, directory=Path(folder))
        rows = []
        for doing in ("planned and written", "read by another process"):
            started = time.perf_counter()
            packs = schedule.packs(0)
            rows.append((doing, f"{time.perf_counter() - started:.2f} s"))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    fill = lengths[packs.records].sum() / len(packs) / args.length
    rows.append(("packs", f"{len(packs):,}"))
    rows.append(("fill", f"{100 * fill:.2f} %"))
    rows.append(("file", f"{size / 2**20:.1f} MiB"))
    return format_table(("of an epoch", "measured"), rows)


if __name__ == "__main__":
    main()
