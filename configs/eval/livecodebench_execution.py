"""LiveCodeBench, code execution: predicts the value that a call returns.

python -m semcoder_jax.evaluate --config=configs/eval/livecodebench_execution.py \
    --checkpoint=DIR --workdir=DIR [--config.start_date=2023-05-01 --config.end_date=2023-12-31]

The paper's SemCoder-S scores 61.2. Not run here: the data was not available.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import execution_recipe, limit_dates


def get_config() -> ConfigDict:
    return limit_dates(execution_recipe("livecodebench_execution"))
