"""Measures decoding of a published size with random weights on an accelerator.

sampling.py starts it: `python benchmarks/sampling.py --directory=DIR --accelerator`.
"""

import dataclasses
import time

import numpy as np

from benchmarks.models import Ids, bytes_read
from benchmarks.rounds import measure_seconds


def tokens_per_second(kind: str, size: str, count: int) -> dict:
    """Generates `count` tokens for 1 and for 64 rows.

    Returns tokens/s by number of rows, and the bytes that a pass reads.
    """
    slots, count = 64, 8 if size == "tiny" else count
    config = architecture(size)
    rng = np.random.default_rng(0)
    prompts = rng.integers(10, config.vocab_size, (slots, 64)).tolist()
    if kind == "transformers":
        return _transformers_on_accelerator(config, prompts, count)
    from semcoder_jax.inference.engine import Engine, Request
    from semcoder_jax.inference.params import SamplingParams

    model = random_model(config, quantize=kind == "int8")
    result = {"bytes": bytes_read(model)}
    params = SamplingParams(max_new_tokens=count)
    for num_slots in (1, slots):
        engine = Engine(
            model,
            num_slots=num_slots,
            cache_tokens=num_slots * (64 + count + 64),
            cache_dtype="int8" if kind == "int8" else None,
            speculation="off",
        )
        engine.warm_up()
        requests = [Request(prompt, params) for prompt in prompts[:num_slots]]
        seconds = measure_seconds(lambda e=engine, r=requests: e.generate(r))
        result[str(num_slots)] = num_slots * count / seconds
    return result


def architecture(size: str):
    """Returns the DecoderConfig of a published size, or one that any machine decodes."""
    from semcoder_jax.config import MODELS

    tiny = {"hidden_size": 64, "intermediate_size": 128, "num_layers": 2, "num_heads": 2}
    if size == "tiny":
        fields = {"vocab_size": 512, "num_kv_heads": 2, "head_dim": 32}
        return dataclasses.replace(MODELS["1.3b"], **tiny, **fields)
    return MODELS[size]


def random_model(config, quantize: bool):
    """Makes weights on the device, leaf by leaf, in bfloat16 or int8."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from semcoder_jax.checkpoints import abstract_model
    from semcoder_jax.config import Compute
    from semcoder_jax.loading import LoadedModel
    from semcoder_jax.model.quantization import quantize_params

    graphdef, shapes = nnx.split(abstract_model(config, Compute(dtype="bfloat16")))
    normal = jax.jit(
        lambda key, shape: 0.02 * jax.random.normal(key, shape, jnp.bfloat16), static_argnums=1
    )
    leaves = {}
    for i, (path, param) in enumerate(shapes.flat_state()):
        weight = normal(jax.random.key(i), param.get_value().shape)
        leaf = nnx.State.from_flat_path({path: param.replace(weight)})
        leaves |= dict((quantize_params(leaf) if quantize else leaf).flat_state())
    params = nnx.State.from_flat_path(leaves)
    return LoadedModel(config, graphdef, params, Ids(config.vocab_size))


def _transformers_on_accelerator(config, prompts: list[list[int]], count: int) -> dict:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if not torch.cuda.is_available():
        raise SystemExit("torch has no accelerator here")
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.hidden_size,
                intermediate_size=config.intermediate_size,
                num_hidden_layers=config.num_layers,
                num_attention_heads=config.num_heads,
                num_key_value_heads=config.num_kv_heads,
                max_position_embeddings=config.max_positions,
            )
        )
        model.generation_config.eos_token_id = None
        result = {}
        for rows in (1, len(prompts)):
            ids = torch.tensor(prompts[:rows])
            asked = {"attention_mask": torch.ones_like(ids), "do_sample": False, "pad_token_id": 0}
            model.generate(ids, max_new_tokens=2, **asked)
            torch.cuda.synchronize()
            started = time.monotonic()
            model.generate(ids, max_new_tokens=count, **asked)
            torch.cuda.synchronize()
            result[str(rows)] = rows * count / (time.monotonic() - started)
    return result


def print_table(size: str, rows: dict[str, dict]) -> None:
    limit = rows["bandwidth"]["bytes_per_second"]
    theirs = rows.get("accelerator_transformers")
    print(f"\n{size}, random weights; copying {limit / 1e9:,.0f} GB/s")
    print(f"{'tokens/s':<26}{'one row':>10}{'of limit':>10}{'64 rows':>10}{'ratios':>16}")
    for kind in ("transformers", "bf16", "int8"):
        row = rows.get(f"accelerator_{kind}")
        if row is None:
            continue
        share = f"{row['1'] * row['bytes'] / limit:.0%}" if "bytes" in row else ""
        ratios = [f"{row[n] / theirs[n]:.2f}×" if theirs else "" for n in ("1", "64")]
        print(f"{kind:<26}{row['1']:>10.1f}{share:>10}{row['64']:>10,.0f}{' '.join(ratios):>16}")
