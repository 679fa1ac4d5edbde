"""Learning from rewards, from a config to checkpoints: `reinforce(config, workdir)`.

WORKDIR holds what a training run's does, and rollouts.jsonl: every sampled answer with its
verdicts. metrics.jsonl has, beside the metrics of a step, `reward` and its terms (means over a
step's answers), `reward_std` (mean of the groups'), `no_signal` (share of groups whose answers
have one reward), `drift` and `mean_drift` (largest and mean difference of log-probabilities between
engine and trainer before the update), and those of the objective.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from data_pipeline.files import AnyPath
from semcoder_jax.config import ConfigError, RunConfig, parse_run
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.accuracy import check_benchmarks
from semcoder_jax.model import sharding
from semcoder_jax.reinforcement.advantages import group_advantages, group_statistics
from semcoder_jax.reinforcement.judging import Judge, Judgement
from semcoder_jax.reinforcement.packing import Batch, pack_answers, with_gradient
from semcoder_jax.reinforcement.rollouts import (
    Credit,
    Rollout,
    lay_out,
    rows_of_process,
    without_rows,
)
from semcoder_jax.reinforcement.session import Session, open_session
from semcoder_jax.training.architecture import check_start
from semcoder_jax.training.average import exchange
from semcoder_jax.training.goodput import CHECKPOINT, EVALUATION
from semcoder_jax.training.hang import HangWatch, end_without_peers
from semcoder_jax.training.held_out import ACCURACY
from semcoder_jax.training.loop import (
    check_batch,
    check_precision,
    describe_interruption,
)
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics
from semcoder_jax.training.preemption import GracePeriod
from semcoder_jax.training.workdir import as_workdir, check_workdir, lock_workdir

SAMPLING, JUDGING, REFERENCE = "sampling", "judging", "reference"  # phases of wall time


class DriftError(UserError):
    """Raised if engine and trainer disagree on log-probabilities by more than allowed."""


@dataclasses.dataclass(frozen=True)
class ReinforceResult:
    """The result of a session: `step` of `num_steps` are made and saved.

    `reward` is the mean reward of the last step's answers, `accuracy` the last one measured; None
    without any. `seconds` is this session's wall time.
    """

    step: int
    num_steps: int
    reward: float | None
    accuracy: float | None
    seconds: float


def reinforce(
    config: ConfigDict | dict, workdir: str | os.PathLike, *, judge: Judge | None = None
) -> ReinforceResult:
    """Learns to `train.num_steps`, or until stopped, from WORKDIR's last checkpoint if it has one.

    `judge` replaces the sandbox's judgements (None: by the sections `rewards`). Raises a UserError,
    before anything is compiled, if the config or the workdir is wrong, and DriftError.
    """
    run, workdir = parse_run(config), as_workdir(workdir)
    check_reinforcement(run)
    mesh = sharding.make_mesh(run.mesh)
    check_batch(run.data, run.train, mesh)
    check_precision(run.compute)
    check_start(run.model, run.data.sequence_length)
    check_workdir(run, workdir)
    multihost_utils.sync_global_devices("workdir")
    started = time.monotonic()
    with (
        lock_workdir(workdir) as lock,
        HangWatch(run.train) as watch,
        contextlib.ExitStack() as stack,
    ):
        session = open_session(run, mesh, workdir, lock, watch, judge, started, stack)
        if session is None:
            return _result(workdir, run, started)
        step = _run_steps(session)
        return _result(workdir, run, started, step, session.num_steps)


def check_reinforcement(run: RunConfig) -> None:
    """Raises ConfigError if the config does not learn from rewards or asks for what this lacks."""
    if run.rollouts is None:
        raise ConfigError("config: section rollouts is missing; `semcoder train` learns from texts")
    if run.train.keep_best or run.train.early_stopping:
        raise ConfigError(
            "config: train.keep_best and train.early_stopping: not for learning from rewards"
        )
    if run.accuracy is not None:
        check_benchmarks(run.accuracy)


# ==== The steps


def _run_steps(session: Session) -> int:
    """Makes the steps that are left, or until stopped; returns the last one made."""
    step, train = session.position.step, session.run.train
    first, grace = step, GracePeriod(train.grace_seconds)
    with session.stop, end_without_peers():
        while step < session.last:
            step, began = step + 1, time.monotonic()
            _step(session, step, compiles=step == first + 1)
            session.position.step = step
            session.watch.finish_step(step)
            seconds = time.monotonic() - began
            if line := grace.finish_step(seconds, session.checkpoints.is_saving()):
                session.log.say(line)
            stop_requested = session.stop.is_requested(step, session.checkpoints)
            accuracy = _measure_accuracy(session, step, stop_requested)
            stop_requested = stop_requested or session.stop.is_seen
            stopping = stop_requested or step == session.last
            if stopping or step % train.checkpoint_every == 0:
                grace.begin_save()
                _save(session, step, accuracy)
            if stopping:
                break
        with session.wall.phase(CHECKPOINT):
            session.checkpoints.wait()
        session.log.report_goodput(step)
    if step < session.num_steps:
        session.log.say(
            f"{session.stop.reason}: step {step} is saved; the same command goes on from there"
        )
    return step


def _step(session: Session, step: int, *, compiles: bool) -> None:
    """Samples and judges answers to the prompts of a step, and learns from them."""
    run = session.run
    prompts = session.prompts.of_step(step)
    with session.wall.phase(SAMPLING):
        params = _all_parameters(session)
        groups = session.sampler.sample(params, prompts, step)
    with session.wall.phase(JUDGING):
        judged = _judge(session, groups)
    rewards_PxG = np.array([[one.reward for one in group] for group in judged])
    advantages_PxG = group_advantages(rewards_PxG, scale_by_std=run.objective.scale_by_std)
    rollouts = [rollout for group in groups for rollout in group]
    credits = [
        Credit(float(advantage), one.first_wrong)
        for group, advantages in zip(judged, advantages_PxG, strict=True)
        for one, advantage in zip(group, advantages, strict=True)
    ]
    batch = lay_out(rollouts, credits, run.objective, run.rollouts, run.data.sequence_length)
    if session.reference is not None:
        with session.wall.phase(REFERENCE):
            placed = sharding.put_batch(rows_of_process(batch), session.setup.mesh)
            batch["reference_logprobs"] = session.reference(placed)
    metrics = _learn(session, batch, step, compiles)
    metrics |= reward_metrics(rewards_PxG, rollouts, judged)
    session.store.append(step, groups, judged, advantages_PxG)
    session.log.record_step(step, metrics)
    if step % run.train.log_every == 0 or compiles:
        session.log.say(describe_step(step, metrics))


def _all_parameters(session: Session) -> dict:
    return session.setup.trainable.model_parameters(session.state.params, session.frozen)


def _judge(session: Session, groups: Sequence[Sequence[Rollout]]) -> list[list[Judgement]]:
    """Returns the judgements of all answers; one process judges for all."""
    records = [group[0].prompt.record for group in groups]
    if jax.process_count() == 1:
        return session.judge(records, groups)
    size = len(groups[0])
    rewards_PxG = np.zeros((len(groups), size))
    wrong_PxG = np.full((len(groups), size), -1)
    judged = None
    if jax.process_index() == 0:
        judged = session.judge(records, groups)
        rewards_PxG[:] = [[one.reward for one in group] for group in judged]
        wrong_PxG[:] = [
            [-1 if one.first_wrong is None else one.first_wrong for one in group]
            for group in judged
        ]
    rewards_PxG, wrong_PxG = multihost_utils.broadcast_one_to_all((rewards_PxG, wrong_PxG))
    return judged or [
        [
            Judgement({}, float(reward), None if wrong < 0 else int(wrong))
            for reward, wrong in zip(rewards, wrongs, strict=True)
        ]
        for rewards, wrongs in zip(rewards_PxG, wrong_PxG, strict=True)
    ]


def _learn(session: Session, batch: Batch, step: int, compiles: bool) -> dict[str, Any]:
    """Makes the updates of a step; returns its metrics, of the last update but for the drift.

    Raises DriftError if engine and trainer disagree at the first one.
    """
    objective, config = session.run.objective, session.run.rollouts
    lengths_R = np.maximum((batch["loss_mask"] > 0).sum(axis=1), 1)
    chosen_R = with_gradient(batch, objective)
    first: dict[str, Any] = {}
    for number in range(objective.passes):
        placed = _place_packed(session, batch, chosen_R)
        is_first_call = compiles and number == 0
        with session.log.time_compilation() if is_first_call else contextlib.nullcontext():
            session.state, metrics = session.train_step(session.state, session.frozen, placed)
        metrics = jax.device_get(metrics)
        max_log_ratio_R = metrics.pop("max_log_ratio_R")
        mean_log_ratio_R = metrics.pop("log_ratio_R") / lengths_R
        if number == 0:
            first = {
                "drift": max_log_ratio_R.max(),
                "mean_drift": mean_log_ratio_R[chosen_R].mean()
                if chosen_R.any()
                else np.float32(0),
                "dropped_groups": np.float32(0),
            }
            _check_drift(float(first["drift"]), config.max_drift, step)
        elif objective.ratio_bound is not None:
            stale_R = stale_rows(mean_log_ratio_R, objective.ratio_bound, config.group_size)
            batch = without_rows(batch, stale_R)
            first["dropped_groups"] = np.float32(stale_R.mean())
    for name in ("tokens", "target_tokens", "attention_pairs"):  # of the step, for its speed
        metrics[name] = metrics[name] * objective.passes
    return metrics | first


def _place_packed(session: Session, batch: Batch, chosen_R: np.ndarray) -> dict[str, jax.Array]:
    """Puts the chosen answers on the mesh, packed; the others count in the divisor alone."""
    mesh = session.setup.mesh
    packed = pack_answers(
        batch,
        chosen_R,
        shards=sharding.batch_shards(mesh),
        microbatches=session.run.train.accumulation_steps,
    )
    return sharding.put_batch(rows_of_process(packed), mesh)


def stale_rows(mean_log_ratio_R: np.ndarray, bound: float, group_size: int) -> np.ndarray:
    """Returns the rows (bool) of groups of which an answer's mean |log ratio| is beyond `bound`."""
    stale_P = (mean_log_ratio_R > np.log(bound)).reshape(-1, group_size).any(axis=1)
    return np.repeat(stale_P, group_size)


def _check_drift(drift: float, most: float | None, step: int) -> None:
    if most is not None and not drift <= most:
        raise DriftError(
            f"step {step}: log-probabilities of engine and trainer differ by up to {drift:.2g}, "
            f"more than rollouts.max_drift ({most:g}); compute.dtype float32 brings them together"
        )


def _measure_accuracy(session: Session, step: int, stop_requested: bool) -> float | None:
    """Measures the accuracy if it is due; a session that must stop has no time for it."""
    accuracy = session.run.accuracy
    is_last = step == session.num_steps
    if accuracy is None or not (is_last or (step % accuracy.every == 0 and not stop_requested)):
        return None
    session.log.flush()
    shares = None
    with session.wall.phase(EVALUATION), session.stop.interrupts():
        shares = session.measure_accuracy(_all_parameters(session))
    if shares is None:
        session.log.say(describe_interruption(step))
        return None
    mean = sum(shares.values()) / len(shares)
    session.log.report_accuracy(step, mean, shares)
    return mean


def _save(session: Session, step: int, accuracy: float | None) -> None:
    session.lock.check()
    session.log.flush()
    with session.wall.phase(CHECKPOINT):
        for rows in (session.log, session.wall, session.store):  # never behind the checkpoint
            rows.save()
        session.checkpoints.save(
            step,
            *exchange(session.state.params, session.state.optimizer),
            session.position,
            accuracy=accuracy,
            best_by="accuracy",
        )


# ==== Numbers for people


def reward_metrics(
    rewards_PxG: np.ndarray,
    rollouts: Sequence[Rollout],
    judged: Sequence[Sequence[Judgement]],
) -> dict[str, np.float64]:
    """Returns the metrics of a step's answers; a term's mean is over the answers that have it."""
    groups = group_statistics(rewards_PxG)
    metrics = {
        "reward": groups.mean,
        "reward_std": groups.std,
        "no_signal": groups.no_signal,
        "answer_tokens": np.mean([len(one.tokens) for one in rollouts]),
        "finished": np.mean([one.finished for one in rollouts]),
        "surprise": -np.mean(np.concatenate([one.logprobs for one in rollouts])),
    }
    terms = [one.terms for group in judged for one in group]
    for name in sorted({name for one in terms for name in one}):
        metrics[f"reward/{name}"] = np.mean([one[name] for one in terms if name in one])
    return {name: np.float64(value) for name, value in metrics.items()}


def describe_step(step: int, metrics: Mapping[str, Any]) -> str:
    terms = ", ".join(
        f"{name.partition('/')[2]} {value:.2f}"
        for name, value in metrics.items()
        if name.startswith("reward/")
    )
    return (
        f"step {step}  reward {metrics['reward']:.3f} ± {metrics['reward_std']:.3f}"
        f"{f' ({terms})' if terms else ''}  no signal {metrics['no_signal']:.0%}  "
        f"{metrics['answer_tokens']:.0f} tokens an answer  drift {metrics['drift']:.1g}"
    )


def _result(
    workdir: AnyPath,
    run: RunConfig,
    started: float,
    step: int | None = None,
    num_steps: int | None = None,
) -> ReinforceResult:
    """Returns the result of a session, from the metrics of all sessions."""
    last: dict[str, float] = {}
    for row in read_metrics(workdir / METRICS_FILE):
        last |= {name: row[name] for name in ("step", "reward", ACCURACY) if name in row}
    made = int(last.get("step", 0)) if step is None else step
    return ReinforceResult(
        made,
        num_steps or run.train.num_steps or made,
        last.get("reward"),
        last.get(ACCURACY),
        time.monotonic() - started,
    )
