"""Opens a session of learning from rewards from a config: all that its steps use."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax.sharding import Mesh

from data_pipeline.files import AnyPath, HeldLock
from semcoder_jax import hf
from semcoder_jax.checkpoints import Checkpoints, checksum
from semcoder_jax.config import RunConfig
from semcoder_jax.evaluation.accuracy import open_accuracy
from semcoder_jax.reinforcement.judging import Judge, SandboxJudge
from semcoder_jax.reinforcement.objective import make_logprobs, make_policy_sums
from semcoder_jax.reinforcement.prompts import Position, Prompts
from semcoder_jax.reinforcement.questions import hidden_tests
from semcoder_jax.reinforcement.rollout_store import RolloutStore
from semcoder_jax.reinforcement.rollouts import Sampler
from semcoder_jax.training.data import open_records
from semcoder_jax.training.goodput import WallTime
from semcoder_jax.training.hang import HangWatch
from semcoder_jax.training.log import LoggedRun, RunLog
from semcoder_jax.training.loop import load_state, make_setup, of_parameters
from semcoder_jax.training.preemption import StopSignal
from semcoder_jax.training.state import TrainSetup, TrainState, create_state
from semcoder_jax.training.step import make_train_step
from semcoder_jax.training.throughput import Machine, step_flops


@dataclasses.dataclass
class Session:
    """Holds everything that the steps of one session use; a step replaces `state`."""

    run: RunConfig
    setup: TrainSetup
    prompts: Prompts
    position: Position
    judge: Judge | None
    sampler: Sampler
    checkpoints: Checkpoints
    train_step: Callable
    wall: WallTime
    log: RunLog
    store: RolloutStore
    state: TrainState
    frozen: dict
    num_steps: int
    last: int
    lock: HeldLock
    watch: HangWatch
    reference: Callable[[dict], np.ndarray] | None = None
    measure_accuracy: Callable[[dict], Mapping[str, float]] | None = None
    stop: StopSignal = dataclasses.field(default_factory=StopSignal)


def open_session(
    run: RunConfig,
    mesh: Mesh,
    workdir: AnyPath,
    lock: HeldLock,
    watch: HangWatch,
    judge: Judge | None,
    started: float,
    stack: contextlib.ExitStack,
) -> Session | None:
    """Opens a session, whose parts `stack` closes; returns None if the run is finished."""
    tokenizer, records = open_records(run.data, workdir, run.model.get("init_from"))
    prompts = Prompts(records, tokenizer, run)
    num_steps = run.train.num_steps or prompts.num_steps(run.data.num_epochs)
    passes, leads = run.objective.passes, jax.process_index() == 0
    setup = make_setup(run, mesh, workdir, tokenizer, num_steps * passes)
    keep, every = run.train.keep_checkpoints, run.train.keep_every
    checkpoints = Checkpoints(workdir, keep=keep, keep_every=every)
    stack.enter_context(contextlib.closing(checkpoints))
    last = min(num_steps, run.train.stop_after_step or num_steps)
    if (checkpoints.latest_step() or 0) >= last:
        return None
    measure = open_accuracy(run.accuracy, run.data, workdir) if run.accuracy else None
    if judge is None and leads:
        judge = stack.enter_context(_open_judge(run, records))
    frozen = setup.trainable.load_frozen(setup.mesh)
    num_tokens = hf.tokenizer_size(tokenizer)
    reference, identity = _open_reference(run, setup, frozen, num_tokens)
    position = Position(prompts, identity)
    loading = time.monotonic()
    first, state = load_state(setup, checkpoints, position, frozen)
    restoring = time.monotonic() - loading if first else 0.0
    # A checkpoint counts steps, the optimizer updates.
    state = state._replace(step=jax.device_put(np.int32(first * passes), setup.shardings.step))
    wall = WallTime(
        workdir, first, started, restoring=restoring, on_phase=watch.enter_phase, write=leads
    )
    log = _open_log(run, workdir, first, num_steps, prompts, setup, wall)
    store = RolloutStore(workdir, first, write=leads)
    for part in (wall, log, store):
        stack.enter_context(contextlib.closing(part))
    sums = make_policy_sums(run.objective, run.data.global_batch_size, num_tokens)
    return Session(
        run,
        setup,
        prompts,
        position,
        judge,
        Sampler(run, setup.config, tokenizer, mesh),
        checkpoints,
        make_train_step(setup, run.train, sums),
        wall,
        log,
        store,
        state,
        frozen,
        num_steps,
        last,
        lock,
        watch,
        reference,
        measure and of_parameters(measure, setup, tokenizer, run.compute),
    )


def _open_judge(run: RunConfig, records) -> SandboxJudge:
    tests = hidden_tests(iter(records)) if run.rewards.get("tests") else None
    return SandboxJudge(run.rewards, run.rollouts.max_new_tokens, tests)


def _open_reference(run: RunConfig, setup: TrainSetup, frozen: dict, num_real_tokens: int):
    """Returns (function from a batch to the initial model's log-probabilities, its checksum).

    Both are None without a KL term.
    """
    if not run.objective.kl_weight:
        return None, None
    trained = create_state(setup).params
    initial = setup.trainable.model_parameters(trained, frozen)
    logprobs = make_logprobs(
        setup, run.data.global_batch_size, num_real_tokens, run.train.accumulation_steps
    )
    return lambda batch: np.asarray(logprobs(initial, batch)), checksum(trained)


def _open_log(
    run: RunConfig,
    workdir: AnyPath,
    first: int,
    num_steps: int,
    prompts: Prompts,
    setup: TrainSetup,
    wall: WallTime,
) -> RunLog:
    trainable, trained = setup.trainable, setup.shapes.params
    machine = Machine.of(setup.mesh.devices.flat)
    flops = step_flops(setup.config, trainable.adapter_count(trained))

    def record_ids(step: int) -> list[str]:
        return [prompt.record.id for prompt in prompts.of_step(step)]

    log = RunLog(
        workdir,
        LoggedRun(first, num_steps, run.train.log_every, record_ids, flops, machine),
        wall,
    )
    log.say(prompts.notes)
    log.say(f"{trainable.describe(trained)} on {setup.mesh.size} device(s), from step {first}")
    return log
