"""Evaluates configs: generates, judges, scores and reports their benchmarks.

WORKDIR/generations.jsonl stores each generation as it ends. A second evaluation resumes from it,
and needs no model once it is complete. WORKDIR/result.json holds the result and
WORKDIR/report.html the report. With several configs, each has its own folder.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from data_pipeline.endpoint.client import Endpoint
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import (
    AnyPath,
    as_path,
    check_replaceable,
    is_page,
    make_folder,
    read_numbered_lines,
    write_text,
)
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.benchmarks.registry import load_benchmark
from semcoder_jax.evaluation.generators import CheckpointSource, EndpointSource, GenerationSource
from semcoder_jax.evaluation.harness import (
    MODES,
    Benchmark,
    generate,
    open_judging,
    responses_from_rows,
    score_generations,
)
from semcoder_jax.evaluation.page import page
from semcoder_jax.evaluation.refine import MAX_ROUNDS
from semcoder_jax.evaluation.refine_harness import run_refinement
from semcoder_jax.evaluation.results import EvaluationRun, is_result, write_runs
from semcoder_jax.evaluation.store import GenerationStore, StoredRows, is_store, read_store
from semcoder_jax.inference.generate import SamplingParams
from semcoder_jax.loading import check_model_directory

PASS_AT = (1, 5, 10, 100)
"""The k of pass@k that are reported if the config names none, as far as there are samples."""


class EvaluateError(UserError):
    """Raised for a config, or a combination of arguments, that cannot be evaluated."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """Names the source of the answers; set exactly one of the first three fields.

    Attributes:
      checkpoint: HF directory or training workdir.
      endpoint: base URL of an OpenAI-compatible server, with `model`, the name there; its key
        is read from OPENAI_API_KEY.
      generations: file of generations made elsewhere; no model is asked.
      chat: whether the endpoint is asked by chat; None: only if it has no completions.
    """

    checkpoint: str | None = None
    endpoint: str | None = None
    generations: str | None = None
    model: str | None = None
    chat: bool | None = None

    def source(self, batch_size: int) -> GenerationSource:
        """Returns the source of answers.

        A checkpoint decodes `batch_size` prompts together, rounded up to 1, 2, 4, 8, 16, 24, …
        """
        if self.checkpoint is not None:
            return CheckpointSource(self.checkpoint, batch_size=batch_size)
        return EndpointSource(Endpoint(self.endpoint, self.model), chat=self.chat)


RESULT_FILE, REPORT_FILE = "result.json", "report.html"


def evaluate_configs(
    configs: Mapping[str, ConfigDict],
    subject: Subject,
    *,
    workdir: AnyPath | None,
    mode: str | None = None,
) -> list[EvaluationRun]:
    """Returns one scored run per config, named by its key; checks all configs before any run.

    `mode`: "compat" (reproduces upstream exactly), "fixed" (asks and scores the same question
    correctly), or None for both. Raises a UserError.
    """
    _check_subject(subject, is_new=not _has_generations(workdir))
    if workdir is not None:
        _check_workdir(workdir)
    plans = [_plan(name, config, subject, mode) for name, config in configs.items()]
    runs: list[EvaluationRun] = []
    if workdir is not None and subject.generations is not None:
        make_folder(workdir)  # in the other cases, the store makes it
    with Sandbox() as sandbox:
        for plan in plans:
            folder = workdir / plan.name if workdir and len(plans) > 1 else workdir
            if len(plans) > 1:
                print(f"[{len(runs) + 1}/{len(plans)}] {plan.name}", file=sys.stderr, flush=True)
            runs.append(_run(plan, subject, folder, sandbox))
            if workdir is not None:  # write after each run: a stopped suite keeps its results
                title = f"Evaluation of {runs[0].model}"
                write_runs(workdir / RESULT_FILE, runs)
                text = page(runs, title=title) + "\n"
                write_text(workdir / REPORT_FILE, text, errors="backslashreplace")
    sandbox.warn_if_weaker()
    return runs


def _has_generations(workdir: AnyPath | None) -> bool:
    """Whether the workdir or, for a suite, a folder in it holds generations."""
    names = ("generations.jsonl", "*/generations.jsonl")
    return workdir is not None and any(any(workdir.glob(name)) for name in names)


def _check_subject(subject: Subject, *, is_new: bool) -> None:
    """Raises UserError for a path at which no answers can lie, before any data is fetched.

    is_new: whether the workdir holds no generations, which may make the model superfluous
    """
    if subject.checkpoint is not None and (is_new or not as_path(subject.checkpoint).is_dir()):
        check_model_directory(subject.checkpoint)
    if subject.generations is not None:
        lines = read_numbered_lines(subject.generations, raises=EvaluateError)
        _, line = next(lines, (0, b""))
        if line.lstrip()[:1] not in (b"{", b"["):
            raise EvaluateError(
                f"{subject.generations}: not a store of generations, nor other JSON; "
                f"it begins with {line[:20].decode(errors='replace')!r}"
            )


def _check_workdir(workdir: AnyPath) -> None:
    """Raises UserError if the workdir's result or report was not written by an evaluation."""
    if workdir.exists() and not workdir.is_dir():
        raise EvaluateError(f"--workdir={workdir}: expected a folder; it is a file")
    check_replaceable("--workdir", workdir / RESULT_FILE, is_result)
    check_replaceable("--workdir", workdir / REPORT_FILE, is_page)


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """A checked config with its tasks loaded; building one raises every config error."""

    name: str
    benchmark: Benchmark
    params: SamplingParams
    variants: tuple[str, ...]
    modes: tuple[str, ...]
    samples: int
    ks: tuple[int, ...]  # (): all of PASS_AT that the samples allow
    batch_size: int
    refine_rounds: int | None  # None: no refinement


def _plan(name: str, config: ConfigDict, subject: Subject, mode: str | None) -> EvaluationPlan:
    for field in ("batch_size", "num_samples", "max_tasks"):
        value = config[field]
        if value is not None and value < 1:
            raise EvaluateError(f"config.{field}={value}: expected at least 1")
    try:
        params = SamplingParams(**config.sampling.to_dict())
    except TypeError as error:
        raise EvaluateError(f"config.sampling: {error}") from error
    benchmark = load_benchmark(config, subject.checkpoint)
    variants = tuple(config.variants)
    if not variants or set(variants) - set(benchmark.variants):
        raise EvaluateError(f"config.variants={variants}: expected some of {benchmark.variants}")
    ks = tuple(config.pass_at)
    most = None if subject.generations is not None else config.num_samples
    if not all(isinstance(k, int) and 1 <= k <= (most or k) for k in ks):
        raise EvaluateError(f"config.pass_at={ks}: expected numbers from 1 to num_samples")
    rounds = config.get("refine_rounds")
    if rounds is not None:
        if not 0 <= rounds <= MAX_ROUNDS:
            raise EvaluateError(f"config.refine_rounds={rounds}: expected 0 to {MAX_ROUNDS}")
        if not hasattr(benchmark, "refine_tasks"):
            raise EvaluateError(f"config.refine_rounds: {benchmark.name} has no programs to refine")
        if mode == "compat":  # upstream's prompts hold the reference and hidden tests
            raise EvaluateError("--mode=compat: refinement is done in fixed alone")
    return EvaluationPlan(
        name=name,
        benchmark=benchmark,
        params=params,
        variants=variants,
        modes=_modes(mode, benchmark) if rounds is None else ("fixed",),
        samples=config.num_samples,
        ks=ks,
        batch_size=config.batch_size,
        refine_rounds=rounds,
    )


def _modes(asked: str | None, benchmark: Benchmark) -> tuple[str, ...]:
    if asked is not None and asked not in MODES:
        raise EvaluateError(f"--mode={asked}: expected compat or fixed")
    if asked is not None and asked not in benchmark.modes:
        raise EvaluateError(f"--mode={asked}: {benchmark.name} knows {', '.join(benchmark.modes)}")
    return tuple(benchmark.modes) if asked is None else (asked,)


def _run(
    plan: EvaluationPlan, subject: Subject, folder: AnyPath | None, sandbox: Sandbox
) -> EvaluationRun:
    if subject.generations is not None:
        return _run_of_file(plan, subject.generations, sandbox)
    if folder is None:
        raise EvaluateError("workdir: expected the directory that keeps the generations")
    source = subject.source(plan.batch_size)
    identity = {**source.identity, "sampling": dataclasses.asdict(plan.params)}
    with GenerationStore(folder / "generations.jsonl", identity) as store:
        if plan.refine_rounds is not None:
            return _run_refinement(plan, source, store, sandbox, source.name, identity)
        with open_judging(plan.benchmark, sandbox) as judging:
            generated = generate(
                plan.benchmark,
                source,
                plan.params,
                store,
                variants=plan.variants,
                modes=plan.modes,
                samples=plan.samples,
                **({} if judging is None else {"on_response": judging.submit}),
            )
            return score_generations(
                plan.benchmark,
                generated.responses,
                sandbox,
                model=source.name,
                identity=identity,
                ks=_ks(plan.ks, plan.samples),
                notes=source.notes,
                tokens_per_second=generated.tokens_per_second,
                judging=judging,
            )


def _ks(asked: Sequence[int], samples: int) -> tuple[int, ...]:
    return tuple(asked) or tuple(k for k in PASS_AT if k <= samples)


def _run_refinement(
    plan: EvaluationPlan, source: GenerationSource | None, store, sandbox, model: str, identity
) -> EvaluationRun:
    return run_refinement(
        plan.benchmark,
        source,
        plan.params,
        store,
        sandbox,
        name=plan.name,
        rounds=plan.refine_rounds,
        samples=plan.samples,
        modes=plan.modes,
        model=model,
        identity=identity,
        ks=_ks(plan.ks, plan.samples),
    )


def _run_of_file(plan: EvaluationPlan, path: str, sandbox: Sandbox) -> EvaluationRun:
    """Scores a file in our format or in one that the benchmark reads."""
    if plan.refine_rounds is not None:
        identity, rows = read_store(path)
        return _run_refinement(
            plan, None, StoredRows(rows), sandbox, path, {"generations": identity}
        )
    read = getattr(plan.benchmark, "read_generations", None)
    if is_store(path) or read is None:
        identity, rows = read_store(path)
        responses, notes = responses_from_rows(
            plan.benchmark, rows, variants=plan.variants, modes=plan.modes, where=path
        )
    else:
        responses, notes = read(path, variants=plan.variants, modes=plan.modes)
        identity = {"sha256": hashlib.sha256(as_path(path).read_bytes()).hexdigest()}
    samples = 1 + max(response.sample for response in responses)
    if too_many := [k for k in plan.ks if k > samples]:
        raise EvaluateError(
            f"config.pass_at={plan.ks}: {path} has {samples} samples a task, too few for "
            f"{too_many[0]}"
        )
    return score_generations(
        plan.benchmark,
        responses,
        sandbox,
        model=path,
        identity={"generations": identity},
        ks=_ks(plan.ks, samples),
        notes=notes,
    )
