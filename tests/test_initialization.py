"""Heads that start out looking a fixed number of tokens back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from semcoder_jax.initialization import with_offset_heads
from semcoder_jax.model import Decoder, DecoderConfig
from semcoder_jax.rope import rope_angles

CONFIG = DecoderConfig(
    vocab_size=300,
    hidden_size=128,
    intermediate_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=4,
    head_dim=32,
    max_positions=64,
    rope_theta=500.0,
    tie_embeddings=True,
)


def _model(offsets):
    graphdef, state = nnx.split(Decoder(CONFIG, rngs=nnx.Rngs(0)))
    params = with_offset_heads(nnx.to_pure_dict(state), CONFIG, offsets)
    return nnx.merge(graphdef, params)


@pytest.mark.parametrize("offsets", [(1,), (1, 2), (3, 1)])
def test_most_attention_lies_at_the_offset(offsets):
    model = _model(offsets)
    T = 40
    tokens_1xT = jax.random.randint(jax.random.key(1), (1, T), 0, CONFIG.vocab_size)
    first = jax.tree.map(lambda leaf: leaf[0], nnx.to_pure_dict(nnx.state(model.layers)))
    embedded_TxD = np.asarray(model.embed_VxD[...])[tokens_1xT[0]]
    normed_TxD = embedded_TxD / np.sqrt((embedded_TxD**2).mean(-1, keepdims=True))
    cos, sin = rope_angles(jnp.arange(T)[None], CONFIG.head_dim, CONFIG.rope_theta, 1.0)
    turn_TxK2 = np.asarray(cos[0]) + 1j * np.asarray(sin[0])
    for head, offset in enumerate(offsets):
        q_TxK = normed_TxD @ np.asarray(first["attention"]["q_DxHxK"])[:, head]
        k_TxK = normed_TxD @ np.asarray(first["attention"]["k_DxGxK"])[:, head]
        # The rotation written with complex numbers, independently of rope.apply_rope.
        q_TxK2 = (q_TxK[:, :16] + 1j * q_TxK[:, 16:]) * turn_TxK2
        k_TxK2 = (k_TxK[:, :16] + 1j * k_TxK[:, 16:]) * turn_TxK2
        scores_TxS = np.real(q_TxK2 @ k_TxK2.conj().T) / np.sqrt(CONFIG.head_dim)
        shares = []
        for t in range(offset, T):
            weights = np.exp(scores_TxS[t, : t + 1] - scores_TxS[t, : t + 1].max())
            shares.append(weights[t - offset] / weights.sum())
        assert np.mean(shares) > 0.6  # evenly spread it would be below 0.1


def test_no_offsets_change_nothing():
    plain = nnx.to_pure_dict(nnx.state(Decoder(CONFIG, rngs=nnx.Rngs(0))))
    same = with_offset_heads(plain, CONFIG, ())
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), plain, same))


def test_more_offsets_than_heads_are_refused():
    with pytest.raises(ValueError, match="offset_heads: 5 offsets"):
        _model((1, 2, 3, 4, 5))
    with pytest.raises(ValueError, match="at least 1"):
        _model((0,))
