"""Counts model FLOPs: the arithmetic that a model and its tokens require, however computed.

With N the matrix parameters (those of the layers' products and the output matrix; looking a token
up in the embedding costs nothing, and a tied embedding counts once, as the output matrix):

    forward FLOPs  = 2 N tokens + 4 L H K pairs
    training FLOPs = 3 x forward FLOPs

A multiplication with its addition counts as two. `pairs` counts a query and a key that it sees,
for one head: n (n + 1) / 2 of a record of n tokens. Scores and the mean of the values cost 2 K
each. The gradient costs twice the forward pass, once for what enters a product and once for its
weight. Not counted: norms, softmax, rotations, padding, recomputation (rematerialization), and
what a kernel computes of keys that are hidden. Source: Chowdhery et al., PaLM (2022), appendix B,
with its attention term narrowed to keys that are seen.

MFU is model FLOPs a second over the peak of all devices. L layers, H query heads, K head size.
"""

from collections.abc import Iterable

from semcoder_jax.config import DecoderConfig
from semcoder_jax.model.parameters import product_shapes

# Dense bfloat16 FLOP/s of one JAX device. TPU v2, v3 and 7x show a chip as two devices, the others
# as one. Sources: Google Cloud's TPU pages, NVIDIA's data sheets (without sparsity).
PEAK_FLOPS = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v4 lite": 138e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 1153.5e12,
    "A100": 312e12,
    "L4": 121e12,
    "L40S": 362e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "B200": 2250e12,
}


def peak_flops(device_kind: str) -> float | None:
    """Returns dense bfloat16 FLOP/s of one `jax.Device.device_kind`; None if unknown (CPU).

    Matches a TPU by its full name, a GPU by words of its name: "NVIDIA H100 80GB HBM3".
    """
    if device_kind.startswith("TPU"):
        return PEAK_FLOPS.get(device_kind)
    words = device_kind.replace("-", " ").split()
    known = [name for name in PEAK_FLOPS if set(name.split()) <= set(words)]
    return PEAK_FLOPS[max(known, key=len)] if known else None


def matmul_parameters(config: DecoderConfig) -> int:
    """Returns N above: the number of parameters that each token is multiplied with."""
    return sum(inputs * outputs for inputs, outputs in product_shapes(config))


def causal_pairs(lengths: Iterable[int]) -> int:
    """Counts pairs of a query and a visible key, in causal records of these lengths."""
    return sum(n * (n + 1) // 2 for n in lengths)


def forward_flops(config: DecoderConfig, tokens: float, pairs: float) -> float:
    """Returns model FLOPs of a forward pass over `tokens` with `pairs` (see causal_pairs)."""
    return 2.0 * matmul_parameters(config) * tokens + _attention_flops(config, pairs)


def training_flops(
    config: DecoderConfig, tokens: float, pairs: float, *, adapter_parameters: int | None = None
) -> float:
    """Returns model FLOPs of an update: 3 x forward if all weights are trained (None).

    With LoRA the frozen matrices need no gradient of their own, so they count 2 x, and the
    adapters' `adapter_parameters` 3 x.
    """
    if adapter_parameters is None:
        return 3.0 * forward_flops(config, tokens, pairs)
    frozen, trained = matmul_parameters(config), adapter_parameters
    products = (2 * frozen + 3 * trained) * 2.0 * tokens
    return products + 3.0 * _attention_flops(config, pairs)


def model_flops(
    config: DecoderConfig,
    batch_size: int,
    sequence_length: int,
    *,
    adapter_parameters: int | None = None,
) -> float:
    """Returns training FLOPs of a step of full rows, each one causal record (for plans)."""
    return training_flops(
        config,
        batch_size * sequence_length,
        batch_size * causal_pairs([sequence_length]),
        adapter_parameters=adapter_parameters,
    )


def _attention_flops(config: DecoderConfig, pairs: float) -> float:
    return 4.0 * config.num_layers * config.num_heads * config.head_dim * pairs
