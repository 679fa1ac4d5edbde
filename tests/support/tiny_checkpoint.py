"""Writes an exported checkpoint small enough for a test: real tokenizer, random weights."""

from pathlib import Path

from flax import nnx

from data_pipeline.monologue.inline import inline_monologue
from data_pipeline.pyx.prompts import forward_prompt
from data_pipeline.toy.vocabulary import train_tokenizer
from semcoder_jax import hf
from semcoder_jax.model.decoder import Decoder
from tests.support.random_runs import random_runs
from tests.support.tiny_decoder import tiny_decoder


def write_checkpoint(directory: Path, max_positions: int = 320) -> Path:
    """Writes an HF directory with a two-layer decoder and the words of a few monologues."""
    texts = [
        text
        for run in random_runs(40)
        for text in (forward_prompt(run.program, run.call), inline_monologue(run))
    ]
    tokenizer = train_tokenizer(texts, 200)
    config = tiny_decoder(
        vocab_size=hf.tokenizer_size(tokenizer) + 7,
        hidden_size=16,
        intermediate_size=32,
        num_heads=2,
        num_kv_heads=1,
        max_positions=max_positions,
        initializer_range=0.3,
    )
    params = nnx.split(Decoder(config, rngs=nnx.Rngs(0)))[1]
    return hf.export(directory, config, params, tokenizer, dtype="float32")
