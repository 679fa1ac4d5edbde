"""MBPP with refinement: the model repairs wrong solutions in up to five rounds.

python -m semcoder_jax.evaluate --config=configs/eval/mbpp_refine.py --checkpoint=DIR \
    --workdir=DIR

The model gets the failing *visible* test, the assertion in the prompt, with the run inlined. Hidden
tests only decide the score. One score per round; "round 0" is the first solution.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import code_recipe


def get_config() -> ConfigDict:
    return code_recipe("mbpp", refine_rounds=5)
