"""Lists the model families that tests compare with transformers; docs/models.md shows the list.

python -m tests.support.model_families   # rewrites the table in docs/models.md
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
_MARKS = ("<!-- table: python -m tests.support.model_families -->", "<!-- end of table -->")


@dataclasses.dataclass(frozen=True)
class Family:
    """Models of one architecture.

    Attributes:
      models: the published models of it.
      sizes: a name in config.MODELS -> the number of parameters that its publisher states.
      model_type: transformers' name of the architecture.
      fields: of a tiny config.json, written as the publisher's is.
      differs: how it differs from DeepSeekCoder, in words.
    """

    models: str
    sizes: Mapping[str, int]
    model_type: str
    fields: Mapping[str, object]
    differs: str


_TINY = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "initializer_range": 0.1,
}
FAMILIES = {
    "deepseek-coder": Family(
        "DeepSeek-Coder 1.3B, 6.7B, 33B (base and instruct); SemCoder",
        {"1.3b": 1_346_471_936, "6.7b": 6_740_512_768, "33b": 33_342_991_360},
        "llama",
        _TINY | {"rope_theta": 100_000, "rope_scaling": {"type": "linear", "factor": 4.0}},
        "",
    ),
    "deepseek-coder-v1.5": Family(
        "DeepSeek-Coder 7B v1.5",
        {"deepseek-coder-7b-v1.5": 6_910_365_696},
        "llama",
        _TINY | {"vocab_size": 102_400, "hidden_size": 32, "rope_theta": 10_000.0},
        "102,400 tokens; RoPE unscaled, theta 10,000",
    ),
    "codellama": Family(
        "Code Llama 7B, 13B, 34B, 70B",
        {"codellama-7b": 6_738_546_688},
        "llama",
        _TINY | {"rope_theta": 1_000_000, "rope_scaling": None, "rms_norm_eps": 1e-5},
        "RoPE unscaled, theta 1,000,000",
    ),
    "llama-3": Family(
        "Llama 3, 3.1, 3.2 (1B, 3B), 3.3",
        {"llama-3.1-8b": 8_030_261_248, "llama-3.2-1b": 1_235_814_400},
        "llama",
        _TINY
        | {
            "tie_word_embeddings": True,
            "head_dim": 32,  # not hidden_size / heads
            "rms_norm_eps": 1e-5,
            "rope_theta": 500_000.0,
            "rope_scaling": {
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 128,
                "rope_type": "llama3",
            },
        },
        "Llama 3's RoPE scaling from 3.1 on; tied at 1B and 3B",
    ),
    "qwen2": Family(
        "Qwen2.5-Coder and Qwen2.5, 7B to 32B",
        {"qwen2.5-coder-7b": 7_615_616_512},
        "qwen2",
        _TINY
        | {
            "rope_theta": 1_000_000.0,
            "use_sliding_window": False,
            "sliding_window": 131_072,
            "max_window_layers": 2,
        },
        "bias of queries, keys and values; RoPE unscaled, theta 1,000,000",
    ),
    "qwen2-tied": Family(
        "Qwen2.5-Coder and Qwen2.5, 0.5B to 3B",
        {"qwen2.5-coder-0.5b": 494_032_768, "qwen2.5-coder-1.5b": 1_543_714_304},
        "qwen2",
        _TINY | {"rope_theta": 1_000_000.0, "tie_word_embeddings": True},
        "the same, tied",
    ),
}


def random_model(directory: Path, family: Family, seed: int = 0) -> PreTrainedModel:
    """Saves a float32 model with random weights, norms and biases included, to `directory`."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family.model_type, **family.fields)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.5)
    model.save_pretrained(directory)
    return model


def random_tokens(family: Family, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, family.fields["vocab_size"], shape)


def table() -> str:
    """Returns the table of the families in Markdown."""
    rows = [
        "| models | transformers | differs from DeepSeek-Coder | `model.architecture` |",
        "|---|---|---|---|",
    ]
    for family in FAMILIES.values():
        config = AutoConfig.for_model(family.model_type)
        name = type(config).__name__.removesuffix("Config") + "ForCausalLM"
        sizes = ", ".join(f"`{size}`" for size in family.sizes)
        rows.append(f"| {family.models} | `{name}` | {family.differs} | {sizes} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    """Returns the page with the table of today."""
    begin, end = map(re.escape, _MARKS)
    new = f"{_MARKS[0]}\n{table()}\n{_MARKS[1]}"
    return re.sub(f"{begin}.*{end}", lambda _: new, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
