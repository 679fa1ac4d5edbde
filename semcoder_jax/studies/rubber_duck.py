"""Study: does a model repair its program better by reading its run than by trying again?

WORKDIR: corpus/ (described functions with faults, held-out problems, tokenizer), and for each seed
runs/early-SEED and runs/final-SEED (training workdirs), own_faults-SEED.jsonl (the early model's
own wrong programs as records), train-SEED.jsonl, generations/ and answers/SEED-STEP.jsonl (every
turn with its verdicts).
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data_pipeline.described.corpus import (
    DescribedCorpus,
    faults_of_samples,
    write_described_corpus,
)
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import read_rows, write_rows
from data_pipeline.pyx.prompts import mbpp_prompt
from data_pipeline.pyx.records import Record, read_jsonl, write_jsonl
from semcoder_jax.config import ConfigError, RubberDuckStudy, RunConfig
from semcoder_jax.evaluation.benchmarks.heldout_code import HeldoutCode, read_problems
from semcoder_jax.evaluation.generators import ModelSource
from semcoder_jax.inference.generate import SamplingParams, generate
from semcoder_jax.loading import LoadedModel, load_model
from semcoder_jax.model.sharding import make_mesh
from semcoder_jax.studies.repairs import ask_arms, ask_controls
from semcoder_jax.studies.rubber_duck_report import (
    ANSWERS,
    CONTROLS,
    OWN_FAULTS,
    asked_steps,
    report,
)
from semcoder_jax.studies.stages import Stage
from semcoder_jax.training.loop import train

_CORPUS_SEED = 1  # 0 was for trials
_FAULT_SHARE = 0.6  # of the functions have a faulty variant in the data
_OWN_TEMPERATURE = 1.0  # of the samples among which faults are sought
_STOP = "\n```"

__all__ = ["report", "stages"]


def stages(study: RubberDuckStudy, recipe: RunConfig, workdir: Path) -> Sequence[Stage]:
    """Returns the stages: the data, then for each seed two trainings and the answers.

    Raises ConfigError without a number of steps.
    """
    if recipe.train.num_steps is None:
        raise ConfigError("config: train.num_steps is missing")
    steps = asked_steps(study, recipe)
    arms = [_Seed(study, recipe, workdir, seed) for seed in range(study.seeds)]
    of_seeds = [
        Stage(f"{name}-{arm.seed}", work)
        for arm in arms
        for name, work in (
            ("train-early", arm.train_early),
            ("own-faults", arm.collect_own_faults),
            ("train", arm.train_final),
            *((f"ask-{step}", functools.partial(arm.ask, step)) for step in steps),
        )
    ]
    data = Stage("data", lambda: _open_corpus(study, workdir) and None)
    controls = functools.partial(_ask_controls, study, recipe, workdir)
    return [data, *of_seeds, Stage("controls", controls)]


def _open_corpus(study: RubberDuckStudy, workdir: Path) -> DescribedCorpus:
    """Writes the corpus, or returns the paths of the one that is there."""
    return write_described_corpus(
        workdir / "corpus",
        functions=study.functions,
        problems=study.problems,
        fault_share=_FAULT_SHARE,
        seed=_CORPUS_SEED,
        workers=study.workers,
    )


def _benchmark(study: RubberDuckStudy, workdir: Path) -> HeldoutCode:
    problems = read_problems(_open_corpus(study, workdir).problems)
    return HeldoutCode(problems, cache=workdir / "cache")


def _ask_controls(study: RubberDuckStudy, recipe: RunConfig, workdir: Path) -> None:
    """Replays the first seed's last first answers with stand-ins in the model's place."""
    step = asked_steps(study, recipe)[-1]
    first = [row for _, row in read_rows(workdir / ANSWERS / f"0-{step}.jsonl")]
    programs = {row["id"]: row["program"] for _, row in read_rows(_problems(study, workdir))}
    rows = ask_controls(_benchmark(study, workdir), programs, first, study.rounds)
    write_rows(workdir / CONTROLS, rows)


def _problems(study: RubberDuckStudy, workdir: Path) -> Path:
    return _open_corpus(study, workdir).problems


@dataclasses.dataclass(frozen=True)
class _Seed:
    """Everything that one seed trains and asks."""

    study: RubberDuckStudy
    recipe: RunConfig
    workdir: Path
    seed: int

    def train_early(self) -> None:
        corpus = _open_corpus(self.study, self.workdir)
        self._train("early", corpus.train, self.study.early_steps, self.recipe.model)

    def collect_own_faults(self) -> None:
        """Samples from the early model on training functions; its slips become faults."""
        corpus = _open_corpus(self.study, self.workdir)
        rows = [row for _, row in read_rows(corpus.functions)][: self.study.own_functions]
        records = self._own_faults(rows)
        write_jsonl(self._path(OWN_FAULTS), records)
        known = list(read_jsonl(corpus.train))
        write_jsonl(self._path("train"), [*known, *records])

    def _own_faults(self, rows: Sequence[Mapping[str, Any]]) -> list[Record]:
        answers = self._sample(rows)
        with Sandbox() as sandbox, ThreadPoolExecutor(sandbox.workers) as pool:
            found = pool.map(
                lambda row, texts: faults_of_samples(row, texts, sandbox, limit=1), rows, answers
            )
            return [fault.record() for faults in found for fault in faults]

    def _sample(self, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        count = self.study.own_samples
        prompts = [mbpp_prompt(f'"""{row["description"]}\n{row["tests"]}\n"""') for row in rows]
        found = generate(
            self._model("early"),
            [prompt for prompt in prompts for _ in range(count)],
            SamplingParams(
                max_new_tokens=self.study.max_new_tokens,
                temperature=_OWN_TEMPERATURE,
                stop=(_STOP,),
            ),
            batch_size=self.study.batch_size,
            progress=None,
        )
        texts = [one.text for one in found]
        return [texts[at : at + count] for at in range(0, len(texts), count)]

    def train_final(self) -> None:
        model = {**self.recipe.model, "init_from": str(self._run("early"))}
        self._train("final", self._path("train"), self.recipe.train.num_steps, model)

    def ask(self, step: int) -> None:
        """Asks the model of a step in all arms; every turn becomes a row."""
        model = self._model("final", step)
        rows = ask_arms(
            _benchmark(self.study, self.workdir),
            ModelSource(model, {}, name="study", batch_size=self.study.batch_size),
            model.tokenizer,
            self.workdir / "generations" / f"{self.seed}-{step}",
            self.study,
        )
        write_rows(self.workdir / ANSWERS / f"{self.seed}-{step}.jsonl", rows)

    def _train(self, name: str, data: Path, steps: int | None, model: Mapping[str, Any]) -> None:
        """Trains, from the last checkpoint if there is one. Raises KeyboardInterrupt if stopped."""
        corpus = _open_corpus(self.study, self.workdir)
        record = self.recipe.to_record()
        record["seed"] = self.seed
        record["model"] = dict(model)
        record["data"] |= {
            "source": "jsonl",
            "train": str(data),
            "eval": str(corpus.heldout),
            "tokenizer": str(corpus.tokenizer),
        }
        record["train"] |= {
            "num_steps": steps,
            "checkpoint_every": -(-(steps or 0) // self.study.asked_models),
            "keep_checkpoints": self.study.asked_models,
        }
        if "init_from" in model:
            record.pop("initialization", None)
        if train(record, self._run(name)).stopped:
            raise KeyboardInterrupt

    def _run(self, name: str) -> Path:
        return self.workdir / "runs" / f"{name}-{self.seed}"

    def _model(self, name: str, step: int | None = None) -> LoadedModel:
        """Returns the model of a run after a step, or after its last one."""
        mesh, compute = make_mesh(self.recipe.mesh), self.recipe.compute
        return load_model(self._run(name), mesh=mesh, compute=compute, step=step)

    def _path(self, name: str) -> Path:
        return self.workdir / f"{name}-{self.seed}.jsonl"
