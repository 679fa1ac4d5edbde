"""What training changes (step, parameters and moments) and what it reads but leaves as it is.

The state is new, restored, or from a model's weights. The decoder's parameters are those of the
state and the frozen ones together (``whole_params``): adapters over a base, see lora; in full
fine-tuning nothing is frozen.
"""

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from semcoder_jax import hf
from semcoder_jax.checkpoints import MODEL, abstract_model, with_shardings
from semcoder_jax.config import ConfigError, DecoderConfig, RunConfig
from semcoder_jax.hf.adapter import read_adapter
from semcoder_jax.loading import load_model
from semcoder_jax.model import sharding
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.initialization import with_copying_heads
from semcoder_jax.model.lora import adapted, freeze, initial_adapters
from semcoder_jax.training.optimizer import optimizer_shardings


class TrainState(NamedTuple):
    """All that a step changes. ``step`` counts updates made; ``params``, what is trained, is plain
    dicts."""

    step: jax.Array
    params: Any
    optimizer: Any


def resolve_architecture(run: RunConfig, tokenizer) -> DecoderConfig:
    """The architecture that the config gives, or that of the model it starts from.

    Raises ConfigError where it gives one that differs from the model's.
    """
    if "init_from" not in run.model:
        return run.decoder_config(hf.tokenizer_size(tokenizer))
    source = Path(run.model["init_from"])
    found = hf.read_config(source / MODEL if (source / MODEL).is_dir() else source)
    if len(run.model) > 1:
        given = dataclasses.asdict(run.decoder_config(hf.tokenizer_size(tokenizer)))
        del given["initializer_range"]  # of parameters that are new
        for name, value in given.items():
            if not math.isclose(value, getattr(found, name), rel_tol=1e-6):
                raise ConfigError(
                    f"config: model: {name} is {value}, but {getattr(found, name)} in "
                    f"model.init_from ({source})"
                )
    return found


def whole_params(run: RunConfig, params: dict, frozen: dict) -> dict:
    """The decoder's parameters (plain dicts), for the step and for evaluation."""
    return adapted(run.lora, params, frozen) if run.lora else params


def frozen_shapes(run: RunConfig, config: DecoderConfig) -> dict:
    """ShapeDtypeStructs of the parameters that no step changes. Raises ConfigError where the base
    cannot be held as ``lora.base`` says."""
    if run.lora is None:
        return {}
    params = nnx.to_pure_dict(nnx.state(abstract_model(config, run.compute)))
    try:
        return jax.eval_shape(functools.partial(freeze, run.lora), params)
    except ValueError as error:
        raise ConfigError(f"config: lora.base {run.lora.base!r}: {error}") from None


def initial_state(run: RunConfig, config: DecoderConfig, optimizer) -> TrainState:
    """A new state; jit it with ``out_shardings`` so that no device ever holds all of it."""
    if run.lora:
        adapters = initial_adapters(run.lora, frozen_shapes(run, config), run.seed)
        return TrainState(jnp.zeros((), jnp.int32), adapters, optimizer.init(adapters))
    params = nnx.to_pure_dict(nnx.state(Decoder(config, rngs=nnx.Rngs(run.seed))))
    try:
        params = with_copying_heads(params, config, run.initialization, run.seed)
    except ValueError as error:
        raise ConfigError(f"config: {error}") from None
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def state_shardings(shapes: TrainState, mesh: Mesh) -> TrainState:
    """A NamedSharding for every leaf: moments lie where their parameters lie."""
    params = sharding.parameter_shardings(shapes.params, mesh)
    return TrainState(
        sharding.replicated(mesh), params, optimizer_shardings(shapes.optimizer, params, mesh)
    )


def restored_state(checkpoints, shapes, places, data_iterator) -> TrainState | None:
    """The state of the last sound checkpoint in its shards, None where there is none; sets
    ``data_iterator`` to its place."""
    params = with_shardings(shapes.params, places.params)
    optimizer = with_shardings(shapes.optimizer, places.optimizer)
    restored = checkpoints.restore_last(params, optimizer, data_iterator)
    if restored is None:
        return None
    return TrainState(
        jax.device_put(jnp.int32(restored.step), places.step), restored.params, restored.optimizer
    )


def state_from(
    run: RunConfig, config: DecoderConfig, optimizer, places: TrainState, mesh: Mesh
) -> TrainState:
    """A state at step 0: with the float32 parameters of ``model.init_from``, an HF directory or
    training workdir; of a run of adapters, with those of ``lora.init_from``."""
    if run.lora:
        params = jax.device_put(read_adapter(run.lora.init_from, config, run.lora), places.params)
    else:
        params = nnx.to_pure_dict(load_model(run.model["init_from"], mesh=mesh).params)
    moments = jax.jit(optimizer.init, out_shardings=places.optimizer)(params)
    return TrainState(jax.device_put(jnp.int32(0), places.step), params, moments)
