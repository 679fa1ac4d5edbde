"""HumanEval and HumanEval+: 164 functions, one program each, judged by both sets of inputs.

python -m semcoder_jax.evaluate --config=configs/eval/humaneval.py --checkpoint=DIR --workdir=DIR

Greedy, 1,024 tokens, as upstream; the paper's SemCoder-S scores 79.3 on HumanEval. Not run here
with a model of that size. With --config.refine_rounds=5: rubber-duck debugging, with feedback from
the docstring's examples alone.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.benchmark = "humaneval"
    config.data = config_dict.placeholder(str)  # EvalPlus' file; None: its public home, cached
    config.max_tasks = config_dict.placeholder(int)  # None: all
    config.variants = ("code",)
    config.num_samples = 1
    config.pass_at = (1,)
    config.batch_size = 16
    # Rounds of self-refinement, 0 to 5; None: asked once.
    config.refine_rounds = config_dict.placeholder(int)

    config.sampling = ConfigDict()
    config.sampling.max_new_tokens = 1024
    config.sampling.temperature = 0.0  # greedy
    config.sampling.top_p = 1.0
    config.sampling.seed = 0
    return config
