"""Tests the moving average of the parameters: its values, and what checkpoints hold."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from semcoder_jax.config import ConfigError, OptimizerConfig
from semcoder_jax.loading import load_model
from semcoder_jax.training import loop as training
from semcoder_jax.training.average import averaged, exchange, with_average
from semcoder_jax.training.metrics import read_metrics
from tests.support.tiny_run import tiny_config

pytestmark = pytest.mark.usefixtures("compiled_once")


def test_the_average_is_that_of_a_loop():
    """Plain gradient descent on known gradients, in float64."""
    optimizer, decay, rate = with_average(optax.sgd(0.5), 0.6), 0.6, 0.5
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}
    state = optimizer.init(params)
    expected = {name: np.asarray(value, np.float64) for name, value in params.items()}
    average = dict(expected)
    for n in range(12):
        gradients = {"a": jnp.array([n, 1.0]), "b": jnp.array(0.25 * n)}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        share = min(decay, (1 + n) / (10 + n))
        for name, gradient in gradients.items():
            expected[name] = expected[name] - rate * np.asarray(gradient, np.float64)
            average[name] = share * average[name] + (1 - share) * expected[name]
    for name in params:
        np.testing.assert_allclose(params[name], expected[name], rtol=1e-5)
        np.testing.assert_allclose(averaged(params, state)[name], average[name], rtol=1e-5)
    swapped = exchange(*exchange(params, state))
    jax.tree.map(np.testing.assert_array_equal, swapped, (params, state))


def test_without_an_average_the_parameters_count():
    params, state = {"a": jnp.ones(2)}, optax.sgd(0.1).init({"a": jnp.ones(2)})
    assert averaged(params, state) is params
    for decay in (-0.1, 1.0):
        with pytest.raises(ConfigError, match=f"ema_decay {decay} must be 0"):
            OptimizerConfig(ema_decay=decay)


@pytest.mark.slow
def test_a_resumed_run_with_an_average_is_the_same_run(data, tmp_path):
    """Training goes on from the parameters, though the checkpoint's model is the average."""
    config = tiny_config(data, optimizer__ema_decay=0.9, train__eval_every=5)
    training.train(config, tmp_path / "whole")
    for stop in (5, None):
        config["train"]["stop_after_step"] = stop
        training.train(config, tmp_path / "parts")
    training.train(tiny_config(data), tmp_path / "plain")

    def values(name, key):
        rows = read_metrics(tmp_path / name / "metrics.jsonl")
        return [row[key] for row in rows if key in row]

    assert values("whole", "loss") == values("parts", "loss")
    assert values("whole", "loss") == pytest.approx(values("plain", "loss"), rel=1e-5)
    assert values("whole", "eval_loss") == values("parts", "eval_loss")
    assert values("whole", "eval_loss")[-1] != values("plain", "eval_loss")[-1]
    models = [
        nnx.to_pure_dict(load_model(tmp_path / name).params) for name in ("whole", "parts", "plain")
    ]
    jax.tree.map(np.testing.assert_array_equal, *models[:2])
    assert not np.array_equal(models[0]["embed_VxD"], models[2]["embed_VxD"])
