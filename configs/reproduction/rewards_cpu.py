"""Study: do rewards for verified answers and steps pay, beside more supervised steps?

Reproduces: nothing published.
Command: semcoder study --config=configs/reproduction/rewards_cpu.py --workdir=DIR
Hardware: 2 cores (x86-64 virtual machine), float32.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import copying_model_recipe


def get_config() -> ConfigDict:
    config = copying_model_recipe()  # the quickstart's, without direct answers
    config.model.max_positions = 512
    config.data.source = "synthetic"
    config.data.sequence_length = 256
    config.data.global_batch_size = 8
    config.train.num_steps = 2200
    config.train.checkpoint_every = 500
    config.train.keep_checkpoints = 1

    config.study = ConfigDict()
    config.study.name = "rewards"
    config.study.seeds = 3
    config.study.functions = 20_000
    config.study.base_steps = 1000
    config.study.new_functions = 6000
    config.study.updates = 50
    config.study.answers = 64
    config.study.group_size = 8
    config.study.max_new_tokens = 128
    config.study.reward_learning_rate = 6e-4
    config.study.problems = 400
    config.study.curve_problems = 200
    config.study.points = 3
    return config
