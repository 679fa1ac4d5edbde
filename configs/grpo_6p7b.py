r"""GRPO on SemCoder-S 6.7B: monologues and code, rewarded by real runs and verified steps.

Reproduces: nothing published. The objective is that of Dr. GRPO (Liu et al., 2025) with DAPO's
clip-higher (Yu et al., 2025); rewards for the steps of an execution are ExecVerify's idea (2026),
here for steps in free wording.
Commands:
    python -m semcoder_jax.hf import --source=semcoder/semcoder_s_1030 --output=models/semcoder_s
    python -m data_pipeline.build --source=DIR_OR_PACKAGE --output=data/pyx
    python -m semcoder_jax.reinforce --config=configs/grpo_6p7b.py --workdir=DIR
    python -m launch.plan --config=configs/grpo_6p7b.py --topology=v5e:4x4
Hardware: 16 chips of 16 GB (launch.plan, v5e:4x4: the update needs 14.92 of 15.75 GiB a chip, the
cache of 64 answers among them); never run here, for want of a TPU.

16 prompts of 8 answers a step. No KL term, so that no second copy of the weights is kept
(--config.objective.kl_weight=0.001 --config.rollouts.slots=32 adds both and fits). ":lora" trains
adapters of rank 64 and decodes 128 answers at a time (13.73 GiB). In bfloat16 engine and trainer
round differently: `drift` is logged, and tokens whose ratio is beyond `ratio_bound` are left out.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import fine_tuning_recipe


def get_config(variant: str = "full") -> ConfigDict:
    if variant not in ("full", "lora"):
        raise ValueError(f"variant {variant!r}: expected full or lora")
    config = fine_tuning_recipe()
    config.model.architecture = "6.7b"
    config.model.init_from = "models/semcoder_s"
    if variant == "lora":
        config.lora = ConfigDict()
        config.lora.rank = 64
        config.lora.alpha = 16.0

    config.mesh.fsdp = 1
    config.mesh.tensor = -1  # all chips: no other axis splits the cache

    config.data = ConfigDict()
    config.data.source = "pyx"
    config.data.directory = "data/pyx"
    config.data.sequence_length = 2048  # one answer a row, with its prompt
    config.data.global_batch_size = 128  # answers a step

    config.rollouts = ConfigDict()
    config.rollouts.group_size = 8
    config.rollouts.max_new_tokens = 1024
    config.rollouts.slots = 64 if variant == "full" else 128  # answers at a time

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

    config.optimizer.peak_learning_rate = 1e-6 if variant == "full" else 1e-5
    config.optimizer.min_learning_rate = config.optimizer.peak_learning_rate
    config.optimizer.warmup_steps = 10

    config.train.num_steps = 500
    config.train.accumulation_steps = 64  # 2 rows at a time
    config.train.log_every = 1
    config.train.checkpoint_every = 25
    return config
