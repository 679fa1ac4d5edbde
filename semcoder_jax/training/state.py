"""Creates and restores the training state: step, trained parameters and moments."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from semcoder_jax.checkpoints import Checkpoints, abstract_model, with_shardings
from semcoder_jax.config import DecoderConfig, RunConfig
from semcoder_jax.model import sharding
from semcoder_jax.training.average import exchange
from semcoder_jax.training.optimizer import (
    learning_rate_schedule,
    make_optimizer,
    optimizer_shardings,
)
from semcoder_jax.training.trainable import Trainable, make_trainable


class TrainState(NamedTuple):
    """Holds all that a step changes: updates made, trained parameters (plain dicts), moments."""

    step: jax.Array
    params: Any
    optimizer: Any


def initial_state(trainable: Trainable, optimizer) -> TrainState:
    """Returns a new state; jit it with `out_shardings`, so no device ever holds all of it."""
    params = trainable.initialize()
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def state_shardings(shapes: TrainState, mesh: Mesh) -> TrainState:
    """Returns a NamedSharding for every leaf; moments have their parameters' shardings."""
    params = sharding.parameter_shardings(shapes.params, mesh)
    return TrainState(
        sharding.replicated_sharding(mesh),
        params,
        optimizer_shardings(shapes.optimizer, params, mesh),
    )


def restore_state(
    checkpoints: Checkpoints, shapes: TrainState, shardings: TrainState, data_iterator
) -> TrainState | None:
    """Restores the latest undamaged checkpoint and sets `data_iterator` to its position.

    Returns None without a checkpoint.
    """
    params = with_shardings(shapes.params, shardings.params)
    optimizer = with_shardings(shapes.optimizer, shardings.optimizer)
    restored = checkpoints.restore_last(params, optimizer, data_iterator)
    if restored is None:
        return None
    step = jax.device_put(jnp.int32(restored.step), shardings.step)
    return TrainState(step, *exchange(restored.params, restored.optimizer))


@dataclasses.dataclass(frozen=True)
class TrainSetup:
    """Describes a model and its training before any of its arrays exists.

    Attributes:
      config: the decoder's architecture.
      graphdef: the decoder without its parameters.
      trainable: the parameters to train.
      optimizer: updates the trained parameters.
      learning_rate: the schedule that the optimizer follows, by update from 0.
      mesh: the devices that hold the arrays.
      shapes: the state as ShapeDtypeStructs.
      shardings: the state as NamedShardings.
    """

    config: DecoderConfig
    graphdef: nnx.GraphDef
    trainable: Trainable
    optimizer: optax.GradientTransformation
    learning_rate: optax.Schedule
    mesh: Mesh
    shapes: TrainState
    shardings: TrainState

    @classmethod
    def of(cls, run: RunConfig, config: DecoderConfig, num_steps: int, mesh: Mesh) -> "TrainSetup":
        """Builds the setup. Raises ConfigError if a section does not fit the model or the steps."""
        graphdef, _ = nnx.split(abstract_model(config, run.compute))
        trainable = make_trainable(config, run.seed, run.model, run.initialization, run.lora)
        learning_rate = learning_rate_schedule(run.optimizer, num_steps)
        optimizer = make_optimizer(run.optimizer, num_steps, mesh)
        shapes = jax.eval_shape(functools.partial(initial_state, trainable, optimizer))
        shardings = state_shardings(shapes, mesh)
        return cls(config, graphdef, trainable, optimizer, learning_rate, mesh, shapes, shardings)


def create_state(setup: TrainSetup) -> TrainState:
    """Returns the sharded state at step 0, with parameters of `model.init_from` or new ones."""
    shardings = setup.shardings
    params = setup.trainable.load(shardings.params, setup.mesh)
    if params is None:
        # It runs once: optimizing it well takes three times as long as all the rest on CPU.
        quick = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        initialize = functools.partial(initial_state, setup.trainable, setup.optimizer)
        return jax.jit(initialize, out_shardings=shardings, compiler_options=quick)()
    moments = jax.jit(setup.optimizer.init, out_shardings=shardings.optimizer)(params)
    return TrainState(jax.device_put(jnp.int32(0), shardings.step), params, moments)
