"""Shows buggy variants of a program with their diagnoses, or writes them as PyX-R rows.

python -m data_pipeline.faults --program=FILE.py --call='f(3)' [--call=...] [--jsonl=FILE]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.execution.outcomes import BadInput
from data_pipeline.execution.service import Sandbox, SandboxUnavailable, TraceLimits, call_job
from data_pipeline.faults import faults
from data_pipeline.pyx.records import write_jsonl
from data_pipeline.seeds import Seed
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.source.fingerprints import function_fingerprint
from data_pipeline.testcases import Case


class ToolError(ValueError):
    """A mistake of the caller, in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise ToolError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 with at least one fault, 1 with none, 2 for bad input."""
    parser = _Parser(prog="python -m data_pipeline.faults", description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True, type=Path, help="a right Python program")
    parser.add_argument(
        "--call", required=True, action="append", help="a visible test, such as 'f(3)'; repeatable"
    )
    parser.add_argument("--problem", default="", help="what the function should do, in words")
    parser.add_argument("--limit", type=int, default=3, help="most faults")
    parser.add_argument("--seed", type=int, default=0, help="of their choice and wording")
    parser.add_argument("--jsonl", type=Path, help="write PyX-R rows there instead")
    try:
        options = parser.parse_args(arguments)
        if options.limit < 1:
            raise ToolError(f"--limit: expected at least 1; got {options.limit}")
        return _show(options)
    except (ToolError, SandboxUnavailable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _show(options: argparse.Namespace) -> int:
    with Sandbox() as sandbox:
        seed, cases = _explored(options, sandbox)
        found = faults(seed, cases, sandbox, random_seed=options.seed, limit=options.limit)
    if options.jsonl is not None:
        try:
            count = write_jsonl(options.jsonl, [fault.record() for fault in found.kept])
        except OSError as error:
            raise ToolError(f"--jsonl={options.jsonl}: {error.strerror}") from None
        print(f"{count:,} rows in {options.jsonl}")
    else:
        for number, fault in enumerate(found.kept, 1):
            print(
                f"{f'──── {number}: {fault.operator} ':─<80}\n\n{fault.fault}\n{fault.response}\n"
            )
    for reason, count in found.refused.most_common():
        print(f"{count:>6,} not kept: {reason}", file=sys.stderr)
    sandbox.warn_if_weaker()
    return 0 if found.kept else 1


def _explored(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Seed, list[Case]]:
    """The program as a seed, and its calls run. Raises ToolError."""
    try:
        code = options.program.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ToolError(f"--program={options.program}: {reason}") from None
    cases = []
    for call in options.call:
        try:
            name = parse_call(call).path[-1]
        except CallError as error:
            raise ToolError(f"--call={call}: {error}") from None
        result = sandbox.run(call_job(code, call, trace=TraceLimits()))
        if isinstance(result.outcome, BadInput):
            raise ToolError(f"{options.program}: {' '.join(result.outcome.message.split())}")
        if result.kind != "value" or result.trace is None or not result.outcome.exact:
            raise ToolError(
                f"--call={call}: expected the program to return a literal; it came to {result.kind}"
            )
        cases.append(Case(call, repr(result.outcome.python()), result.trace))
    seed = Seed(
        function_fingerprint(code)[:12], name, code, options.problem, tuple(options.call), (),
        options.program.name,
    )  # fmt: skip
    return seed, cases
