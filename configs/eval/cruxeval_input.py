"""CRUXEval-I: which call returns that? 800 functions.

python -m semcoder_jax.evaluate --config=configs/eval/cruxeval_input.py --checkpoint=DIR \
    --workdir=DIR

Sampling as upstream: temperature 0.2, top-p 0.95, one sample, 4,096 tokens with the prompt; the
paper's SemCoder-S scores 63.6 (monologue). Not run here with a model of that size.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.benchmark = "cruxeval_input"
    config.data = config_dict.placeholder(str)  # cruxeval.jsonl; None: its public home, cached
    config.max_tasks = config_dict.placeholder(int)  # None: all
    config.variants = ("monologue",)  # also "direct", "chain of thought"
    config.num_samples = 1
    config.pass_at = (1,)
    config.batch_size = 64

    config.sampling = ConfigDict()
    config.sampling.max_new_tokens = 2048
    config.sampling.temperature = 0.2
    config.sampling.top_p = 0.95
    config.sampling.seed = 0
    return config
