"""Prints buggy variants of a program with their diagnoses, or writes them as PyX-R rows.

python -m data_pipeline.faults --program=FILE.py --call='f(3)' [--call=...] [--jsonl=FILE]
"""

import argparse
import sys
from collections.abc import Sequence

from data_pipeline.execution.outcomes import BadInput
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.faults import faults
from data_pipeline.files import (
    check_output,
    check_separate,
    has_fields,
    path_flag,
    read_program,
)
from data_pipeline.pyx.records import write_jsonl
from data_pipeline.seeds import Seed
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.source.fingerprints import function_fingerprint
from data_pipeline.terminal.command_line import (
    CommandLineError,
    CommandParser,
    run_command,
)
from data_pipeline.terminal.tables import rank_counts
from data_pipeline.testcases import Case


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 found a fault, 1 found none, 2 bad input."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.limit < 1:
        raise CommandLineError(f"--limit: expected at least 1; got {options.limit}")
    check_separate({"--program": options.program, "--jsonl": options.jsonl})
    check_output("--jsonl", options.jsonl, has_fields("fault", "response"))
    return _show(options)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m data_pipeline.faults", description=__doc__)
    parser.add_argument("--program", required=True, type=path_flag, help="correct Python program")
    parser.add_argument(
        "--call", required=True, action="append", help="test call, such as 'f(3)'; may be repeated"
    )
    parser.add_argument("--problem", default="", help="description of the function, in words")
    parser.add_argument("--limit", type=int, default=3, help="most faults (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--jsonl", type=path_flag, help="write PyX-R rows to this file instead")
    return parser


def _show(options: argparse.Namespace) -> int:
    with Sandbox() as sandbox:
        seed, cases = _run_calls(options, sandbox)
        found = faults(seed, cases, sandbox, random_seed=options.seed, limit=options.limit)
    if options.jsonl is not None:
        try:
            count = write_jsonl(options.jsonl, [fault.record() for fault in found.kept])
        except OSError as error:
            raise CommandLineError(f"--jsonl={options.jsonl}: {error.strerror}") from None
        print(f"{count:,} rows in {options.jsonl}")
    else:
        for number, fault in enumerate(found.kept, 1):
            print(
                f"{f'──── {number}: {fault.operator} ':─<80}\n\n{fault.fault}\n{fault.response}\n"
            )
    for reason, count in rank_counts(found.refused):
        print(f"{count:>6,} not kept: {reason}", file=sys.stderr)
    sandbox.warn_if_weaker()
    return 0 if found.kept else 1


def _run_calls(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Seed, list[Case]]:
    """Makes a seed of the program and runs its calls. Raises CommandLineError."""
    code = read_program(options.program, "--program")
    cases = []
    for call in options.call:
        try:
            name = parse_call(call).path[-1]
        except CallError as error:
            raise CommandLineError(f"--call={call}: {error}") from None
        result = sandbox.run(call_job(code, call, trace=TraceLimits()))
        if isinstance(result.outcome, BadInput):
            raise CommandLineError(f"{options.program}: {result.outcome.message}")
        if result.kind != "value" or result.trace is None or not result.outcome.exact:
            raise CommandLineError(
                f"--call={call}: expected a returned value that is a literal; got {result.kind}"
            )
        cases.append(Case(call, repr(result.outcome.python()), result.trace))
    seed = Seed(
        function_fingerprint(code)[:12], name, code, options.problem, tuple(options.call), (),
        options.program.name,
    )  # fmt: skip
    return seed, cases
