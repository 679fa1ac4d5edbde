"""GRPO: goes on with a quickstart model on new functions, rewarded for right answers and steps.

Reproduces: nothing published; GRPO (Shao et al., 2024) with rewards from the step verifier.
Commands:
    python -m semcoder_jax.train --config=configs/quickstart.py --workdir=runs/quickstart
    python -m semcoder_jax.reinforce --config=configs/grpo_quickstart.py --workdir=DIR \
        --config.model.init_from=runs/quickstart
Hardware: 2 cores (x86-64 virtual machine), float32.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import small_model_recipe


def get_config() -> ConfigDict:
    config = small_model_recipe()
    config.model.init_from = "runs/quickstart"
    config.model.max_positions = 512
    config.model.rope_theta = 500.0

    config.compute.one_hot_embedding = True
    config.compute.unroll = 4

    config.mesh.data = -1  # a device for each core of a CPU
    config.mesh.fsdp = 1

    config.data.source = "synthetic"
    config.data.sequence_length = 256  # one answer a row, with its prompt
    config.data.global_batch_size = 64  # answers a step
    config.data.synthetic = ConfigDict()
    config.data.synthetic.functions = 4000
    config.data.synthetic.seed = 1  # other functions than the quickstart's
    config.data.synthetic.direct_share = 0.0

    config.rollouts = ConfigDict()
    config.rollouts.group_size = 8
    config.rollouts.max_new_tokens = 144
    config.rollouts.max_drift = 1e-3

    config.objective = ConfigDict()
    config.objective.scale_by_std = False  # Dr. GRPO
    config.objective.length_normalization = "constant"
    config.objective.clip_high = 0.28  # DAPO
    config.objective.credit = "first_wrong_step"

    config.rewards = ConfigDict()
    config.rewards.answer = 1.0
    config.rewards.steps = 0.5
    config.rewards.first_wrong_step = 0.5
    config.rewards.format = 0.1

    config.optimizer.name = "adamw"
    config.optimizer.peak_learning_rate = 1e-4
    config.optimizer.min_learning_rate = 1e-4
    config.optimizer.b2 = 0.98

    config.train.num_steps = 100
    config.train.accumulation_steps = 4  # holds 16 answers in memory
    config.train.log_every = 1
    config.train.checkpoint_every = 25

    config.accuracy = ConfigDict()
    config.accuracy.every = 25
    config.accuracy.benchmarks = ("heldout",)
    config.accuracy.max_tasks = 100
    config.accuracy.max_new_tokens = 144
    config.accuracy.batch_size = 32
    return config
