"""Writes the model card (README.md) of an exported model: its origin and measured scores."""

import dataclasses
import json
import re
from collections.abc import Mapping

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from semcoder_jax.config import MODELS, DecoderConfig
from semcoder_jax.hf.rope import describe_rope

TAGS = ["code", "semcoder", "jax"]  # by which a card of ours is known
_RECIPE = re.compile(r"^## Recipe\n\n```json\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
_DATA = re.compile(r"^## Data\n\n((?:- .*\n)+)", re.MULTILINE)
# Of config.MODELS, those whose weights can only come from DeepSeek.
DEEPSEEK_MODELS = ("1.3b", "6.7b", "33b", "deepseek-coder-7b-v1.5")


@dataclasses.dataclass(frozen=True)
class License:
    """Holds a license's hub metadata (with name and link if "other") and a sentence."""

    fields: Mapping[str, str]
    text: str


LICENSES = {
    "deepseek": License(
        {
            "license": "other",
            "license_name": "deepseek-license",
            "license_link": "https://github.com/deepseek-ai/DeepSeek-Coder/blob/main/LICENSE-MODEL",
        },
        "The weights derive from DeepSeek Coder and are under the DeepSeek Model License, whose "
        "use-based restrictions (Attachment A) hold for every further derivative.",
    ),
    "apache-2.0": License({"license": "apache-2.0"}, "The weights are under Apache-2.0."),
    "mit": License({"license": "mit"}, "The weights are under the MIT licence."),
    "unknown": License({"license": "unknown"}, "Not recorded: see where the weights come from."),
}


@dataclasses.dataclass(frozen=True)
class CardContent:
    """Holds the content of a card.

    `scores` maps a benchmark with its metric ("HumanEval pass@1") to the measured value; `recipe`
    is the run's config record; the card states None or empty explicitly. `adapter` marks an
    adapter for `peft` instead of a full model.
    """

    name: str
    license: str
    base_model: str | None = None
    data: tuple[str, ...] = ()
    recipe: Mapping | None = None
    adapter: bool = False
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class CardFacts:
    """Holds what a card tells of where its weights come from; None or empty: not told."""

    license: str | None = None
    base_model: str | None = None
    data: tuple[str, ...] = ()
    recipe: Mapping | None = None


def read_card(text: str) -> CardFacts:
    """Returns the facts of a card that `model_card` wrote; none of any other text."""
    try:
        metadata = ModelCard(text, ignore_metadata_errors=True).data.to_dict()
        if metadata.get("tags") != TAGS:
            return CardFacts()
        recipe = _RECIPE.search(text)
        fields = json.loads(recipe[1]) if recipe else None
    except Exception:  # YAML and huggingface_hub raise many kinds for what is no card
        return CardFacts()
    told = [metadata.get(field) for field in ("license", "license_name")]
    names = [
        name
        for name, license_ in LICENSES.items()
        if name != "unknown"
        and told == [license_.fields.get(field) for field in ("license", "license_name")]
    ]
    base_model = metadata.get("base_model")
    data = _DATA.search(text)
    return CardFacts(
        license=names[0] if names else None,
        base_model=base_model if isinstance(base_model, str) else None,
        data=tuple(line[2:] for line in data[1].splitlines()) if data else (),
        recipe=fields if isinstance(fields, dict) else None,
    )


def default_license(origin: str | None, config: DecoderConfig, trained_here: bool) -> str:
    """Returns the license of a model without an explicit one.

    Models derived from DeepSeekCoder (including SemCoder), by name or by architecture, have
    DeepSeek's; models trained here from scratch have this project's; others are "unknown".
    """
    named = any(name in (origin or "").lower() for name in ("deepseek", "semcoder"))
    if named or config in (MODELS[size] for size in DEEPSEEK_MODELS):
        return "deepseek"
    return "apache-2.0" if trained_here and origin is None else "unknown"


def model_card(content: CardContent, config: DecoderConfig, parameters: int, dtype: str) -> str:
    """Returns the text of README.md: hub metadata in YAML, then sections for people."""
    license_ = LICENSES[content.license]
    metadata = ModelCardData(
        **license_.fields,
        base_model=content.base_model,
        library_name="peft" if content.adapter else "transformers",
        pipeline_tag="text-generation",
        tags=TAGS,
        model_name=content.name,
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=name.split()[0].lower(),
                dataset_name=name.split()[0],
                metric_type=name.split()[-1].lower(),
                metric_value=value,
            )
            for name, value in content.scores.items()
        ]
        or None,
    )
    sections = [
        f"---\n{metadata.to_yaml()}\n---\n",
        f"# {content.name}\n",
        f"Base model: {content.base_model or _describe_missing_base(content.recipe)}.\n",
        "## Architecture\n",
        _format_architecture(config, parameters, dtype),
        "## Data\n",
        "\n".join(f"- {source}" for source in content.data) or "Not recorded.",
        "\n## Recipe\n",
        _format_recipe(content.recipe),
        "## Measured scores\n",
        _format_scores(content.scores),
        "## Licence\n",
        license_.text + "\n",
        "## Use\n",
        _ADAPTER_USE if content.adapter else _MODEL_USE,
        "Add BOS by id (`tokenizer.bos_token_id`): transformers 5 does not add it by itself.\n",
    ]
    return "\n".join(sections)


_MODEL_USE = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("DIRECTORY_OR_ID")
tokenizer = AutoTokenizer.from_pretrained("DIRECTORY_OR_ID")
```
"""
_ADAPTER_USE = """\
```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("DIRECTORY_OR_ID")
tokenizer = AutoTokenizer.from_pretrained("BASE_MODEL")
```
"""


def _format_architecture(config: DecoderConfig, parameters: int, dtype: str) -> str:
    rows = {
        "Parameters": f"{parameters:,} ({dtype})",
        "Layers × hidden × feed-forward": (
            f"{config.num_layers} × {config.hidden_size} × {config.intermediate_size}"
        ),
        "Heads (query / key-value)": f"{config.num_heads} / {config.num_kv_heads}",
        "Vocabulary rows": f"{config.vocab_size:,}",
        "Positions": f"{config.max_positions:,}",
        "RoPE": describe_rope(config),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]) + "\n"


def _describe_missing_base(recipe: Mapping | None) -> str:
    return "none, trained from scratch" if recipe else "not recorded"


def _format_recipe(recipe: Mapping | None) -> str:
    if not recipe:
        return "Weights as imported; no training was done on them here.\n"
    return f"```json\n{json.dumps(recipe, indent=2, ensure_ascii=False)}\n```\n"


def _format_scores(scores: Mapping[str, float]) -> str:
    if not scores:
        return "None measured.\n"
    rows = [f"| {name} | {value:g} |" for name, value in scores.items()]
    return "\n".join(["| benchmark | score |", "|---|---|", *rows]) + "\n"
