"""Training, from a config to checkpoints: `train(config, workdir)`.

WORKDIR: config.json (the checked config), model/ (an HF directory without weights), checkpoints/
(Orbax), metrics.jsonl and tensorboard/, goodput.jsonl (where the wall time went), skipped.jsonl
(steps whose gradient was not used), profile/, packs/ (the plan of each epoch), corpus/ and data/
(what the source prepares).
"""

import contextlib
import dataclasses
import math
import time
from pathlib import Path

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from ml_collections import ConfigDict

from semcoder_jax import hf
from semcoder_jax.checkpoints import (
    CHECKPOINTS,
    MODEL,
    Checkpoints,
)
from semcoder_jax.config import ConfigError, DataConfig, RunConfig, TrainConfig, parse_run
from semcoder_jax.model import sharding
from semcoder_jax.training.architecture import resolve_architecture
from semcoder_jax.training.data import Data, open_data
from semcoder_jax.training.goodput import CHECKPOINT, EVALUATION, INPUT, PROFILE, WallTime
from semcoder_jax.training.log import SKIPPED_FILE, LoggedRun, NotFiniteError, RunLog
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics
from semcoder_jax.training.preemption import StopSignal
from semcoder_jax.training.profile import StepTrace
from semcoder_jax.training.state import (
    TrainSetup,
    first_state,
    restore_state,
)
from semcoder_jax.training.step import make_evaluation, make_train_step
from semcoder_jax.training.throughput import Machine, formula, step_flops
from semcoder_jax.training.wandb_sink import WandbSink, check_wandb
from semcoder_jax.training.workdir import check_workdir, lock_workdir, write_config


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of a training session.

    `step` of `num_steps` updates are made and saved; `eval_loss` is the held-out loss of
    the last evaluation, None if there was none; `tokens_per_second` counts tokens that are not
    padding, after compilation; `seconds` is this session's wall time.
    """

    step: int
    num_steps: int
    eval_loss: float | None
    tokens_per_second: float
    seconds: float


def train(config: ConfigDict | dict, workdir: str | Path, *, profile_steps: int = 0) -> TrainResult:
    """Train to `train.num_steps`, or until stopped; go on from WORKDIR's last checkpoint.

    `profile_steps` of them are traced, after warm-up.

    Raises a UserError, before anything is compiled, if the config or the workdir is wrong.
    Raises NotFiniteError, with the state saved, after `train.max_skipped_steps` bad steps.
    """
    run, workdir = parse_run(config), Path(workdir)
    mesh = sharding.make_mesh(run.mesh)
    check_batch(run.data, run.train, mesh)
    check_wandb(run.train.wandb_project)
    check_workdir(run, workdir)
    with lock_workdir(workdir):
        return _train(run, mesh, workdir, profile_steps)


def _train(run: RunConfig, mesh: Mesh, workdir: Path, profile_steps: int) -> TrainResult:
    started = time.monotonic()

    # ---- Data
    data = open_data(
        run.data,
        workdir,
        seed=run.seed,
        num_steps=run.train.num_steps,
        init_from=run.model.get("init_from"),
    )
    num_steps = data.num_steps

    # ---- Model, optimizer and the shardings of their arrays
    decoder_config = resolve_architecture(run.model, run.data.sequence_length, data.tokenizer)
    setup = TrainSetup.of(run, decoder_config, num_steps, mesh)
    trainable = setup.trainable
    if not (workdir / CHECKPOINTS).exists():
        trainable.check_load()
    multihost_utils.sync_global_devices("checked")  # by every process, before one writes
    if jax.process_index() == 0:  # the workdir is this config's from here on
        write_config(run, workdir)
        hf.write_model_directory(workdir / MODEL, decoder_config, data.tokenizer)

    # ---- State: restored from the last checkpoint, or new
    checkpoints = Checkpoints(workdir, keep=run.train.keep_checkpoints)
    first = checkpoints.latest_step() or 0
    last = min(num_steps, run.train.stop_after_step or num_steps)
    if first >= last:
        checkpoints.close()
        return TrainResult(first, num_steps, _last_eval_loss(workdir), 0.0, 0.0)
    frozen = trainable.load_frozen(mesh)
    checkpoints.base = trainable.frozen_identity(frozen)
    state = restore_state(checkpoints, setup.shapes, setup.shardings, data.train)
    first = int(state.step) if state else 0
    if state is None:
        state = first_state(setup)

    # ---- Steps
    train_step = make_train_step(setup, run.train)
    evaluate = make_evaluation(setup.graphdef, data.eval, run.train.eval_batches, mesh)

    # ---- Log
    wall = WallTime(workdir, first, started, write=jax.process_index() == 0)
    log = _open_log(run, workdir, first, data, setup, wall)
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
            stop_requested = stop.requested(step, checkpoints)
            # A session that must stop has little time: it saves and skips the evaluation.
            evaluates = step == num_steps or (
                _is_due(step, run.train.eval_every) and not stop_requested
            )
            if data.eval and evaluates:
                log.flush()
                with wall.phase(EVALUATION):
                    held_out = evaluate(trainable.model_parameters(state.params, frozen))
                log.evaluation(step, held_out)
                eval_loss = held_out.mean
            failing = log.skipped > run.train.max_skipped_steps
            stopping = stop_requested or failing or step == last
            if stopping or _is_due(step, run.train.checkpoint_every):
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


def check_batch(data: DataConfig, config: TrainConfig, mesh: Mesh) -> None:
    """Raise ConfigError unless every microbatch splits evenly over the mesh and the processes."""
    rows = data.global_batch_size // config.accumulation_steps
    shards = math.lcm(sharding.batch_shards(mesh), jax.process_count())
    if rows % shards:
        raise ConfigError(
            f"config: data.global_batch_size {data.global_batch_size} in "
            f"{config.accumulation_steps} microbatch(es) gives {rows} rows, which the mesh's "
            f"{shards} batch shards (data x fsdp) do not divide; the next batch size that they "
            f"divide is {shards * config.accumulation_steps * -(-rows // shards)}"
        )


# ==== Small print


def _open_log(
    run: RunConfig, workdir: Path, first: int, data: Data, setup: TrainSetup, wall: WallTime
) -> RunLog:
    """The log of a session from step `first` on, which says what is trained on what."""
    trainable, trained = setup.trainable, setup.shapes.params
    machine = Machine.of(setup.mesh.devices.flat)
    num_adapters = trainable.adapter_count(trained)
    flops = step_flops(setup.config, num_adapters)
    logged = LoggedRun(first, data.num_steps, run.train.log_every, data.record_ids, flops, machine)
    sinks = ()
    if run.train.wandb_project and jax.process_index() == 0:
        sinks = (WandbSink(run.train.wandb_project, workdir, run.to_record()),)
    log = RunLog(workdir, logged, wall, sinks)
    log.say(data.mixture)
    devices = setup.mesh.size
    log.say(f"{trainable.describe(trained)} on {devices} device(s), from step {first}")
    log.say(formula(setup.config, machine, adapters=num_adapters is not None))
    return log


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _last_eval_loss(workdir: Path) -> float | None:
    rows = [row for row in read_metrics(workdir / METRICS_FILE) if "eval_loss" in row]
    return rows[-1]["eval_loss"] if rows else None
