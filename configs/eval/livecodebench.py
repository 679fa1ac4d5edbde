"""LiveCodeBench, code generation: a program for a contest problem.

python -m semcoder_jax.evaluate --config=configs/eval/livecodebench.py --checkpoint=DIR \
    --workdir=DIR [--config.start_date=2023-05-01 --config.end_date=2023-12-31]

The paper's SemCoder-S scores 27.5 on its Lite form. Not run here: the data was not available.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import benchmark_recipe, limit_dates


def get_config() -> ConfigDict:
    config = benchmark_recipe(
        "livecodebench", variants=("code",), batch_size=64, max_new_tokens=2048
    )
    config.release = 1  # files of the home that count: test.jsonl, test2.jsonl, …
    return limit_dates(config)
