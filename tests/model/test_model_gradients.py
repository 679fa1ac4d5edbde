"""Compares gradients of the training loss, and bfloat16 logits, with transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import LlamaForCausalLM

from semcoder_jax import hf
from semcoder_jax.config import Compute
from semcoder_jax.hf.weights import tensors
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.training.loss import chunked_cross_entropy
from tests.support.random_llama import DEEPSEEK, GROUPED, jax_logits, random_llama
from tests.support.stories260k import write_hf_directory

IGNORED = -100  # transformers' label of a position without loss


# As small models train on a CPU.
UNROLLED = Compute(one_hot_embedding=True, unroll=3)


@pytest.mark.parametrize(
    "fields, tied, compute",
    [
        pytest.param(DEEPSEEK, False, Compute(), id="deepseek-untied"),
        pytest.param(DEEPSEEK, True, Compute(), id="deepseek-tied"),
        pytest.param(DEEPSEEK, True, UNROLLED, id="deepseek-tied-unrolled"),
        pytest.param(GROUPED, False, Compute(), id="grouped-query-untied"),
        pytest.param(GROUPED, False, UNROLLED, id="grouped-query-untied-unrolled"),
        pytest.param(GROUPED, True, Compute(), id="grouped-query-tied"),
    ],
)
def test_gradient_of_every_parameter(tmp_path, fields, tied, compute):
    """Of the mean loss over the responses of two rows, as upstream trains; relative to the
    greatest gradient of the same tensor."""
    model = random_llama(tmp_path, fields | {"tie_word_embeddings": tied})
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 320, (2, 400))
    in_response = np.arange(400) >= np.array([[40], [300]])  # prompts of 40 and 300 tokens
    labels = torch.tensor(np.where(in_response, tokens, IGNORED))
    loss = model(torch.tensor(tokens), labels=labels).loss
    loss.backward()

    config, params = hf.load(tmp_path)
    graphdef = nnx.graphdef(
        nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), compute=compute))
    )

    @jax.jit
    @jax.value_and_grad
    def mean_loss(params):
        inputs = jnp.asarray(tokens[:, :-1])
        positions = jnp.broadcast_to(jnp.arange(399), inputs.shape)
        logits = nnx.merge(graphdef, params)(inputs, positions, jnp.ones_like(inputs))
        targets = jnp.asarray(tokens[:, 1:])
        weights = jnp.asarray(in_response[:, 1:], jnp.float32)
        total, weight, _ = chunked_cross_entropy(lambda x: x, logits, targets, weights, 399)
        return total / weight

    our_loss, gradients = mean_loss(params)
    assert abs(float(our_loss) - loss.item()) <= 1e-5 * loss.item()
    expected = {name: p.grad.numpy() for name, p in model.named_parameters()}
    ours = dict(tensors(config, gradients, "float32"))
    assert ours.keys() == expected.keys()
    for name, gradient in expected.items():
        error = np.abs(ours[name] - gradient).max() / np.abs(gradient).max()
        assert error <= 1e-4, name


def test_bfloat16_is_as_near_to_float32_as_transformers_bfloat16(
    shared_data, tmp_path, record_property
):
    """On trained weights: both round at each product, in other places, so that the yardstick is
    how far transformers' own bfloat16 is from float32."""
    directory = write_hf_directory(shared_data, tmp_path)
    tokenizer = hf.read_tokenizer(directory)
    text = "Once upon a time, there was a little girl named Lily. She liked to play with her dog."
    tokens = np.array([[1, *tokenizer.encode(text, add_special_tokens=False)]])
    with torch.no_grad():
        exact, theirs = (
            LlamaForCausalLM.from_pretrained(directory, dtype=dtype)(torch.tensor(tokens))
            .logits.float()
            .numpy()
            for dtype in (torch.float32, torch.bfloat16)
        )
    config, params = hf.load(directory, dtype="bfloat16")
    graphdef = nnx.graphdef(
        nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), compute=Compute("bfloat16")))
    )
    positions = np.arange(tokens.shape[1])[None]
    ours = np.asarray(
        jax.jit(lambda params, *inputs: nnx.merge(graphdef, params)(*inputs))(
            params, tokens, positions, np.ones_like(tokens)
        )
    )
    our_kl, their_kl, mutual_kl = _kl(exact, ours), _kl(exact, theirs), _kl(theirs, ours)
    top1 = float((ours.argmax(-1) == theirs.argmax(-1)).mean())
    print(
        f"bfloat16, {tokens.size} tokens: KL from float32 ours {our_kl:.1e}, transformers "
        f"{their_kl:.1e} nats; KL between them {mutual_kl:.1e}, same best token {top1:.3f}"
    )
    assert np.abs(jax_logits(directory, tokens) - exact).max() < 1e-4
    assert our_kl <= 2 * their_kl and their_kl > 0
    assert top1 >= 0.9


def _kl(expected: np.ndarray, found: np.ndarray) -> float:
    p, q = (torch.log_softmax(torch.tensor(x, dtype=torch.float64), -1) for x in (expected, found))
    return float((p.exp() * (p - q)).sum(-1).mean())
