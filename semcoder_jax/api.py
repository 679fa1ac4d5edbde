"""The public functions of semcoder_jax, each a few lines over the rooms that do the work."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcoder_jax.config import parse_run
from semcoder_jax.config_files import read_config
from semcoder_jax.conversion import Description, export, import_hf, verify_export
from semcoder_jax.inference import generate as sampling
from semcoder_jax.inference.params import Generation, SamplingParams
from semcoder_jax.loading import LoadedModel, load_model
from semcoder_jax.server.run import serve

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from semcoder_jax.evaluation.results import Run
    from semcoder_jax.planner.report import Plan
    from semcoder_jax.training.loop import TrainResult

__all__ = [
    "Description",
    "Model",
    "evaluate",
    "export",
    "generate",
    "import_hf",
    "load",
    "plan",
    "serve",
    "train",
    "verify_export",
]

Prompts = Sequence[str] | Sequence[Sequence[int]]


@dataclasses.dataclass(frozen=True)
class Model(LoadedModel):
    """A model to sample from.

    Attributes:
      config: DecoderConfig, the architecture.
      graphdef: of the NNX module; pure jitted functions take (graphdef, params).
      params: nnx.State of arrays in their shards.
      tokenizer: transformers' tokenizer; None where the directory has none.
    """

    def generate(
        self,
        prompts: Prompts,
        params: SamplingParams | None = None,
        *,
        batch_size: int = 64,
        progress: str | None = None,
    ) -> list[Generation]:
        """What the model writes after each prompt; see `semcoder_jax.generate`."""
        return generate(self, prompts, params, batch_size=batch_size, progress=progress)


def load(
    directory: str | Path,
    *,
    mesh: "Mesh | None" = None,
    dtype: str = "float32",
    quantize: bool = False,
) -> Model:
    """The model in an HF directory, or the latest one of a training workdir.

    Adapters come merged into their base.

    Args:
      directory: with config.json and safetensors, or with checkpoints/ and model/.
      mesh: devices that the parameters are split over; None: the first device.
      dtype: "float32" or "bfloat16", of parameters and computation.
      quantize: weights as int8, with a scale a column.

    Raises CheckpointError or HFError if the directory holds no model that can be read.
    """
    model = load_model(directory, mesh=mesh, dtype=dtype, quantize=quantize)
    return Model(model.config, model.graphdef, model.params, model.tokenizer)


def generate(
    model: LoadedModel | str | Path,
    prompts: Prompts,
    params: SamplingParams | None = None,
    *,
    batch_size: int = 64,
    progress: str | None = None,
) -> list[Generation]:
    """Generations of prompts, in their order; each has `text`, `tokens`, `finish_reason`.

    Args:
      model: from `load`, or the directory to load it from.
      prompts: texts, to which BOS is added by id, or lists of token ids, taken as they are.
      params: how to sample; None: greedy, at most 256 new tokens.
      batch_size: most prompts decoded together; it never changes a result.
      progress: label of a progress bar; None for no bar.

    Raises SamplingError, before any work, for an empty prompt or one that fills the context.
    """
    if isinstance(model, str | Path):
        model = load(model)
    return sampling.generate(
        model, prompts, params or SamplingParams(), batch_size=batch_size, progress=progress
    )


def train(
    config: str | Path | Mapping[str, Any], workdir: str | Path, *, profile_steps: int = 0
) -> "TrainResult":
    """Trains to the config's last step, or until stopped; goes on from WORKDIR's last checkpoint.

    Args:
      config: ConfigDict or mapping of the sections, or the config file, such as
        "configs/quickstart.py" (also found beside an installed package).
      workdir: directory of the run: checkpoints/, model/, metrics.jsonl and more.
      profile_steps: steps traced into WORKDIR/profile after warm-up.

    Returns steps made, the held-out loss in nats a token and non-padding tokens a second. Raises a
    UserError, before anything is compiled, if the config or the workdir is wrong; NotFiniteError,
    with the state saved, after `train.max_skipped_steps` steps without a finite gradient.
    """
    from semcoder_jax.training.loop import train as train_run

    return train_run(_config(config), workdir, profile_steps=profile_steps)


def evaluate(
    config: str | Path | Mapping[str, Any],
    *,
    checkpoint: str | Path | None = None,
    endpoint: str | None = None,
    model: str | None = None,
    generations: str | Path | None = None,
    workdir: str | Path | None = None,
    mode: str | None = None,
    **fields: Any,
) -> "Run":
    """Generates, judges and scores one benchmark; `run.scores` has the estimates.

    Args:
      config: of a benchmark, such as "configs/eval/heldout.py", or its ConfigDict.
      checkpoint: HF directory or training workdir whose model answers.
      endpoint: in its place, base URL of an OpenAI-compatible server; `model` is the name there
        and its key is read from OPENAI_API_KEY.
      generations: in its place, a file of generations made elsewhere; needs no `workdir`.
      workdir: keeps generations, result.json and report.html; evaluating again goes on from it.
      mode: "compat" (upstream's way, to the digit) or "fixed" (the same question asked and scored
        correctly); None: both.
      **fields: of the config, such as `max_tasks=10`.

    Returns scores as shares from 0 to 1 with 95 % intervals, and every judged answer. Raises a
    UserError for anything wrong with config, model, data or workdir.
    """
    from semcoder_jax.evaluation.run import Subject, evaluate_configs

    record = _config(config).copy_and_resolve_references()
    record.update(fields)
    subject = Subject(
        checkpoint=None if checkpoint is None else str(checkpoint),
        endpoint=endpoint,
        generations=None if generations is None else str(generations),
        model=model,
    )
    folder = None if workdir is None else Path(workdir)
    [run] = evaluate_configs({record.benchmark: record}, subject, workdir=folder, mode=mode)
    return run


def plan(
    config: str | Path | Mapping[str, Any],
    topologies: str | Sequence[str],
    *,
    slices: int | None = None,
    steps: int | None = None,
    search: bool = False,
) -> "list[Plan]":
    """Whether a training config fits on TPUs and how long it takes, by the TPU compiler.

    Args:
      config: as for `train`; no data, weights or tokenizer are read.
      topologies: names such as "v5e:4x4", one or several.
      slices: joins that many of each.
      steps: length of the recipe where the config counts epochs.
      search: finds the fastest setting that fits, in place of the config's own.

    Returns one plan a topology: peak memory in bytes, and an ESTIMATE of seconds a step. Needs
    libtpu, no TPU. Raises ConfigError, TopologyError, MeshError or CompileError.
    """
    from semcoder_jax.planner import topologies as known
    from semcoder_jax.planner.plans import make_plans, without_data

    names = [topologies] if isinstance(topologies, str) else topologies
    places = [known.parse(name, slices) for name in names]
    run = parse_run(without_data(_config(config).to_dict()))
    return make_plans(run, places, num_steps=steps, find_fastest=search)


def _config(given: str | Path | Mapping[str, Any]) -> Any:
    """A ConfigDict out of a file or a mapping."""
    from ml_collections import ConfigDict

    if isinstance(given, str | Path):
        return read_config(given)
    return given if isinstance(given, ConfigDict) else ConfigDict(dict(given))
