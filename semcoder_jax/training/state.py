"""What training changes: step, trained parameters and moments; new, restored, or from a model."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from semcoder_jax.checkpoints import Checkpoints, with_shardings
from semcoder_jax.model import sharding
from semcoder_jax.training.optimizer import optimizer_shardings
from semcoder_jax.training.trainable import Trainable


class TrainState(NamedTuple):
    """All that a step changes. ``step`` counts updates made; ``params``, what is trained, is plain
    dicts."""

    step: jax.Array
    params: Any
    optimizer: Any


def initial_state(trainable: Trainable, optimizer) -> TrainState:
    """A new state; jit it with ``out_shardings`` so that no device ever holds all of it."""
    params = trainable.initialize()
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def state_shardings(shapes: TrainState, mesh: Mesh) -> TrainState:
    """A NamedSharding for every leaf: moments lie where their parameters lie."""
    params = sharding.parameter_shardings(shapes.params, mesh)
    return TrainState(
        sharding.replicated(mesh), params, optimizer_shardings(shapes.optimizer, params, mesh)
    )


def restore_state(
    checkpoints: Checkpoints, shapes: TrainState, shardings: TrainState, data_iterator
) -> TrainState | None:
    """The state of the last sound checkpoint in its shards, None if there is no checkpoint; sets
    ``data_iterator`` to its place."""
    params = with_shardings(shapes.params, shardings.params)
    optimizer = with_shardings(shapes.optimizer, shardings.optimizer)
    restored = checkpoints.restore_last(params, optimizer, data_iterator)
    if restored is None:
        return None
    step = jax.device_put(jnp.int32(restored.step), shardings.step)
    return TrainState(step, restored.params, restored.optimizer)


def first_state(trainable: Trainable, optimizer, shardings: TrainState, mesh: Mesh) -> TrainState:
    """The state at step 0 in its shards: of the parameters that the config names, or new ones."""
    params = trainable.load(shardings.params, mesh)
    if params is None:
        # It runs once: optimizing it well takes three times as long as all the rest on CPU.
        quick = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        initialize = jax.jit(
            lambda: initial_state(trainable, optimizer),
            out_shardings=shardings,
            compiler_options=quick,
        )
        return initialize()
    moments = jax.jit(optimizer.init, out_shardings=shardings.optimizer)(params)
    return TrainState(jax.device_put(jnp.int32(0), shardings.step), params, moments)
