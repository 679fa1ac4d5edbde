r"""SemCoder 1.3B: DeepSeekCoder-1.3B fine-tuned on PyX, on a small slice or one large GPU.

Reproduces: nothing published; the recipe of configs/semcoder_6p7b.py for the family's small model.
Commands:
    python -m semcoder_jax.hf import --source=deepseek-ai/deepseek-coder-1.3b-base \
        --output=models/1.3b
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/1.3b/model \
        --output=data/tokens
    python -m semcoder_jax.train --config=configs/semcoder_1p3b.py --workdir=DIR
Hardware: 4 chips of 16 GB, or what launch.plan says; never run here, for want of a TPU.

Departures from the recipe of 6.7B: a fourth of the batch and, by the square root of that, half of
the learning rate a smaller model would bear: 1e-4 for 128 rows.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0

    config.model = ConfigDict()
    config.model.architecture = "1.3b"
    config.model.init_from = "models/1.3b"

    config.compute = ConfigDict()
    config.compute.dtype = "bfloat16"
    config.compute.remat = "nothing_saveable"  # a layer's input alone is kept

    config.mesh = ConfigDict()
    config.mesh.data = 1
    config.mesh.fsdp = -1  # all chips
    config.mesh.tensor = 1

    config.data = ConfigDict()
    config.data.source = "tokens"
    config.data.datasets = ConfigDict()
    config.data.datasets.pyx = "data/tokens"
    config.data.sequence_length = 2048
    config.data.global_batch_size = 128  # packed rows
    config.data.overlong = "truncate"  # on the right, as upstream
    config.data.num_epochs = 3
    config.data.mixture = ConfigDict()  # passes over the records of a kind in an epoch
    config.data.mixture.nl = 1.0
    config.data.mixture.forward = 1.0
    config.data.mixture.backward = 1.0
    config.data.mixture.refine = 0.0  # PyX-R is for configs/refine_6p7b.py

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"
    config.optimizer.peak_learning_rate = 1e-4
    config.optimizer.warmup_steps = 90
    config.optimizer.clip_norm = 1.0

    config.train = ConfigDict()
    config.train.accumulation_steps = 8
    config.train.skip_gradient_norm = 1000.0  # a step beyond updates nothing, and is told
    config.train.log_every = 2
    config.train.eval_every = 100
    config.train.checkpoint_every = 100
    config.train.keep_checkpoints = 2
    return config
