"""An exported checkpoint small enough for a test: real tokenizer, random weights."""

import random
from pathlib import Path

from flax import nnx

from data_pipeline.monologue.inline import inline_monologue
from data_pipeline.pyx.prompts import forward_prompt
from data_pipeline.toy.corpus import random_program
from data_pipeline.toy.vocabulary import train_tokenizer
from data_pipeline.tracing import Trace, trace_call
from semcoder_jax import hf
from semcoder_jax.config import DecoderConfig
from semcoder_jax.model.decoder import Decoder


def random_runs(count: int, seed: int = 0) -> list[Trace]:
    """Runs of small random functions that return a value."""
    rng, runs = random.Random(seed), []
    while len(runs) < count:
        program = random_program(rng)
        trace = trace_call(program.code, program.call)
        if trace.raised is None:
            runs.append(trace)
    return runs


def write_checkpoint(directory: Path, max_positions: int = 320) -> Path:
    """An HF directory: a two-layer decoder and the words of a few monologues."""
    texts = [
        text
        for run in random_runs(40)
        for text in (forward_prompt(run.program, run.call), inline_monologue(run))
    ]
    tokenizer = train_tokenizer(texts, 200)
    config = DecoderConfig(
        vocab_size=hf.tokenizer_size(tokenizer) + 7,
        hidden_size=16,
        intermediate_size=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        max_positions=max_positions,
        initializer_range=0.3,
    )
    params = nnx.split(Decoder(config, rngs=nnx.Rngs(0)))[1]
    return hf.export(directory, config, params, tokenizer, dtype="float32")
