"""Rubber duck: does a model repair its program better by reading its run than by trying again?

Reproduces: the debug-and-refine task of SemCoder (Ding et al., 2024, section 6) at small scale.
Command: semcoder study --config=configs/reproduction/rubber_duck_cpu.py --workdir=DIR
Hardware: 2 cores (x86-64 virtual machine), float32.
Measured on 2026-11-30, beside other work: 39 minutes, 46 CPU minutes; docs/studies/rubber_duck.md.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import small_model_recipe


def get_config() -> ConfigDict:
    config = small_model_recipe()
    config.study = ConfigDict()
    config.study.name = "rubber_duck"

    config.model.max_positions = 1024
    config.model.rope_theta = 500.0

    config.initialization = ConfigDict()
    config.initialization.offset_heads = (1, 2, 3, 5)
    config.initialization.matching_heads = 1

    config.compute.one_hot_embedding = True
    config.compute.unroll = 4

    config.mesh.data = -1  # a device for each core of a CPU
    config.mesh.fsdp = 1

    config.data.source = "jsonl"  # the study makes the files
    config.data.train = "corpus/train.jsonl"
    config.data.eval = "corpus/heldout.jsonl"
    config.data.tokenizer = "corpus/tokenizer"
    config.data.sequence_length = 512
    config.data.overlong = "drop"
    config.data.global_batch_size = 4  # packed rows: about 16 records

    config.optimizer.name = "muon"
    config.optimizer.peak_learning_rate = 0.02
    config.optimizer.adam_peak_learning_rate = 0.004
    config.optimizer.warmup_steps = 100
    config.optimizer.b2 = 0.98

    config.train.num_steps = 1200
    config.train.log_every = 20
    config.train.eval_every = 600
    config.train.checkpoint_every = 500
    return config
