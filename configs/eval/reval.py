"""Asks REval's questions about held-out runs: coverage, state, next line, output.

python -m semcoder_jax.evaluate --config=configs/eval/reval.py --checkpoint=WORKDIR --workdir=DIR
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import benchmark_recipe


def get_config() -> ConfigDict:
    return benchmark_recipe("reval", variants=("direct",), batch_size=128, max_new_tokens=64)
