"""Opens the data of a training run in the same way as the training loop."""

from pathlib import Path

from semcoder_jax.config import RunConfig
from semcoder_jax.training.data import Data, open_data


def data_of(run: RunConfig, workdir: Path) -> Data:
    return open_data(
        run.data,
        workdir,
        seed=run.seed,
        num_steps=run.train.num_steps,
        init_from=run.model.get("init_from"),
    )
