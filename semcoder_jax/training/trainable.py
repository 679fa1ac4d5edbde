"""What a run trains and how it becomes the decoder's parameters.

Either all parameters are trained (`FullParameters`) or low-rank adapters over a frozen base
(`AdapterParameters`, see lora). Both answer the same questions, so that the loop, the step and the
checkpoints need not know which of them they have. Parameters are plain dicts.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping

import jax
from flax import nnx
from jax.sharding import Mesh

from semcoder_jax import hf
from semcoder_jax.checkpoints import abstract_model, checksum
from semcoder_jax.config import (
    Compute,
    ConfigError,
    DecoderConfig,
    InitializationConfig,
    LoRAConfig,
)
from semcoder_jax.hf.adapter import read_adapter
from semcoder_jax.loading import load_base, load_model
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.initialization import with_copying_heads
from semcoder_jax.model.lora import attach_adapters, freeze, initial_adapters


@dataclasses.dataclass(frozen=True)
class FullParameters:
    """All parameters of the decoder; none is frozen.

    `init_from`: an HF directory or training workdir to start from (None: new parameters).
    """

    config: DecoderConfig
    seed: int
    initialization: InitializationConfig
    init_from: str | None

    def initialize(self) -> dict:
        """New parameters to train."""
        params = nnx.to_pure_dict(nnx.state(Decoder(self.config, rngs=nnx.Rngs(self.seed))))
        try:
            return with_copying_heads(params, self.config, self.initialization, self.seed)
        except ValueError as error:
            raise ConfigError(f"config: {error}") from None

    def load(self, shardings: dict, mesh: Mesh) -> dict | None:
        """The float32 parameters to start from; None: start from new ones."""
        if self.init_from is None:
            return None
        return nnx.to_pure_dict(load_model(self.init_from, mesh=mesh).params)

    def check_load(self) -> None:
        """Raise HFError if what `load` would read does not fit the model."""

    def frozen_shapes(self) -> dict:
        """ShapeDtypeStructs of the parameters that no step changes."""
        return {}

    def load_frozen(self, mesh: Mesh) -> dict:
        """The parameters that no step changes."""
        return {}

    def frozen_identity(self, frozen: dict) -> tuple[str | None, str | None]:
        """(directory, checksum) of the frozen parameters, for Checkpoints.base."""
        return None, None

    def model_parameters(self, params: dict, frozen: dict) -> dict:
        """The decoder's parameters, for the step and for evaluation."""
        return params

    def adapter_count(self, params: dict) -> int | None:
        """Number of adapter parameters, None if all parameters are trained."""
        return None

    def describe(self, params: dict) -> str:
        """How much is trained, for people."""
        return f"{count_parameters(params):,} parameters"


@dataclasses.dataclass(frozen=True)
class AdapterParameters:
    """Adapters over the frozen parameters of `base`, an HF directory or training workdir."""

    config: DecoderConfig
    seed: int
    lora: LoRAConfig
    base: str

    def initialize(self) -> dict:
        return initial_adapters(self.lora, self.frozen_shapes(), self.seed)

    def load(self, shardings: dict, mesh: Mesh) -> dict | None:
        if not self.lora.init_from:
            return None
        return jax.device_put(read_adapter(self.lora.init_from, self.config, self.lora), shardings)

    def check_load(self) -> None:
        if self.lora.init_from:
            read_adapter(self.lora.init_from, self.config, self.lora)

    def frozen_shapes(self) -> dict:
        """As FullParameters has it. Raises ConfigError if the base cannot be held as
        `lora.base` says."""
        params = nnx.to_pure_dict(nnx.state(abstract_model(self.config, Compute())))
        try:
            return jax.eval_shape(functools.partial(freeze, self.lora), params)
        except ValueError as error:
            raise ConfigError(f"config: lora.base {self.lora.base!r}: {error}") from None

    def load_frozen(self, mesh: Mesh) -> dict:
        return load_base(self.lora, self.base, mesh)

    def frozen_identity(self, frozen: dict) -> tuple[str | None, str | None]:
        return self.base, checksum(frozen)

    def model_parameters(self, params: dict, frozen: dict) -> dict:
        return attach_adapters(self.lora, params, frozen)

    def adapter_count(self, params: dict) -> int | None:
        return count_parameters(params)

    def describe(self, params: dict) -> str:
        return (
            f"{count_parameters(params):,} parameters of adapters over "
            f"{hf.parameter_count(self.config):,} in {self.lora.base}"
        )


Trainable = FullParameters | AdapterParameters


def make_trainable(
    config: DecoderConfig,
    seed: int,
    model: Mapping,
    initialization: InitializationConfig,
    lora: LoRAConfig | None,
) -> Trainable:
    """What a run of these sections trains, of the decoder that `config` describes."""
    if lora is None:
        return FullParameters(config, seed, initialization, model.get("init_from"))
    return AdapterParameters(config, seed, lora, model["init_from"])


def count_parameters(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
