"""Held-out functions, asked backward: a call that returns the given value.

python -m semcoder_jax.evaluate --config=configs/eval/heldout_backward.py --checkpoint=WORKDIR \
    --workdir=DIR
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.benchmark = "heldout_backward"
    # JSONL of {"id", "program", "call", "output"}; None: CHECKPOINT/corpus/problems.jsonl.
    config.data = config_dict.placeholder(str)
    config.max_tasks = config_dict.placeholder(int)  # None: all
    config.variants = ("monologue", "direct")
    config.num_samples = 1
    config.pass_at = (1,)
    config.batch_size = 128

    config.sampling = ConfigDict()
    config.sampling.max_new_tokens = 512
    config.sampling.temperature = 0.0  # greedy
    config.sampling.top_p = 1.0
    config.sampling.seed = 0
    return config
