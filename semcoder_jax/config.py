"""The record of a training run: which sections and fields it may hold, checked before work starts.

A config file gives an ``ml_collections.ConfigDict``; ``parse_run`` turns it into frozen
dataclasses or says in one line which field is wrong. ``differing_fields`` compares two records.
"""

import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Callable, Mapping

from data_pipeline.errors import UserError
from data_pipeline.tokens.mixture import MixtureError, check_weights
from data_pipeline.tokens.pack_plan import WINDOW
from semcoder_jax.hf import MODELS
from semcoder_jax.model.attention import BACKENDS
from semcoder_jax.model.decoder import Compute, DecoderConfig
from semcoder_jax.model.initialization import InitializationConfig
from semcoder_jax.model.lora import BASES, TARGETS, LoRAConfig
from semcoder_jax.model.remat import POLICIES
from semcoder_jax.model.sharding import MESH_AXES
from semcoder_jax.training.optimizer import OptimizerConfig

COMPUTE_DTYPES = ("float32", "bfloat16", "float16")
DATA_SOURCES = ("synthetic", "jsonl", "pyx", "tokens")
OVERLONG = ("truncate", "drop", "refuse")

# Fields that may change between a run and its resumption: they decide what is shown and kept and
# where it is computed, not which losses follow (up to rounding for mesh, compute and
# accumulation). The number of steps is not among them: the cosine depends on it.
HARMLESS_FIELDS = (
    "mesh",
    "compute",
    "data.datasets",  # folders may be moved: their content is in the iterator's saved state
    "train.accumulation_steps",
    "train.log_every",
    "train.eval_every",
    "train.eval_batches",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.max_skipped_steps",
    "train.stop_after_step",
    "train.wandb_project",
)


class ConfigError(UserError):
    """A config that cannot be run; the message names the field."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The ``data`` section.

    ``source`` "jsonl" reads PyX rows from the files ``train`` and ``eval`` (optional) with the
    tokenizer in the directory ``tokenizer``; "synthetic" builds all three in WORKDIR/corpus with
    the arguments in ``synthetic``; "pyx" reads the splits of the dataset that
    ``python -m data_pipeline.build`` wrote to ``directory``, and where ``tokenizer`` is left out
    makes one of the ``vocabulary_words`` most frequent words of its training records in
    WORKDIR/tokenizer; "tokens" reads what ``python -m data_pipeline.prepare`` wrote to the folders
    in ``datasets``, by name, with the tokenizer that lies in them.
    ``mixture`` maps kinds (nl, forward, backward, refine, instruction) and names of ``datasets`` to
    weights: how many times their records come in an epoch; see data_pipeline.tokens.mixture.
    ``packing_window`` is how many records are packed together, the longest first.
    ``global_batch_size`` counts packed rows of ``sequence_length`` tokens over all processes.
    ``overlong`` is what becomes of records that do not fit a row: "truncate" (on the right, as
    upstream), "drop" or "refuse". ``num_epochs`` may stand in for ``train.num_steps``.
    """

    source: str
    sequence_length: int
    global_batch_size: int
    train: str | None = None
    eval: str | None = None
    tokenizer: str | None = None
    directory: str | None = None
    vocabulary_words: int = 4000
    overlong: str = "truncate"
    num_epochs: int | None = None
    datasets: Mapping = dataclasses.field(default_factory=dict)
    mixture: Mapping = dataclasses.field(default_factory=dict)
    packing_window: int = WINDOW
    synthetic: Mapping = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The ``train`` section; the unit is steps (updates).

    ``num_steps`` may be left out where ``data.num_epochs`` is given, and only there.
    ``eval_every`` 0: only after the last step; ``eval_batches`` 0: the whole held-out set.
    ``stop_after_step`` ends the session gracefully there, as SIGTERM would; the run can go on.
    A step whose loss or gradient is not finite, or whose gradient's norm exceeds
    ``skip_gradient_norm`` (None: no bound), updates nothing; more than ``max_skipped_steps`` of
    them end the session with its state saved. ``wandb_project`` names a project of Weights & Biases
    that gets the numbers too (extra: wandb).
    """

    num_steps: int | None = None
    accumulation_steps: int = 1
    log_every: int = 10
    eval_every: int = 0
    eval_batches: int = 0
    checkpoint_every: int = 1000
    keep_checkpoints: int = 2
    stop_after_step: int | None = None
    skip_gradient_norm: float | None = None
    max_skipped_steps: int = 10
    wandb_project: str | None = None


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A whole checked record.

    ``model`` holds ``architecture``, the name of one of hf.MODELS, or fields of DecoderConfig
    (``vocab_size`` may be left to the tokenizer, ``num_kv_heads``, ``head_dim`` and
    ``max_positions`` to the others), or both, the fields then replacing the named one's; and
    ``init_from``, an HF directory or a training workdir to start from. That brings an architecture
    of its own, which what stands beside it must equal; with nothing beside it, it decides alone.
    ``lora`` None trains all parameters; with the section, adapters over those of ``init_from``.
    ``initialization`` shapes new parameters. ``mesh`` is the argument of sharding.make_mesh.
    """

    seed: int
    model: Mapping
    initialization: InitializationConfig
    compute: Compute
    mesh: Mapping
    data: DataConfig
    optimizer: OptimizerConfig
    train: TrainConfig
    lora: LoRAConfig | None = None

    def to_record(self) -> dict:
        """Every field, defaults included, as JSON would give it back; parse_run reads it."""
        return _plain(dataclasses.asdict(self))

    def decoder_config(self, vocab_size: int) -> DecoderConfig:
        """The architecture that ``model`` spells out, for a tokenizer of ``vocab_size`` ids."""
        fields = {name: value for name, value in self.model.items() if name != "init_from"}
        if name := fields.pop("architecture", None):
            fields = dataclasses.asdict(MODELS[name]) | fields
        fields.setdefault("vocab_size", vocab_size)
        if fields["vocab_size"] < vocab_size:
            raise ConfigError(
                f"config: model.vocab_size {fields['vocab_size']} is below the tokenizer's "
                f"{vocab_size}"
            )
        heads = fields.get("num_heads") or 1
        fields.setdefault("num_kv_heads", heads)
        if "hidden_size" in fields:
            fields.setdefault("head_dim", fields["hidden_size"] // heads)
        fields.setdefault("max_positions", self.data.sequence_length)
        try:
            return _section(DecoderConfig, fields, "model")
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"config: model: {error}") from None


def parse_run(record: Mapping) -> RunConfig:
    """The checked form of a ConfigDict or dict. Raises ConfigError."""
    record = _plain(record)
    known = [field.name for field in dataclasses.fields(RunConfig)]
    _check_names(record, known, "")
    for name in ("model", "data", "train"):
        if name not in record:
            raise ConfigError(f"config: section {name} is missing")
    for name in known:
        absent = name == "lora" and record.get(name) is None
        if name != "seed" and not absent and not isinstance(record.get(name, {}), dict):
            raise ConfigError(f"config: {name} must be a section of fields")
    model = {name: value for name, value in record["model"].items() if value is not None}
    decoder_fields = [field.name for field in dataclasses.fields(DecoderConfig)]
    _check_names(model, [*decoder_fields, "architecture", "init_from"], "model.")
    if model.get("architecture", "6.7b") not in MODELS:
        name = model["architecture"]
        raise ConfigError(f"config: model.architecture {name!r}: {nearest(str(name), MODELS)}")
    initialization = _section(
        InitializationConfig, record.get("initialization", {}), "initialization"
    )
    # A record holds the section's defaults, too.
    if "init_from" in model and initialization != InitializationConfig():
        raise ConfigError("config: model.init_from brings the parameters; drop initialization")
    mesh = record.get("mesh", {})
    _check_names(mesh, MESH_AXES, "mesh.")
    for name, size in mesh.items():
        _check_type(size, int, f"mesh.{name}")
    seed = record.get("seed", 0)
    _check_type(seed, int, "seed")
    run = RunConfig(
        seed=seed,
        model=model,
        initialization=initialization,
        compute=_section(Compute, record.get("compute", {}), "compute"),
        mesh=mesh,
        data=_section(DataConfig, record["data"], "data"),
        optimizer=_section(OptimizerConfig, record.get("optimizer", {}), "optimizer"),
        train=_section(TrainConfig, record["train"], "train"),
        lora=None if record.get("lora") is None else _section(LoRAConfig, record["lora"], "lora"),
    )
    _check_values(run)
    return run


def differing_fields(run: RunConfig, other: RunConfig) -> dict[str, tuple]:
    """Dotted names of the fields, harmless ones aside, whose values differ, and both values."""
    ours, theirs = _flat(run.to_record()), _flat(other.to_record())
    return {
        name: (ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
        and not any(name == h or name.startswith(h + ".") for h in HARMLESS_FIELDS)
    }


def check_arguments(function: Callable, arguments: Mapping, section: str) -> None:
    """Raise ConfigError unless ``arguments`` are keyword arguments of ``function``."""
    hints = typing.get_type_hints(function)
    keywords = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    _check_names(arguments, keywords, f"{section}.")
    for name, value in arguments.items():
        _check_type(value, hints[name], f"{section}.{name}")


def nearest(name: str, known) -> str:
    """A clause that names the known spelling closest to ``name``, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"


def _check_values(run: RunConfig) -> None:
    data, train, compute = run.data, run.train, run.compute
    if compute.dtype not in COMPUTE_DTYPES:
        raise ConfigError(
            f"config: compute.dtype {compute.dtype!r}: {nearest(compute.dtype, COMPUTE_DTYPES)}"
        )
    if compute.attention not in BACKENDS:
        raise ConfigError(
            f"config: compute.attention {compute.attention!r}: "
            f"{nearest(compute.attention, BACKENDS)}"
        )
    if compute.remat not in POLICIES:
        raise ConfigError(
            f"config: compute.remat {compute.remat!r}: {nearest(compute.remat, POLICIES)}"
        )
    if data.source not in DATA_SOURCES:
        raise ConfigError(
            f"config: data.source {data.source!r}: {nearest(data.source, DATA_SOURCES)}"
        )
    if data.overlong not in OVERLONG:
        raise ConfigError(
            f"config: data.overlong {data.overlong!r}: {nearest(data.overlong, OVERLONG)}"
        )
    needed = {
        "jsonl": ("train", "tokenizer"),
        "pyx": ("directory",),
        "tokens": ("datasets",),
    }
    for name in needed.get(data.source, ()):
        if not getattr(data, name):
            raise ConfigError(f"config: data.{name} is missing (data.source is {data.source!r})")
    for name, path in data.datasets.items():
        _check_type(path, str, f"data.datasets.{name}")
    try:
        check_weights(data.mixture, data.datasets)
    except MixtureError as error:
        raise ConfigError(f"config: data.{error}") from None
    if data.datasets and data.source != "tokens":
        raise ConfigError(
            f"config: data.datasets: only for data.source 'tokens'; it is {data.source!r}"
        )
    if (train.num_steps is None) == (data.num_epochs is None):
        raise ConfigError("config: expected one of train.num_steps and data.num_epochs")
    positive = {
        "data.sequence_length": data.sequence_length,
        "data.global_batch_size": data.global_batch_size,
        "data.vocabulary_words": data.vocabulary_words,
        "data.packing_window": data.packing_window,
        "train.num_steps": 1 if train.num_steps is None else train.num_steps,
        "data.num_epochs": 1 if data.num_epochs is None else data.num_epochs,
        "compute.loss_chunk": compute.loss_chunk,
        "train.accumulation_steps": train.accumulation_steps,
        "train.log_every": train.log_every,
        "train.checkpoint_every": train.checkpoint_every,
        "train.keep_checkpoints": train.keep_checkpoints,
    }
    for name, value in positive.items():
        if value < 1:
            raise ConfigError(f"config: {name} is {value}, expected at least 1")
    if data.global_batch_size % train.accumulation_steps:
        raise ConfigError(
            f"config: data.global_batch_size {data.global_batch_size} is not divisible by "
            f"train.accumulation_steps {train.accumulation_steps}"
        )
    if run.lora:
        _check_lora(run)


def _check_lora(run: RunConfig) -> None:
    lora = run.lora
    if lora.base not in BASES:
        raise ConfigError(f"config: lora.base {lora.base!r}: {nearest(lora.base, BASES)}")
    for target in lora.targets:
        if target not in TARGETS:
            raise ConfigError(f"config: lora.targets {target!r}: {nearest(str(target), TARGETS)}")
    if "init_from" not in run.model:
        raise ConfigError("config: lora needs model.init_from, the weights that stay as they are")
    if run.optimizer.name != "adamw":
        raise ConfigError(
            f"config: optimizer.name {run.optimizer.name!r}: lora trains adapters by adamw"
        )


def _section(kind: type, fields: Mapping, name: str):
    """``kind(**fields)`` after a check of names and types."""
    known = {field.name: field for field in dataclasses.fields(kind)}
    _check_names(fields, known, f"{name}.")
    hints = typing.get_type_hints(kind)
    for field in known.values():
        if field.name in fields:
            _check_type(fields[field.name], hints[field.name], f"{name}.{field.name}")
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"config: {name}.{field.name} is missing")
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    try:
        return kind(**fields)
    except ValueError as error:
        raise ConfigError(f"config: {error}") from None


def _check_names(fields: Mapping, known, prefix: str) -> None:
    for name in fields:
        if name not in known:
            raise ConfigError(f"config: unknown field {prefix}{name}; {nearest(name, known)}")


def _check_type(value, hint, name: str) -> None:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    allowed = tuple(typing.get_origin(kind) or kind for kind in allowed)
    if tuple in allowed:
        allowed += (list,)  # what JSON makes of it
    if float in allowed:
        allowed += (int,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        expected = " or ".join("None" if k is type(None) else k.__name__ for k in allowed)
        raise ConfigError(f"config: {name} is {value!r}, expected {expected}")


def _plain(record) -> dict:
    """ConfigDicts as dicts, tuples as lists, as JSON would give them back."""
    if hasattr(record, "to_dict"):
        record = record.to_dict()
    if isinstance(record, Mapping):
        return {key: _plain(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [_plain(value) for value in record]
    return record


def _flat(record: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
