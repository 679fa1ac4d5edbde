"""Checks each claim of a monologue against the run; annotates one, or writes many as JSON rows.

    python -m data_pipeline.verify --program=FILE.py --call='f(3)' --monologue=FILE.txt [--json]
    python -m data_pipeline.verify --jsonl=FILE [--output=FILE]
    python -m data_pipeline.verify --jsonl=FILE --labels=FILE

Marks on lines: ✓ a value or decision is confirmed and nothing is left unread, ✗ contradicted,
≈ half read, → only that the line runs is known, · nothing is known.

--jsonl reads rows {"id", "program", "call", "monologue"} and writes one row each, in order:
{"id", "lines": [{"line", "verdict", "claims"}]}, lines counted from 0, verdict one of confirmed,
contradicted, partly, runs, unchecked; or {"id", "error"} if the run gave no trace. A run that does
not end is judged by its first steps. An "id" is text or a whole number. A missing "call" is taken
from the monologue's own answer (the witness of a backward monologue). Other inputs that a backward
monologue names are run too. Programs run in the sandbox unless --trusted is given.

--labels=FILE reads rows {"id", "line", "label"} (true, false, goal, none or unsure), one of a line,
and prints how often the verdicts agree, forward and backward, right and wrong answers apart
("direction" and "right" of the --jsonl rows, whose ids then differ).

Labels such as [L5] count a program's lines as prompts do, from L5, unless they can only be meant as
a file's lines, from L1; --numbering=prompt or --numbering=file says which.

A line of more than 4,000 characters is not read: its verdict is unchecked.

Exit status: 0 no claim is contradicted, or --labels was given; 1 one is; 2 bad input, or no row
could be judged.
"""

import argparse
import contextlib
import dataclasses
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_pipeline.files import (
    check_id,
    check_output,
    check_separate,
    check_text,
    encode_row,
    has_fields,
    open_atomically,
    path_flag,
    read_program,
    read_rows,
    read_text,
)
from data_pipeline.source.calls import CallError
from data_pipeline.terminal.command_line import (
    CommandLineError,
    CommandParser,
    refuse_flags,
    run_command,
)
from data_pipeline.terminal.notices import logger
from data_pipeline.terminal.tables import format_table
from data_pipeline.tracing import Trace, trace_call
from data_pipeline.tracing.deadline import limit_run
from data_pipeline.tracing.recorder import RunStopped
from data_pipeline.verify import (
    CONTRADICTED,
    UNCHECKED,
    Claim,
    VerifyError,
    count_verdicts,
    example_calls,
    line_verdicts,
    mark_claims,
    verify_trace,
    witness_call,
)
from data_pipeline.verify.answer import literal_call, outcome
from data_pipeline.verify.numbering import (
    FILE,
    PROMPT,
    choose_numbering,
    label_program,
    to_prompt_numbering,
    unknown_labels,
)
from data_pipeline.verify.scoring import (
    LABELS,
    SCORES,
    LabelledMonologue,
    LineScores,
    score_lines,
)


@dataclasses.dataclass(frozen=True)
class _Row:
    id: str | int
    program: str
    call: str
    monologue: str
    direction: str = "forward"
    right: bool | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 no claim contradicted, 1 some contradicted, 2 bad input or nothing judged."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    warnings.simplefilter("ignore", SyntaxWarning)  # of code in texts, such as "1if"
    return _verify_rows(options) if options.jsonl is not None else _verify_one(options)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(prog="python -m data_pipeline.verify", description=__doc__)
    parser.add_argument("--program", type=path_flag, help="Python file to run")
    parser.add_argument("--call", help="such as 'f(3)' (default: the call in the answer)")
    parser.add_argument("--monologue", type=path_flag, help="text file with the monologue")
    parser.add_argument("--json", action="store_true", help="print one JSON object per claim")
    parser.add_argument(
        "--jsonl", type=path_flag, help="file of rows {id, program, call, monologue}"
    )
    parser.add_argument(
        "--output", type=path_flag, help="with --jsonl: file for the rows (default: stdout)"
    )
    parser.add_argument(
        "--labels", type=path_flag, help="with --jsonl: file of labelled lines, to print scores"
    )
    parser.add_argument(
        "--numbering", choices=(PROMPT, FILE), help="how labels count the lines of --program"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="with --jsonl: parallel runs (default: 2)"
    )
    parser.add_argument("--tier", help="sandbox tier, A, B or C (default: strongest available)")
    parser.add_argument(
        "--trusted",
        action="store_true",
        help="run in this process, without a sandbox; of all limits only that of time",
    )
    options = parser.parse_args(arguments)
    one = {"--program": options.program, "--monologue": options.monologue}
    if options.jsonl is not None:
        given = [flag for flag, value in one.items() if value is not None]
        if given or options.call is not None:
            raise CommandLineError(
                f"--jsonl and {(given or ['--call'])[0]}: expected one or the other"
            )
        refuse_flags(arguments, ("--numbering", "--json"), "with --program only")
        if options.labels is not None:
            refuse_flags(arguments, ("--output",), "without --labels")
        if options.workers < 1:
            raise CommandLineError(f"--workers={options.workers}: expected at least 1")
    else:
        missing = [flag for flag, value in one.items() if value is None]
        if missing:
            raise CommandLineError(f"{missing[0]} is missing; expected it and --call, or --jsonl")
        refuse_flags(arguments, ("--output", "--labels", "--workers"), "with --jsonl only")
    if options.trusted:
        refuse_flags(arguments, ("--tier", "--workers"), "without --trusted")
    return options


# ---- one


def _verify_one(options: argparse.Namespace) -> int:
    program, monologue = read_program(options.program), read_text(options.monologue)
    monologue = monologue.removeprefix("\ufeff")
    call = options.call if options.call is not None else witness_call(monologue)
    if call is None:
        raise VerifyError("--call is missing, and the monologue ends in no assertion f(...) == ...")
    numbering = options.numbering or choose_numbering(program, monologue)
    asked = monologue if numbering == PROMPT else to_prompt_numbering(monologue)
    [(_, claims)] = _judged([_Row("", program, call, asked)], options)
    if isinstance(claims, str):
        raise VerifyError(claims)
    if options.json:
        for claim in claims:
            print(json.dumps(dataclasses.asdict(claim), ensure_ascii=False))
    else:
        print(label_program(program, numbering) + "\n")
        print(mark_claims(monologue, claims))
        for line in unknown_labels(program, monologue, numbering):
            print(f"\n{line}")
        counts = count_verdicts(asked, claims)
        print("\nlines: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return int(any(claim.verdict == CONTRADICTED for claim in claims))


# ---- many


def is_result(begin: bytes) -> bool:
    """Returns whether a file begins with a row that this command wrote."""
    return any(has_fields("id", field)(begin) for field in ("lines", "claims", "error"))


def _verify_rows(options: argparse.Namespace) -> int:
    check_separate({"--jsonl": options.jsonl, "--output": options.output})
    check_output("--output", options.output, is_result)
    rows = _rows(options.jsonl)
    if options.labels is not None:
        return _print_scores(rows, options)
    wrong, failed = False, _Failures(len(rows))
    with contextlib.ExitStack() as stack:
        out = None
        if options.output is not None:
            out = stack.enter_context(open_atomically(options.output))
        bar = tqdm(total=len(rows), unit="monologue", disable=not sys.stderr.isatty())
        stack.callback(bar.close)
        for row, claims in _judged(rows, options):
            failed.note(row, claims)
            result = _result_row(row, claims)
            wrong = wrong or CONTRADICTED in {line["verdict"] for line in result.get("lines", ())}
            if out is None:
                print(json.dumps(result))
            else:
                out.write(encode_row(result))
            bar.update()
    failed.report()
    return int(wrong)


class _Failures:
    """Counts the rows of a command that could not be judged."""

    def __init__(self, rows: int):
        self._rows, self._count, self._first = rows, 0, ""

    def note(self, row: _Row, claims: list[Claim] | str) -> None:
        if isinstance(claims, str):
            self._first = self._first or f"{row.id}: {claims}"
            self._count += 1

    def report(self) -> None:
        """Warns of rows that could not be judged. Raises VerifyError if these are all."""
        if self._count == self._rows:
            raise VerifyError(f"none of {self._rows:,} rows could be judged; {self._first}")
        if self._count:
            logger.warning(
                "%d of %d rows could not be judged; %s", self._count, self._rows, self._first
            )


def _result_row(row: _Row, claims: list[Claim] | str) -> dict[str, Any]:
    if isinstance(claims, str):
        return {"id": row.id, "error": claims}
    verdicts = line_verdicts(claims)
    by_line: dict[int, list[dict[str, Any]]] = {}
    for claim in claims:
        told = dataclasses.asdict(claim)
        by_line.setdefault(told.pop("line"), []).append(told)
    lines = [
        {
            "line": number - 1,
            "verdict": verdicts.get(number, UNCHECKED),
            "claims": by_line.get(number, []),
        }
        for number in range(1, row.monologue.count("\n") + 2)
    ]
    return {"id": row.id, "lines": lines}


def _print_scores(rows: Sequence[_Row], options: argparse.Namespace) -> int:
    """Prints the table of scores; rows that cannot be run count as unchecked."""
    labels = _labels(options.labels, rows)
    known = [row for row in rows if row.id in labels]
    if not known:
        raise VerifyError(f"{options.labels}: no id of {options.jsonl} is labelled")
    judged, failed = [], _Failures(len(known))
    for row, claims in _judged(known, options):
        verdicts: dict[int, str] = {}
        failed.note(row, claims)
        if not isinstance(claims, str):
            verdicts = {line - 1: verdict for line, verdict in line_verdicts(claims).items()}
        judged.append((LabelledMonologue(labels[row.id], row.direction, row.right), verdicts))
    print(_format_scores(score_lines(judged)))
    failed.report()
    return 0


def _format_scores(scores: Mapping[tuple[str, str], LineScores]) -> str:
    """Returns an aligned table, one row for each direction and kind of answer."""
    order = {"right": 0, "wrong": 1, "all": 2}
    rows = [
        [direction, group, *(_share(*own.share(name)) for name, _ in SCORES)]
        for (direction, group), own in sorted(
            scores.items(), key=lambda item: (item[0][0] != "forward", order[item[0][1]])
        )
    ]
    headings = ["direction", "answers", *(f"{title} (%)" for _, title in SCORES)]
    return format_table(headings, rows)


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} ({count}/{total})" if total else "-"


def _labels(path: Path, rows: Sequence[_Row]) -> dict[str | int, dict[int, str]]:
    """Returns id -> line -> label. Raises VerifyError for lines that `rows` do not have.

    Labels of other ids are left out with a warning: one file may label more than a part of it asks.
    """
    lines: dict[str | int, int] = {}
    for row in rows:
        if row.id in lines:
            raise VerifyError(f"--labels: expected ids that differ; --jsonl has {row.id!r} twice")
        lines[row.id] = row.monologue.count("\n") + 1
    labels: dict[str | int, dict[int, str]] = {}
    others: set[str | int] = set()
    for where, row in read_rows(path, raises=VerifyError):
        name = check_id(row, where, raises=VerifyError)
        line = row.get("line")
        if not isinstance(line, int) or isinstance(line, bool) or line < 0:
            raise VerifyError(f"{where}: field 'line': expected a number from 0")
        if row.get("label") not in LABELS:
            raise VerifyError(f"{where}: field 'label': expected one of {', '.join(LABELS)}")
        if name not in lines:
            others.add(name)
            continue
        if line >= lines[name]:
            raise VerifyError(
                f"{where}: field 'line': expected 0 to {lines[name] - 1}, the lines of the "
                f"monologue {name!r}; got {line}"
            )
        if labels.setdefault(name, {}).setdefault(line, row["label"]) != row["label"]:
            raise VerifyError(f"{where}: line {line} of {name!r} has another label already")
    if labels and others:
        logger.warning(
            "%d labelled ids are not in --jsonl, such as %s", len(others), min(map(str, others))
        )
    return labels


def _rows(path: Path) -> list[_Row]:
    rows = []
    for where, row in read_rows(path, raises=VerifyError):
        name = check_id(row, where, raises=VerifyError)
        program, monologue = (
            check_text(row, field, where, raises=VerifyError) for field in ("program", "monologue")
        )
        call = row.get("call") or witness_call(monologue) or ""
        if not isinstance(call, str):
            raise VerifyError(f"{where}: field 'call': expected text")
        direction = "backward" if row.get("direction") == "backward" else "forward"
        right = row.get("right") if isinstance(row.get("right"), bool) else None
        rows.append(_Row(name, program, call, monologue, direction, right))
    if not rows:
        raise VerifyError(f"{path}: expected at least one row; the file is empty")
    return rows


# ---- runs

_BATCH = 500  # rows whose traces are held at once
_STOPPED = "the run was stopped"
_NO_CALL = "field 'call' is missing, and the monologue ends in no assertion f(...) == ..."
_ENDS: dict[str, Any] = {"max_lines": 2_000, "max_bytes": 4 << 20, "ends_run": True}


def _judged(
    rows: Sequence[_Row], options: argparse.Namespace
) -> Iterator[tuple[_Row, list[Claim] | str]]:
    """Yields each row with its claims, or with the reason why it cannot be judged."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        asked = [row for row in batch if row.call]
        found = iter(_retried(asked, list(_traces(asked, options)), options) if asked else ())
        traces = [next(found) if row.call else _NO_CALL for row in batch]
        outcomes = _example_outcomes(batch, traces, options)
        for row, trace, known in zip(batch, traces, outcomes, strict=True):
            is_run = not isinstance(trace, str)
            yield row, verify_trace(trace, row.monologue, known) if is_run else trace


def _retried(
    rows: Sequence[_Row], traces: list[Trace | str], options: argparse.Namespace
) -> list[Trace | str]:
    """Runs what a limit stopped once more, for the trace of its first steps."""
    stopped = [i for i, trace in enumerate(traces) if isinstance(trace, str) and _STOPPED in trace]
    again = _traces([rows[i] for i in stopped], options, ends_run=True) if stopped else ()
    for i, trace in zip(stopped, again, strict=True):
        traces[i] = traces[i] if isinstance(trace, str) else trace
    return traces


def _example_outcomes(
    rows: Sequence[_Row], traces: Sequence[Trace | str], options: argparse.Namespace
) -> list[dict[str, str]]:
    """Runs the other inputs that backward monologues tell; returns call -> outcome by row."""
    asked = [
        (number, call)
        for number, (row, trace) in enumerate(zip(rows, traces, strict=True))
        for call in ([] if isinstance(trace, str) else example_calls(trace, row.monologue))
    ]
    outcomes: list[dict[str, str]] = [{} for _ in rows]
    calls = [dataclasses.replace(rows[number], call=call) for number, call in asked]
    if not calls:
        return outcomes
    for (number, call), trace in zip(asked, _traces(calls, options, ends_run=True), strict=True):
        if not isinstance(trace, str):
            outcomes[number][call] = outcome(trace)
    return outcomes


def _traces(
    rows: Sequence[_Row], options: argparse.Namespace, *, ends_run: bool = False
) -> Iterator[Trace | str]:
    """Yields the trace of each row, or one line of text with the reason for its absence.

    ends_run: end a long run, with the trace of its first steps.
    """
    if options.trusted:
        from data_pipeline.execution.outcomes import describe_unreached_call

        for row in rows:
            try:
                with limit_run():
                    trace = trace_call(
                        row.program, literal_call(row.call), **(_ENDS if ends_run else {})
                    )
            except CallError as error:
                yield str(error).splitlines()[0]
            except RunStopped as stopped:
                yield str(stopped)
            else:
                yield describe_unreached_call(trace) or trace
        return
    from data_pipeline.execution.outcomes import Limit, describe_missing_trace
    from data_pipeline.execution.service import Sandbox, SandboxUnavailable, TraceLimits, call_job

    try:
        limits = TraceLimits(**_ENDS, tells_ended=True) if ends_run else TraceLimits()
        with Sandbox(tier=options.tier, workers=min(options.workers, len(rows) or 1)) as sandbox:
            jobs = (call_job(row.program, literal_call(row.call), trace=limits) for row in rows)
            traced = False
            for result in sandbox.map(jobs):
                traced = traced or result.trace is not None
                if ends_run and result.trace is not None and isinstance(result.outcome, Limit):
                    yield result.trace
                else:
                    yield describe_missing_trace(result) or result.trace
            if traced:  # without a trace, the rows hold the errors
                sandbox.warn_if_weaker()
    except SandboxUnavailable as error:
        raise VerifyError(f"{error}; or, if you trust the programs, --trusted") from None
