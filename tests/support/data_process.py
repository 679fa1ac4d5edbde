"""Runs one of several JAX processes that open the same prepared tokens.

python data_process.py COORDINATOR NUM_PROCESSES ID CONFIG.json WORKDIR BATCHES.npz
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from data_pipeline.tokens import pack_plan as schedule
from semcoder_jax.config import parse_run
from semcoder_jax.training import data as train_data
from tests.support.sections import data_of


def main(coordinator, num_processes, process_id, config, workdir, output):
    """Writes the first ten batches of this process; fails if another than process 0 plans packs."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, int(num_processes), int(process_id))
    train_data.PLANS_KEPT_FROM = 1
    if process_id != "0":

        def refuse(*_):
            raise AssertionError("planned, although process 0 does")

        schedule.plan_packs = refuse
    opened = data_of(parse_run(json.loads(config)), Path(workdir))
    batches = [next(opened.train) for _ in range(10)]
    np.savez(output, **{name: np.stack([b[name] for b in batches]) for name in batches[0]})


if __name__ == "__main__":
    main(*sys.argv[1:])
