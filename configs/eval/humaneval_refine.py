"""HumanEval, refined: up to five rounds of reading the run of a wrong solution and repairing it.

python -m semcoder_jax.evaluate --config=configs/eval/humaneval_refine.py --checkpoint=DIR \
    --workdir=DIR

What goes back to the model is the first failing *visible* test of a problem,
its docstring's examples (137 of 164 problems have some that can be run),
with the run inlined; hidden tests only score. One score a round, "round 0" is the plain solution.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import code_recipe


def get_config() -> ConfigDict:
    return code_recipe("humaneval", refine_rounds=5)
