"""Parses and checks the record of a training run before work starts.

A config file gives an `ml_collections.ConfigDict`; `parse_run` turns it into frozen dataclasses or
raises a one-line error that names the wrong field. `differing_fields` compares two records.
"""

import dataclasses
import typing
from collections.abc import Mapping

from data_pipeline.tokens.mixture import MixtureError, check_weights
from semcoder_jax.config.architecture import MODELS, DecoderConfig, build_decoder_config
from semcoder_jax.config.fields import (
    check_names,
    check_type,
    flat_record,
    parse_section,
    plain_record,
    suggest_name,
)
from semcoder_jax.config.reinforcement import ObjectiveConfig, RolloutsConfig, check_rewards
from semcoder_jax.config.sections import (
    ATTENTION_BACKENDS,
    BEST_BY,
    COMPUTE_DTYPES,
    DATA_SOURCES,
    LORA_BASES,
    LORA_TARGETS,
    MESH_AXES,
    OVERLONG,
    REMAT_POLICIES,
    AccuracyConfig,
    Compute,
    ConfigError,
    DataConfig,
    InitializationConfig,
    LoRAConfig,
    OptimizerConfig,
    TrainConfig,
)

# Fields that may change between a run and its resumption: they change logging, checkpoints and
# devices, but not the losses (up to rounding for mesh, compute and accumulation). The number of
# steps is not among them: the cosine depends on it.
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
    "train.keep_every",
    "train.max_skipped_steps",
    "train.stop_after_step",
    "train.hang_timeout",
    "train.phase_timeout",
    "train.grace_seconds",
    "train.wandb_project",
    "train.keep_best",
    "train.early_stopping",
    "train.best_by",
    "accuracy",
    "rollouts.slots",
    "rollouts.max_drift",
)
# Sections that a config may leave out.
_OPTIONAL_SECTIONS = ("lora", "accuracy", "rollouts", "objective", "rewards")
# Fields that each data.source needs.
_FIELDS_OF_SOURCE = {
    "synthetic": (),
    "jsonl": ("train", "tokenizer"),
    "pyx": ("directory",),
    "tokens": ("datasets",),
}
_NOT_NEGATIVE_FIELDS = (  # of train
    "eval_every",
    "eval_batches",
    "keep_every",
    "max_skipped_steps",
    "hang_timeout",
    "phase_timeout",
    "grace_seconds",
)
_POSITIVE_FIELDS = (
    "data.sequence_length",
    "data.global_batch_size",
    "data.vocabulary_words",
    "data.packing_window",
    "train.num_steps",
    "data.num_epochs",
    "compute.loss_chunk",
    "train.accumulation_steps",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A complete, checked training config.

    `model` holds `architecture`, the name of one of MODELS, or fields of DecoderConfig
    (`vocab_size` defaults to the tokenizer's; `num_kv_heads`, `head_dim` and
    `max_positions` follow from other fields), or both: the fields then override the named one's.
    `model` may also hold `init_from`, an HF directory or a training workdir to start from. Fields
    beside `init_from` must equal that model's architecture; without them it determines everything.
    Only the scaling of its RoPE may be another, and with it `max_positions`.
    `lora` None trains all parameters; otherwise the run trains adapters over `init_from`.
    `accuracy` None measures only the held-out loss.
    `initialization` shapes new parameters. `mesh` is the argument of sharding.make_mesh.
    `rollouts`, `objective` and `rewards` (weights by name) are there if the run learns from
    rewards, and None otherwise.
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
    accuracy: AccuracyConfig | None = None
    rollouts: RolloutsConfig | None = None
    objective: ObjectiveConfig | None = None
    rewards: Mapping[str, float] | None = None

    def to_record(self) -> dict:
        """Returns every field, defaults included, as JSON would read it back, for parse_run."""
        return plain_record(dataclasses.asdict(self))

    def decoder_config(self, vocab_size: int) -> DecoderConfig:
        """Builds the architecture from `model`, for a tokenizer of `vocab_size` ids."""
        return build_decoder_config(
            self.model, vocab_size=vocab_size, sequence_length=self.data.sequence_length
        )


def parse_run(record: Mapping) -> RunConfig:
    """Checks a ConfigDict or dict and returns it as a RunConfig. Raises ConfigError."""
    record = plain_record(record)
    _check_sections(record)
    lora, accuracy = record.get("lora"), record.get("accuracy")
    rollouts, rewards = record.get("rollouts"), record.get("rewards")
    objective = record.get("objective", None if rollouts is None else {})
    run = RunConfig(
        seed=record.get("seed", 0),
        model=_parse_model(record["model"]),
        initialization=parse_section(
            InitializationConfig, record.get("initialization", {}), "initialization"
        ),
        compute=parse_section(Compute, record.get("compute", {}), "compute"),
        mesh=_parse_mesh(record.get("mesh", {})),
        data=parse_section(DataConfig, record["data"], "data"),
        optimizer=parse_section(OptimizerConfig, record.get("optimizer", {}), "optimizer"),
        train=parse_section(TrainConfig, record["train"], "train"),
        lora=None if lora is None else parse_section(LoRAConfig, lora, "lora"),
        accuracy=None if accuracy is None else parse_section(AccuracyConfig, accuracy, "accuracy"),
        rollouts=None if rollouts is None else parse_section(RolloutsConfig, rollouts, "rollouts"),
        objective=None
        if objective is None
        else parse_section(ObjectiveConfig, objective, "objective"),
        rewards=rewards,
    )
    _check_model(run)
    _check_choices(run)
    _check_data(run.data)
    _check_numbers(run)
    if run.lora:
        _check_lora(run)
    _check_rewards(run)
    return run


def differing_fields(run: RunConfig, other: RunConfig) -> dict[str, tuple]:
    """Returns the dotted names of differing fields and both values, ignoring harmless fields."""
    ours, theirs = flat_record(run.to_record()), flat_record(other.to_record())
    return {
        name: (ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name) and not is_harmless(name)
    }


def is_harmless(name: str) -> bool:
    """Tells whether a field may change between a run and its resumption."""
    return any(name == field or name.startswith(f"{field}.") for field in HARMLESS_FIELDS)


def _check_sections(record: Mapping) -> None:
    known = [field.name for field in dataclasses.fields(RunConfig)]
    check_names(record, known, "")
    for name in ("model", "data", "train"):
        if name not in record:
            raise ConfigError(f"config: section {name} is missing")
    for name in known:
        absent = name in _OPTIONAL_SECTIONS and record.get(name) is None
        if name != "seed" and not absent and not isinstance(record.get(name, {}), dict):
            raise ConfigError(f"config: {name} must be a section of fields")
    check_type(record.get("seed", 0), int, "seed")


def _parse_model(section: Mapping) -> dict:
    """Returns the section without fields of None, which count as missing."""
    model = {name: value for name, value in section.items() if value is not None}
    decoder_fields = [field.name for field in dataclasses.fields(DecoderConfig)]
    check_names(model, [*decoder_fields, "architecture", "init_from"], "model.")
    hints = typing.get_type_hints(DecoderConfig) | {"architecture": str, "init_from": str}
    for name, value in model.items():
        check_type(value, hints[name], f"model.{name}")
    if model.get("architecture", "6.7b") not in MODELS:
        name = model["architecture"]
        raise ConfigError(f"config: model.architecture {name!r}: {suggest_name(str(name), MODELS)}")
    return model


def _parse_mesh(section: Mapping) -> Mapping:
    check_names(section, MESH_AXES, "mesh.")
    for name, size in section.items():
        check_type(size, int, f"mesh.{name}")
    return section


def _check_model(run: RunConfig) -> None:
    # A record holds the section's defaults, too.
    if "init_from" in run.model and run.initialization != InitializationConfig():
        raise ConfigError("config: model.init_from brings the parameters; drop initialization")


def _check_choices(run: RunConfig) -> None:
    for field, value, allowed in (
        ("compute.dtype", run.compute.dtype, COMPUTE_DTYPES),
        ("compute.attention", run.compute.attention, ATTENTION_BACKENDS),
        ("compute.remat", run.compute.remat, REMAT_POLICIES),
        ("data.source", run.data.source, DATA_SOURCES),
        ("data.overlong", run.data.overlong, OVERLONG),
        ("train.best_by", run.train.best_by, BEST_BY),
    ):
        if value not in allowed:
            raise ConfigError(f"config: {field} {value!r}: {suggest_name(value, allowed)}")


def _check_data(data: DataConfig) -> None:
    for name in _FIELDS_OF_SOURCE[data.source]:
        if not getattr(data, name):
            raise ConfigError(f"config: data.{name} is missing (data.source is {data.source!r})")
    for name, path in data.datasets.items():
        check_type(path, str, f"data.datasets.{name}")
    try:
        check_weights(data.mixture, data.datasets)
    except MixtureError as error:
        raise ConfigError(f"config: data.{error}") from None
    if data.datasets and data.source != "tokens":
        raise ConfigError(
            f"config: data.datasets: only for data.source 'tokens'; it is {data.source!r}"
        )


def _check_numbers(run: RunConfig) -> None:
    data, train = run.data, run.train
    if (train.num_steps is None) == (data.num_epochs is None):
        raise ConfigError("config: expected one of train.num_steps and data.num_epochs")
    for name in _POSITIVE_FIELDS:
        section, field = name.split(".")
        value = getattr(getattr(run, section), field)
        if value is not None and value < 1:
            raise ConfigError(f"config: {name} is {value}, expected at least 1")
    for name in _NOT_NEGATIVE_FIELDS:
        value = getattr(train, name)
        if value < 0:
            raise ConfigError(f"config: train.{name} is {value}, expected at least 0")
    if train.skip_gradient_norm is not None and not train.skip_gradient_norm > 0:
        raise ConfigError(
            f"config: train.skip_gradient_norm is {train.skip_gradient_norm}, expected more than 0"
        )
    if train.num_steps is not None and run.optimizer.warmup_steps >= train.num_steps:
        raise ConfigError(  # with data.num_epochs, found as soon as the data is counted
            f"config: optimizer.warmup_steps {run.optimizer.warmup_steps} must be below "
            f"train.num_steps {train.num_steps}"
        )
    if train.early_stopping < 0:
        raise ConfigError(
            f"config: train.early_stopping is {train.early_stopping}, expected 0 (never) or more"
        )
    _check_best(run)
    if data.global_batch_size % train.accumulation_steps:
        raise ConfigError(
            f"config: data.global_batch_size {data.global_batch_size} is not divisible by "
            f"train.accumulation_steps {train.accumulation_steps}"
        )


def _check_best(run: RunConfig) -> None:
    """Raises ConfigError if the run never computes the figure that it is to compare."""
    train = run.train
    if train.best_by == "accuracy" and run.accuracy is None:
        raise ConfigError(
            "config: accuracy.every is missing: train.best_by 'accuracy' compares what that "
            "section measures"
        )
    compares_losses = (train.keep_best or train.early_stopping) and train.best_by == "loss"
    if compares_losses and not train.eval_every:
        raise ConfigError(
            "config: train.eval_every is missing: train.keep_best and train.early_stopping compare "
            "held-out losses"
        )


def _check_lora(run: RunConfig) -> None:
    lora = run.lora
    if lora.base not in LORA_BASES:
        raise ConfigError(f"config: lora.base {lora.base!r}: {suggest_name(lora.base, LORA_BASES)}")
    for target in lora.targets:
        if target not in LORA_TARGETS:
            raise ConfigError(
                f"config: lora.targets {target!r}: {suggest_name(str(target), LORA_TARGETS)}"
            )
    if "init_from" not in run.model:
        raise ConfigError("config: lora needs model.init_from, the weights that stay as they are")
    if run.optimizer.name != "adamw":
        raise ConfigError(
            f"config: optimizer.name {run.optimizer.name!r}: lora trains adapters by adamw"
        )


def _check_rewards(run: RunConfig) -> None:
    """Raises ConfigError unless the sections for learning from rewards are all there or none."""
    sections = {"rollouts": run.rollouts, "objective": run.objective, "rewards": run.rewards}
    missing = [name for name, section in sections.items() if section is None]
    if len(missing) == len(sections):
        return
    if missing:
        raise ConfigError(f"config: section {missing[0]} is missing: the run learns from rewards")
    check_rewards(run.rewards)
    rows, group = run.data.global_batch_size, run.rollouts.group_size
    if rows % group:
        raise ConfigError(
            f"config: data.global_batch_size {rows} is not divisible by rollouts.group_size {group}"
        )
    if run.rollouts.max_new_tokens > run.data.sequence_length:
        raise ConfigError(
            f"config: rollouts.max_new_tokens {run.rollouts.max_new_tokens} is above "
            f"data.sequence_length {run.data.sequence_length}, which also holds the prompt"
        )
