"""Makes random Llama models with transformers, and computes their logits with our decoder."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from transformers import LlamaConfig, LlamaForCausalLM

from semcoder_jax import hf
from semcoder_jax.model.decoder import Compute, Decoder

torch.set_num_threads(1)  # models this small only lose time to threads

FLOAT32_LOGITS = 2e-5  # greatest absolute difference that float32 may make

DEEPSEEK = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1024,  # 256 before scaling
    "rms_norm_eps": 1e-6,
    "rope_theta": 100_000.0,
    "rope_scaling": {"type": "linear", "factor": 4.0},
    "tie_word_embeddings": False,
    "initializer_range": 0.1,  # wide, so that attention is far from uniform: logits up to 4.5
}

GROUPED = DEEPSEEK | {"num_attention_heads": 8, "num_key_value_heads": 2}


def random_llama(directory, fields: dict, seed: int = 0) -> LlamaForCausalLM:
    """Saves a float32 model with random weights, norms included, to `directory`."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**fields)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    model.save_pretrained(directory)
    return model


def jax_logits(directory, tokens_BxT, positions_BxT=None, **compute) -> np.ndarray:
    config, params = hf.load(directory)
    graphdef = nnx.graphdef(nnx.eval_shape(lambda: decoder(config, **compute)))
    tokens = jnp.asarray(tokens_BxT)
    if positions_BxT is None:
        positions_BxT = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    forward = jax.jit(lambda params, *inputs: nnx.merge(graphdef, params)(*inputs))
    return np.asarray(forward(params, tokens, jnp.asarray(positions_BxT), jnp.ones_like(tokens)))


def decoder(config, **compute):
    return Decoder(config, rngs=nnx.Rngs(0), compute=Compute(**compute))
