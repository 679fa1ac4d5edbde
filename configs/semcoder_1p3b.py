r"""SemCoder 1.3B: DeepSeekCoder-1.3B fine-tuned on PyX, on a small slice or one large GPU.

Reproduces: nothing published; the recipe of configs/semcoder_6p7b.py for the family's small model.
Commands:
    python -m semcoder_jax.hf import --source=deepseek-ai/deepseek-coder-1.3b-base \
        --output=models/1.3b
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/1.3b/model \
        --output=data/tokens
    python -m semcoder_jax.train --config=configs/semcoder_1p3b.py --workdir=DIR
Hardware: 4 chips of 16 GB, or what launch.plan says; never run here, for want of a TPU.

Departures from the 6.7B recipe: 128 rows, a quarter of the batch, and a learning rate of 1e-4:
half of what a smaller model would bear, by the square root of the batch ratio.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import full_fine_tuning_recipe


def get_config() -> ConfigDict:
    config = full_fine_tuning_recipe("1.3b")
    config.data.global_batch_size = 128  # packed rows
    config.optimizer.peak_learning_rate = 1e-4
    config.optimizer.warmup_steps = 90
    return config
