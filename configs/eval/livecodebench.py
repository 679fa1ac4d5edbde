"""LiveCodeBench, code generation: a program for a contest problem.

python -m semcoder_jax.evaluate --config=configs/eval/livecodebench.py --checkpoint=DIR \
    --workdir=DIR [--config.start_date=2023-05-01 --config.end_date=2023-12-31]

The paper's SemCoder-S scores 27.5 on its Lite form. Not run here: the data was out of reach.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.benchmark = "livecodebench"
    config.data = config_dict.placeholder(str)  # test.jsonl; None: its home, cached
    config.release = 1  # files of the home that count: test.jsonl, test2.jsonl, …
    config.start_date = config_dict.placeholder(str)  # of contests, both included; None: all
    config.end_date = config_dict.placeholder(str)
    config.max_tasks = config_dict.placeholder(int)  # None: all
    config.variants = ("code",)
    config.num_samples = 1
    config.pass_at = (1,)
    config.batch_size = 64

    config.sampling = ConfigDict()
    config.sampling.max_new_tokens = 2048
    config.sampling.temperature = 0.0  # greedy
    config.sampling.top_p = 1.0
    config.sampling.seed = 0
    return config
