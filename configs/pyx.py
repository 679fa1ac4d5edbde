"""A small DeepSeekCoder-shaped model on PyX that was built here, of any source.

Reproduces: nothing published; the road from a built dataset to a training run.
Commands:
    python -m data_pipeline.build --source=more_itertools,toolz --output=data/pyx
    python -m semcoder_jax.train --config=configs/pyx.py --workdir=DIR
With a tokenizer of your own, such as DeepSeekCoder's: --config.data.tokenizer=DIR.
Hardware: any; float32 for CPU.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0

    config.model = ConfigDict()
    config.model.hidden_size = 128
    config.model.intermediate_size = 336
    config.model.num_layers = 4
    config.model.num_heads = 4
    config.model.tie_embeddings = True

    config.compute = ConfigDict()
    config.compute.dtype = "float32"  # bfloat16 is slower on CPU

    config.mesh = ConfigDict()
    config.mesh.fsdp = -1  # all devices

    config.data = ConfigDict()
    config.data.source = "pyx"
    config.data.directory = "data/pyx"
    config.data.vocabulary_words = 4000  # of the tokenizer that is made where none is named
    config.data.sequence_length = 2048
    config.data.overlong = "drop"  # a monologue cut off would lose its answer
    config.data.global_batch_size = 2

    config.optimizer = ConfigDict()
    config.optimizer.peak_learning_rate = 0.002
    config.optimizer.warmup_steps = 20
    config.optimizer.clip_norm = 1.0

    config.train = ConfigDict()
    config.train.num_steps = 200
    config.train.log_every = 10
    config.train.eval_batches = 10
    config.train.checkpoint_every = 100
    return config
