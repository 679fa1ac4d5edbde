"""Checks PyX and PyX-R files; prints errors, and records by kind.

python -m data_pipeline.records FILE.jsonl [FILE.jsonl.gz ...]
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from data_pipeline.files import path_flag, read_numbered_lines
from data_pipeline.pyx.records import KINDS, RecordError, decode_line, parse_record
from data_pipeline.terminal.command_line import CommandParser, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 if every row is a valid record, 2 otherwise."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(prog="python -m data_pipeline.records", description=__doc__)
    parser.add_argument(
        "files", nargs="+", type=path_flag, metavar="FILE", help=".jsonl or .jsonl.gz"
    )
    parser.add_argument(
        "--max_errors", type=int, default=20, help="most errors shown per file (default: 20)"
    )
    args = parser.parse_args(arguments)
    sound = [_check_file(file, args.max_errors) for file in args.files]
    return 0 if all(sound) else 2


def _check_file(path: Path, max_errors: int) -> bool:
    """Prints a file's errors (stderr) and counts (stdout); returns whether all rows are valid."""
    kinds: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    errors = 0
    size = path.stat().st_size if path.is_file() else None
    try:
        with tqdm(total=size, desc=path.name, unit="B", unit_scale=True, disable=None) as bar:
            lines = read_numbered_lines(
                path, raises=RecordError, on_read=lambda place: bar.update(place - bar.n)
            )
            for number, line in lines:
                where = f"{path}:{number}"
                try:
                    record = parse_record(decode_line(line, where), where)
                except RecordError as error:
                    errors += 1
                    if errors <= max_errors:
                        tqdm.write(f"error: {error}", file=sys.stderr)
                    continue
                kinds[record.kind] += 1
                ids[record.id] += 1
    except RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return False
    if errors > max_errors:
        print(f"error: {path}: {errors - max_errors:,} more errors not shown", file=sys.stderr)
    print(path)
    for kind in KINDS:
        if kinds[kind]:
            print(f"  {kind:<9}{kinds[kind]:>12,} records")
    print(f"  {'total':<9}{kinds.total():>12,} records")
    if repeats := kinds.total() - len(ids):
        print(f"  {'repeats':<9}{repeats:>12,} records with an id seen before")
    if errors:
        print(f"  {'bad':<9}{errors:>12,} rows")
    if not kinds and not errors:
        print(f"error: {path}: expected at least one record; the file is empty", file=sys.stderr)
        return False
    return errors == 0
