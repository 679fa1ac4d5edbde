"""Study of rewards: does learning from verified answers and steps pay, beside supervised steps?

A base is the recipe's model, stopped early. From it, each arm learns the same new functions, which
the base has never seen: by rewards for answers, for answers and steps, or from the true monologues.
The supervised arm makes as many steps as fit in the CPU time of the arms with rewards. That is the
time of whole stages; their programs are compiled in a stage before and read from the cache.

WORKDIR/data holds the functions, runs/NAME-SEED the trainings, and answers/NAME-SEED-STEP.jsonl the
judged answers to the held-out functions.
"""

import functools
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_pipeline.files import write_json, write_rows
from data_pipeline.pyx.records import Record, read_jsonl, write_jsonl
from data_pipeline.toy import corpus
from semcoder_jax.config import RewardsStudy, RunConfig
from semcoder_jax.evaluation.benchmarks.registry import load_by_name
from semcoder_jax.evaluation.generators import ModelSource
from semcoder_jax.evaluation.harness import judge_all, questions
from semcoder_jax.evaluation.response import Response
from semcoder_jax.evaluation.results import Answer
from semcoder_jax.inference.generate import SamplingParams
from semcoder_jax.loading import load_model
from semcoder_jax.reinforcement.loop import reinforce
from semcoder_jax.studies.rewards_report import (
    BASE,
    SUPERVISED,
    answers_file,
    last_rate,
    points_of,
    report,
)
from semcoder_jax.studies.stages import Stage, spent_by_stage
from semcoder_jax.training.loop import train

__all__ = ["report", "stages"]

# Weights of the reward's terms. Both begin with the answer and its form; steps come beside them.
REWARDS: Mapping[str, Mapping[str, float]] = {
    "answers": {"answer": 1.0, "format": 0.1},
    "answers_and_steps": {"answer": 1.0, "steps": 0.5, "first_wrong_step": 0.5, "format": 0.1},
    "steps": {"steps": 0.5, "first_wrong_step": 0.5, "format": 0.1},
}
_WARM_STEPS = 2


def stages(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> list[Stage]:
    """Returns the stages in order; arms of one seed follow each other."""
    act = functools.partial(functools.partial, study=study, recipe=recipe, workdir=workdir)
    seeds = range(study.seeds)
    found = [Stage("data", act(_make_data))]
    found += [Stage(f"base-{seed}", act(_train_base, seed=seed)) for seed in seeds]
    found.append(Stage("compile", act(_compile)))
    for seed in seeds:
        for arm in study.arms:
            found.append(Stage(f"{arm}-{seed}", act(_reinforce, arm=arm, seed=seed)))
        found.append(Stage(f"{SUPERVISED}-{seed}", act(_train_on, seed=seed)))
        for name in (BASE, *study.arms, SUPERVISED):
            found.append(Stage(f"answer.{name}-{seed}", act(_answer, name=name, seed=seed)))
    return found


# ==== Data


def _make_data(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> None:
    """Writes the base's functions, new ones, and held-out ones, none of which is in two files."""
    made = corpus.build(
        workdir / "corpus",
        functions=study.functions + study.new_functions,
        direct_share=0.0,
    )
    records = list(read_jsonl(made.train))
    # Held-out functions are a share of all, so the base's part of the rest is as large.
    split = len(records) * study.functions // (study.functions + study.new_functions)
    folder = workdir / "data"
    folder.mkdir(exist_ok=True)
    write_jsonl(folder / "base.jsonl", records[:split])
    write_jsonl(folder / "new.jsonl", records[split:])
    problems = [json.loads(line) for line in made.problems.read_text().splitlines()]
    problems = problems[: study.problems]
    write_rows(folder / "problems.jsonl", problems)
    parts = {
        "base": _fingerprints(records[:split]),
        "new": _fingerprints(records[split:]),
        "problems": {problem["id"] for problem in problems},
    }
    write_json(
        workdir / "data.json",
        {name: len(prints) for name, prints in parts.items()}
        | {"shared": sum(map(len, parts.values())) - len(set().union(*parts.values()))},
    )


def _fingerprints(records: Iterable[Record]) -> set[str]:
    """Returns the fingerprints of the records' functions, which are part of their ids."""
    return {record.id.split("_")[2] for record in records}


# ==== Trainings


def _train_base(study: RewardsStudy, recipe: RunConfig, workdir: Path, seed: int) -> None:
    record = recipe.to_record() | {"seed": seed}
    record["data"] |= _source(workdir, "base")
    record["train"] |= {"stop_after_step": study.base_steps}
    _finish(train(record, _run(workdir, BASE, seed)), study.base_steps)


def _reinforce(study: RewardsStudy, recipe: RunConfig, workdir: Path, arm: str, seed: int) -> None:
    record = reinforcement_record(study, recipe, workdir, arm, seed)
    _finish(reinforce(record, _run(workdir, arm, seed)), study.updates)


def _train_on(study: RewardsStudy, recipe: RunConfig, workdir: Path, seed: int) -> None:
    steps = _affordable_steps(study, workdir, seed)
    record = supervised_record(study, recipe, workdir, seed, steps)
    _finish(train(record, _run(workdir, SUPERVISED, seed)), steps)


def _compile(study: RewardsStudy, recipe: RunConfig, workdir: Path) -> None:
    """Makes a few steps of every kind, so that no arm pays for compiling."""
    folder = workdir / "runs" / "compile"
    shutil.rmtree(folder, ignore_errors=True)
    for arm in study.arms:
        record = reinforcement_record(study, recipe, workdir, arm, 0)
        record["train"] |= {"stop_after_step": _WARM_STEPS}
        _finish(reinforce(record, folder / arm), _WARM_STEPS)
    record = supervised_record(study, recipe, workdir, 0, 100)
    record["train"] |= {"stop_after_step": _WARM_STEPS}
    _finish(train(record, folder / SUPERVISED), _WARM_STEPS)
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
    rows = recipe.data.global_batch_size  # of a microbatch, as of the recipe's step
    record["train"] |= _checkpoints(study, study.updates)
    record["train"] |= {"accumulation_steps": max(1, study.answers // rows), "log_every": 1}
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
    return {
        "num_steps": steps,
        "checkpoint_every": max(1, steps // study.points),
        "keep_checkpoints": study.points + 2,
        "eval_every": 0,
    }


def _run(workdir: Path, name: str, seed: int) -> Path:
    return workdir / "runs" / f"{name}-{seed}"


def _finish(result, steps: int) -> None:
    """Raises KeyboardInterrupt if the training was stopped: its stage is not done."""
    if result.step < steps:
        raise KeyboardInterrupt


# ==== Answers


def _answer(study: RewardsStudy, recipe: RunConfig, workdir: Path, name: str, seed: int) -> None:
    """Answers the held-out functions greedily with the checkpoints of a run."""
    run = _run(workdir, name, seed)
    benchmark = load_by_name("heldout", workdir / "data" / "problems.jsonl", None)
    asked = questions(benchmark, ["monologue"], ["fixed"], samples=1)
    *earlier, last = points_of(study, run)
    for step in earlier:
        _answer_at(study, workdir, run, step, benchmark, asked[: study.curve_problems])
    _answer_at(study, workdir, run, last, benchmark, asked)


def _answer_at(study: RewardsStudy, workdir: Path, run: Path, step: int, benchmark, asked) -> None:
    source = ModelSource(
        load_model(run, step=step), {}, name=run.name, batch_size=64, speculation="off"
    )
    params = SamplingParams(max_new_tokens=study.max_new_tokens, stop=tuple(benchmark.stop))
    generations = dict(
        source.stream(
            [question.prompt for _, question in asked],
            params,
            row_seeds=[question.seed for _, question in asked],
            progress=None,
        )
    )
    responses = [
        Response(
            blank.task,
            0,
            blank.variant,
            blank.mode,
            generations[place].text,
            generations[place].finish_reason,
        )
        for place, (blank, _) in enumerate(asked)
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
