"""CRUXEval-I: predicts a call that returns the given value, for 800 functions.

python -m semcoder_jax.evaluate --config=configs/eval/cruxeval_input.py --checkpoint=DIR \
    --workdir=DIR

Sampling as upstream: temperature 0.2, top-p 0.95, one sample, 4,096 tokens with the prompt; the
paper's SemCoder-S scores 63.6 (monologue). Not run here with a model of that size.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import execution_recipe


def get_config() -> ConfigDict:
    return execution_recipe("cruxeval_input")
