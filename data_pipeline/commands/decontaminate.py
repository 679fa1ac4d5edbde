"""Removes rows that duplicate benchmark tasks or one another.

    python -m data_pipeline.decontaminate --input=FILE.jsonl --benchmarks=DIR \\
        --output=KEPT.jsonl --report=REMOVED.jsonl
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from tqdm import tqdm

from data_pipeline.decontamination.behaviour import differ
from data_pipeline.decontamination.overlap import (
    REASONS,
    BenchmarkIndex,
    DecontaminationError,
    Item,
    Removal,
    item_of_row,
)
from data_pipeline.decontamination.repeats import find_repeats
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import (
    check_output,
    check_outside,
    check_separate,
    has_fields,
    parse_row,
    path_flag,
    read_numbered_lines,
    write_bytes,
    write_rows,
)
from data_pipeline.source.fingerprints import FINGERPRINT
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command
from data_pipeline.testcases import EXPLORATION_LIMITS


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 2 bad input."""
    return run_command(_run, argv)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m data_pipeline.decontaminate", description=__doc__)
    parser.add_argument(
        "--input", required=True, type=path_flag, help="JSONL of seeds or PyX records"
    )
    parser.add_argument(
        "--output", required=True, type=path_flag, help="JSONL for the remaining rows"
    )
    parser.add_argument("--report", type=path_flag, help="JSONL for removed rows with reasons")
    parser.add_argument(
        "--benchmarks",
        type=path_flag,
        nargs="*",
        default=[],
        help="files or folders of benchmark tasks",
    )
    parser.add_argument(
        "--repeats",
        action="store_true",
        help="also remove rows whose program looks like that of another row and does the same when "
        "both are run in the sandbox; for seeds, not for PyX, which has many rows per program",
    )
    return parser


def _run(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    if not options.benchmarks and not options.repeats:
        raise CommandLineError("command line: expected --benchmarks, --repeats or both")
    check_separate(
        {"--input": options.input, "--output": options.output, "--report": options.report}
    )
    for flag in ("output", "report"):
        path = getattr(options, flag)
        if path is not None:
            check_outside("--benchmarks", options.benchmarks, f"--{flag}", path)
    check_output("--report", options.report, has_fields("id", "reason", "matched"))
    rows: list[tuple[bytes, Item]] = []
    for number, line in read_numbered_lines(options.input, raises=DecontaminationError):
        where = f"{options.input.name}:{number}"
        row = parse_row(line, where, raises=DecontaminationError)
        rows.append((line if line.endswith(b"\n") else line + b"\n", item_of_row(row, where)))
    lines = {line for line, _ in rows}
    check_output(
        "--output", options.output, lambda begin: begin.partition(b"\n")[0] + b"\n" in lines
    )
    removed: dict[str, Removal] = {}
    index = BenchmarkIndex.from_files(options.benchmarks)
    for _, item in tqdm(rows, desc="benchmarks", unit="row", disable=None):
        removal = index.overlap(item)
        if removal is not None:
            removed[item.id] = removal
    if options.repeats:
        rest = [item for _, item in rows if item.id not in removed]
        with Sandbox(limits=EXPLORATION_LIMITS) as sandbox:
            found = find_repeats(rest, partial(differ, sandbox=sandbox))
        removed |= {removal.id: removal for removal in found}
    kept = [line for line, item in rows if item.id not in removed]
    write_bytes(options.output, b"".join(kept))
    if options.report is not None:
        reasons = (asdict(removed[item.id]) for _, item in rows if item.id in removed)
        write_rows(options.report, reasons)
    print(f"{len(rows) - len(removed):>10,} of {len(rows):,} rows stay")
    print(f"{'':>10} programs compared by fingerprint {FINGERPRINT}")
    for (reason, name), count in sorted(
        Counter(
            (removal.reason, removal.matched.split("/")[0] if "/" in removal.matched else "")
            for removal in removed.values()
        ).items(),
        key=lambda entry: (REASONS.index(entry[0][0]), entry[0][1]),
    ):
        print(f"{count:>10,} removed: {reason:<10}  {name or 'another row'}".rstrip())
