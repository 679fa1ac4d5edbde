"""Defines the sections of a training config and the allowed values of their fields."""

import dataclasses
import math
from collections.abc import Mapping

from data_pipeline.tokens.pack_plan import WINDOW
from semcoder_jax.errors import UserError

COMPUTE_DTYPES = ("float32", "bfloat16", "float16")
DATA_SOURCES = ("synthetic", "jsonl", "pyx", "tokens")
OVERLONG = ("truncate", "drop", "refuse")
OPTIMIZERS = ("adamw", "muon")
REMAT_POLICIES = (  # remat.POLICIES defines them
    "none",
    "dots_with_no_batch_dims_saveable",
    "dots_saveable",
    "save_attention",
    "nothing_saveable",
    "offload",
    "offload_save_attention",
)
# Weights that may have adapters, by PEFT's names.
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LORA_BASES = ("float32", "bfloat16", "int8", "nf4")
QUANTIZED_BASES = ("int8", "nf4")
MESH_AXES = ("data", "fsdp", "tensor")
BEST_BY = ("loss", "accuracy")
ATTENTION_BACKENDS = {
    "auto": "splash on TPU, flash on GPU (Ampere or later) if the model suits it, blocks on CPU if "
    "rows have more than 128 positions; otherwise xla",
    "blocks": "128 x 128 positions at a time, only where a record sees itself; for CPU",
    "splash": "JAX's Pallas kernel for TPU",
    "flash": "JAX's Pallas kernel for GPU",
    "cudnn": "NVIDIA's fused attention for GPU, given a mask; float16 and bfloat16 only",
    "xla": "plain products and a softmax, with all scores in memory",
}


class ConfigError(UserError):
    """Raised for a config that cannot run; the message names the field."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The `data` section.

    `source` "jsonl" reads PyX rows from the files `train` and `eval` (optional) with the
    tokenizer in the directory `tokenizer`; "synthetic" builds all three in WORKDIR/corpus with
    the arguments in `synthetic`; "pyx" reads the splits of the dataset that
    `python -m data_pipeline.build` wrote to `directory`, and, without `tokenizer`,
    makes one in WORKDIR/tokenizer from the `vocabulary_words` most frequent words of its training
    records; "tokens" reads what `python -m data_pipeline.prepare` wrote to the folders
    in `datasets`, by name, with the tokenizer in them.
    `mixture` maps kinds (nl, forward, backward, refine, instruction) and names of `datasets` to
    weights: how many times their records come in an epoch; see data_pipeline.tokens.mixture.
    `packing_window` is how many records are packed together, the longest first.
    `global_batch_size` counts packed rows of `sequence_length` tokens over all processes.
    `overlong` handles records that do not fit a row: "truncate" (on the right, as upstream),
    "drop" or "refuse". `num_epochs` may replace `train.num_steps`.
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
class Compute:
    """The `compute` section: it changes speed, memory and rounding, never the parameters.

    `dtype` is the dtype of activations and of weights inside a product (parameters keep their own).
    `attention` is one of ATTENTION_BACKENDS. `remat` is one of REMAT_POLICIES: it selects which
    results of a layer are saved for the backward pass. `one_hot_embedding` sums the
    gradient of embeddings by a matrix product: for small vocabularies on CPU a scatter costs more
    than the product. `unroll` is the number of layers per scan step: unrolling all layers of a
    small model saves copies of residuals, 1 keeps the program of a large model small. `loss_chunk`
    is the number of positions of each row whose logits exist at one time while training; one that
    covers the row keeps all logits and computes them once, not twice. `fused_attention_gradients`
    lets splash attention compute all gradients in one kernel, by 5 products a block instead of 7,
    in rows of at most four blocks (of 512 positions if they divide the row).
    """

    dtype: str = "float32"
    attention: str = "auto"
    remat: str = "none"
    one_hot_embedding: bool = False
    unroll: int = 1
    loss_chunk: int = 256
    fused_attention_gradients: bool = False


@dataclasses.dataclass(frozen=True)
class InitializationConfig:
    """The `initialization` section of a config; by default it does nothing.

    `offset_heads`: head i of the first layer looks this many tokens back. `matching_heads`:
    that many heads of the second layer look for the place whose predecessor (by head 0 of the
    first layer, which must look 1 back) equals the current token.
    """

    offset_heads: tuple[int, ...] = ()
    matching_heads: int = 0

    def __post_init__(self):
        object.__setattr__(self, "offset_heads", tuple(self.offset_heads))
        if any(type(offset) is not int or offset < 1 for offset in self.offset_heads):
            raise ValueError(
                f"initialization.offset_heads: {list(self.offset_heads)}, expected distances of "
                f"at least 1"
            )
        if self.matching_heads < 0:
            raise ValueError(
                f"initialization.matching_heads: {self.matching_heads}, expected 0 or more"
            )
        if self.matching_heads and self.offset_heads[:1] != (1,):
            raise ValueError(
                f"initialization.offset_heads: {list(self.offset_heads)}, expected 1 first where "
                f"there are matching_heads"
            )


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The `optimizer` section of a config.

    Learning rates rise linearly over `warmup_steps` to the peak and fall by a cosine to the
    minimum at the last step; a minimum equal to the peak keeps the rate, and such a run can be
    made longer. `clip_norm` bounds the global norm of the gradient (0: no bound).
    `weight_decay` is decoupled, multiplied by the learning rate, and spares the norms.

    Muon updates the matrices of the layers; embeddings, the output matrix and norms go by AdamW
    at `adam_peak_learning_rate` (None: the same peak). `muon_update_rms` None scales an
    update by sqrt(max(1, out/in)), as Jordan does; 0.2 gives every update AdamW's usual size, as
    Liu et al. do, so that one learning rate suits both.

    `ema_decay` above 0 keeps an exponential moving average of the parameters, which evaluations,
    checkpoints and exports use in their place; it is the share of the old average, e.g. 0.999.
    """

    name: str = "adamw"
    peak_learning_rate: float = 5e-5
    min_learning_rate: float = 0.0
    warmup_steps: int = 0
    weight_decay: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    clip_norm: float = 1.0
    adam_peak_learning_rate: float | None = None
    muon_momentum: float = 0.95
    muon_update_rms: float | None = None
    ema_decay: float = 0.0

    def __post_init__(self):
        if self.name not in OPTIMIZERS:
            raise ConfigError(f"optimizer.name {self.name!r} is none of {list(OPTIMIZERS)}")
        for name in ("peak_learning_rate", "adam_peak_learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"optimizer.{name} {value} must be positive")
        if not 0 <= self.min_learning_rate <= self.peak_learning_rate:
            raise ConfigError(
                f"optimizer.min_learning_rate {self.min_learning_rate} must lie between 0 and "
                f"peak_learning_rate ({self.peak_learning_rate})"
            )
        for name in ("b1", "b2", "muon_momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"optimizer.{name} {getattr(self, name)} must be 0 to below 1")
        for name in ("weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"optimizer.{name} {getattr(self, name)} must not be negative")
        if not 0 < self.eps < math.inf:
            raise ConfigError(f"optimizer.eps {self.eps} must be positive")
        if self.muon_update_rms is not None and not 0 < self.muon_update_rms < math.inf:
            raise ConfigError(
                f"optimizer.muon_update_rms {self.muon_update_rms} must be positive, or None"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"optimizer.ema_decay {self.ema_decay} must be 0 (none) to below 1")
        if self.warmup_steps < 0:
            raise ConfigError(f"optimizer.warmup_steps {self.warmup_steps} must not be negative")

    @property
    def is_constant(self) -> bool:
        """Returns whether the rate stays at the peak after warm-up, however long the run is."""
        return self.min_learning_rate == self.peak_learning_rate


@dataclasses.dataclass(frozen=True)
class LoRAConfig:
    """The `lora` section of a config: with it, a run trains adapters over `model.init_from`.

    `targets` are weights by PEFT's names; the adapter of each has `rank` columns and is scaled
    by `alpha` / rank, or / sqrt(rank) where `rank_stabilized`. `base` is the storage of the
    frozen parameters: "float32", "bfloat16", or the layers' matrices as "int8" (one scale an
    output channel) or "nf4" and the rest in bfloat16. `init_from`: a directory of adapters in
    peft's format to start from (None: new ones).
    """

    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = LORA_TARGETS
    base: str = "bfloat16"
    rank_stabilized: bool = False
    init_from: str | None = None

    def __post_init__(self):
        if self.rank < 1:
            raise ValueError(f"lora.rank is {self.rank}, expected at least 1")
        if not self.alpha > 0:
            raise ValueError(f"lora.alpha is {self.alpha}, expected more than 0")
        if not self.targets:
            raise ValueError(f"lora.targets is empty, expected some of {', '.join(LORA_TARGETS)}")

    @property
    def scaling(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The `train` section; the unit is steps (updates).

    Exactly one of `num_steps` and `data.num_epochs` must be given.
    `eval_every` 0: only after the last step; `eval_batches` 0: the whole held-out set.
    `stop_after_step` ends the session gracefully there, as SIGTERM would; the run can be resumed.
    A step whose loss or gradient is not finite, or whose gradient's norm exceeds
    `skip_gradient_norm` (None: no bound), updates nothing; more than `max_skipped_steps` of
    them end the session with its state saved. `wandb_project` names a project of Weights & Biases
    that gets the numbers too (extra: wandb).
    The newest `keep_checkpoints` are kept, and with `keep_every` those of its multiples (0: none).
    `keep_best` also keeps the best checkpoint, saved after the evaluation that found it.
    `early_stopping` ends the run after so many evaluations in a row without a better one (0:
    never). `best_by` compares "loss", the held-out loss, or "accuracy", see AccuracyConfig.
    A process ends with its stacks printed if no step has finished for `hang_timeout` seconds, or
    if its start, a compilation, a save or an evaluation, or the step after it, takes more than
    `phase_timeout` seconds (0: never). `grace_seconds` is the time between SIGTERM and the end of
    the machine, 30 for spot VMs of Google Cloud: the log tells if two steps and a save take longer
    (0: do not tell).
    """

    num_steps: int | None = None
    accumulation_steps: int = 1
    log_every: int = 10
    eval_every: int = 0
    eval_batches: int = 0
    checkpoint_every: int = 1000
    keep_checkpoints: int = 2
    keep_every: int = 0
    stop_after_step: int | None = None
    skip_gradient_norm: float | None = None
    max_skipped_steps: int = 10
    wandb_project: str | None = None
    keep_best: bool = False
    early_stopping: int = 0
    best_by: str = "loss"
    hang_timeout: float = 1800.0
    phase_timeout: float = 14400.0
    grace_seconds: float = 30.0


@dataclasses.dataclass(frozen=True)
class AccuracyConfig:
    """The `accuracy` section of a config: with it, a run also answers problems while it trains.

    After `every` steps, and after the last, the present parameters (or their average) generate
    greedy answers to the first `max_tasks` problems of each of `benchmarks`, names of the
    evaluation's: "heldout" (forward), "heldout_backward", "humaneval", … `data` maps such a name to
    its file; without it, the problems are those of the run's own held-out split (problems.jsonl),
    or the benchmark's public data. `variant` is the prompt ("monologue", "direct", …; None: each
    benchmark's first). `batch_size` prompts, rounded up to 1, 2, 4, 8, 16, 24, …, are decoded
    together, up to `max_new_tokens` each.

    Training is not changed by it: it draws no random numbers, and a resumed run measures the same.
    """

    every: int
    benchmarks: tuple[str, ...] = ("heldout", "heldout_backward")
    data: Mapping = dataclasses.field(default_factory=dict)
    max_tasks: int = 32
    variant: str | None = None
    max_new_tokens: int = 512
    batch_size: int = 16

    def __post_init__(self):
        for name in ("every", "max_tasks", "max_new_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"accuracy.{name} is {getattr(self, name)}, expected at least 1")
        if not self.benchmarks or len(set(self.benchmarks)) < len(self.benchmarks):
            raise ValueError(
                f"accuracy.benchmarks is {list(self.benchmarks)}, expected different names"
            )
        for name in self.data:
            if name not in self.benchmarks:
                raise ValueError(f"accuracy.data.{name}: not among accuracy.benchmarks")
