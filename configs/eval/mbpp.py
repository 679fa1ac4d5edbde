"""MBPP and MBPP+: one program for each of 378 problems, tested on both sets of inputs.

python -m semcoder_jax.evaluate --config=configs/eval/mbpp.py --checkpoint=DIR --workdir=DIR

Greedy, 1,024 tokens, as upstream. Not run here with a model of that size. With
--config.refine_rounds=5: rubber-duck debugging, with feedback only from the prompt's assertion.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import code_recipe


def get_config() -> ConfigDict:
    return code_recipe("mbpp")
