r"""Study of forms, accelerator edition: fine-tunes SmolLM2-135M on runs of real packages.

Reproduces: the paper's comparison of monologues with scratchpads and direct answers, on a small
pretrained model, asked about held-out real functions and CRUXEval.
Commands:
    python -m semcoder_jax.hf import --source=HuggingFaceTB/SmolLM2-135M --output=models/smollm2
    python -m data_pipeline.build --source=PACKAGES --output=data/study
    python -m semcoder_jax.study --config=configs/reproduction/forms_smollm2.py --workdir=DIR
Hardware: one accelerator; it never ran on one. A slow test runs all of it with a tiny random model.

On CPU set --config.compute.dtype=float32. study.cruxeval names CRUXEval's cruxeval.jsonl.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import fine_tuning_recipe


def get_config() -> ConfigDict:
    config = fine_tuning_recipe()
    config.model.init_from = "models/smollm2"

    config.data = ConfigDict()
    config.data.source = "jsonl"
    config.data.train = "data/study/train.jsonl"
    config.data.eval = "data/study/eval.jsonl"
    config.data.tokenizer = "models/smollm2/model"
    config.data.sequence_length = 1024
    config.data.global_batch_size = 32  # packed rows
    config.data.overlong = "drop"

    config.optimizer.peak_learning_rate = 3e-4
    config.optimizer.warmup_steps = 20

    config.train.num_steps = 400
    config.train.accumulation_steps = 4
    config.train.log_every = 10

    config.study = ConfigDict()
    config.study.name = "forms"
    config.study.seeds = 3
    config.study.functions = 20_000
    config.study.heldout = 200
    config.study.curve_points = 2
    config.study.max_new_tokens = 768
    config.study.cruxeval = "data/cruxeval.jsonl"
    return config
