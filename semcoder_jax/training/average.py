"""Keeps an exponential moving average of the trained parameters beside the optimizer's moments.

Evaluation, checkpoints and exports use the average in the parameters' place: a checkpoint's
`params` are the average, and the parameters that training goes on with lie in the optimizer's
state (`exchange`).

Source: Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging (1992). optax.ema
averages updates, not parameters.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class AverageState(NamedTuple):
    """Holds the updates made, the average (a tree like the parameters), and the moments."""

    count: jax.Array
    average: Any
    moments: Any


def with_average(optimizer: optax.GradientTransformation, decay: float):
    """Returns `optimizer`, which also averages; `decay` is the share of the old average.

    In the first updates the share is less, (1 + n) / (10 + n), so that the initial parameters do
    not stay in the average of a short run.
    """

    def init(params) -> AverageState:
        # Copies: the step donates the parameters and the state, which must not share a buffer.
        average = jax.tree.map(jnp.copy, params)
        return AverageState(jnp.zeros((), jnp.int32), average, optimizer.init(params))

    def update(gradients, state: AverageState, params):
        updates, moments = optimizer.update(gradients, state.moments, params)
        share = jnp.minimum(decay, (1.0 + state.count) / (10.0 + state.count))
        average = jax.tree.map(
            lambda old, new: share * old + (1 - share) * new,
            state.average,
            optax.apply_updates(params, updates),
        )
        return updates, AverageState(state.count + 1, average, moments)

    return optax.GradientTransformation(init, update)


def averaged(params, optimizer_state):
    """Returns the average of the parameters, or the parameters if none is kept."""
    return exchange(params, optimizer_state)[0]


def exchange(params, optimizer_state) -> tuple[Any, Any]:
    """Returns average and state with the parameters in each other's place; twice is no change."""
    if not isinstance(optimizer_state, AverageState):
        return params, optimizer_state
    return optimizer_state.average, optimizer_state._replace(average=params)
