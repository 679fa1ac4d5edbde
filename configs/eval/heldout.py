"""Held-out functions of the synthetic corpus: what does a call return, with and without monologue?

python -m semcoder_jax.evaluate --config=configs/eval/heldout.py --checkpoint=WORKDIR \
    --workdir=DIR
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import heldout_recipe


def get_config() -> ConfigDict:
    return heldout_recipe("heldout")
