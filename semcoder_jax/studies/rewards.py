"""Study of rewards: does learning from verified answers and steps pay, beside supervised steps?

A base is the recipe's model, stopped early. From it, each arm learns the same new functions, which
the base has never seen: by rewards for answers, for answers and steps, or from the true monologues.
The supervised arm makes as many steps as fit in the CPU time of the arms with rewards. That is the
time of whole stages; their programs are compiled in a stage before and read from the cache.

WORKDIR/data holds the functions, runs/NAME-SEED the trainings, and answers/NAME-SEED-STEP.jsonl the
judged answers to the held-out functions.
"""

import dataclasses
import functools
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import read_rows, write_json, write_rows
from data_pipeline.pyx.records import Record, read_jsonl, write_jsonl
from data_pipeline.toy import corpus
from semcoder_jax.config import ConfigError, RewardsStudy, RunConfig
from semcoder_jax.evaluation.benchmarks.registry import load_by_name
from semcoder_jax.evaluation.generators import ModelSource, generate_in_order
from semcoder_jax.evaluation.harness import judge_all, questions
from semcoder_jax.evaluation.results import Answer
from semcoder_jax.inference.generate import SamplingParams
from semcoder_jax.loading import load_model
from semcoder_jax.model.sharding import batch_shards, make_mesh
from semcoder_jax.reinforcement.loop import check_reinforcement, reinforce
from semcoder_jax.studies.checks import check_answer_length, check_recipe, check_training
from semcoder_jax.studies.rewards_report import (
    BASE,
    DATA,
    SUPERVISED,
    answer_files,
    answers_file,
    asked_steps,
    last_rate,
    last_step,
    report,
)
from semcoder_jax.studies.stages import Stage, spent_by_stage
from semcoder_jax.studies.trainings import Training, keep_steps

__all__ = ["check", "report", "stages"]

# Weights of the reward's terms. Both begin with the answer and its form; steps come beside them.
REWARDS: Mapping[str, Mapping[str, float]] = {
    "answers": {"answer": 1.0, "format": 0.1},
    "answers_and_steps": {"answer": 1.0, "steps": 0.5, "first_wrong_step": 0.5, "format": 0.1},
    "steps": {"steps": 0.5, "first_wrong_step": 0.5, "format": 0.1},
}
_WARM_STEPS = 2
_HELDOUT_SHARE = 0.04  # of the functions that are drawn


def stages(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> list[Stage]:
    """Returns the stages in order; arms of one seed follow each other.

    Raises ConfigError for a recipe that no study can use.
    """
    check_recipe(recipe)
    _check(study, recipe)
    act = functools.partial(functools.partial, study=study, recipe=recipe, workdir=workdir)
    seeds, arms = range(study.seeds), (BASE, *study.arms, SUPERVISED)

    def training(name: str, work: Callable, **rest) -> Stage:
        needed = functools.partial(_needed_of_training, study, workdir, name.split("-"), arms)
        return Stage(name, act(work, **rest), needed)

    found = [Stage("data", act(_make_data), functools.partial(_data_files, workdir))]
    found += [training(f"{BASE}-{seed}", _train_base, seed=seed) for seed in seeds]
    found.append(Stage("compile", act(_compile)))
    for seed in seeds:
        for arm in study.arms:
            found.append(training(f"{arm}-{seed}", _reinforce, arm=arm, seed=seed))
        found.append(training(f"{SUPERVISED}-{seed}", _train_on, seed=seed))
        for name in (BASE, *study.arms, SUPERVISED):
            files = functools.partial(answer_files, study, workdir, name, seed)
            work = act(_answer, name=name, seed=seed)
            found.append(Stage(f"answer.{name}-{seed}", work, files))
    return found


def _check(study: RewardsStudy, recipe: RunConfig) -> None:
    if study.base_steps > (recipe.train.num_steps or 0):
        raise ConfigError(
            f"config: study.base_steps is {study.base_steps}, expected at most train.num_steps "
            f"({recipe.train.num_steps})"
        )
    if study.max_new_tokens > recipe.data.sequence_length:
        raise ConfigError(
            f"config: study.max_new_tokens is {study.max_new_tokens}, expected at most "
            f"data.sequence_length ({recipe.data.sequence_length}), which also holds the prompt"
        )
    drawn = study.functions + study.new_functions
    expected = _HELDOUT_SHARE * drawn
    if study.problems > expected + 4 * math.sqrt(expected):  # four standard deviations
        raise ConfigError(
            f"config: study.problems is {study.problems}, but about {expected:.0f} of the {drawn} "
            "functions (study.functions and study.new_functions) are held out"
        )


def check(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> None:
    """Checks devices and files for all that the stages do. Raises a UserError."""
    if not last_rate(study, recipe) > 0:
        raise ConfigError(
            f"config: study.base_steps is {study.base_steps}: the learning rate of that step is "
            "zero, and the supervised arm goes on with it"
        )
    _, config = check_training(_base_record(study, recipe, workdir, 0))
    check_answer_length(study.max_new_tokens, config)
    _check_layout(study, recipe)
    for arm in study.arms:
        record = reinforcement_record(study, recipe, workdir, arm, 0)
        run, _ = check_training(record, starts_from_study=True)
        check_reinforcement(run)
    record = supervised_record(study, recipe, workdir, 0, study.base_steps)
    check_training(record, starts_from_study=True)


def _check_layout(study: RewardsStudy, recipe: RunConfig) -> None:
    """Raises ConfigError unless the answers fill microbatches of equal size on every device."""
    parts = _microbatches(study, recipe)
    shards = batch_shards(make_mesh(recipe.mesh))
    if study.answers % (parts * shards):
        raise ConfigError(
            f"config: study.answers is {study.answers}, expected a multiple of {parts * shards}: "
            f"{parts} microbatch(es) of about data.global_batch_size "
            f"({recipe.data.global_batch_size}), on {shards} batch shards"
        )


# ==== Data


def _make_data(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> None:
    """Writes the base's functions, new ones, and held-out ones, none of which is in two files."""
    made = corpus.build(
        workdir / "corpus",
        functions=study.functions + study.new_functions,
        heldout_share=_HELDOUT_SHARE,
        direct_share=0.0,
    )
    records = list(read_jsonl(made.train))
    # Held-out functions are a share of all, so the base's part of the rest is as large.
    split = len(records) * study.functions // (study.functions + study.new_functions)
    folder = workdir / "data"
    folder.mkdir(exist_ok=True)
    write_jsonl(folder / "base.jsonl", records[:split])
    write_jsonl(folder / "new.jsonl", records[split:])
    problems = [row for _, row in read_rows(made.problems)]
    if len(problems) < study.problems:
        raise ConfigError(
            f"config: study.problems is {study.problems}, but {len(problems)} of the functions "
            "are held out; ask about fewer, or make study.functions greater"
        )
    problems = problems[: study.problems]
    write_rows(folder / "problems.jsonl", problems)
    parts = {
        "base": _fingerprints(records[:split]),
        "new": _fingerprints(records[split:]),
        "problems": {problem["id"] for problem in problems},
    }
    write_json(
        workdir / DATA,
        {name: len(prints) for name, prints in parts.items()}
        | {"shared": sum(map(len, parts.values())) - len(set().union(*parts.values()))},
    )


def _data_files(workdir: Path) -> list[Path]:
    folder = workdir / "data"
    names = ("base.jsonl", "new.jsonl", "problems.jsonl")
    return [workdir / DATA, *(folder / name for name in names), workdir / "corpus" / "tokenizer"]


def _fingerprints(records: Iterable[Record]) -> set[str]:
    """Returns the fingerprints of the records' functions, which are part of their ids."""
    return {record.id.split("_")[2] for record in records}


# ==== Trainings


def _train_base(study: RewardsStudy, recipe: RunConfig, workdir: Path, seed: int) -> None:
    record = _base_record(study, recipe, workdir, seed)
    Training(_run(workdir, BASE, seed), workdir, [study.base_steps]).go_on(record)


def _base_record(
    study: RewardsStudy, recipe: RunConfig, workdir: Path, seed: int
) -> dict[str, Any]:
    record = recipe.to_record() | {"seed": seed}
    record["data"] |= _source(workdir, "base")
    record["train"] |= {"stop_after_step": study.base_steps}
    return record


def _reinforce(study: RewardsStudy, recipe: RunConfig, workdir: Path, arm: str, seed: int) -> None:
    record = reinforcement_record(study, recipe, workdir, arm, seed)
    steps = asked_steps(study, arm, study.updates)
    Training(_run(workdir, arm, seed), workdir, steps, reinforce).go_on(record)


def _train_on(study: RewardsStudy, recipe: RunConfig, workdir: Path, seed: int) -> None:
    last = _affordable_steps(study, workdir, seed)
    record = supervised_record(study, recipe, workdir, seed, last)
    steps = asked_steps(study, SUPERVISED, last)
    Training(_run(workdir, SUPERVISED, seed), workdir, steps).go_on(record)


def _needed_of_training(
    study: RewardsStudy, workdir: Path, run: Sequence[str], arms: Sequence[str]
) -> list[Path]:
    """Returns a run's records, and its checkpoints as long as a later stage reads them."""
    name, seed = run[0], int(run[1])
    training = Training(_run(workdir, name, seed), workdir, [])
    readers = arms if name == BASE else [name]
    if all(map(Path.exists, training.records())) and not all(
        _is_answered(study, workdir, reader, seed) for reader in readers
    ):
        steps = asked_steps(study, name, last_step(study, workdir, name, seed))
        training = dataclasses.replace(training, steps=steps)
    return training.records() + training.checkpoints()


def _is_answered(study: RewardsStudy, workdir: Path, name: str, seed: int) -> bool:
    return all(path.exists() for path in answer_files(study, workdir, name, seed))


def _compile(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> None:
    """Makes a few steps of every kind, so that no arm pays for compiling."""
    folder = workdir / "runs" / "compile"
    shutil.rmtree(folder, ignore_errors=True)
    updates = min(_WARM_STEPS, study.updates)
    for arm in study.arms:
        record = reinforcement_record(study, recipe, workdir, arm, 0)
        record["train"] |= {"stop_after_step": updates}
        Training(folder / arm, workdir, [updates], reinforce).go_on(record)
    record = supervised_record(study, recipe, workdir, 0, 100)
    record["train"] |= {"stop_after_step": _WARM_STEPS}
    Training(folder / SUPERVISED, workdir, [_WARM_STEPS]).go_on(record)
    shutil.rmtree(folder)


def _affordable_steps(study: RewardsStudy, workdir: Path, seed: int) -> int:
    """Returns the steps that take the mean CPU time of the seed's arms with rewards.

    A step takes what one of the base's took.
    """
    names = [*(f"{arm}-{seed}" for arm in study.arms), f"{BASE}-{seed}"]
    spent = spent_by_stage([Stage(name, lambda: None) for name in names], workdir)
    *arms, base = (spent[name].cpu_seconds for name in names)
    return max(1, round(sum(arms) / len(arms) / base * study.base_steps))


def supervised_record(
    study: RewardsStudy, recipe: RunConfig, workdir: Path, seed: int, steps: int
) -> dict[str, Any]:
    """Returns the config of the supervised arm: from the base's last rate down to zero."""
    record = _record_from_base(recipe, workdir, seed)
    rate, given = last_rate(study, recipe), recipe.optimizer
    adam = given.adam_peak_learning_rate
    record["optimizer"] |= {
        "peak_learning_rate": rate,
        "min_learning_rate": 0.0,
        "adam_peak_learning_rate": adam and adam * rate / given.peak_learning_rate,
        "warmup_steps": min(10, steps - 1),
    }
    record["train"] |= _checkpoints(study, steps) | {"log_every": 20}
    return record


def reinforcement_record(
    study: RewardsStudy, recipe: RunConfig, workdir: Path, arm: str, seed: int
) -> dict[str, Any]:
    """Returns the config of an arm that learns from rewards."""
    record = _record_from_base(recipe, workdir, seed)
    record["data"]["global_batch_size"] = study.answers
    record["optimizer"] |= {
        "name": "adamw",
        "peak_learning_rate": study.reward_learning_rate,
        "min_learning_rate": 0.0,
        "adam_peak_learning_rate": None,
        "warmup_steps": min(5, study.updates - 1),
    }
    record["train"] |= _checkpoints(study, study.updates)
    record["train"] |= {"accumulation_steps": _microbatches(study, recipe), "log_every": 1}
    record["rollouts"] = {
        "group_size": study.group_size,
        "max_new_tokens": study.max_new_tokens,
        "max_drift": 1e-3,
    }
    record["objective"] = {
        "scale_by_std": False,
        "length_normalization": "constant",
        "clip_high": 0.28,
        "credit": "sequence" if arm == "answers" else "first_wrong_step",
    }
    record["rewards"] = dict(REWARDS[arm])
    return record


def _microbatches(study: RewardsStudy, recipe: RunConfig) -> int:
    """Returns the microbatches of an update, whose rows are those of the recipe's step."""
    return max(1, study.answers // recipe.data.global_batch_size)


def _record_from_base(recipe: RunConfig, workdir: Path, seed: int) -> dict[str, Any]:
    record = recipe.to_record() | {"seed": seed}
    del record["initialization"]
    record["model"] |= {"init_from": str(_run(workdir, BASE, seed))}
    record["data"] |= _source(workdir, "new")
    return record


def _source(workdir: Path, name: str) -> dict[str, Any]:
    return {
        "source": "jsonl",
        "train": str(workdir / "data" / f"{name}.jsonl"),
        "tokenizer": str(workdir / "corpus" / "tokenizer"),
        "synthetic": {},
    }


def _checkpoints(study: RewardsStudy, steps: int) -> dict[str, Any]:
    return {"num_steps": steps, "eval_every": 0} | keep_steps(max(1, steps // study.points))


def _run(workdir: Path, name: str, seed: int) -> Path:
    return workdir / "runs" / f"{name}-{seed}"


# ==== Answers


def _answer(study: RewardsStudy, recipe: RunConfig, workdir: Path, name: str, seed: int) -> None:
    """Answers the held-out functions greedily with the checkpoints of a run."""
    run = _run(workdir, name, seed)
    benchmark = load_by_name("heldout", workdir / "data" / "problems.jsonl", None)
    asked = questions(benchmark, ["monologue"], ["fixed"], samples=1)
    *earlier, last = asked_steps(study, name, last_step(study, workdir, name, seed))
    for step in earlier:
        _answer_at(study, workdir, run, step, benchmark, asked[: study.curve_problems])
    _answer_at(study, workdir, run, last, benchmark, asked)


def _answer_at(study: RewardsStudy, workdir: Path, run: Path, step: int, benchmark, asked) -> None:
    source = ModelSource(
        load_model(run, step=step), {}, name=run.name, batch_size=64, speculation="off"
    )
    params = SamplingParams(max_new_tokens=study.max_new_tokens, stop=tuple(benchmark.stop))
    generations = generate_in_order(
        source,
        [question.prompt for _, question in asked],
        params,
        row_seeds=[question.seed for _, question in asked],
    )
    responses = [
        dataclasses.replace(blank, text=each.text, finish_reason=each.finish_reason)
        for (blank, _), each in zip(asked, generations, strict=True)
    ]
    answers = judge_all(benchmark, responses, None, progress=None)
    write_rows(
        answers_file(workdir, run.name, step),
        [_row(answer, len(generations[place].tokens)) for place, answer in enumerate(answers)],
    )


def _row(answer: Answer, tokens: int) -> dict[str, Any]:
    claims = [claim for claim in answer.claims or () if claim.kind != "answer"]
    return {
        "id": answer.task,
        "right": answer.right,
        "sound": answer.sound,
        "tokens": tokens,
        "ended": answer.finish_reason != "length",
        "confirmed": sum(claim.verdict == "confirmed" for claim in claims),
        "text": answer.text,
    }
