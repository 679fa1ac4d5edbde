"""Parts of a training run made from its whole config, as the training loop makes them."""

from pathlib import Path

from semcoder_jax.config import DecoderConfig, RunConfig
from semcoder_jax.training.data import Data, open_data
from semcoder_jax.training.trainable import Trainable, make_trainable


def data_of(run: RunConfig, workdir: Path) -> Data:
    return open_data(
        run.data,
        workdir,
        seed=run.seed,
        num_steps=run.train.num_steps,
        init_from=run.model.get("init_from"),
    )


def trainable_of(run: RunConfig, config: DecoderConfig) -> Trainable:
    return make_trainable(config, run.seed, run.model, run.initialization, run.lora)
