"""Study of forms, CPU edition: which form of reasoning pays at equal functions and tokens?

Reproduces: the paper's comparison of monologues with scratchpads and direct answers, small: models
of under a million parameters, trained from scratch on synthetic functions.
Command:
    python -m semcoder_jax.study --config=configs/reproduction/forms_cpu.py --workdir=DIR
Hardware: 2 cores (x86-64 virtual machine), float32.
Report with figures: docs/studies/forms.md.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import copying_model_recipe


def get_config() -> ConfigDict:
    config = copying_model_recipe()
    config.model.max_positions = 512

    config.data.source = "synthetic"  # the study puts its own corpus there
    config.data.sequence_length = 256
    config.data.global_batch_size = 8  # packed rows

    config.optimizer.warmup_steps = 50

    config.train.num_steps = 450

    config.study = ConfigDict()
    config.study.name = "forms"
    config.study.seeds = 3
    config.study.functions = 10_000
    config.study.heldout = 150
    config.study.max_new_tokens = 256  # true responses have at most 200
    return config
