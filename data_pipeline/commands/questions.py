"""Makes questions about runs: coverage, state, path and output (REval), and traces (CWM).

python -m data_pipeline.questions --jsonl=RUNS.jsonl --output=questions.jsonl
python -m data_pipeline.questions --program=FILE.py --call='f(3)'

A row of --jsonl has "program" and "call". The rows written are instruction data, which
`python -m data_pipeline.prepare` and training read beside PyX. A build's problems.jsonl has the
functions that it holds out: ask about those to evaluate, never to train.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.files import (
    check_output,
    check_separate,
    check_text,
    encode_row,
    has_fields,
    path_flag,
    read_program,
    read_rows,
    write_rows,
)
from data_pipeline.questions.rows import KINDS, question_rows
from data_pipeline.terminal.command_line import (
    CommandLineError,
    CommandParser,
    run_command,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 no run gave a question, 2 bad input."""
    return run_command(_run, argv)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m data_pipeline.questions", description=__doc__)
    add = parser.add_argument
    add("--jsonl", type=path_flag, help='file of rows {"program", "call"}')
    add("--program", type=path_flag, help="Python file, with --call instead of --jsonl")
    add("--call", help="call with literal arguments, such as 'f(3)'")
    add("--kinds", default=",".join(KINDS), help=f"some of {','.join(KINDS)} (default: all)")
    add("--statements", type=int, default=4, help="most statements asked about per run")
    add("--output", type=path_flag, help="JSONL file (default: stdout)")
    return parser


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    kinds = _kinds(options.kinds)
    if options.statements < 1:
        raise CommandLineError(f"--statements={options.statements}: expected at least 1")
    check_separate({"--jsonl": options.jsonl, "--output": options.output})
    check_output("--output", options.output, has_fields("id", "instruction", "response"))
    runs = _runs(options)
    rows = list(_rows(runs, kinds, options.statements))
    if options.output is None:
        sys.stdout.writelines(encode_row(row).decode() for row in rows)
    else:
        write_rows(options.output, rows)
        counts = Counter(row["id"].partition("_")[0] for row in rows)
        for kind in kinds:
            print(f"{counts[kind]:>10,} {kind}")
    if not rows:
        print("no run gave a question: none returned a literal", file=sys.stderr)
    return 0 if rows else 1


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(kind.strip() for kind in text.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise CommandLineError(f"--kinds: {kind!r} is unknown; expected {', '.join(KINDS)}")
    return kinds


def _runs(options: argparse.Namespace) -> list[tuple[str, str]]:
    if options.jsonl is None:
        if options.program is None or options.call is None:
            raise CommandLineError("command line: expected --jsonl, or --program and --call")
        return [(read_program(options.program, "--program"), options.call)]
    if options.program is not None or options.call is not None:
        raise CommandLineError("--jsonl takes its programs and calls from its rows, not from flags")
    runs = []
    for where, row in read_rows(options.jsonl, raises=CommandLineError):
        program, call = (
            check_text(row, name, where, raises=CommandLineError) for name in ("program", "call")
        )
        runs.append((program, call))
    return runs


def _rows(
    runs: Sequence[tuple[str, str]], kinds: Sequence[str], most: int
) -> Iterator[dict[str, str]]:
    """Traces every run in the sandbox; a run that cannot be traced is reported and left out."""
    jobs = (call_job(program, call, trace=TraceLimits()) for program, call in runs)
    with Sandbox() as sandbox, tqdm(total=len(runs), unit="run", disable=None) as bar:
        for (_, call), result in zip(runs, sandbox.map(jobs), strict=True):
            bar.update()
            if result.trace is None:
                reason = getattr(result.outcome, "message", None) or result.kind
                tqdm.write(f"left out: {call[:80]}: {reason}", file=sys.stderr)
                continue
            yield from question_rows(result.trace, kinds, most=most)
    sandbox.warn_if_weaker()
