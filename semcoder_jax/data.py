"""Public functions of the data pipeline: programs in, verified records out.

    from semcoder_jax import data

    program = "def f(x):\\n    y = x + 1\\n    return y\\n"
    print(data.narrate(program, "f(3)"))

Programs are untrusted: every function runs them in the sandbox, never in this process. The data
pipeline is imported on first use.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_pipeline.builder import Report
    from data_pipeline.execution.service import Sandbox
    from data_pipeline.pyx.records import Record
    from data_pipeline.tracing import Trace
    from data_pipeline.verify import Claim

__all__ = ["Sandbox", "build", "narrate", "read_records", "trace", "verify"]


def __getattr__(name: str) -> Any:
    if name == "Sandbox":
        return import_module("data_pipeline.execution.service").Sandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def build(sources: str | Sequence[str], output: str | Path, **options: Any) -> "Report":
    """Builds PyX, a TFDS dataset of verified records, and its report in `output`.

    Args:
      sources: folders, .jsonl[.gz] files of {code, nl, tests}, or names of installed packages.
      output: folder; a second call with the same options resumes a stopped build.
      **options: fields of data_pipeline.builder.BuildOptions, such as `limit=200` (functions),
        `seed=0`, `workers=2` (processes) or `heldout_share=0.1` (of functions).

    Returns the counts that the report shows. Raises BuildError, SeedError, BenchmarkFileError or
    SandboxUnavailable before anything is written.
    """
    from data_pipeline.builder import BuildOptions
    from data_pipeline.builder import build as build_dataset

    names = (sources,) if isinstance(sources, str) else tuple(sources)
    return build_dataset(BuildOptions(sources=names, **options), output)


def read_records(path: str | Path) -> "Iterator[Record]":
    """Reads the PyX or PyX-R records of the .jsonl or .jsonl.gz file at `path`, in order.

    Raises RecordError, with file, line and field, at the first malformed row.
    """
    from data_pipeline.pyx.records import read_jsonl

    return read_jsonl(path)


def trace(program: str, call: str, *, sandbox: "Sandbox | None" = None) -> "Trace":
    """Traces a call: its lines, the values of its locals, and how it ended.

    Args:
      program: Python source that defines the called function.
      call: call with literal arguments, such as "f(3)".
      sandbox: sandbox to run in; None starts one, which takes a second or two per call.

    Raises TraceError if the call cannot be run or leaves no trace, SandboxUnavailable if this
    machine cannot isolate programs.
    """
    with nullcontext(sandbox) if sandbox is not None else _one_worker() as worker:
        return worker.trace(program, call)


def narrate(
    program: str,
    call: str,
    *,
    backward: bool = False,
    seed: int = 0,
    sandbox: "Sandbox | None" = None,
) -> str:
    """Writes the monologue of a run: forward from the call, or backward from its output.

    `seed` chooses among wordings; the other arguments are those of `trace`. Raises
    NarrationError if the run cannot be narrated, and the errors of `trace`.
    """
    from data_pipeline.monologue.backward import backward_monologue
    from data_pipeline.monologue.forward import NarrationError, forward_monologue
    from data_pipeline.monologue.speech import RefutedClaim

    run = trace(program, call, sandbox=sandbox)
    try:
        if backward:
            return backward_monologue(run, call, seed=seed)
        return forward_monologue(run, seed=seed)
    except RefutedClaim as error:
        raise NarrationError(f"the narrator has no true words for this run: {error}") from error


def verify(
    program: str, call: str, monologue: str, *, sandbox: "Sandbox | None" = None
) -> "list[Claim]":
    """Verifies each claim of a monologue, in any wording, against the real run.

    A claim has a `verdict`: "confirmed", "contradicted" or "not checkable". The arguments and
    errors are those of `trace`; no monologue text raises an error.
    """
    from data_pipeline.verify import example_outcomes, verify_trace

    with nullcontext(sandbox) if sandbox is not None else _one_worker() as worker:
        run = worker.trace(program, call)
        return verify_trace(run, monologue, example_outcomes(run, monologue, worker.traces))


def _one_worker() -> "Sandbox":
    from data_pipeline.execution.service import Sandbox

    return Sandbox(workers=1)
