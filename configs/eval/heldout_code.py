"""Writes held-out described functions, and repairs wrong ones in up to five rounds.

python -m semcoder_jax.evaluate --config=configs/eval/heldout_code.py --checkpoint=DIR \
    --config.data=PROBLEMS.jsonl --workdir=DIR

Problems: corpus/problems.jsonl of a workdir of configs/reproduction/rubber_duck_cpu.py. The model
gets the failing *visible* test with the run inlined; hidden tests only decide the score. One score
per round; "round 0" is the first solution.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import code_recipe


def get_config() -> ConfigDict:
    config = code_recipe("heldout_code", refine_rounds=5)
    config.batch_size = 128
    config.sampling.max_new_tokens = 400
    return config
