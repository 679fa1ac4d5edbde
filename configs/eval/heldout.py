"""Predicts returned values of held-out synthetic functions, with and without monologue.

python -m semcoder_jax.evaluate --config=configs/eval/heldout.py --checkpoint=WORKDIR \
    --workdir=DIR
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import heldout_recipe


def get_config() -> ConfigDict:
    return heldout_recipe("heldout")
