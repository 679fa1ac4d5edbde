"""Runs untrusted Python in the sandbox and prints the outcome as JSON.

    python -m data_pipeline.execution --program=FILE.py --call='f(3)'
    python -m data_pipeline.execution --jsonl=FILE [--out=FILE]

Rows of the JSONL file: {"id", "program", "call"}, where "program" is source text; "stdin" or
"expression" may replace "call". Results have the order of the rows. With --out, the command keeps
the results in the file that belong to the same program, call, limits and interpreter ("request" is
a hash of them), and runs the other rows. It appends new results, and puts them in order and removes
those they replace when all are there: after a kill, run it again.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from data_pipeline.execution.outcomes import BadInput, Result
from data_pipeline.execution.service import (
    Job,
    Limits,
    Sandbox,
    Setup,
    call_job,
    expression_job,
    stdin_job,
)
from data_pipeline.execution.tiers import find_interpreter
from data_pipeline.files import (
    AnyPath,
    AppendedFile,
    FileError,
    append_row,
    check_continuable,
    check_has_folder,
    check_separate,
    check_text,
    local_path_flag,
    mend_last_line,
    open_atomically,
    open_exclusively,
    parse_row,
    path_flag,
    read_program,
    read_rows,
    read_text,
    remove_partials,
)
from data_pipeline.terminal.command_line import (
    CommandLineError,
    CommandParser,
    refuse_flags,
    run_command,
)
from data_pipeline.terminal.notices import logger

_ASKED = ("call", "stdin", "expression")  # fields, one of which a row has
_RESULT = ("id", "kind", "tier")  # fields that every result has, so that no other rows are taken
_interpreter = local_path_flag("programs run with an interpreter of this machine")
# The beginning of an unfinished row of another program: its second field is not ours.
_FOREIGN = re.compile(rb'\{"id": (?:"(?:[^"\\]|\\.)*"|[^",]+), "(?!(?:request|kind)")\w+"')


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 programs ran, 2 user error or no program ran, 130 stopped."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.jsonl is None:
        refuse_flags(arguments, ("--out", "--workers"), "with --jsonl only")
        return run_one(options)
    return run_rows(options)


def _parser() -> CommandParser:
    limits = Limits()
    parser = CommandParser(prog="python -m data_pipeline.execution", description=__doc__)
    add = parser.add_argument
    add("--program", type=path_flag, help="Python file to run")
    add("--call", help="call with literal arguments, such as 'f(3)'")
    add("--stdin", type=path_flag, help="run --program as a script with this file as stdin")
    add("--jsonl", type=path_flag, help="run every row of this file")
    add("--out", type=path_flag, help="with --jsonl: file for the results; continues it")
    add("--tier", help="A or B (default: strongest available); C with --allow_weak")
    add("--allow_weak", action="store_true", help="allow tier C, for building data only")
    add("--twice", action="store_true", help="run everything twice and report nondeterminism")
    add("--workers", type=int, help="with --jsonl: worker processes (default: one per core)")
    add("--threads", action="store_true", help="let programs start threads")
    add("--python", type=_interpreter, help="Python interpreter for programs (default: this one)")
    add("--cpu_seconds", type=float, default=limits.cpu_seconds, help="CPU time limit per run")
    add("--wall_seconds", type=float, default=limits.wall_seconds, help="wall time limit per run")
    add("--memory_mb", type=int, default=limits.memory_bytes >> 20, help="memory limit in MiB")
    return parser


def run_one(options: argparse.Namespace) -> int:
    """Runs --program and prints the result."""
    if options.program is None:
        raise CommandLineError("--program=FILE.py or --jsonl=FILE is missing")
    if (options.call is None) == (options.stdin is None):
        raise CommandLineError("--program needs either --call='f(3)' or --stdin=FILE")
    program = read_program(options.program, "--program")
    if options.call is not None:
        job = call_job(program, options.call, twice=options.twice)
    else:
        job = stdin_job(program, read_text(options.stdin, "--stdin"), twice=options.twice)
    with _sandbox(options, workers=1) as sandbox:
        result = sandbox.run(job)
    print(json.dumps(result.to_json()))
    if isinstance(result.outcome, BadInput):
        raise CommandLineError(f"{options.program}: {result.outcome.message}")
    return 0


def run_rows(options: argparse.Namespace) -> int:
    """Runs all rows of --jsonl and writes the results to --out or stdout."""
    if any(flag is not None for flag in (options.program, options.call, options.stdin)):
        raise CommandLineError("--jsonl takes its programs and calls from its rows, not from flags")
    check_separate({"--jsonl": options.jsonl, "--out": options.out})
    if options.out is not None:
        check_continuable("--out", options.out)
        check_has_folder("--out", options.out)
    if options.jsonl.exists() and not (options.jsonl.is_file() or options.jsonl.is_dir()):
        raise CommandLineError(
            f"--jsonl={options.jsonl}: expected a file, which is read twice; it is a device or pipe"
        )
    total = sum(1 for _ in _rows(options.jsonl))  # checks every row before any is run
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(_sandbox(options, options.workers))
        out = None
        if options.out:
            out = _open_output(stack, options.out)
        held = _resume(out, options) if out else _Held({}, 0, 0)
        rows, names = itertools.tee(
            row for row in _rows(options.jsonl) if _key_of_row(row, options) not in held.places
        )
        results = sandbox.map(_job(row, options.twice) for row in rows)
        bar = tqdm(total=total, initial=held.done, unit="run", file=sys.stderr)
        stack.enter_context(bar)
        bad = 0
        for row, result in zip(names, results, strict=False):
            bad += isinstance(result.outcome, BadInput)
            told = _row(row, result, options)
            if out is None:
                print(json.dumps(told))
            else:
                held.places[_key(told)], _ = append_row(out.fileno(), told, out.path)
            bar.update()
        if out is not None:
            _put_in_order(out, held, options)
    if held.stale:
        logger.warning(
            "%s: %d results of other programs, calls or limits were replaced",
            options.out, held.stale,
        )  # fmt: skip
    if bad and bad == total:
        raise CommandLineError(f"none of {total:,} rows could be run; each result says why")
    if bad:
        logger.warning("%d of %d rows could not be run: kind bad_input", bad, total)
    return 0


def _row(row: dict[str, Any], result: Result, options: argparse.Namespace) -> dict[str, Any]:
    return {"id": row["id"], "request": _request(row, options), **result.to_json()}


def _request(row: dict[str, Any], options: argparse.Namespace) -> str:
    """Returns a hash of all that decides the result of a row."""
    asked = [row.get(name) for name in ("program", *_ASKED)]
    limits = [options.cpu_seconds, options.wall_seconds, options.memory_mb]
    python = find_interpreter(options.python).version
    text = json.dumps([asked, limits, options.twice, options.threads, python])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _open_output(stack: contextlib.ExitStack, path: AnyPath) -> AppendedFile:
    """Opens the output file and locks it until the stack is closed."""
    try:
        return stack.enter_context(open_exclusively(path))
    except FileError as error:
        raise CommandLineError(f"--out: {error}") from None


@dataclasses.dataclass
class _Held:
    """Results in --out that hold for their rows.

    places: key of a result -> its first byte in the file; the last of a key counts. done: number
    of rows with a result. stale: number of rows with none but those that hold no longer.
    """

    places: dict[str, int]
    done: int
    stale: int


def _resume(out: AppendedFile, options: argparse.Namespace) -> _Held:
    """Finds the results in --out that still hold. Raises CommandLineError for unknown ids."""
    for _ in _read_results(out, unfinished=True):
        pass  # before anything in the file is changed
    mend_last_line(out.fileno(), out.path, b'{"id": ')
    target = out.path.resolve()
    remove_partials(target.parent, target.name)
    wanted = {_key_of_row(row, options): json.dumps(row["id"]) for row in _rows(options.jsonl)}
    ids = set(wanted.values())
    held = _Held({}, 0, 0)
    seen: set[str] = set()
    for place, where, known in _read_results(out):
        if json.dumps(known["id"]) not in ids:
            raise CommandLineError(
                f"{where}: holds id {known['id']!r}, which --jsonl does not have"
            )
        seen.add(json.dumps(known["id"]))
        if _key(known) in wanted:
            held.places[_key(known)] = place
    for row in _rows(options.jsonl):
        holds = _key_of_row(row, options) in held.places
        held.done += holds
        held.stale += not holds and json.dumps(row["id"]) in seen
    return held


def _read_results(
    out: AppendedFile, *, unfinished: bool = False
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yields (first byte, "FILE:LINE", result) for each row of --out.

    unfinished: the last row may be cut. Raises CommandLineError for a row that is no result.
    """
    place = 0
    with out.reader() as file:
        for number, line in enumerate(file, start=1):
            where = f"{out.path}:{number}"
            if unfinished and not line.endswith(b"\n"):
                if _FOREIGN.match(line):
                    raise CommandLineError(f"{where}: not a result row; nothing was changed")
            elif line.strip():
                row = parse_row(line, where, raises=CommandLineError)
                if not set(_RESULT) <= set(row):
                    raise CommandLineError(f"{where}: not a result row; nothing was changed")
                yield place, where, row
            place += len(line)


def _key(result: dict[str, Any]) -> str:
    return json.dumps([result["id"], result.get("request")])


def _key_of_row(row: dict[str, Any], options: argparse.Namespace) -> str:
    return _key({"id": row["id"], "request": _request(row, options)})


def _put_in_order(out: AppendedFile, held: _Held, options: argparse.Namespace) -> None:
    """Replaces --out atomically by the results of the rows, unless it holds just these in order."""
    places = [held.places[_key_of_row(row, options)] for row in _rows(options.jsonl)]
    if places == [place for place, _, _ in _read_results(out)]:
        return
    out.save()  # nothing is left to write when it is closed
    # The target of a link is replaced, and the link stays.
    with out.reader() as file, open_atomically(out.path.resolve()) as new:
        for place in places:
            file.seek(place)
            new.write(file.readline())


def _rows(path: AnyPath) -> Iterator[dict[str, Any]]:
    """Reads the rows of the file. Raises CommandLineError with the line number."""
    for where, row in read_rows(path, raises=CommandLineError):
        yield _check_row(row, where)


def _check_row(row: dict[str, Any], where: str) -> dict[str, Any]:
    if "id" not in row:
        raise CommandLineError(f"{where}: field 'id' is missing")
    check_text(row, "program", where, raises=CommandLineError)
    asked = [name for name in _ASKED if row.get(name) is not None]
    if len(asked) != 1 or not isinstance(row[asked[0]], str):
        raise CommandLineError(
            f'{where}: expected one text field "call" (or "stdin" or "expression")'
        )
    return row


def _job(row: dict[str, Any], twice: bool) -> Job:
    if row.get("call") is not None:
        return call_job(row["program"], row["call"], twice=twice)
    if row.get("stdin") is not None:
        return stdin_job(row["program"], row["stdin"], twice=twice)
    return expression_job(row["program"], row["expression"], twice=twice)


def _sandbox(options: argparse.Namespace, workers: int | None) -> Sandbox:
    for name, most in (("cpu_seconds", 1e6), ("wall_seconds", 1e6), ("memory_mb", 1 << 30)):
        value = getattr(options, name)
        if not 0 < value <= most:  # false for nan, too
            raise CommandLineError(f"--{name}={value}: expected more than 0, at most {most:,.0f}")
    if workers is not None and workers < 1:
        raise CommandLineError(f"--workers={workers}: expected at least 1")
    limits = Limits(
        cpu_seconds=options.cpu_seconds,
        wall_seconds=options.wall_seconds,
        memory_bytes=options.memory_mb << 20,
    )
    return Sandbox(
        tier=options.tier,
        allow_weak=options.allow_weak,
        workers=workers,
        limits=limits,
        setup=Setup(python=options.python, threads=options.threads),
    )
