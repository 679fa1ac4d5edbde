"""Training, from a config to checkpoints: `train(config, workdir)`.

WORKDIR holds config.json (the checked config), model/ (an HF directory without weights),
checkpoints/ (Orbax), metrics.jsonl and tensorboard/, goodput.jsonl (wall time by phase),
skipped.jsonl (steps whose gradient was not used), profile/, packs/ (the packing plan of each
epoch), corpus/ and data/ (files that the data source prepares).
"""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from ml_collections import ConfigDict

from data_pipeline.files import AnyPath, HeldLock
from semcoder_jax import hf
from semcoder_jax.checkpoints import CHECKPOINTS, MODEL, Checkpoints, abstract_model
from semcoder_jax.config import (
    AccuracyConfig,
    Compute,
    ConfigError,
    DataConfig,
    RunConfig,
    TrainConfig,
    parse_run,
)
from semcoder_jax.loading import LoadedModel
from semcoder_jax.model import sharding
from semcoder_jax.training.architecture import check_start, resolve_architecture
from semcoder_jax.training.average import averaged, exchange
from semcoder_jax.training.data import Data, open_data
from semcoder_jax.training.goodput import CHECKPOINT, EVALUATION, INPUT, PROFILE, WallTime
from semcoder_jax.training.hang import HangWatch, end_without_peers
from semcoder_jax.training.held_out import ACCURACY, EVAL_LOSS, HeldOutHistory
from semcoder_jax.training.log import SKIPPED_FILE, LoggedRun, NotFiniteError, RunLog
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics
from semcoder_jax.training.preemption import GracePeriod, StopSignal
from semcoder_jax.training.profile import ProfileRequests, StepTrace
from semcoder_jax.training.state import TrainSetup, TrainState, create_state, restore_state
from semcoder_jax.training.step import HeldOutLoss, make_evaluation, make_train_step
from semcoder_jax.training.throughput import Machine, describe_rates, step_flops
from semcoder_jax.training.wandb_sink import WandbSink, check_wandb
from semcoder_jax.training.workdir import as_workdir, check_workdir, lock_workdir, write_config

MeasureAccuracy = Callable[[LoadedModel], Mapping[str, float]]
"""Returns the share of right answers of each benchmark, the same in every process."""
OpenAccuracy = Callable[[AccuracyConfig, DataConfig, AnyPath], MeasureAccuracy]
"""Opens the benchmarks of the section `accuracy`, given the data section and WORKDIR."""


_NAMES = {"loss": "held-out loss", "accuracy": "accuracy"}  # of train.best_by, for people


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The result of a training session.

    The first `step` of `num_steps` updates are made and saved; `eval_loss` is the held-out loss
    of the last evaluation, None without one, and `accuracy` the mean share of right answers;
    `stopped` says that a signal ended the session before the run's end;
    `tokens_per_second` counts tokens that are not padding, after compilation; `seconds` is this
    session's wall time.
    """

    step: int
    num_steps: int
    eval_loss: float | None
    tokens_per_second: float
    seconds: float
    accuracy: float | None = None
    stopped: bool = False


def train(
    config: ConfigDict | dict,
    workdir: str | os.PathLike,
    *,
    profile_steps: int = 0,
    open_accuracy: OpenAccuracy | None = None,
) -> TrainResult:
    """Trains to `train.num_steps`, or until stopped, from WORKDIR's last checkpoint if it has one.

    Traces `profile_steps` steps with JAX's profiler, after warm-up. `open_accuracy` serves the
    section `accuracy`; the caller passes it in, for sampling and scoring are no part of training.

    Raises a UserError, before anything is compiled, if the config or the workdir is wrong. Raises
    NotFiniteError, after saving the state, if more than `train.max_skipped_steps` steps were bad.
    """
    run, workdir = parse_run(config), as_workdir(workdir)
    mesh = sharding.make_mesh(run.mesh)
    check_batch(run.data, run.train, mesh)
    check_precision(run.compute)
    check_start(run.model, run.data.sequence_length)
    if run.rollouts:
        raise ConfigError("config: rollouts: learning from rewards is `semcoder reinforce`")
    if run.accuracy and open_accuracy is None:
        raise ConfigError("config: accuracy: this caller of train passes no open_accuracy")
    check_wandb(run.train.wandb_project)
    if "init_from" not in run.model:
        run.decoder_config(vocab_size=1)  # a shape that cannot be is told before any data is made
    check_workdir(run, workdir)
    multihost_utils.sync_global_devices("workdir")  # by every process, before one prepares data
    with (
        lock_workdir(workdir) as lock,
        HangWatch(run.train) as watch,
        ProfileRequests(workdir) as requests,
    ):
        return _train(run, mesh, workdir, lock, profile_steps, open_accuracy, watch, requests)


def _train(
    run: RunConfig,
    mesh: Mesh,
    workdir: AnyPath,
    lock: HeldLock,
    profile_steps: int,
    open_accuracy: OpenAccuracy | None,
    watch: HangWatch,
    requests: ProfileRequests,
) -> TrainResult:
    started = time.monotonic()
    data = open_data(
        run.data,
        workdir,
        seed=run.seed,
        num_steps=run.train.num_steps,
        init_from=run.model.get("init_from"),
    )
    compares_losses = run.train.best_by == "loss" and (
        run.train.keep_best or run.train.early_stopping
    )
    if data.eval is None and compares_losses:
        raise ConfigError("config: train.keep_best and train.early_stopping need held-out records")
    measure = open_accuracy(run.accuracy, run.data, workdir) if run.accuracy else None
    setup = make_setup(run, mesh, workdir, data.tokenizer, data.num_steps)
    keep, every = run.train.keep_checkpoints, run.train.keep_every
    checkpoints = Checkpoints(workdir, keep=keep, keep_every=every)
    last = min(data.num_steps, run.train.stop_after_step or data.num_steps)
    saved = checkpoints.latest_step() or 0
    if saved >= last or HeldOutHistory.read(workdir, saved, run.train.best_by).is_over(run.train):
        checkpoints.close()
        return _result(workdir, saved, data.num_steps)
    loading = time.monotonic()
    frozen = setup.trainable.load_frozen(setup.mesh)
    first, state = load_state(setup, checkpoints, data.train, frozen)
    restoring = time.monotonic() - loading if first else 0.0
    train_step = make_train_step(setup, run.train)
    evaluate = make_evaluation(setup.graphdef, data.eval, run.train.eval_batches, mesh)
    wall = WallTime(
        workdir,
        first,
        started,
        restoring=restoring,
        on_phase=watch.enter_phase,
        write=jax.process_index() == 0,
    )
    log = _open_log(run, workdir, first, data, setup, wall)
    trace = StepTrace(workdir, first, profile_steps, requests, log.say_here)
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
        watch,
        state,
        frozen,
        HeldOutHistory.read(workdir, first, run.train.best_by),
        measure and of_parameters(measure, setup, data.tokenizer, run.compute),
        lock,
    )
    step = _run_steps(session, first, last)
    data.train.close()
    return _finish(session, step, workdir, started)


# ==== Before the first step


def make_setup(
    run: RunConfig, mesh: Mesh, workdir: AnyPath, tokenizer, num_updates: int
) -> TrainSetup:
    """Checks the sections against the architecture, then records config and model in WORKDIR."""
    decoder_config = resolve_architecture(run.model, run.data.sequence_length, tokenizer)
    setup = TrainSetup.of(run, decoder_config, num_updates, mesh)
    if not (workdir / CHECKPOINTS).exists():
        setup.trainable.check_load()
    multihost_utils.sync_global_devices("checked")  # by every process, before one writes
    if jax.process_index() == 0:  # the workdir is this config's from here on
        write_config(run, workdir)
        hf.write_model_directory(
            workdir / MODEL,
            decoder_config,
            tokenizer,
            end_token=tokenizer.eos_token_id,
        )
    return setup


def load_state(
    setup: TrainSetup, checkpoints: Checkpoints, data_iterator, frozen: dict
) -> tuple[int, TrainState]:
    """Returns (step, state) from the last checkpoint, or new; `frozen` must be its own."""
    checkpoints.base = setup.trainable.frozen_identity(frozen)
    restored = restore_state(checkpoints, setup.shapes, setup.shardings, data_iterator)
    if restored is None:
        return 0, create_state(setup)
    return int(restored.step), restored


def of_parameters(
    measure: MeasureAccuracy, setup: TrainSetup, tokenizer, compute: Compute
) -> Callable[[dict], Mapping[str, float]]:
    """Returns `measure` as a function of all parameters, in the run's dtype of computation."""
    graphdef, _ = nnx.split(abstract_model(setup.config, Compute(dtype=compute.dtype)))
    return lambda params: measure(LoadedModel(setup.config, graphdef, params, tokenizer))


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
    run: RunConfig, workdir: AnyPath, first: int, data: Data, setup: TrainSetup, wall: WallTime
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

    `figures` are the held-out ones of the present step, if it was evaluated, and `last_figures` the
    last of each. `failed` becomes True after more than `train.max_skipped_steps` bad steps.
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
    watch: HangWatch
    state: TrainState
    frozen: dict
    history: HeldOutHistory
    measure_accuracy: Callable[[dict], Mapping[str, float]] | None = None
    lock: HeldLock = dataclasses.field(default_factory=HeldLock)
    stop: StopSignal = dataclasses.field(default_factory=StopSignal)
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    last_figures: dict[str, float] = dataclasses.field(default_factory=dict)
    failed: bool = False


def _run_steps(session: _Session, first: int, last: int) -> int:
    """Makes the updates after `first` up to `last` or until stopped; returns the last one made."""
    log, checkpoints, config = session.log, session.checkpoints, session.run.train
    with contextlib.ExitStack() as stack:
        stack.enter_context(session.stop)
        for part in (checkpoints, session.wall, log, session.trace):
            stack.enter_context(contextlib.closing(part))
        stack.enter_context(end_without_peers())
        grace = GracePeriod(config.grace_seconds)
        for step in range(first + 1, last + 1):
            began = time.monotonic()
            _update(session, step, compiles=step == first + 1)
            session.watch.finish_step(step)
            if line := grace.finish_step(time.monotonic() - began, checkpoints.is_saving()):
                log.say(line)
            stop_requested = session.stop.is_requested(step, checkpoints)
            _evaluate(session, step, stop_requested)
            stop_requested = stop_requested or session.stop.is_seen
            session.failed = log.skipped > config.max_skipped_steps
            is_over = session.history.is_over(config)
            stopping = stop_requested or session.failed or is_over or step == last
            is_best = config.keep_best and session.history.best_step == step
            if stopping or is_best or _is_due(step, config.checkpoint_every):
                grace.begin_save()
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
        with log.time_compilation() if compiles else log.time_dispatch():
            session.state, metrics = session.train_step(session.state, session.frozen, batch)
        log.record_step(step, metrics)
    if trace.is_last(step):
        with wall.phase(PROFILE):
            trace.stop(metrics)
        log.say_here(f"traced up to step {step}: {trace.directory}")


def _evaluate(session: _Session, step: int, stop_requested: bool) -> None:
    """Computes and logs the held-out figures that are due after this step."""
    run = session.run

    def is_due(every: int) -> bool:
        # A session that must stop has little time: it saves and skips the evaluation.
        is_last = step == session.data.num_steps
        return is_last or (_is_due(step, every) and not stop_requested)

    session.figures = {}
    if session.data.eval and is_due(run.train.eval_every):
        held_out = _of_present_model(session, session.evaluate)
        if held_out is None:
            session.log.say(describe_interruption(step))
            return
        session.log.report_evaluation(step, held_out)
        session.figures[EVAL_LOSS] = held_out.mean
    if run.accuracy and is_due(run.accuracy.every):
        shares = _of_present_model(session, session.measure_accuracy)
        if shares is None:
            session.log.say(describe_interruption(step))
            return
        session.figures[ACCURACY] = sum(shares.values()) / len(shares)
        session.log.report_accuracy(step, session.figures[ACCURACY], shares)
    session.last_figures |= session.figures
    session.history.record_figures(step, session.figures, run.train.best_by)


def _of_present_model(session: _Session, function: Callable[[dict], Any]) -> Any:
    """Returns a function of all parameters, or of their average if the run keeps one.

    Returns None if a signal to stop has ended it.
    """
    session.log.flush()
    with session.wall.phase(EVALUATION), session.stop.interrupts():
        params = averaged(session.state.params, session.state.optimizer)
        return function(session.setup.trainable.model_parameters(params, session.frozen))


def describe_interruption(step: int) -> str:
    return f"step {step}: the evaluation is left out, for the run must stop"


def _save(session: _Session, step: int) -> None:
    """Starts saving a checkpoint, unless another run has taken the workdir."""
    session.lock.check()
    session.log.flush()
    state, config = session.state, session.run.train
    with session.wall.phase(CHECKPOINT):
        for rows in (session.log, session.wall):  # never behind the checkpoint that is resumed
            rows.save()
        session.checkpoints.save(
            step,
            *exchange(state.params, state.optimizer),
            session.data.train,
            eval_loss=session.figures.get(EVAL_LOSS),
            accuracy=session.figures.get(ACCURACY),
            best_by=config.best_by,
            best_step=session.history.best_step if config.keep_best else None,
        )


# ==== After the last step


def _finish(session: _Session, step: int, workdir: AnyPath, started: float) -> TrainResult:
    """Returns the result of a session. Raises NotFiniteError if too many steps were skipped."""
    log, num_steps = session.log, session.data.num_steps
    over = session.history.is_over(session.run.train)
    if session.failed:
        raise NotFiniteError(
            f"{workdir}: {log.skipped} steps were skipped, more than train.max_skipped_steps "
            f"({session.run.train.max_skipped_steps}); step {step} is saved, see {SKIPPED_FILE}"
        )
    if over:
        log.say(
            f"ended early at step {step}: the {_NAMES[session.run.train.best_by]} has been best at "
            f"step {session.history.best_step}"
        )
    elif step < num_steps:
        log.say(f"{session.stop.reason}: step {step} is saved; the same command goes on from there")
    result = _result(workdir, step, num_steps, session.last_figures)
    return dataclasses.replace(
        result,
        tokens_per_second=log.tokens_per_second,
        seconds=time.monotonic() - started,
        stopped=step < num_steps and not over,
    )


def _result(
    workdir: AnyPath, step: int, num_steps: int, figures: Mapping[str, float] | None = None
) -> TrainResult:
    """Returns the result of a session without steps; figures that are missing are read."""
    last: dict[str, float] = {}
    for row in read_metrics(workdir / METRICS_FILE):
        last |= {name: row[name] for name in (EVAL_LOSS, ACCURACY) if name in row}
    last |= figures or {}
    return TrainResult(step, num_steps, last.get(EVAL_LOSS), 0.0, 0.0, last.get(ACCURACY))


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
