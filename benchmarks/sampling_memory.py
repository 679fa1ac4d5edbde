"""Reports the TPU memory needed to sample from the 6.7B model; needs the compiler, but no TPU.

    python benchmarks/sampling_memory.py [--json] [--only=v5e:1x1] [--topology=… --slots=… …]

Compiles the engine's own programs (a chunk of decoding, a chunk with drafts, the largest prefill
chunk) from shapes for a topology, and prints the peak of each and the memory of the chip that is
left. `slots × length` is the size of the cache in tokens; rows may share them in any way. Needs
libtpu (pip install "jax[tpu]"). A compilation takes about half a minute.
"""

import argparse
import dataclasses
import json
import os
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental import topologies
from jax.sharding import NamedSharding

from semcoder_jax.checkpoints import abstract_model
from semcoder_jax.config import MODELS, Compute
from semcoder_jax.inference.decoding import PIECES, Rows, Vocabulary, decode, read_piece
from semcoder_jax.model import sharding
from semcoder_jax.model.kv_cache import PAGE_SIZE, KVCache
from semcoder_jax.model.quantization import abstract_quantized

GIBIBYTE = 2**30
# Usable memory of a chip, as the compiler reports it when a program does not fit.
CHIP_BYTES = {"v5e": 15.75 * GIBIBYTE}
VOCABULARY = Vocabulary(num_real_tokens=32_022, eos_ids=(32_014,))


@dataclasses.dataclass(frozen=True)
class MemorySetting:
    """One setting; `weights` and `cache` are dtypes."""

    topology: str
    weights: str
    cache: str
    slots: int
    length: int


CASES = (
    MemorySetting("v5e:1x1", "int8", "int8", 6, 2_048),
    MemorySetting("v5e:1x1", "int8", "int8", 3, 4_096),
    MemorySetting("v5e:1x1", "int8", "bfloat16", 6, 2_048),
    MemorySetting("v5e:2x2", "bfloat16", "bfloat16", 16, 4_096),
    MemorySetting("v5e:2x2", "bfloat16", "int8", 32, 4_096),
    MemorySetting("v5e:2x2", "int8", "int8", 32, 4_096),
)


def peaks(case: MemorySetting, model: str = "6.7b") -> dict[str, float | str]:
    """Returns peak bytes per chip of each program, or the compiler's message if it does not fit."""
    config = MODELS[model]
    one_chip = {"chips_per_host_bounds": (1, 1, 1)} if case.topology.endswith(":1x1") else {}
    description = topologies.get_topology_desc(
        platform="tpu", topology_name=case.topology, **one_chip
    )
    mesh = sharding.make_mesh({"tensor": len(description.devices)}, description.devices)
    graphdef, params = nnx.split(abstract_model(config, Compute(dtype="bfloat16")))
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), params)
    if case.weights == "int8":
        params = abstract_quantized(params)
    params = with_shardings(params, sharding.parameter_shardings(params, mesh))
    num_pages = 1 + case.slots * -(-case.length // PAGE_SIZE)
    cache = jax.eval_shape(lambda: KVCache.zeros(config, num_pages, jnp.dtype(case.cache)))
    cache = with_shardings(cache, jax.tree.map(lambda _: NamedSharding(mesh, KVCache.SPEC), cache))
    B, M, N = case.slots, config.max_positions, -(-config.max_positions // PAGE_SIZE)

    def whole(shape, dtype=jnp.int32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding.replicated_sharding(mesh))

    rows = Rows(
        active_B=whole((B,), bool),
        length_B=whole((B,)),
        limit_B=whole((B,)),
        pages_BxN=whole((B, N)),
        seed_B=whole((B,), jnp.uint32),
        stream_B=whole((B,), jnp.uint32),
        temperature_B=whole((B,), jnp.float32),
        top_k_B=whole((B,)),
        top_p_B=whole((B,), jnp.float32),
        min_p_B=whole((B,), jnp.float32),
        penalty_B=whole((B,), jnp.float32),
        ignore_eos_B=whole((B,), bool),
        constrained_B=whole((B,), bool),
        logprobs_B=whole((B,)),
    )

    def chunk(num_drafts):
        return decode.lower(
            graphdef,
            params,
            cache,
            whole((B, M)),
            whole((B,)),
            rows,
            whole((B, -(-config.vocab_size // 32)), jnp.uint32),
            whole(()),
            whole(()),
            vocabulary=VOCABULARY,
            num_drafts=num_drafts,
        )

    programs = {
        "decode": lambda: chunk(0),
        "decode, 7 drafts": lambda: chunk(7),
        "prompt": lambda: read_piece.lower(
            graphdef, params, cache, whole((1, N)), whole((1, PIECES[-1])), whole(())
        ),
    }
    found = {"weights": shard_bytes(params), "cache": shard_bytes(cache)}
    for name, lowered in programs.items():
        started = time.monotonic()
        try:
            found[name] = lowered().compile().memory_analysis().peak_memory_in_bytes
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            found[name] = str(error).strip().splitlines()[0]
        print(f"  {name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return found


def with_shardings(shapes, shardings):
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        shapes,
        shardings,
    )


def shard_bytes(shapes) -> int:
    """Returns the bytes of one chip's shards, without padding to tiles."""
    total = 0
    for leaf in jax.tree.leaves(shapes):
        size = leaf.dtype.itemsize
        for length in leaf.sharding.shard_shape(leaf.shape):
            size *= length
        total += size
    return total


def print_table(rows: list[tuple[MemorySetting, dict]]) -> None:
    columns = ("weights", "cache", "decode", "decode, 7 drafts", "prompt")
    print("GiB a chip; the last three are peaks of programs, weights and cache included")
    print(f"{'topology':9} {'weights':8} {'cache':8} {'slots × length':>14}", end="")
    print("".join(f" {name:>16}" for name in columns), " fits")
    for case, found in rows:
        print(f"{case.topology:9} {case.weights:8} {case.cache:8}", end=" ")
        print(f"{case.slots:>6} × {case.length:<5}", end="")
        for name in columns:
            value = found[name]
            text = "too large" if isinstance(value, str) else f"{value / GIBIBYTE:.2f}"
            print(f" {text:>16}", end="")
        print("  yes" if fits(case, found) else "  no")
    for case, found in rows:
        for name, value in found.items():
            if isinstance(value, str):
                print(f"{case}: {name}: {value}")


def fits(case: MemorySetting, found: dict) -> bool:
    limit = CHIP_BYTES[case.topology.split(":")[0]]
    return all(not isinstance(value, str) and value <= limit for value in found.values())


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--json", action="store_true", help="the last line is the table as JSON")
    flags.add_argument("--model", default="6.7b", choices=sorted(MODELS))
    flags.add_argument("--only", help="cases of this topology")
    for field in dataclasses.fields(MemorySetting):
        flags.add_argument(f"--{field.name}", type=field.type, help="one case of your own")
    flags = flags.parse_args()
    own = [getattr(flags, field.name) for field in dataclasses.fields(MemorySetting)]
    if any(value is not None for value in own):
        if None in own:
            sys.exit("error: a case needs all of --topology --weights --cache --slots --length")
        cases = [MemorySetting(*own)]
    else:
        cases = [case for case in CASES if flags.only in (None, case.topology)]
    rows = []
    for case in cases:
        print(case, file=sys.stderr)
        rows.append((case, peaks(case, flags.model)))
    print_table(rows)
    if flags.json:
        print(
            json.dumps(
                [
                    dataclasses.asdict(case) | {"peaks": found, "fits": fits(case, found)}
                    for case, found in rows
                ]
            )
        )


if __name__ == "__main__":
    main()
