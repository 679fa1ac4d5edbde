"""CRUXEval-O: predicts the value that a call returns, for 800 functions.

python -m semcoder_jax.evaluate --config=configs/eval/cruxeval_output.py --checkpoint=DIR \
    --workdir=DIR

Sampling as upstream: temperature 0.2, top-p 0.95, one sample, 4,096 tokens with the prompt; the
paper's SemCoder-S scores 63.9 (monologue). Not run here with a model of that size.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import execution_recipe


def get_config() -> ConfigDict:
    return execution_recipe("cruxeval_output")
