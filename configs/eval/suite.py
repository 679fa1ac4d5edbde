"""Runs all benchmarks in one command; each has its own config in this folder.

python -m semcoder_jax.evaluate --suite=configs/eval/suite.py --checkpoint=DIR --workdir=DIR

`configs` names files in this folder and the fields to change in each; `overrides` and
--config.NAME=VALUE on the command line change fields in all of them. If the data of a benchmark is
not available, the suite stops before anything is generated.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.configs = ConfigDict()
    for name in (
        "humaneval",
        "mbpp",
        "humaneval_refine",
        "mbpp_refine",
        "cruxeval_output",
        "cruxeval_input",
        "livecodebench",
        "livecodebench_execution",
    ):
        config.configs[name] = ConfigDict()
    config.overrides = ConfigDict()
    return config
