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
    described_corpus_at,
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
from semcoder_jax.studies.checks import check_answer_length, check_recipe, check_training
from semcoder_jax.studies.repairs import ask_arms, ask_controls
from semcoder_jax.studies.rubber_duck_report import (
    ANSWERS,
    CONTROLS,
    OWN_FAULTS,
    asked_steps,
    report,
)
from semcoder_jax.studies.stages import Stage
from semcoder_jax.studies.trainings import Training, curve_steps, keep_steps

_CORPUS_SEED = 1  # 0 was for trials
_FAULT_SHARE = 0.6  # of the functions have a faulty variant in the data
_OWN_TEMPERATURE = 1.0  # of the samples among which faults are sought
_STOP = "\n```"

__all__ = ["check", "report", "stages"]


def stages(study: RubberDuckStudy, recipe: RunConfig, workdir: Path) -> Sequence[Stage]:
    """Returns the stages: the data, then for each seed two trainings and the answers.

    Raises ConfigError for a recipe that no study can use.
    """
    check_recipe(recipe)
    steps = asked_steps(study, recipe)
    arms = [_Seed(study, recipe, workdir, seed) for seed in range(study.seeds)]
    of_seeds = [
        Stage(f"{name}-{arm.seed}", work, outputs)
        for arm in arms
        for name, work, outputs in (
            ("train-early", arm.train_early, arm.needed_of_early),
            ("own-faults", arm.collect_own_faults, arm.own_files),
            ("train", arm.train_final, arm.needed_of_final),
            *(
                (
                    f"ask-{step}",
                    functools.partial(arm.ask, step),
                    functools.partial(arm.answers, [step]),
                )
                for step in steps
            ),
        )
    ]
    corpus = described_corpus_at(workdir / "corpus")
    data = Stage("data", lambda: _open_corpus(study, workdir) and None, lambda: corpus.files)
    controls = functools.partial(_ask_controls, study, recipe, workdir)
    return [data, *of_seeds, Stage("controls", controls, lambda: [workdir / CONTROLS])]


def check(study: RubberDuckStudy, recipe: RunConfig, workdir: Path) -> None:
    """Checks devices and files for all that the stages do. Raises a UserError."""
    if study.early_steps <= recipe.optimizer.warmup_steps:
        raise ConfigError(
            f"config: study.early_steps is {study.early_steps}, expected more than "
            f"optimizer.warmup_steps ({recipe.optimizer.warmup_steps})"
        )
    seed = _Seed(study, recipe, workdir, 0)
    _, config = check_training(seed.early_record())
    check_training(seed.final_record(), starts_from_study=True)
    check_answer_length(study.max_new_tokens, config)


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
        _open_corpus(self.study, self.workdir)
        self._early.go_on(self.early_record())

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
        self._final.go_on(self.final_record())

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
        (path,) = self.answers([step])
        write_rows(path, rows)

    def early_record(self) -> dict[str, Any]:
        return self._record(self._corpus.train, self.study.early_steps)

    def final_record(self) -> dict[str, Any]:
        record = self._record(self._path("train"), self.recipe.train.num_steps or 0)
        record["model"]["init_from"] = str(self._run("early"))
        record.pop("initialization", None)
        return record

    def _record(self, data: Path, steps: int) -> dict[str, Any]:
        """Returns the recipe with this seed, a file to train on and its number of steps."""
        record = self.recipe.to_record()
        record["seed"] = self.seed
        record["data"] |= {
            "source": "jsonl",
            "train": str(data),
            "eval": str(self._corpus.heldout),
            "tokenizer": str(self._corpus.tokenizer),
        }
        every = curve_steps(steps, self.study.asked_models)[0]
        record["train"] |= {"num_steps": steps} | keep_steps(every)
        return record

    @property
    def _corpus(self) -> DescribedCorpus:
        return described_corpus_at(self.workdir / "corpus")

    # ---- What the stages leave

    @property
    def _early(self) -> Training:
        return Training(self._run("early"), self.workdir, [self.study.early_steps])

    @property
    def _final(self) -> Training:
        return Training(self._run("final"), self.workdir, asked_steps(self.study, self.recipe))

    def own_files(self) -> list[Path]:
        return [self._path(OWN_FAULTS), self._path("train")]

    def answers(self, steps: Sequence[int]) -> list[Path]:
        return [self.workdir / ANSWERS / f"{self.seed}-{step}.jsonl" for step in steps]

    def needed_of_early(self) -> list[Path]:
        """Returns its records, and its checkpoint as long as a later stage starts from it."""
        is_needed = any(not path.exists() for path in (*self.own_files(), *self._final.records()))
        return self._early.records() + (self._early.checkpoints() if is_needed else [])

    def needed_of_final(self) -> list[Path]:
        """Returns its records, and the checkpoints whose models are not asked yet."""
        steps = [step for step in self._final.steps if not self.answers([step])[0].exists()]
        left = Training(self._final.run, self.workdir, steps)
        return self._final.records() + left.checkpoints()

    def _run(self, name: str) -> Path:
        return self.workdir / "runs" / f"{name}-{self.seed}"

    def _model(self, name: str, step: int | None = None) -> LoadedModel:
        """Returns the model of a run after a step, or after its last one."""
        mesh, compute = make_mesh(self.recipe.mesh), self.recipe.compute
        return load_model(self._run(name), mesh=mesh, compute=compute, step=step)

    def _path(self, name: str) -> Path:
        return self.workdir / f"{name}-{self.seed}.jsonl"
