r"""SemCoder-S 6.7B: full fine-tuning of DeepSeekCoder-6.7B on PyX and instruction data.

Reproduces: SemCoder-S (Ding et al., 2024), whose released log shows 1,092 steps, 186.5k records an
epoch, loss 0.725 to 0.359, held-out loss about 0.56, 35.1 hours on 8 GPUs.
Commands: as in configs/semcoder_6p7b.py, and for the instruction data (JSONL rows of an instruction
or problem and its solution, such as Magicoder's sets)
    python -m data_pipeline.prepare --data=FILE.jsonl --tokenizer=models/6.7b/model \
        --output=data/instructions
    semcoder launch --tpu=NAME --zone=ZONE \
        -- --config=configs/semcoder_s_6p7b.py --workdir=gs://BUCKET/RUN
Hardware: 16 chips of 16 GB, or what launch.plan says; never run here, for want of a TPU.

PyX has 93.5k of the 186.5k records of upstream's epoch; weights of 1 use both sets completely.
Upstream's known values and the departures are as in configs/semcoder_6p7b.py.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import full_fine_tuning_recipe


def get_config() -> ConfigDict:
    config = full_fine_tuning_recipe("6.7b")
    config.data.datasets.instructions = "data/instructions"
    config.data.mixture.instruction = 1.0
    config.data.global_batch_size = 512  # packed rows
    config.optimizer.peak_learning_rate = 5e-5
    config.optimizer.warmup_steps = 22
    return config
