"""Tests packed answers through a model: loss, gradient and measures of one answer a row."""

import jax
import numpy as np
import pytest
from flax import nnx

from semcoder_jax.config import DecoderConfig, ObjectiveConfig, RolloutsConfig
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.reinforcement.objective import make_policy_sums
from semcoder_jax.reinforcement.packing import pack_answers, with_gradient
from semcoder_jax.reinforcement.prompts import Prompt
from semcoder_jax.reinforcement.rollouts import Credit, Rollout, lay_out
from semcoder_jax.training.optimizer import gradient_sums, mean_gradients

ROWS, LENGTH, MICROBATCHES = 8, 24, 4
ADVANTAGES = (0.5, 0.0, -0.25, 0.0, 0.0, -1.0, 1.5, 0.0)


def batch_of(objective):
    rng = np.random.default_rng(0)
    rollouts = [
        Rollout(
            Prompt(None, 2, rng.integers(1, 50, 3 + row, dtype=np.int32)),
            rng.integers(1, 50, 2 + row % 3, dtype=np.int32),
            rng.uniform(-4, -3, 2 + row % 3).astype(np.float32),
            "",
            True,
            None,
        )
        for row in range(ROWS)
    ]
    config = RolloutsConfig(max_new_tokens=6, group_size=2)
    batch = lay_out(rollouts, [Credit(one) for one in ADVANTAGES], objective, config, LENGTH)
    return batch, [len(rollout.tokens) for rollout in rollouts]


def test_packed_answers_have_the_gradient_of_one_answer_a_row():
    objective = ObjectiveConfig(length_normalization="token")
    batch, counts = batch_of(objective)
    config = DecoderConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_layers=1, num_heads=2,
        num_kv_heads=2, head_dim=8, max_positions=32,
    )  # fmt: skip
    graphdef, state = nnx.split(Decoder(config, rngs=nnx.Rngs(0)))
    params = nnx.to_pure_dict(state)
    sums_of = make_policy_sums(objective, ROWS, 50)

    def measure(batch, microbatches):
        total, sums, gradients = gradient_sums(
            lambda params, rows: sums_of(graphdef, params, rows), params, batch, microbatches
        )
        loss, gradients = mean_gradients(total, sums.weight, gradients)
        return loss, sums, gradients

    chosen = with_gradient(batch, objective)
    assert chosen.tolist() == [advantage != 0 for advantage in ADVANTAGES]
    packed = pack_answers(batch, chosen, shards=1, microbatches=MICROBATCHES)
    # Four answers of 4 to 11 positions share two rows of 24, a microbatch.
    assert packed["computed"].sum() == 2 and (packed["segment_ids"].max(axis=1) > 1).any()
    measure = jax.jit(measure, static_argnums=1)
    loss, sums, gradients = measure(batch, 1)
    ours = measure(packed, MICROBATCHES)
    assert float(ours[0]) == pytest.approx(float(loss), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours[2], gradients)
    assert float(ours[1].tokens) == sum(np.array(counts)[chosen])
    for name in ("max_log_ratio_R", "log_ratio_R"):
        measured, whole = getattr(ours[1], name), getattr(sums, name)
        np.testing.assert_allclose(measured[chosen], whole[chosen], rtol=1e-4)
        assert not np.asarray(measured)[~chosen].any()
