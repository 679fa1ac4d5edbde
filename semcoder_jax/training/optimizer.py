"""Builds the optimizer: AdamW or Muon, warm-up and cosine, clipping, gradient accumulation.

Sources: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019); Jordan et al., Muon
(2024); Liu et al., Muon is Scalable for LLM Training (2025) for the scaling of its updates.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from optax.contrib import MuonDimensionNumbers

from semcoder_jax.config import ConfigError, OptimizerConfig
from semcoder_jax.model import sharding
from semcoder_jax.model.parameters import DecoderParameter, parameter_at
from semcoder_jax.training.average import with_average


def learning_rate_schedule(config: OptimizerConfig, num_steps: int) -> optax.Schedule:
    """Returns the learning rate schedule of updates 0 … num_steps-1.

    Update `warmup_steps - 1` is the first at the peak; the last update is at the minimum. No update
    has rate zero unless that is the minimum. Raises ConfigError if warm-up takes all steps.
    """
    if config.warmup_steps >= num_steps:
        raise ConfigError(
            f"config: optimizer.warmup_steps {config.warmup_steps} must be below the number "
            f"of steps ({num_steps})"
        )
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0 if config.warmup_steps else config.peak_learning_rate,
        peak_value=config.peak_learning_rate,
        warmup_steps=config.warmup_steps,
        decay_steps=num_steps,
        end_value=config.min_learning_rate,
    )
    return lambda count: schedule(count + 1)


def make_optimizer(
    config: OptimizerConfig, num_steps: int, mesh: Mesh | None = None
) -> optax.GradientTransformation:
    """Returns the gradient transformation of a run of `num_steps` updates.

    With a mesh, each device along `data` does a part of Muon's work.
    """
    optimizer = _make_updates(config, num_steps)
    if config.name == "muon" and mesh is not None and mesh.shape["data"] > 1:
        optimizer = _with_shared_layers(optimizer, mesh)
    return with_average(optimizer, config.ema_decay) if config.ema_decay else optimizer


def _make_updates(config: OptimizerConfig, num_steps: int) -> optax.GradientTransformation:
    schedule = learning_rate_schedule(config, num_steps)
    clip = optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity()
    adam_peak = config.adam_peak_learning_rate or config.peak_learning_rate
    adam_share = 1.0 if config.name == "adamw" else adam_peak / config.peak_learning_rate
    adam = optax.adamw(
        lambda count: schedule(count) * adam_share,
        b1=config.b1,
        b2=config.b2,
        eps=config.eps,
        weight_decay=config.weight_decay,
        mask=is_decayed,
    )
    if config.name == "adamw":
        return optax.chain(clip, adam)
    muon = optax.contrib.muon(
        schedule,
        beta=config.muon_momentum,
        weight_decay=config.weight_decay,
        muon_weight_dimension_numbers=muon_dimension_numbers,
        consistent_rms=config.muon_update_rms,
    )
    # optax's muon brings an AdamW of its own that cannot spare the norms from decay.
    return optax.chain(clip, optax.partition({"muon": muon, "adam": adam}, muon_labels))


def _with_shared_layers(
    optimizer: optax.GradientTransformation, mesh: Mesh
) -> optax.GradientTransformation:
    """Returns `optimizer`, of which each device along `data` computes the updates of some layers.

    Every device there has the whole gradient, and would orthogonalize the matrices of all layers.
    The compiler gathers the updates, because all devices need the parameters whole. Matrices of a
    number of layers that the devices do not divide stay as they are.
    """
    devices = mesh.shape["data"]

    def share(path, gradient, place: NamedSharding):
        is_matrix = parameter_at(sharding.path_keys(path)).is_layer_matrix
        if not is_matrix or gradient.shape[0] % devices:
            return gradient
        part = NamedSharding(mesh, P("data", *place.spec[1:]))
        return jax.lax.with_sharding_constraint(gradient, part)

    def update(gradients, state, params=None):
        places = sharding.parameter_shardings(gradients, mesh)
        shared = jax.tree_util.tree_map_with_path(share, gradients, places)
        return optimizer.update(shared, state, params)

    return optax.GradientTransformation(optimizer.init, update)


def is_decayed(params):
    """Returns the weight decay mask: True at every matrix, False at the norms' scales."""
    return _map_parameters(lambda parameter: parameter.is_matrix, params)


def muon_labels(params):
    """Labels the layers' matrices "muon"; embeddings, output matrix and norms "adam"."""
    return _map_parameters(
        lambda parameter: "muon" if parameter.is_layer_matrix else "adam", params
    )


def muon_dimension_numbers(params):
    """Returns which axes of each layer matrix are its rows (input) and columns (output).

    Muon treats other axes (the layers of a stacked parameter) as a batch: it orthogonalizes each
    layer's matrix, all heads together, on its own.
    """

    def dimension_numbers(parameter):
        if not parameter.is_layer_matrix:
            return None
        return MuonDimensionNumbers(
            parameter.positions(parameter.contracted), parameter.positions(parameter.outputs)
        )

    return _map_parameters(dimension_numbers, params)


def optimizer_shardings(state, params_shardings, mesh: Mesh):
    """Returns the tree of `state` (arrays or ShapeDtypeStructs) with a NamedSharding at each leaf.

    Moments, whose paths end in a parameter's path, get its sharding; counts are replicated.
    """
    by_path = {
        sharding.path_keys(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(params_shardings)
    }

    def leaf_sharding(path, leaf):
        keys = sharding.path_keys(path)
        for start in range(len(keys)):
            found = by_path.get(keys[start:])
            if found is not None and len(found.spec) <= leaf.ndim:
                return found
        return sharding.replicated_sharding(mesh)

    return jax.tree_util.tree_map_with_path(leaf_sharding, state)


def gradient_sums(loss_sums: Callable, params, batch: dict[str, jax.Array], steps: int):
    """Returns the sum of losses, further sums, and the gradient of the sum of losses.

    `loss_sums(params, batch) -> (sum of losses, sums)`, where `sums[0]` is the sum of weights and
    the rest are any arrays. A scan computes `steps` microbatches one at a time.
    """

    def gradients(microbatch):
        (loss_sum, sums), gradient_sums = jax.value_and_grad(loss_sums, has_aux=True)(
            params, microbatch
        )
        return loss_sum, sums, gradient_sums

    if steps == 1:
        return gradients(batch)

    def add(totals, microbatch):
        # The TPU compiler fails on a reduction over devices that it sees added up in a loop
        # (while_loop_all_reduce_code_motion): the barrier hides one from the other.
        more = jax.lax.optimization_barrier(gradients(microbatch))
        return jax.tree.map(jnp.add, totals, more), None

    microbatches = split_microbatches(batch, steps)
    _, sums, _ = jax.eval_shape(gradients, jax.tree.map(lambda x: x[0], microbatches))
    zeros = jax.tree.map(jnp.zeros_like, (sums, params))
    totals, _ = jax.lax.scan(add, (jnp.zeros((), jnp.float32), *zeros), microbatches)
    return totals


def split_microbatches(batch: Mapping[str, jax.Array], steps: int) -> dict[str, jax.Array]:
    """Returns the rows of a batch as [steps, B/steps, ...]; row r is in microbatch r % steps."""
    return {
        name: jnp.moveaxis(x.reshape(x.shape[0] // steps, steps, *x.shape[1:]), 1, 0)
        for name, x in batch.items()
    }


def mean_gradients(loss_sum: jax.Array, weight: jax.Array, gradient_sums):
    """Returns (mean loss, its gradients).

    Divides once, by the weight of all rows, so that splitting the batch changes rounding only.
    """
    # A batch without any target has gradient zero, not NaN.
    scale = 1.0 / jnp.maximum(weight, jnp.finfo(jnp.float32).tiny)
    return loss_sum * scale, jax.tree.map(lambda g: g * scale, gradient_sums)


def _map_parameters(function: Callable[[DecoderParameter], Any], params):
    """Maps each leaf to `function` of its parameter."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: function(parameter_at(sharding.path_keys(path))), params
    )
