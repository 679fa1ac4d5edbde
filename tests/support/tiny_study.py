"""Makes the config of a study on generated functions tiny."""

import runpy
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

CONFIGS = Path(__file__).parents[2] / "configs" / "reproduction"


def tiny_study(name: str, fields: Mapping, num_steps: int) -> ConfigDict:
    """Returns configs/reproduction/NAME with these fields of `study` and a model of one layer."""
    config = runpy.run_path(str(CONFIGS / name))["get_config"]()
    config.study.update(fields)
    config.model.update({"hidden_size": 32, "intermediate_size": 64, "num_layers": 1})
    config.initialization.update({"offset_heads": (), "matching_heads": 0})
    config.compute.attention = "xla"  # compiles faster
    config.optimizer.update({"name": "adamw", "warmup_steps": 1})
    config.train.update({"num_steps": num_steps, "log_every": 1, "eval_every": 0})
    config.mesh.data = 1
    return config
