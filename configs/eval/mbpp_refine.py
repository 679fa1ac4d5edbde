"""MBPP, refined: up to five rounds of reading the run of a wrong solution and repairing it.

python -m semcoder_jax.evaluate --config=configs/eval/mbpp_refine.py --checkpoint=DIR \
    --workdir=DIR

What goes back to the model is the first failing *visible* test of a problem,
the assertion in its prompt,
with the run inlined; hidden tests only score. One score a round, "round 0" is the plain solution.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.benchmark = "mbpp"
    config.refine_rounds = 5
    config.data = config_dict.placeholder(str)  # EvalPlus' file; None: its public home, cached
    config.max_tasks = config_dict.placeholder(int)  # None: all
    config.variants = ("code",)  # how the first solution is asked
    config.num_samples = 1
    config.pass_at = (1,)
    config.batch_size = 16

    config.sampling = ConfigDict()
    config.sampling.max_new_tokens = 1024
    config.sampling.temperature = 0.0  # greedy
    config.sampling.top_p = 1.0
    config.sampling.seed = 0
    return config
