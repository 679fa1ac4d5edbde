"""Training, from a config to checkpoints: `train(config, workdir)`.

WORKDIR holds config.json (the checked config), model/ (an HF directory without weights),
checkpoints/ (Orbax), metrics.jsonl and tensorboard/, goodput.jsonl (wall time by phase),
skipped.jsonl (steps whose gradient was not used), profile/, packs/ (the packing plan of each
epoch), corpus/ and data/ (files that the data source prepares).
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from ml_collections import ConfigDict

from semcoder_jax import hf
from semcoder_jax.checkpoints import CHECKPOINTS, MODEL, Checkpoints
from semcoder_jax.config import Compute, ConfigError, DataConfig, RunConfig, TrainConfig, parse_run
from semcoder_jax.model import sharding
from semcoder_jax.training.architecture import resolve_architecture
from semcoder_jax.training.average import averaged, exchange
from semcoder_jax.training.data import Data, open_data
from semcoder_jax.training.goodput import CHECKPOINT, EVALUATION, INPUT, PROFILE, WallTime
from semcoder_jax.training.held_out import HeldOutHistory
from semcoder_jax.training.log import SKIPPED_FILE, LoggedRun, NotFiniteError, RunLog
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics
from semcoder_jax.training.preemption import StopSignal
from semcoder_jax.training.profile import StepTrace
from semcoder_jax.training.state import TrainSetup, TrainState, create_state, restore_state
from semcoder_jax.training.step import HeldOutLoss, make_evaluation, make_train_step
from semcoder_jax.training.throughput import Machine, describe_rates, step_flops
from semcoder_jax.training.wandb_sink import WandbSink, check_wandb
from semcoder_jax.training.workdir import check_workdir, lock_workdir, write_config


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of a training session.

    The first `step` of `num_steps` updates are made and saved; `eval_loss` is the held-out loss
    of the last evaluation, None without one; `tokens_per_second` counts tokens that are not
    padding, after compilation; `seconds` is this session's wall time.
    """

    step: int
    num_steps: int
    eval_loss: float | None
    tokens_per_second: float
    seconds: float


def train(config: ConfigDict | dict, workdir: str | Path, *, profile_steps: int = 0) -> TrainResult:
    """Trains to `train.num_steps`, or until stopped, from WORKDIR's last checkpoint if it has one.

    Traces `profile_steps` steps with JAX's profiler, after warm-up.

    Raises a UserError, before anything is compiled, if the config or the workdir is wrong. Raises
    NotFiniteError, after saving the state, if more than `train.max_skipped_steps` steps were bad.
    """
    run, workdir = parse_run(config), Path(workdir)
    mesh = sharding.make_mesh(run.mesh)
    check_batch(run.data, run.train, mesh)
    check_precision(run.compute)
    check_wandb(run.train.wandb_project)
    check_workdir(run, workdir)
    with lock_workdir(workdir):
        return _train(run, mesh, workdir, profile_steps)


def _train(run: RunConfig, mesh: Mesh, workdir: Path, profile_steps: int) -> TrainResult:
    started = time.monotonic()
    data = open_data(
        run.data,
        workdir,
        seed=run.seed,
        num_steps=run.train.num_steps,
        init_from=run.model.get("init_from"),
    )
    if data.eval is None and (run.train.keep_best or run.train.early_stopping):
        raise ConfigError("config: train.keep_best and train.early_stopping need held-out records")
    setup = _make_setup(run, mesh, workdir, data)
    checkpoints = Checkpoints(workdir, keep=run.train.keep_checkpoints)
    last = min(data.num_steps, run.train.stop_after_step or data.num_steps)
    saved = checkpoints.latest_step() or 0
    if saved >= last or HeldOutHistory.read(workdir, saved).is_over(run.train):
        checkpoints.close()
        return TrainResult(saved, data.num_steps, _last_eval_loss(workdir), 0.0, 0.0)
    first, state, frozen = _load_state(setup, checkpoints, data)
    train_step = make_train_step(setup, run.train)
    evaluate = make_evaluation(setup.graphdef, data.eval, run.train.eval_batches, mesh)
    wall = WallTime(workdir, first, started, write=jax.process_index() == 0)
    log = _open_log(run, workdir, first, data, setup, wall)
    trace = StepTrace(workdir, first, profile_steps)
    session = _Session(
        run,
        setup,
        data,
        checkpoints,
        train_step,
        evaluate,
        wall,
        log,
        trace,
        state,
        frozen,
        HeldOutHistory.read(workdir, first),
    )
    step = _run_steps(session, first, last)
    data.train.close()
    return _finish(session, step, workdir, started)


# ==== Before the first step


def _make_setup(run: RunConfig, mesh: Mesh, workdir: Path, data: Data) -> TrainSetup:
    """Checks the sections against the architecture, then records config and model in WORKDIR."""
    decoder_config = resolve_architecture(run.model, run.data.sequence_length, data.tokenizer)
    setup = TrainSetup.of(run, decoder_config, data.num_steps, mesh)
    if not (workdir / CHECKPOINTS).exists():
        setup.trainable.check_load()
    multihost_utils.sync_global_devices("checked")  # by every process, before one writes
    if jax.process_index() == 0:  # the workdir is this config's from here on
        write_config(run, workdir)
        hf.write_model_directory(
            workdir / MODEL,
            decoder_config,
            data.tokenizer,
            end_token=data.tokenizer.eos_token_id,
        )
    return setup


def _load_state(
    setup: TrainSetup, checkpoints: Checkpoints, data: Data
) -> tuple[int, TrainState, dict]:
    """Returns (step, state, frozen parameters), the state from the last checkpoint or new."""
    frozen = setup.trainable.load_frozen(setup.mesh)
    checkpoints.base = setup.trainable.frozen_identity(frozen)
    restored = restore_state(checkpoints, setup.shapes, setup.shardings, data.train)
    if restored is None:
        return 0, create_state(setup), frozen
    return int(restored.step), restored, frozen


def check_batch(data: DataConfig, config: TrainConfig, mesh: Mesh) -> None:
    """Raises ConfigError unless every microbatch splits evenly over the mesh and the processes."""
    rows = data.global_batch_size // config.accumulation_steps
    shards = math.lcm(sharding.batch_shards(mesh), jax.process_count())
    if rows % shards:
        raise ConfigError(
            f"config: data.global_batch_size {data.global_batch_size} in "
            f"{config.accumulation_steps} microbatch(es) gives {rows} rows, which the mesh's "
            f"{shards} batch shards (data x fsdp) do not divide; the next batch size that they "
            f"divide is {shards * config.accumulation_steps * -(-rows // shards)}"
        )


def check_precision(compute: Compute) -> None:
    """Raises ConfigError for float16: gradients below 6e-8 would be zero, and the loss unscaled."""
    if compute.dtype == "float16":
        raise ConfigError(
            "config: compute.dtype 'float16': too small a range for gradients, and the loss is not "
            "scaled; expected bfloat16 or float32"
        )


def _open_log(
    run: RunConfig, workdir: Path, first: int, data: Data, setup: TrainSetup, wall: WallTime
) -> RunLog:
    """Opens the log of a session from step `first` on and prints what is trained on what."""
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
    log.say(describe_rates(setup.config, machine, adapters=num_adapters is not None))
    return log


# ==== The steps


@dataclasses.dataclass
class _Session:
    """Holds everything that the steps of one session use; a step replaces `state`.

    `failed` becomes True after more than `train.max_skipped_steps` bad steps.
    """

    run: RunConfig
    setup: TrainSetup
    data: Data
    checkpoints: Checkpoints
    train_step: Callable
    evaluate: Callable[[Any], HeldOutLoss]
    wall: WallTime
    log: RunLog
    trace: StepTrace
    state: TrainState
    frozen: dict
    history: HeldOutHistory
    stop: StopSignal = dataclasses.field(default_factory=StopSignal)
    eval_loss: float | None = None
    failed: bool = False


def _run_steps(session: _Session, first: int, last: int) -> int:
    """Makes the updates after `first` up to `last` or until stopped; returns the last one made."""
    log, checkpoints, config = session.log, session.checkpoints, session.run.train
    with contextlib.ExitStack() as stack:
        stack.enter_context(session.stop)
        for part in (checkpoints, session.wall, log, session.trace):
            stack.enter_context(contextlib.closing(part))
        for step in range(first + 1, last + 1):
            _update(session, step, compiles=step == first + 1)
            stop_requested = session.stop.is_requested(step, checkpoints)
            # A session that must stop has little time: it saves and skips the evaluation.
            is_evaluated = step == session.data.num_steps or (
                _is_due(step, config.eval_every) and not stop_requested
            )
            if session.data.eval and is_evaluated:
                _evaluate(session, step)
            session.failed = log.skipped > config.max_skipped_steps
            is_over = session.history.is_over(config)
            stopping = stop_requested or session.failed or is_over or step == last
            is_best = config.keep_best and session.history.best_step == step
            if stopping or is_best or _is_due(step, config.checkpoint_every):
                _save(session, step)
            if stopping:
                break
        with session.wall.phase(CHECKPOINT):
            checkpoints.wait()
        log.report_goodput(step)
    return step


def _update(session: _Session, step: int, *, compiles: bool) -> None:
    """Makes one update, logs its metrics and ends the profiler's trace after its last step."""
    log, wall, trace = session.log, session.wall, session.trace
    with wall.phase(INPUT):
        batch = next(session.data.train)
    batch = sharding.put_batch(batch, session.setup.mesh)
    # No other transfer is meant: a hidden one is an error, not a slowdown.
    with jax.transfer_guard("disallow"), trace.step(step):
        with log.time_compilation() if compiles else contextlib.nullcontext():
            session.state, metrics = session.train_step(session.state, session.frozen, batch)
        log.record_step(step, metrics)
    if trace.is_last(step):
        with wall.phase(PROFILE):
            trace.stop(metrics)
        log.say(f"traced up to step {step}: {trace.directory}")


def _evaluate(session: _Session, step: int) -> None:
    """Computes and logs the held-out loss."""
    session.log.flush()
    trainable = session.setup.trainable
    with session.wall.phase(EVALUATION):
        params = averaged(session.state.params, session.state.optimizer)
        params = trainable.model_parameters(params, session.frozen)
        held_out = session.evaluate(params)
    session.log.report_evaluation(step, held_out)
    session.eval_loss = held_out.mean
    session.history.record(step, held_out.mean)


def _save(session: _Session, step: int) -> None:
    """Starts saving a checkpoint."""
    session.log.flush()
    state, history = session.state, session.history
    with session.wall.phase(CHECKPOINT):
        session.checkpoints.save(
            step,
            *exchange(state.params, state.optimizer),
            session.data.train,
            eval_loss=history.loss_at(step),
            best_step=history.best_step if session.run.train.keep_best else None,
        )


# ==== After the last step


def _finish(session: _Session, step: int, workdir: Path, started: float) -> TrainResult:
    """Returns the result of a session. Raises NotFiniteError if too many steps were skipped."""
    log, num_steps = session.log, session.data.num_steps
    if session.failed:
        raise NotFiniteError(
            f"{workdir}: {log.skipped} steps were skipped, more than train.max_skipped_steps "
            f"({session.run.train.max_skipped_steps}); step {step} is saved, see {SKIPPED_FILE}"
        )
    if session.history.is_over(session.run.train):
        log.say(
            f"ended early at step {step}: the held-out loss has been best at step "
            f"{session.history.best_step}"
        )
    elif step < num_steps:
        log.say(f"{session.stop.reason}: step {step} is saved; the same command goes on from there")
    eval_loss = session.eval_loss
    if eval_loss is None:
        eval_loss = _last_eval_loss(workdir)
    seconds = time.monotonic() - started
    return TrainResult(step, num_steps, eval_loss, log.tokens_per_second, seconds)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _last_eval_loss(workdir: Path) -> float | None:
    rows = [row for row in read_metrics(workdir / METRICS_FILE) if "eval_loss" in row]
    return rows[-1]["eval_loss"] if rows else None
