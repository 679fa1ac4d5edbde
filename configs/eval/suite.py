"""Every benchmark in one command; each has its own config beside this one.

python -m semcoder_jax.evaluate --suite=configs/eval/suite.py --checkpoint=DIR --workdir=DIR

`configs`: files of this folder, each with the fields that it is to have otherwise here;
`overrides`: fields for all of them, as is --config.NAME=VALUE on the command line. A benchmark
whose data cannot be had stops the suite before anything is generated.
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
