"""Compares schedules with values by hand, AdamW with torch, and Muon with the SVD."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.sharding import PartitionSpec as P

from semcoder_jax.config import ConfigError, OptimizerConfig
from semcoder_jax.model import sharding
from semcoder_jax.training.optimizer import (
    gradient_sums,
    learning_rate_schedule,
    make_optimizer,
    mean_gradients,
    muon_labels,
    optimizer_shardings,
)

L, D, F, H, K, V = 3, 16, 24, 4, 4, 20


def parameters(seed=0, scale=1.0):
    random = np.random.default_rng(seed)

    def array(*shape):
        return jnp.asarray(random.normal(scale=scale, size=shape).astype(np.float32))

    return {
        "embed_VxD": array(V, D),
        "final_norm": {"scale": array(D)},
        "layers": {
            "attention": {"q_DxHxK": array(L, D, H, K), "o_HxKxD": array(L, H, K, D)},
            "attention_norm": {"scale": array(L, D)},
            "feed_forward": {"up_DxF": array(L, D, F), "down_FxD": array(L, F, D)},
        },
    }


def test_schedule_by_hand():
    config = OptimizerConfig(peak_learning_rate=1.0, min_learning_rate=0.2, warmup_steps=4)
    rate = learning_rate_schedule(config, 14)
    np.testing.assert_allclose([rate(i) for i in range(4)], [0.25, 0.5, 0.75, 1.0], rtol=1e-6)
    np.testing.assert_allclose(rate(8), 0.6, rtol=1e-6)  # half way down
    np.testing.assert_allclose(rate(13), 0.2, rtol=1e-6)  # the last of 14 updates
    assert learning_rate_schedule(OptimizerConfig(peak_learning_rate=1.0), 10)(0) > 0.9


def test_settings_that_make_no_sense():
    with pytest.raises(ConfigError, match="'adam' is none of"):
        OptimizerConfig(name="adam")
    with pytest.raises(ConfigError, match="min_learning_rate"):
        OptimizerConfig(peak_learning_rate=1e-3, min_learning_rate=1e-2)
    with pytest.raises(ConfigError, match="warmup_steps 10 must be below"):
        learning_rate_schedule(OptimizerConfig(warmup_steps=10), 10)


def test_adamw_makes_torchs_updates():
    """Five updates with clipping; norms are not decayed, all else is."""
    config = OptimizerConfig(
        peak_learning_rate=0.01, warmup_steps=2, weight_decay=0.1, b2=0.95, clip_norm=5.0
    )
    optimizer = make_optimizer(config, 5)
    rate = learning_rate_schedule(config, 5)
    params = parameters()
    state = optimizer.init(params)
    theirs = [torch.nn.Parameter(torch.tensor(np.array(x))) for x in jax.tree.leaves(params)]
    names = [path[-1].key for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    decayed = [p for p, name in zip(theirs, names, strict=True) if name != "scale"]
    spared = [p for p, name in zip(theirs, names, strict=True) if name == "scale"]
    assert len(spared) == 2
    reference = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}],
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    for step in range(5):
        gradients = parameters(seed=step + 1)
        updates, state = jax.jit(optimizer.update)(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for parameter, gradient in zip(theirs, jax.tree.leaves(gradients), strict=True):
            parameter.grad = torch.tensor(np.array(gradient))
        torch.nn.utils.clip_grad_norm_(theirs, 5.0)
        for group in reference.param_groups:
            group["lr"] = float(rate(step))
        reference.step()
    for ours, their in zip(jax.tree.leaves(params), theirs, strict=True):
        np.testing.assert_allclose(ours, their.detach().numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("update_rms", "scale_of"),
    [
        (None, lambda rows, columns: max(1.0, columns / rows) ** 0.5),
        (0.2, lambda rows, columns: 0.2 * max(rows, columns) ** 0.5),
    ],
)
def test_muon_orthogonalizes_each_layers_matrix(update_rms, scale_of):
    """The update of G = U S V' is rate x scale x U S' V' with S' near one, layer by layer."""
    config = OptimizerConfig(
        name="muon", peak_learning_rate=0.5, clip_norm=0.0, muon_update_rms=update_rms
    )
    optimizer = make_optimizer(config, 1000)
    rate = float(learning_rate_schedule(config, 1000)(0))
    params, gradients = parameters(), parameters(seed=1)
    updates, _ = jax.jit(optimizer.update)(gradients, optimizer.init(params), params)
    shapes = {"q_DxHxK": (D, H * K), "o_HxKxD": (H * K, D), "up_DxF": (D, F), "down_FxD": (F, D)}
    for group in ("attention", "feed_forward"):
        for name, gradient in gradients["layers"][group].items():
            scale = -rate * scale_of(*shapes[name])
            for layer in range(L):
                matrix = np.asarray(gradient[layer], np.float64).reshape(shapes[name])
                update = np.asarray(updates["layers"][group][name][layer], np.float64)
                update = update.reshape(shapes[name]) / scale
                left, _, right = np.linalg.svd(matrix, full_matrices=False)
                inner = left.T @ update @ right.T
                assert np.all((np.diag(inner) > 0.5) & (np.diag(inner) < 1.5)), name
                np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-3)
                np.testing.assert_allclose(left @ inner @ right, update, atol=1e-3)


def test_muon_leaves_embeddings_and_norms_to_adamw():
    config = OptimizerConfig(
        name="muon",
        peak_learning_rate=0.5,
        adam_peak_learning_rate=0.05,
        weight_decay=0.1,
        clip_norm=0.0,
    )
    optimizer = make_optimizer(config, 1000)
    rate = float(learning_rate_schedule(config, 1000)(0)) / 10
    params, gradients = parameters(), parameters(seed=1)
    updates, _ = jax.jit(optimizer.update)(gradients, optimizer.init(params), params)
    # Adam's first update is the sign of the gradient; decay is added but for norms.
    embed = -rate * (np.sign(gradients["embed_VxD"]) + 0.1 * params["embed_VxD"])
    np.testing.assert_allclose(updates["embed_VxD"], embed, rtol=1e-4)
    scale = -rate * np.sign(gradients["layers"]["attention_norm"]["scale"])
    np.testing.assert_allclose(updates["layers"]["attention_norm"]["scale"], scale, rtol=1e-4)
    assert muon_labels(params)["layers"]["attention"]["o_HxKxD"] == "muon"


def accumulated_gradients(loss_sums, params, batch, steps):
    """(mean loss, sums, gradients) as the training step computes them."""
    loss_sum, sums, gradients = gradient_sums(loss_sums, params, batch, steps)
    loss, gradients = mean_gradients(loss_sum, sums[0], gradients)
    return loss, sums, gradients


def test_accumulation_weighs_tokens_not_microbatches():
    """Loss and gradient over a batch whose rows carry 0 to 12 targets are those of one pass."""
    random = np.random.default_rng(0)
    batch = {
        "x": random.normal(size=(8, 12, D)).astype(np.float32),
        "weights": (np.arange(12) < np.array([0, 12, 1, 3, 0, 0, 7, 2])[:, None]),
    }
    params = {"w": jnp.asarray(random.normal(size=D).astype(np.float32))}

    def loss_sums(params, batch):
        losses = jnp.tanh(batch["x"] @ params["w"])
        weights = jnp.sum(batch["weights"], dtype=jnp.float32)
        return jnp.sum(losses * batch["weights"]), (weights, jnp.sum(batch["weights"], 0))

    hidden = np.tanh(batch["x"].astype(np.float64) @ np.asarray(params["w"], np.float64))
    expected_loss = (hidden * batch["weights"]).sum() / 25
    slopes = (1 - hidden**2) * batch["weights"] / 25
    expected_gradient = (slopes[..., None] * batch["x"]).sum((0, 1))
    for steps in (1, 2, 4, 8):
        loss, (weight, by_place), gradients = jax.jit(
            lambda params, batch, steps=steps: accumulated_gradients(
                loss_sums, params, batch, steps
            )
        )(params, batch)
        assert weight == 25
        np.testing.assert_array_equal(by_place, batch["weights"].sum(0))
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
        np.testing.assert_allclose(gradients["w"], expected_gradient, atol=1e-6)


def test_batch_without_targets_gives_no_gradient():
    loss, (weight,), gradients = accumulated_gradients(
        lambda params, batch: (jnp.sum(params["w"] * batch["x"]) * 0.0, (jnp.zeros(()),)),
        {"w": jnp.ones(3)},
        {"x": jnp.ones((2, 3))},
        1,
    )
    assert loss == 0 and weight == 0 and not gradients["w"].any()


def test_moments_lie_where_their_parameters_lie():
    mesh = jax.sharding.AbstractMesh((1, 1, 1), sharding.MESH_AXES)
    params = parameters()
    places = sharding.parameter_shardings(params, mesh)
    for name, count in (("adamw", 2 * len(jax.tree.leaves(params))), ("muon", 10)):
        state = jax.eval_shape(make_optimizer(OptimizerConfig(name=name), 10).init, params)
        moments = {
            jax.tree_util.keystr(path): place.spec
            for path, place in jax.tree_util.tree_leaves_with_path(
                optimizer_shardings(state, places, mesh)
            )
            if "mu[" in jax.tree_util.keystr(path) or "nu[" in jax.tree_util.keystr(path)
        }
        assert len(moments) == count
        for path, spec in moments.items():
            if path.endswith("['q_DxHxK']"):
                assert spec == P(None, "fsdp", "tensor", None)
            if path.endswith("['embed_VxD']"):
                assert spec == P("tensor", "fsdp")
