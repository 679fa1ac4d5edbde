"""Sends metrics to Weights & Biases if `train.wandb_project` names a project (extra: wandb)."""

import importlib.util
import uuid
from collections.abc import Mapping

from data_pipeline.files import AnyPath, make_folder, write_text
from data_pipeline.terminal.installation import install_command
from semcoder_jax.config import ConfigError
from semcoder_jax.training.workdir import machine_folder

RUN_ID_FILE = "wandb_run_id"


def check_wandb(project: str | None) -> None:
    """Raises ConfigError if `project` is given and wandb is not installed."""
    if project and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            f"config: train.wandb_project is {project!r}, but the package wandb is not installed; "
            f"{install_command('wandb')}, or leave the field out"
        )


class WandbSink:
    """Sends the run's numbers to a W&B project; a resumed run continues the same W&B run.

    Numbers carry their own step: a run resumed from a checkpoint repeats steps, and W&B's counter
    cannot go back. Raises ConfigError if W&B refuses, for example because nobody is logged in.
    """

    def __init__(self, project: str, workdir: AnyPath, config: Mapping):
        import wandb

        path = workdir / RUN_ID_FILE
        if not path.is_file():
            write_text(path, uuid.uuid4().hex[:12] + "\n")
        folder = machine_folder(workdir)
        make_folder(folder)
        try:
            self._run = wandb.init(
                project=project,
                name=workdir.resolve().name,
                id=path.read_text(encoding="utf-8").strip(),
                resume="allow",
                dir=str(folder),
                config=dict(config),
            )
        except Exception as error:  # its own kinds, requests' and the file system's
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise ConfigError(
                f"config: train.wandb_project {project!r}: wandb: {reason}"
            ) from error
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def close(self) -> None:
        self._run.finish()
