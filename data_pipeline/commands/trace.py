"""Shows the execution of a call, line by line.

    python -m data_pipeline.tracing FILE.py 'f(3)'

Lines are numbered as in the file, from 1. The labels [L5], [L6], … of prompts and monologues, which
`python -m data_pipeline.verify` reads, count from 5, as SemCoder's do: L5 is line 1.

A program in the sandbox has a clock of its own. `time.sleep(60)` ends at once and sets it 60
seconds ahead; with --trusted it waits.

Exit status: 0 the call returned; 1 it raised an exception, which the trace shows; 2 bad input, or a
run that a limit stopped.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from data_pipeline.files import path_flag, read_program
from data_pipeline.terminal.command_line import (
    CommandLineError,
    CommandParser,
    refuse_flags,
    run_command,
)
from data_pipeline.tracing import Trace, trace_call
from data_pipeline.tracing.cwm import cwm_context, cwm_trace
from data_pipeline.tracing.deadline import limit_run
from data_pipeline.tracing.recorder import RunStopped
from data_pipeline.tracing.views import format_table, format_terminal, inline_trace


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 the call returned, 1 it raised, 2 bad input or a run without a trace."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.steps < 1:
        raise CommandLineError(f"--steps={options.steps}: expected at least 1")
    if options.view != "terminal":
        refuse_flags(arguments, ("--steps", "--colour"), "with --view=terminal only")
    if options.trusted:
        refuse_flags(arguments, ("--tier",), "without --trusted")
    trace = record_trace(options)
    print(_view(trace, options))
    return 1 if trace.raised is not None else 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m data_pipeline.tracing", description=__doc__)
    parser.add_argument("file", type=path_flag, help="Python program")
    parser.add_argument("call", help="call with literal arguments, such as 'f(3)'")
    parser.add_argument(
        "--view",
        choices=("terminal", "table", "inlined", "cwm"),
        default="terminal",
        help="terminal: coloured; table: one row per step; inlined: SemCoder's comments; "
        "cwm: frames of Meta's Code World Model",
    )
    parser.add_argument("--steps", type=int, default=400, help="most steps in the terminal view")
    parser.add_argument(
        "--colour", choices=("auto", "always", "never"), default="auto", help="(default: auto)"
    )
    parser.add_argument("--tier", help="sandbox tier, A or B (default: strongest available)")
    parser.add_argument(
        "--trusted",
        action="store_true",
        help="run in this process, without a sandbox; of all limits only that of time",
    )
    return parser


def record_trace(options: argparse.Namespace) -> Trace:
    """Traces the call, in the sandbox unless --trusted. Raises CommandLineError or CallError."""
    from data_pipeline.execution.outcomes import describe_missing_trace, describe_unreached_call

    program = read_program(options.file)
    if options.trusted:
        try:
            with limit_run():
                trace = trace_call(program, options.call)
        except RunStopped as stopped:
            raise CommandLineError(str(stopped)) from None
        if (problem := describe_unreached_call(trace)) is not None:
            raise CommandLineError(problem)
        return trace
    from data_pipeline.execution.service import Sandbox, SandboxUnavailable, TraceLimits, call_job

    try:
        with Sandbox(tier=options.tier, workers=1) as sandbox:
            result = sandbox.run(call_job(program, options.call, trace=TraceLimits()))
    except SandboxUnavailable as error:
        raise CommandLineError(f"{error}; or, if you trust the program, --trusted") from None
    if result.stdout:
        print(result.stdout, end="" if result.stdout.endswith("\n") else "\n")
    problem = describe_missing_trace(result)
    if result.trace is None or problem is not None:
        raise CommandLineError(problem)
    sandbox.warn_if_weaker()
    return result.trace


def _view(trace: Trace, options: argparse.Namespace) -> str:
    if options.view == "inlined":
        return inline_trace(trace)
    if options.view == "cwm":
        return cwm_context(trace) + cwm_trace(trace)
    width = shutil.get_terminal_size().columns
    if options.view == "table":
        return format_table(trace, width)
    colour = options.colour == "always" or (
        options.colour == "auto" and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    )
    return format_terminal(trace, colour=colour, width=width, most=options.steps)
