"""Study: which form of reasoning pays, at equal functions, model and tokens seen?

WORKDIR: corpus/ (training rows of each form, held-out problems by level, tokenizer), texts.json
(lengths of the true texts), runs/FORM-SEED (training workdirs), answers/FORM-SEED.jsonl (every
generation with its verdict).
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from data_pipeline.files import read_rows, write_json, write_rows
from data_pipeline.forms import FORMS, REAL_FORMS, Form, NarrationError
from data_pipeline.forms.corpus import StudyCorpus, write_study_corpus
from data_pipeline.forms.pyx_corpus import write_study_corpus_from_pyx
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import PyXRecord
from data_pipeline.toy.levels import LEVELS
from semcoder_jax.config import ConfigError, DataConfig, FormsStudy, RunConfig
from semcoder_jax.config.fields import suggest_name
from semcoder_jax.hf import read_tokenizer
from semcoder_jax.loading import load_model
from semcoder_jax.model.sharding import make_mesh
from semcoder_jax.studies.answering import PROBLEMS, AskOptions, Problems, ask, read_problems
from semcoder_jax.studies.checks import (
    check_answer_length,
    check_recipe,
    check_records,
    check_training,
)
from semcoder_jax.studies.cruxeval_level import check_cruxeval, write_cruxeval_level
from semcoder_jax.studies.forms_report import ANSWERS, TEXTS, curve_ids, report
from semcoder_jax.studies.stages import Stage
from semcoder_jax.studies.stored import read_run_metrics
from semcoder_jax.studies.trainings import Training, curve_steps, keep_steps
from semcoder_jax.training.workdir import check_tokenizer

_SOURCES = ("synthetic", "jsonl")
_MEASURED = 1000  # training records whose lengths are measured

__all__ = ["check", "report", "stages"]


def stages(study: FormsStudy, recipe: RunConfig, workdir: Path) -> Sequence[Stage]:
    """Returns the stages: the data, then for each seed and form its training and its answers.

    Raises ConfigError for a form that does not exist, or a recipe that no study can use.
    """
    _check(study, recipe)
    data = _StudyData(study, recipe.data, workdir)
    arms = [
        _Arm(study, recipe, data, name, seed)
        for seed, name in itertools.product(range(study.seeds), study.forms)
    ]
    return [
        Stage("data", data.make, lambda: data.outputs),
        *(
            Stage(f"{act}-{arm.name}", work, outputs)
            for arm in arms
            for act, work, outputs in (
                ("train", arm.train, arm.needed_checkpoints),
                ("ask", arm.ask, lambda arm=arm: [arm.answers]),
            )
        ),
    ]


def check(study: FormsStudy, recipe: RunConfig, workdir: Path) -> None:
    """Checks devices and files for all that the stages do. Raises a UserError."""
    data = _StudyData(study, recipe.data, workdir)
    if recipe.data.source == "jsonl":
        for name in ("train", "eval"):
            check_records(f"data.{name}", getattr(recipe.data, name))
        tokenizer = read_tokenizer(str(recipe.data.tokenizer))
        if init_from := recipe.model.get("init_from"):
            check_tokenizer(tokenizer, workdir / "runs", init_from)
    if study.cruxeval:
        check_cruxeval(study.cruxeval)
    arm = _Arm(study, recipe, data, study.forms[0], 0)
    paths = {"train": str(workdir), "tokenizer": str(recipe.data.tokenizer or workdir)}
    _, config = check_training(arm.record(paths))
    check_answer_length(study.max_new_tokens, config)


def _check(study: FormsStudy, recipe: RunConfig) -> None:
    for name in study.forms:
        if name not in FORMS:
            raise ConfigError(f"config: study.forms {name!r}: {suggest_name(name, FORMS)}")
    check_recipe(recipe)
    if recipe.data.source not in _SOURCES:
        raise ConfigError(
            f"config: data.source {recipe.data.source!r}: this study takes {' or '.join(_SOURCES)}"
        )
    if recipe.data.source == "jsonl" and not recipe.data.eval:
        raise ConfigError("config: data.eval is missing: the study asks about its functions")
    if study.cruxeval and recipe.data.source != "jsonl":
        raise ConfigError("config: study.cruxeval: only with data.source 'jsonl', real functions")
    trained = sum(level.is_trained for level in LEVELS.values())
    if recipe.data.source == "synthetic" and study.functions < trained:
        raise ConfigError(
            f"config: study.functions is {study.functions}, expected at least {trained}: one of "
            "each trained level"
        )


# ==== Data


@dataclasses.dataclass(frozen=True)
class _StudyData:
    """The corpus of a study, its tokenizer and its held-out problems."""

    study: FormsStudy
    source: DataConfig
    workdir: Path

    def make(self) -> None:
        """Writes the corpus and the level of CRUXEval, and measures the texts."""
        if self.study.cruxeval:
            write_cruxeval_level(self.study.cruxeval, self._cruxeval)
        write_json(self.workdir / TEXTS, {name: self._measure(name) for name in self.study.forms})

    @functools.cached_property
    def corpus(self) -> StudyCorpus:
        """Returns the paths of the corpus, which is written if it is not there."""
        folder, study = self.workdir / "corpus", self.study
        sizes: dict[str, Any] = {"functions": study.functions, "workers": study.workers}
        if self._is_synthetic:
            return write_study_corpus(folder, heldout=study.heldout, forms=study.forms, **sizes)
        files = {"train": str(self.source.train), "heldout": str(self.source.eval)}
        return write_study_corpus_from_pyx(
            folder, problems=study.heldout, forms=study.forms, **files, **sizes
        )

    @functools.cached_property
    def problems(self) -> Problems:
        """Returns the held-out problems, each run once in this process or in the sandbox."""
        paths = [*self.corpus.problems.values(), *([self._cruxeval] if self.study.cruxeval else [])]
        return read_problems(paths, self.workdir, trusted=self._is_synthetic)

    @property
    def outputs(self) -> list[Path]:
        found = [self.workdir / name for name in (TEXTS, PROBLEMS)]
        return [*found, self._cruxeval] if self.study.cruxeval else found

    @property
    def tokenizer(self) -> Path:
        return Path(str(self.corpus.tokenizer or self.source.tokenizer))

    def form(self, name: str) -> Form:
        return (FORMS if self._is_synthetic else REAL_FORMS)[name]

    @property
    def _is_synthetic(self) -> bool:
        return self.source.source == "synthetic"

    @property
    def _cruxeval(self) -> Path:
        return self.workdir / "cruxeval.jsonl"

    def _measure(self, name: str) -> dict[str, Any]:
        """Returns the mean tokens of training texts, and of the true responses by level."""
        count = functools.partial(_count_tokens, read_tokenizer(self.tokenizer))
        path = self.corpus.train[name]
        records = [PyXRecord(**row) for _, row in itertools.islice(read_rows(path), _MEASURED)]
        true: dict[str, list[int]] = {}
        for id, row in self.problems.rows.items():
            with contextlib.suppress(NarrationError):  # not every real run can be told
                text = self.form(name).response(self.problems.traces[id])
                true.setdefault(row["level"], []).append(count(text))
        return {
            "prompt_tokens": fmean(count(training_prompt(each)) for each in records),
            "response_tokens": fmean(count(each.response) for each in records),
            "records": sum(1 for _ in read_rows(path)),
            "true_tokens": {level: fmean(counts) for level, counts in true.items()},
        }


def _count_tokens(tokenizer, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


# ==== Arms


@dataclasses.dataclass(frozen=True)
class _Arm:
    """One form, trained with one seed."""

    study: FormsStudy
    recipe: RunConfig
    data: _StudyData
    form: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.form}-{self.seed}"

    @property
    def run(self) -> Path:
        return self.data.workdir / "runs" / self.name

    @property
    def answers(self) -> Path:
        return self.data.workdir / ANSWERS / f"{self.name}.jsonl"

    @property
    def training(self) -> Training:
        return Training(self.run, self.data.workdir, self.steps)

    def needed_checkpoints(self) -> list[Path]:
        return [] if self.answers.exists() else self.training.checkpoints()

    def train(self) -> None:
        """Trains, from the last checkpoint if there is one. Raises KeyboardInterrupt if stopped."""
        train, tokenizer = self.data.corpus.train[self.form], self.data.tokenizer
        self.training.go_on(self.record({"train": str(train), "tokenizer": str(tokenizer)}))

    def record(self, paths: Mapping[str, str]) -> dict[str, Any]:
        """Returns the recipe with this arm's data, seed and checkpoints."""
        record = self.recipe.to_record()
        record["seed"] = self.seed
        record["data"] |= {"source": "jsonl", "eval": None, **paths}
        record["train"] |= keep_steps(self.steps[0]) | {"eval_every": 0}
        return record

    @property
    def _num_steps(self) -> int:
        return self.recipe.train.num_steps or 0  # `stages` refuses None

    @property
    def steps(self) -> list[int]:
        """Steps after which the model is asked."""
        return curve_steps(self._num_steps, self.study.curve_points)

    def ask(self) -> None:
        """Asks every checkpoint about some problems, the last one about all."""
        tokens = _tokens_seen(read_run_metrics(self.run, self._num_steps))
        rows = [
            {"form": self.form, "seed": self.seed, "step": step, "tokens_seen": tokens[step]} | row
            for step in self.steps
            for row in self._ask_checkpoint(step)
        ]
        write_rows(self.answers, rows)

    def _ask_checkpoint(self, step: int) -> list[dict[str, Any]]:
        problems = self.data.problems
        ids = list(problems.rows)
        if step < self._num_steps:
            ids = curve_ids(problems.rows.values(), self.study.curve_problems)
        mesh, compute = make_mesh(self.recipe.mesh), self.recipe.compute
        model = load_model(self.run, mesh=mesh, compute=compute, step=step)
        options = AskOptions(self.study.batch_size, self.study.max_new_tokens)
        return ask(model, self.data.form(self.form), problems, ids, options)


def _tokens_seen(metrics: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Returns the tokens, without padding, that a run has seen after each step."""
    tokens = {row["step"]: row["tokens"] for row in metrics if "tokens" in row}
    return dict(zip(tokens, map(int, itertools.accumulate(tokens.values())), strict=True))
