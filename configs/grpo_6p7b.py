r"""GRPO on SemCoder-S 6.7B: monologues and code, rewarded by real runs and verified steps.

Reproduces: nothing published. The objective is that of Dr. GRPO (Liu et al., 2025) with DAPO's
clip-higher (Yu et al., 2025); rewards for the steps of an execution are ExecVerify's idea (2026),
here for steps in free wording.
Commands:
    python -m semcoder_jax.hf import --source=semcoder/semcoder_s_1030 --output=models/semcoder_s
    python -m data_pipeline.build --source=DIR_OR_PACKAGE --output=data/pyx
    python -m semcoder_jax.reinforce --config=configs/grpo_6p7b.py --workdir=DIR
Hardware: never run here, for want of a TPU. The weights, their moments and the engine's cache lie
on one mesh; `launch.plan` knows the step alone, without the cache.

16 prompts of 8 answers a step. No KL term, so that no second copy of the weights is kept
(--config.objective.kl_weight=0.001 adds both). In bfloat16 engine and trainer round differently:
`drift` is logged, and tokens whose ratio is beyond `ratio_bound` are left out.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import fine_tuning_recipe


def get_config() -> ConfigDict:
    config = fine_tuning_recipe()
    config.model.architecture = "6.7b"
    config.model.init_from = "models/semcoder_s"

    config.data = ConfigDict()
    config.data.source = "pyx"
    config.data.directory = "data/pyx"
    config.data.sequence_length = 2048  # one answer a row, with its prompt
    config.data.global_batch_size = 128  # answers a step

    config.rollouts = ConfigDict()
    config.rollouts.group_size = 8
    config.rollouts.max_new_tokens = 1024

    config.objective = ConfigDict()
    config.objective.scale_by_std = False
    config.objective.length_normalization = "constant"
    config.objective.clip_high = 0.28
    config.objective.credit = "first_wrong_step"
    config.objective.ratio_bound = 4.0

    config.rewards = ConfigDict()
    config.rewards.answer = 1.0
    config.rewards.tests = 1.0
    config.rewards.steps = 0.5
    config.rewards.first_wrong_step = 0.5
    config.rewards.format = 0.1
    config.rewards.length = 0.1

    config.optimizer.peak_learning_rate = 1e-6
    config.optimizer.min_learning_rate = 1e-6
    config.optimizer.warmup_steps = 10

    config.train.num_steps = 500
    config.train.accumulation_steps = 8
    config.train.log_every = 1
    config.train.checkpoint_every = 25
    return config
