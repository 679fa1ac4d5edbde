"""Training, from a config to checkpoints: ``train(config, workdir)``.

WORKDIR: config.json (the checked config), model/ (an HF directory without weights), checkpoints/
(Orbax), metrics.jsonl and tensorboard/, goodput.jsonl (where the wall time went), skipped.jsonl
(steps whose gradient was not used), profile/, packs/ (the plan of each epoch), corpus/ and data/
(what the source prepares).
"""

import contextlib
import dataclasses
import functools
import math
import time
from pathlib import Path

import jax
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from ml_collections import ConfigDict

from semcoder_jax import hf
from semcoder_jax.checkpoints import (
    CHECKPOINTS,
    MODEL,
    Checkpoints,
    abstract_model,
    checksum,
)
from semcoder_jax.config import ConfigError, RunConfig, parse_run
from semcoder_jax.hf.adapter import read_adapter
from semcoder_jax.loading import load_base
from semcoder_jax.model import sharding
from semcoder_jax.training.data import open_data
from semcoder_jax.training.goodput import CHECKPOINT, EVALUATION, INPUT, PROFILE, WallTime
from semcoder_jax.training.log import SKIPPED_FILE, LoggedRun, NotFiniteError, RunLog
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics
from semcoder_jax.training.optimizer import make_optimizer
from semcoder_jax.training.preemption import StopSignal
from semcoder_jax.training.profile import StepTrace
from semcoder_jax.training.state import (
    frozen_shapes,
    initial_state,
    resolve_architecture,
    restored_state,
    state_from,
    state_shardings,
    whole_params,
)
from semcoder_jax.training.step import make_evaluation, make_train_step
from semcoder_jax.training.throughput import Machine, formula, step_flops
from semcoder_jax.training.wandb_sink import WandbSink, check_wandb
from semcoder_jax.training.workdir import check_workdir, claimed, write_config


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a session of training came to.

    ``step`` of ``num_steps`` updates are made and saved; ``eval_loss`` is the held-out loss of
    the last evaluation, None without one; ``tokens_per_second`` counts tokens that are not
    padding, after compilation; ``seconds`` is this session's wall time.
    """

    step: int
    num_steps: int
    eval_loss: float | None
    tokens_per_second: float
    seconds: float


def train(config: ConfigDict | dict, workdir: str | Path, *, profile_steps: int = 0) -> TrainResult:
    """Train to ``train.num_steps``, or until stopped; go on from WORKDIR's last checkpoint.

    ``profile_steps`` of them are traced, after warm-up.

    Raises a UserError, before anything is compiled, if the config or the workdir is wrong.
    Raises NotFiniteError, with the state saved, after ``train.max_skipped_steps`` bad steps.
    """
    run = parse_run(config)
    mesh = sharding.make_mesh(run.mesh)
    check_batch(run, mesh)
    check_wandb(run.train.wandb_project)
    check_workdir(run, Path(workdir))
    with claimed(Path(workdir)):
        return _train(run, mesh, Path(workdir), profile_steps)


def _train(run: RunConfig, mesh: Mesh, workdir: Path, profile_steps: int) -> TrainResult:
    started = time.monotonic()

    # ---- Data
    data = open_data(run, workdir)
    num_steps = data.num_steps

    # ---- Model, optimizer and the places of their arrays
    decoder_config = resolve_architecture(run, data.tokenizer)
    graphdef, _ = nnx.split(abstract_model(decoder_config, run.compute))
    optimizer = make_optimizer(run.optimizer, num_steps)
    initialize = functools.partial(initial_state, run, decoder_config, optimizer)
    shapes = jax.eval_shape(initialize)
    places = state_shardings(shapes, mesh)
    if run.lora and run.lora.init_from and not (workdir / CHECKPOINTS).exists():
        read_adapter(run.lora.init_from, decoder_config, run.lora)  # that it fits
    multihost_utils.sync_global_devices("checked")  # by every process, before one writes
    if jax.process_index() == 0:  # the workdir is this config's from here on
        write_config(run, workdir)
        hf.write_model_directory(workdir / MODEL, decoder_config, data.tokenizer)

    # ---- State: of the last checkpoint, or a new one
    frozen_places = sharding.parameter_shardings(frozen_shapes(run, decoder_config), mesh)
    checkpoints = Checkpoints(workdir, keep=run.train.keep_checkpoints)
    first = checkpoints.latest_step() or 0
    last = min(num_steps, run.train.stop_after_step or num_steps)
    if first >= last:
        checkpoints.close()
        return TrainResult(first, num_steps, _last_eval_loss(workdir), 0.0, 0.0)
    frozen = {}
    if run.lora:
        frozen = load_base(run.lora, run.model["init_from"], mesh)
        checkpoints.base = (run.model["init_from"], checksum(frozen))
    restored = restored_state(checkpoints, shapes, places, data.train)
    first = int(restored.step) if restored else 0
    if restored:
        state = restored
    elif run.lora.init_from if run.lora else "init_from" in run.model:
        state = state_from(run, decoder_config, optimizer, places, mesh)
    else:
        # It runs once: optimizing it well takes three times as long as all the rest on CPU.
        quick = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        state = jax.jit(initialize, out_shardings=places, compiler_options=quick)()

    # ---- Steps
    train_step = make_train_step(run, num_steps, graphdef, optimizer, mesh, places, frozen_places)
    evaluate = make_evaluation(graphdef, data.eval, run.train.eval_batches, mesh)

    # ---- What people see
    leads = jax.process_index() == 0
    machine = Machine.of(mesh.devices.flat)
    wall = WallTime(workdir, first, started, write=leads)
    seen = LoggedRun(
        first,
        num_steps,
        run.train.log_every,
        data.record_ids,
        step_flops(decoder_config, _count(shapes.params) if run.lora else None),
        machine,
    )
    sinks = ()
    if run.train.wandb_project and leads:
        sinks = (WandbSink(run.train.wandb_project, workdir, run.to_record()),)
    log = RunLog(workdir, seen, wall, sinks)
    log.say(data.mixture)
    count = f"{_count(shapes.params):,} parameters"
    if run.lora:
        count += f" of adapters over {hf.parameter_count(decoder_config):,} in {run.lora.base}"
    log.say(f"{count} on {mesh.size} device(s), from step {first}")
    log.say(formula(decoder_config, machine, adapters=run.lora is not None))
    trace = StepTrace(workdir, first, profile_steps)

    # ---- Loop
    eval_loss, stop = None, StopSignal()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stop)
        for part in (checkpoints, wall, log, trace):
            stack.enter_context(contextlib.closing(part))
        for step in range(first + 1, last + 1):
            with wall.phase(INPUT):
                batch = next(data.train)
            batch = sharding.put_batch(batch, mesh)
            # No other transfer is meant: a hidden one is an error, not a slowdown.
            with jax.transfer_guard("disallow"), trace.step(step):
                with log.compiling() if step == first + 1 else contextlib.nullcontext():
                    state, metrics = train_step(state, frozen, batch)
                log.step(step, metrics)
            if trace.is_last(step):
                with wall.phase(PROFILE):
                    trace.stop(metrics)
                log.say(f"traced up to step {step}: {trace.directory}")
            told = stop.requested(step, checkpoints)
            # Who was told to stop has little time, and saves first of all.
            if data.eval and (step == num_steps or (_due(step, run.train.eval_every) and not told)):
                log.flush()
                with wall.phase(EVALUATION):
                    held_out = evaluate(whole_params(run, state.params, frozen))
                log.evaluation(step, held_out)
                eval_loss = held_out.mean
            failing = log.skipped > run.train.max_skipped_steps
            stopping = told or failing or step == last
            if stopping or _due(step, run.train.checkpoint_every):
                log.flush()
                with wall.phase(CHECKPOINT):
                    checkpoints.save(step, state.params, state.optimizer, data.train)
            if stopping:
                break
        with wall.phase(CHECKPOINT):
            checkpoints.wait()
        log.goodput(step)
    data.train.close()
    if failing:
        raise NotFiniteError(
            f"{workdir}: {log.skipped} steps were skipped, more than train.max_skipped_steps "
            f"({run.train.max_skipped_steps}); step {step} is saved, see {SKIPPED_FILE}"
        )
    if step < num_steps:
        log.say(f"{stop.reason}: step {step} is saved; the same command goes on from there")
    if eval_loss is None:
        eval_loss = _last_eval_loss(workdir)
    seconds = time.monotonic() - started
    return TrainResult(step, num_steps, eval_loss, log.tokens_per_second, seconds)


# ==== Before the first step


def check_batch(run: RunConfig, mesh: Mesh) -> None:
    """Raise ConfigError unless every microbatch splits evenly over the mesh and the processes."""
    rows = run.data.global_batch_size // run.train.accumulation_steps
    shards = math.lcm(sharding.batch_shards(mesh), jax.process_count())
    if rows % shards:
        raise ConfigError(
            f"config: data.global_batch_size {run.data.global_batch_size} in "
            f"{run.train.accumulation_steps} microbatch(es) gives {rows} rows, which the mesh's "
            f"{shards} batch shards (data x fsdp) do not divide; the next batch size that they "
            f"divide is {shards * run.train.accumulation_steps * -(-rows // shards)}"
        )


# ==== Small print


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _last_eval_loss(workdir: Path) -> float | None:
    rows = [row for row in read_metrics(workdir / METRICS_FILE) if "eval_loss" in row]
    return rows[-1]["eval_loss"] if rows else None


def _count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
