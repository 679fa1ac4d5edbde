"""Rubber duck: does a model repair its program better by reading its run than by trying again?

Reproduces: the debug-and-refine task of SemCoder (Ding et al., 2024, section 6) at small scale.
Command: semcoder study --config=configs/reproduction/rubber_duck_cpu.py --workdir=DIR
Hardware: 2 cores (x86-64 virtual machine), float32.
Measured on 2026-11-30, beside other work: 39 minutes, 46 CPU minutes; docs/studies/rubber_duck.md.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import copying_model_recipe


def get_config() -> ConfigDict:
    config = copying_model_recipe()
    config.study = ConfigDict()
    config.study.name = "rubber_duck"

    config.model.max_positions = 1024

    config.data.source = "jsonl"  # the study makes the files
    config.data.train = "corpus/train.jsonl"
    config.data.eval = "corpus/heldout.jsonl"
    config.data.tokenizer = "corpus/tokenizer"
    config.data.sequence_length = 512
    config.data.overlong = "drop"
    config.data.global_batch_size = 4  # packed rows: about 16 records

    config.train.num_steps = 1200
    config.train.eval_every = 600
    config.train.checkpoint_every = 500
    return config
