"""Tests heads that are initialized to attend to an offset or to what followed an equal token."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from semcoder_jax.config import InitializationConfig
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.initialization import with_copying_heads
from semcoder_jax.model.rope import rope_angles, rope_frequencies
from tests.support.tiny_decoder import tiny_decoder

CONFIG = tiny_decoder(
    vocab_size=300,
    hidden_size=128,
    intermediate_size=64,
    num_kv_heads=4,
    head_dim=32,
    max_positions=128,
    rope_theta=500.0,
    tie_embeddings=True,
)


def _params(config=CONFIG, **fields):
    plain = nnx.to_pure_dict(nnx.state(Decoder(config, rngs=nnx.Rngs(0))))
    return with_copying_heads(plain, config, InitializationConfig(**fields), seed=0)


def _attention(params, layer, head, x_TxD):
    """Causal attention weights [T, S] of one head, the rotation written with complex numbers
    (independently of rope.apply_rope)."""
    attention = jax.tree.map(np.asarray, params["layers"]["attention"])
    T = len(x_TxD)
    normed_TxD = x_TxD / np.sqrt((x_TxD**2).mean(-1, keepdims=True))
    cos, sin = rope_angles(jnp.arange(T)[None], rope_frequencies(CONFIG))
    turn_TxK2 = np.asarray(cos[0]) + 1j * np.asarray(sin[0])
    q_TxK = normed_TxD @ attention["q_DxHxK"][layer, :, head]
    k_TxK = normed_TxD @ attention["k_DxGxK"][layer, :, head]
    q_TxK2 = (q_TxK[:, :16] + 1j * q_TxK[:, 16:]) * turn_TxK2
    k_TxK2 = (k_TxK[:, :16] + 1j * k_TxK[:, 16:]) * turn_TxK2
    scores_TxS = np.real(q_TxK2 @ k_TxK2.conj().T) / np.sqrt(CONFIG.head_dim)
    scores_TxS = np.where(np.tri(T, dtype=bool), scores_TxS, -np.inf)
    weights_TxS = np.exp(scores_TxS - scores_TxS.max(-1, keepdims=True))
    return weights_TxS / weights_TxS.sum(-1, keepdims=True)


@pytest.mark.parametrize("offsets", [(1,), (1, 2), (3, 1)])
def test_most_attention_lies_at_the_offset(offsets):
    params = _params(offset_heads=offsets)
    tokens_T = np.random.default_rng(1).integers(0, CONFIG.vocab_size, 40)
    x_TxD = np.asarray(params["embed_VxD"])[tokens_T]
    for head, offset in enumerate(offsets):
        weights_TxS = _attention(params, 0, head, x_TxD)
        shares = [weights_TxS[t, t - offset] for t in range(offset, 40)]
        assert np.mean(shares) > 0.6  # evenly spread it would be below 0.1


def test_a_matching_head_prefers_what_followed_an_equal_token():
    params = _params(offset_heads=(1,), matching_heads=1)
    attention = jax.tree.map(np.asarray, params["layers"]["attention"])
    rng = np.random.default_rng(2)
    shares, chance = [], []
    for _ in range(20):
        tokens_T = rng.permutation(CONFIG.vocab_size)[:50]
        tokens_T[49] = tokens_T[earlier := rng.integers(5, 45)]
        x_TxD = np.asarray(params["embed_VxD"])[tokens_T]
        weights_TxS = _attention(params, 0, 0, x_TxD)
        normed_TxD = x_TxD / np.sqrt((x_TxD**2).mean(-1, keepdims=True))
        carried_TxK = weights_TxS @ (normed_TxD @ attention["v_DxGxK"][0, :, 0])
        after_TxD = x_TxD + carried_TxK @ attention["o_HxKxD"][0, 0]
        last_S = _attention(params, 1, 0, after_TxD)[49]
        shares.append(last_S[earlier + 1])
        chance.append(1 / 50)
    assert np.mean(shares) > 8 * np.mean(chance)


def test_untied_predictions_of_the_plain_model_stay_where_nothing_is_asked():
    plain = nnx.to_pure_dict(nnx.state(Decoder(CONFIG, rngs=nnx.Rngs(0))))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), plain, _params()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"offset_heads": (1, 2, 3, 4, 5)}, "2 layers of 4 heads"),
        ({"offset_heads": (0,)}, "at least 1"),
        ({"offset_heads": (2,), "matching_heads": 1}, "expected 1 first"),
        ({"matching_heads": -1}, "expected 0 or more"),
    ],
)
def test_impossible_heads_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        _params(**fields)
