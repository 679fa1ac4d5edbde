"""Trains a small DeepSeekCoder-shaped model on PyX built by data_pipeline.build from any source.

Reproduces: nothing published; shows how to train on a built dataset.
Commands:
    python -m data_pipeline.build --source=more_itertools,toolz --output=data/pyx
    python -m semcoder_jax.train --config=configs/pyx.py --workdir=DIR
To use another tokenizer, such as DeepSeekCoder's: --config.data.tokenizer=DIR.
Hardware: any; float32 for CPU.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import small_model_recipe


def get_config() -> ConfigDict:
    config = small_model_recipe()
    config.data.source = "pyx"
    config.data.directory = "data/pyx"
    config.data.vocabulary_words = 4000  # of the tokenizer that is made where none is named
    config.data.sequence_length = 2048
    config.data.overlong = "drop"  # a monologue cut off would lose its answer
    config.data.global_batch_size = 2

    config.optimizer.peak_learning_rate = 0.002
    config.optimizer.warmup_steps = 20

    config.train.num_steps = 200
    config.train.log_every = 10
    config.train.checkpoint_every = 100
    return config
