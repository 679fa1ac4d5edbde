"""The data of a training run, opened as the training loop opens it."""

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
