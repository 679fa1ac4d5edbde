"""Makes adapters that have an effect, and runs that train adapters over a base."""

from pathlib import Path

import jax

from semcoder_jax.hf.adapter import export_adapter
from semcoder_jax.model.lora import initial_adapters
from semcoder_jax.training.metrics import read_metrics
from tests.support.tiny_run import tiny_config


def randomize_adapters(adapters, seed: int = 0):
    """Replaces every matrix by a random one; in new adapters some are zero."""
    leaves, structure = jax.tree.flatten(adapters)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    pairs = zip(keys, leaves, strict=True)
    leaves = [0.1 * jax.random.normal(key, leaf.shape) for key, leaf in pairs]
    return jax.tree.unflatten(structure, leaves)


def lora_config(data: Path, base: Path, **changes) -> dict:
    config = tiny_config(data, lora__rank=4, lora__alpha=16.0, **changes)
    return config | {"model": {"init_from": str(base)}}


def read_losses(workdir: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(workdir / "metrics.jsonl") if "loss" in row]


def export_random_adapters(base: Path, config, lora, params, licenses: Path | None = None):
    """Exports random adapters beside `base`; returns (adapters, their directory)."""
    adapters = randomize_adapters(initial_adapters(lora, params, 0))
    out = export_adapter(
        base.parent / "adapter",
        config,
        lora,
        adapters,
        base_model=str(base),
        license_directory=licenses or base,
    )
    return adapters, out
