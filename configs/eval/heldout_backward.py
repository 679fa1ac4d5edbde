"""Predicts a call that returns the given value, for held-out synthetic functions.

python -m semcoder_jax.evaluate --config=configs/eval/heldout_backward.py --checkpoint=WORKDIR \
    --workdir=DIR
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import heldout_recipe


def get_config() -> ConfigDict:
    return heldout_recipe("heldout_backward")
