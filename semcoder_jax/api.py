"""Defines the public functions of semcoder_jax; each calls the package that does the work."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_pipeline.files import as_path
from semcoder_jax.config import parse_run
from semcoder_jax.config_files import read_config
from semcoder_jax.conversion import Description, export, import_hf, verify_export
from semcoder_jax.inference import generate as sampling
from semcoder_jax.inference.params import Generation, SamplingParams
from semcoder_jax.loading import LoadedModel, load_model
from semcoder_jax.server.run import serve

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from semcoder_jax.evaluation.results import EvaluationRun
    from semcoder_jax.planner.report import Plan
    from semcoder_jax.planner.reward_plans import RewardPlan
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
    """Holds a model and generates text from it.

    Attributes:
      config: DecoderConfig, the architecture.
      graphdef: nnx.GraphDef of the module; pure jitted functions take (graphdef, params).
      params: nnx.State of sharded arrays.
      tokenizer: transformers tokenizer, or None if the directory has none.
      end_tokens: ids that end a generated text; None: the tokenizer's EOS.
    """

    def generate(
        self,
        prompts: Prompts,
        params: SamplingParams | None = None,
        *,
        batch_size: int = 64,
        progress: str | None = None,
    ) -> list[Generation]:
        """Generates a continuation of each prompt; see `semcoder_jax.generate`."""
        return generate(self, prompts, params, batch_size=batch_size, progress=progress)


def load(
    directory: str | Path,
    *,
    mesh: "Mesh | None" = None,
    dtype: str = "float32",
    quantize: bool = False,
    step: int | str | None = None,
) -> Model:
    """Loads a model from an HF directory, or a checkpoint of a training workdir.

    Merges LoRA adapters into the base model.

    Args:
      directory: HF directory (config.json, safetensors) or workdir (checkpoints/, model/).
      mesh: mesh to shard the parameters over; None: the first device.
      dtype: "float32" or "bfloat16", for parameters and computation.
      quantize: whether to store weights as int8 with one scale per column.
      step: of a workdir, the step of the checkpoint, or "best" (by the run's `train.best_by`);
        None: the latest.

    Raises CheckpointError or HFError if the directory holds no readable model.
    """
    model = load_model(directory, mesh=mesh, dtype=dtype, quantize=quantize, step=step)
    return Model(**vars(model))


def generate(
    model: LoadedModel | str | Path,
    prompts: Prompts,
    params: SamplingParams | None = None,
    *,
    batch_size: int = 64,
    progress: str | None = None,
) -> list[Generation]:
    """Generates a text for each prompt, in order; each has `text`, `tokens`, `finish_reason`.

    Args:
      model: result of `load`, or the directory to load it from.
      prompts: texts (BOS is prepended), or lists of token ids (used unchanged).
      params: sampling parameters; None: greedy, at most 256 new tokens.
      batch_size: maximum number of prompts decoded together, rounded up to 1, 2, 4, 8, 16, 24, …;
        does not change results.
      progress: label of the progress bar; None for no bar.

    Raises SamplingError, before any work, if a prompt is empty or fills the context.
    """
    if isinstance(model, str | Path):
        model = load(model)
    return sampling.generate(
        model, prompts, params or SamplingParams(), batch_size=batch_size, progress=progress
    )


def train(
    config: str | Path | Mapping[str, Any], workdir: str | Path, *, profile_steps: int = 0
) -> "TrainResult":
    """Trains to the config's last step, or until stopped; resumes from the last checkpoint.

    Args:
      config: config file, such as "configs/quickstart.py" (also found in an installed package),
        or a ConfigDict or mapping of its sections.
      workdir: directory of the run: checkpoints/, model/, metrics.jsonl and more.
      profile_steps: number of steps to trace into WORKDIR/profile after warm-up.

    Returns the last step, the held-out loss (nats per token), the accuracy (0 to 1, None without
    the section `accuracy`) and non-padding tokens per second.
    Raises a UserError, before compilation, if the config or the workdir is wrong; NotFiniteError,
    after saving, if `train.max_skipped_steps` steps in a row have no finite gradient.
    """
    from semcoder_jax.evaluation.accuracy import open_accuracy
    from semcoder_jax.training.loop import train as train_run

    return train_run(
        _config(config), workdir, profile_steps=profile_steps, open_accuracy=open_accuracy
    )


def evaluate(
    config: str | Path | Mapping[str, Any],
    *,
    checkpoint: str | Path | None = None,
    endpoint: str | None = None,
    model: str | None = None,
    chat: bool | None = None,
    generations: str | Path | None = None,
    workdir: str | Path | None = None,
    mode: str | None = None,
    **fields: Any,
) -> "EvaluationRun":
    """Generates, judges and scores one benchmark; `run.scores` has the estimates.

    Args:
      config: benchmark config, such as "configs/eval/heldout.py", or its ConfigDict.
      checkpoint: HF directory or training workdir of the model to evaluate.
      endpoint: instead of `checkpoint`, base URL of an OpenAI-compatible server that serves
        `model`; reads the API key from OPENAI_API_KEY.
      chat: whether to ask the endpoint by chat; None: only if it has no completions.
      generations: instead of both, a file of existing generations; needs no `workdir`.
      workdir: directory for generations, result.json and report.html; a second call resumes.
      mode: "compat" (reproduces upstream exactly) or "fixed" (asks and scores the same question
        correctly); None: both.
      **fields: config fields to override, such as `max_tasks=10`.

    Returns scores from 0 to 1 with 95 % intervals, and every judged answer. Raises a UserError
    if the config, model, data or workdir is wrong.
    """
    from semcoder_jax.evaluation.benchmarks.registry import benchmark_name
    from semcoder_jax.evaluation.run import Subject, evaluate_configs

    record = _config(config).copy_and_resolve_references()
    record.update(fields)
    subject = Subject(
        checkpoint=None if checkpoint is None else str(checkpoint),
        endpoint=endpoint,
        generations=None if generations is None else str(generations),
        model=model,
        chat=chat,
    )
    folder = None if workdir is None else as_path(workdir)
    [run] = evaluate_configs({benchmark_name(record): record}, subject, workdir=folder, mode=mode)
    return run


def plan(
    config: str | Path | Mapping[str, Any],
    topologies: str | Sequence[str],
    *,
    slices: int | None = None,
    steps: int | None = None,
    search: bool = False,
) -> "list[Plan] | list[RewardPlan]":
    """Compiles a training config for TPUs and reports memory and estimated step time.

    Args:
      config: as for `train`; reads no data, weights or tokenizer.
      topologies: one or more topology names, such as "v5e:4x4".
      slices: number of slices of each topology.
      steps: number of training steps, if the config counts epochs.
      search: whether to find the fastest setting that fits, instead of the config's own.

    Returns one plan per topology: peak memory in bytes, and an ESTIMATE of seconds per step; for a
    config that learns from rewards, both of each program that its step runs.
    Needs libtpu, but no TPU. Raises ConfigError, TopologyError, MeshError or CompileError.
    """
    from semcoder_jax.planner import topologies as known
    from semcoder_jax.planner.plans import make_plans, without_data

    names = [topologies] if isinstance(topologies, str) else topologies
    places = [known.parse(name, slices) for name in names]
    run = parse_run(without_data(_config(config).to_dict()))
    if run.rollouts is not None:
        from semcoder_jax.planner.reward_search import make_reward_plans

        return make_reward_plans(run, places, num_steps=steps, find_fastest=search)
    return make_plans(run, places, num_steps=steps, find_fastest=search)


def _config(given: str | Path | Mapping[str, Any]) -> Any:
    """Returns a ConfigDict from a file or a mapping."""
    from ml_collections import ConfigDict

    if isinstance(given, str | Path):
        return read_config(given)
    return given if isinstance(given, ConfigDict) else ConfigDict(dict(given))
