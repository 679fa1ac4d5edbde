"""Programs in, records out: what users of the data side need.

    from semcoder_jax import data

    program = "def f(x):\\n    y = x + 1\\n    return y\\n"
    print(data.narrate(program, "f(3)"))

Programs are untrusted: all of this runs them in the sandbox, never in this process. Nothing of the
data side is imported before it is used.
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


def build(sources: str | Sequence[str], output: str | Path, **options: Any) -> "Report":
    """Builds PyX, a TFDS dataset of verified records, and a report of it in `output`.

    Args:
      sources: folders, .jsonl[.gz] files of {code, nl, tests}, or names of installed packages.
      output: folder; building again with the same options goes on where it was stopped.
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
    """The PyX or PyX-R records of the .jsonl or .jsonl.gz file at `path`, in order.

    Raises RecordError, with file, line and field, at the first row that is no record.
    """
    from data_pipeline.pyx.records import read_jsonl

    return read_jsonl(path)


def trace(program: str, call: str, *, sandbox: "Sandbox | None" = None) -> "Trace":
    """What a call does, step by step: lines, values of locals, and how it ended.

    Args:
      program: Python source that defines the called function.
      call: with literal arguments, such as "f(3)".
      sandbox: where to run; None starts one for this call (a second or two), so pass one for many.

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
    """The monologue that tells a run in words: forward from the call, or backward from its output.

    `seed` chooses among wordings; the other arguments are those of `trace`. Raises
    NarrationError for a run that there are no words for, and what `trace` raises.
    """
    from data_pipeline.monologue.backward import backward_monologue
    from data_pipeline.monologue.forward import forward_monologue

    run = trace(program, call, sandbox=sandbox)
    if backward:
        return backward_monologue(run, call, seed=seed)
    return forward_monologue(run, seed=seed)


def verify(
    program: str, call: str, monologue: str, *, sandbox: "Sandbox | None" = None
) -> "list[Claim]":
    """The claims of a monologue in any wording, each held against the real run.

    A claim has a `verdict`: "confirmed", "contradicted" or "not checkable". The arguments and
    errors are those of `trace`; no text of a monologue raises.
    """
    from data_pipeline.verify import verify_trace

    return verify_trace(trace(program, call, sandbox=sandbox), monologue)


def _one_worker() -> "Sandbox":
    from data_pipeline.execution.service import Sandbox

    return Sandbox(workers=1)
