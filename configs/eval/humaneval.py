"""HumanEval and HumanEval+: one program for each of 164 problems, tested on both sets of inputs.

python -m semcoder_jax.evaluate --config=configs/eval/humaneval.py --checkpoint=DIR --workdir=DIR

Greedy, 1,024 tokens, as upstream; the paper's SemCoder-S scores 79.3 on HumanEval. Not run here
with a model of that size. With --config.refine_rounds=5: rubber-duck debugging, with feedback
only from the examples in the docstring.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import code_recipe


def get_config() -> ConfigDict:
    return code_recipe("humaneval")
