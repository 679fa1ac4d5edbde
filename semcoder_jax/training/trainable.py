"""Defines which parameters a run trains and how they become the decoder's parameters.

A run trains all parameters (`FullParameters`) or low-rank adapters over a frozen base
(`AdapterParameters`, see lora). Both have the same methods, so the loop, the step and the
checkpoints work with either. Parameters are plain dicts.
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
    """Trains all parameters of the decoder; none is frozen.

    `init_from`: an HF directory or training workdir to start from (None: new parameters).
    """

    config: DecoderConfig
    seed: int
    initialization: InitializationConfig
    init_from: str | None

    def initialize(self) -> dict:
        """Returns new parameters to train."""
        params = nnx.to_pure_dict(nnx.state(Decoder(self.config, rngs=nnx.Rngs(self.seed))))
        try:
            return with_copying_heads(params, self.config, self.initialization, self.seed)
        except ValueError as error:
            raise ConfigError(f"config: {error}") from None

    def load(self, shardings: dict, mesh: Mesh) -> dict | None:
        """Returns the float32 parameters to start from, or None to start from new ones."""
        if self.init_from is None:
            return None
        return nnx.to_pure_dict(load_model(self.init_from, mesh=mesh).params)

    def check_load(self) -> None:
        """Raises HFError if the files that `load` would read do not fit the model."""

    def frozen_shapes(self) -> dict:
        """Returns the frozen parameters as ShapeDtypeStructs."""
        return {}

    def load_frozen(self, mesh: Mesh) -> dict:
        """Returns the frozen parameters."""
        return {}

    def frozen_identity(self, frozen: dict) -> tuple[str | None, str | None]:
        """Returns (directory, checksum) of the frozen parameters, for Checkpoints.base."""
        return None, None

    def model_parameters(self, params: dict, frozen: dict) -> dict:
        """Returns the decoder's parameters, for the step and for evaluation."""
        return params

    def adapter_count(self, params: dict) -> int | None:
        """Returns the number of adapter parameters, or None if all parameters are trained."""
        return None

    def describe(self, params: dict) -> str:
        """Returns a printable count of the trained parameters."""
        return f"{count_parameters(params):,} parameters"


@dataclasses.dataclass(frozen=True)
class AdapterParameters:
    """Trains adapters over the frozen parameters of `base`, an HF directory or training workdir."""

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
        """Returns the frozen parameters as ShapeDtypeStructs.

        Raises ConfigError if the base cannot be stored as `lora.base`.
        """
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
    """Returns the trainable parameters for these sections and the decoder `config`."""
    if lora is None:
        return FullParameters(config, seed, initialization, model.get("init_from"))
    return AdapterParameters(config, seed, lora, model["init_from"])


def count_parameters(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
