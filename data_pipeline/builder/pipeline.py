"""Runs the build from sources to a dataset and saves each stage, so that it can be continued.

Writes pyx/ (the TFDS dataset), train.jsonl and eval.jsonl (the same records in upstream's
schema), problems.jsonl (held-out functions for evaluation), dead_letters.jsonl, removed.jsonl,
refused.jsonl, report.html and report.json; .work/ holds intermediate results for later builds.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from data_pipeline.builder.full_disk import full_disk_errors
from data_pipeline.builder.held_out import EVAL, TRAIN
from data_pipeline.builder.local_build import LocalBuild
from data_pipeline.builder.options import (
    DIRECT_RUNNER,
    BuildError,
    BuildOptions,
    TeacherOptions,
)
from data_pipeline.builder.report import Report
from data_pipeline.builder.runners import check_runner
from data_pipeline.builder.steps import WORK, Steps
from data_pipeline.endpoint.client import Client, CompletionRequest, EndpointError
from data_pipeline.execution import tiers
from data_pipeline.files import (
    AnyPath,
    FileError,
    HeldLock,
    LockError,
    as_path,
    check_folder_ours,
    check_outside,
    hold_lock,
)
from data_pipeline.pyx import folders as pyx

_WRITTEN = (
    *(f"{name}.jsonl" for name in (TRAIN, EVAL, "dead_letters", "removed", "refused", "problems")),
    "report.html",
    "report.json",
    pyx.NAME,
)


def build(options: BuildOptions, output: str | Path, *, progress: bool = True) -> Report:
    """Builds the dataset `output`/pyx and the files beside it; returns the report.

    Continues a stopped build with the same options, and returns the report of a finished one.
    The same options give the same records with any runner and number of workers.

    Raises BuildError, SeedError, BenchmarkFileError or SandboxUnavailable before anything is
    written, and BuildError if the sources give no record.
    """
    output = as_path(output)
    check_runner(options)
    check_teacher(options.teacher)
    for flag, paths in (("--source", options.sources), ("--benchmarks", options.benchmarks)):
        check_outside(flag, paths, "--output", output)
    steps = _steps(options, output, progress)
    steps.check()
    if output.exists() and not output.is_dir():
        raise BuildError(f"--output: {output}: expected a folder")

    check_folder_ours("--output", output, WORK, _WRITTEN)
    with full_disk_errors(output), _lock_output(output) as lock:
        steps.set_recipes()
        if (finished := _read_finished_report(output, steps.fingerprint)) is not None:
            return finished
        steps.find_seeds()
        steps.check_found()
        steps.make_rows()
        lock.check()
        steps.finish_dataset()
        report = steps.write_report()
    for worker in steps.workers:
        tiers.warn_if_weaker(tiers.TierChoice(worker.tier, worker.weakness))
    return report


def _steps(options: BuildOptions, output: AnyPath, progress: bool) -> Steps:
    if options.runner == DIRECT_RUNNER:
        return LocalBuild(options, output, progress)
    from data_pipeline.builder.cluster.build import ClusterBuild  # slow to import

    return ClusterBuild(options, output, progress)


def check_teacher(teacher: TeacherOptions | None) -> None:
    """Sends one short request; raises BuildError if the endpoint cannot be used."""
    if teacher is None:
        return
    try:
        with Client(teacher.endpoint) as client:
            # Models that reason refuse limits of a few tokens.
            text = CompletionRequest("1 + 1 =", max_new_tokens=16)
            chat = replace(text, prompt=({"role": "user", "content": "Say yes."},), fallback=text)
            client.ask(chat if teacher.chat else text)
    except EndpointError as error:
        raise BuildError(f"--teacher: {error}") from None


def _read_finished_report(output: AnyPath, fingerprint: str) -> Report | None:
    try:
        report = Report.from_json((output / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = pyx.fingerprint_of(output / pyx.NAME / pyx.VERSION) == fingerprint
    return report if whole and report.fingerprint == fingerprint else None


@contextlib.contextmanager
def _lock_output(output: AnyPath) -> Iterator[HeldLock]:
    """Locks `output` against other builds. Raises BuildError if one is running."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(hold_lock(output / ".build.lock", wait=False))
        except FileError as error:
            raise BuildError(f"--output: {output}: {error.strerror}") from None
        except LockError as error:
            raise BuildError(
                f"--output: {output}: another build ({error.holder}) is writing this folder"
            ) from None
        yield lock
