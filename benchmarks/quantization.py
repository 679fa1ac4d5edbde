"""Measures the accuracy lost by int8 weights, an int8 cache and a 4-bit base, on real weights.

    python benchmarks/quantization.py --checkpoint=DIR [--text=FILE …] [--json]

At every position of some texts, compares the checkpoint's next-token distribution in float32 with
that of its quantized versions: the share of equal most probable tokens, the Kullback-Leibler
divergence (nats, mean and 99th percentile), and the perplexity. The texts are Python programs of
this repository and prose of its docs, or the files you name. All runs use the cache, as sampling
does. "nf4 base" is the base that a QLoRA run trains its adapters over (and merges them into).
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from semcoder_jax.config import LoRAConfig
from semcoder_jax.inference.detokenize import encode_prompt
from semcoder_jax.loading import LoadedModel, load_model
from semcoder_jax.model.kv_cache import PAGE_SIZE, KVCache
from semcoder_jax.model.lora import freeze
from semcoder_jax.model.quantization import quantize_params, weight_bytes

REPOSITORY = Path(__file__).parents[1]
TEXTS = (
    "data_pipeline/pyx/prompts.py",
    "semcoder_jax/model/rope.py",
    "docs/performance.md",
    "data_pipeline/pyx/records.py",
)
SETTINGS = {
    # name: (weights, dtype of the cache)
    "int8 weights": ("int8", "float32"),
    "int8 cache": ("float32", "int8"),
    "int8 weights and cache": ("int8", "int8"),
    "bfloat16 cache": ("float32", "bfloat16"),
    "nf4 base": ("nf4", "float32"),
}


@dataclasses.dataclass(frozen=True)
class Loss:
    """Holds the differences from float32 over `positions`; divergences are in nats.

    `top1` is the share of positions with the same most probable token; `perplexity` and
    `perplexity_float32` are of the texts.
    """

    positions: int
    top1: float
    kl_mean: float
    kl_99: float
    perplexity: float
    perplexity_float32: float
    weight_mib: float


def measure(
    model: LoadedModel, texts: Sequence[str], *, tokens_per_text: int = 512, progress: bool = True
) -> dict[str, Loss]:
    """Returns the loss of each of SETTINGS."""
    rows = [encode_prompt(model.tokenizer, text)[:tokens_per_text] for text in texts]
    versions = {
        "float32": model.params,
        "int8": quantize_params(model.params),
        "nf4": freeze(LoRAConfig(base="nf4"), nnx.to_pure_dict(model.params)),
    }
    sums: dict[str, list] = {name: [] for name in SETTINGS}
    for tokens in tqdm(rows, desc="texts", disable=not progress):
        expected = log_probabilities(model.graphdef, model.params, tokens, "float32")
        for name, (weights, cache_dtype) in SETTINGS.items():
            found = log_probabilities(model.graphdef, versions[weights], tokens, cache_dtype)
            sums[name].append(_compare(expected, found, tokens))
    return {
        name: _loss(parts, weight_bytes(versions[SETTINGS[name][0]]))
        for name, parts in sums.items()
    }


def log_probabilities(graphdef, params, tokens: Sequence[int], cache_dtype: str) -> np.ndarray:
    """Returns log probabilities after each token, float32 [T, V], via a cache of `cache_dtype`."""
    length = -(-len(tokens) // PAGE_SIZE) * PAGE_SIZE
    padded = np.zeros((1, length), np.int32)
    padded[0, : len(tokens)] = tokens
    found = _log_probabilities(graphdef, params, padded, cache_dtype)
    return np.asarray(found)[: len(tokens)]


@jax.jit(static_argnames=("graphdef", "cache_dtype"))
def _log_probabilities(graphdef, params, tokens_1xT, cache_dtype):
    model = nnx.merge(graphdef, params)
    T = tokens_1xT.shape[1]
    pages_1xN = 1 + jnp.arange(T // PAGE_SIZE)[None]
    cache = KVCache.zeros(model.config, 1 + T // PAGE_SIZE, jnp.dtype(cache_dtype))
    hidden_1xTxD, _ = model.hidden(
        tokens_1xT, jnp.arange(T)[None], cache=cache, pages_BxN=pages_1xN
    )
    return jax.nn.log_softmax(model.logits(hidden_1xTxD[0]), axis=-1)


def _compare(expected_TxV: np.ndarray, found_TxV: np.ndarray, tokens) -> dict[str, np.ndarray]:
    following = np.asarray(tokens[1:])
    at = np.arange(len(following))
    return {
        "same": expected_TxV.argmax(-1) == found_TxV.argmax(-1),
        "kl": np.sum(np.exp(expected_TxV) * (expected_TxV - found_TxV), axis=-1, dtype=np.float64),
        "expected_nll": -expected_TxV[at, following],
        "nll": -found_TxV[at, following],
    }


def _loss(parts: list[dict[str, np.ndarray]], num_bytes: int) -> Loss:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Loss(
        positions=len(joined["kl"]),
        top1=float(joined["same"].mean()),
        kl_mean=float(joined["kl"].mean()),
        kl_99=float(np.quantile(joined["kl"], 0.99)),
        perplexity=float(np.exp(joined["nll"].mean())),
        perplexity_float32=float(np.exp(joined["expected_nll"].mean())),
        weight_mib=num_bytes / 2**20,
    )


def print_table(losses: dict[str, Loss]) -> None:
    first = next(iter(losses.values()))
    print(f"{first.positions} positions, perplexity in float32 {first.perplexity_float32:.3f}")
    print(f"{'':24} {'weights':>9} {'top-1':>7} {'KL mean':>9} {'KL 99 %':>9} {'perplexity':>11}")
    for name, loss in losses.items():
        change = loss.perplexity / loss.perplexity_float32 - 1
        print(
            f"{name:24} {loss.weight_mib:>5.0f} MiB {loss.top1:>7.2%} {loss.kl_mean:>9.5f} "
            f"{loss.kl_99:>9.5f} {change:>+11.2%}"
        )


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--checkpoint", required=True)
    flags.add_argument("--text", action="append", help="may be given several times")
    flags.add_argument("--tokens", type=int, default=512, help="read of each text")
    flags.add_argument("--json", action="store_true", help="the last line is the table as JSON")
    flags = flags.parse_args()
    paths = flags.text or [REPOSITORY / name for name in TEXTS]
    texts = [Path(path).read_text(encoding="utf-8") for path in paths]
    losses = measure(load_model(flags.checkpoint), texts, tokens_per_text=flags.tokens)
    print_table(losses)
    if flags.json:
        print(json.dumps({name: dataclasses.asdict(loss) for name, loss in losses.items()}))


if __name__ == "__main__":
    main()
